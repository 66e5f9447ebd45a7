#!/usr/bin/env bash
# Sees to it that the web servers which the demo and the tests stand behind are installed.
#
#   tools/webservers.sh [NAME...]        without names: all of them
#
# It ends with 0 also where one could not be had: the tests that need it are then left out by name (and fail in CI).
set -euo pipefail
cd "$(dirname "$0")"

# name   program   Debian packages
servers='
nginx    nginx     nginx
'

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
wanted=()
while read -r name program packages; do
    [ -n "$name" ] || continue
    if [ "$#" -gt 0 ] && [[ " $* " != *" $name "* ]]; then continue; fi
    if ! command -v "$program" >/dev/null; then
        read -ra packages <<<"$packages"
        wanted+=("${packages[@]}")
    fi
done <<<"$servers"

if [ "${#wanted[@]}" -gt 0 ]; then
    ./apt.sh "${wanted[@]}" || echo "penstock: going on without ${wanted[*]}" >&2
fi
