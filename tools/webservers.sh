#!/usr/bin/env bash
# Sees to it that the web servers which the demo and the tests stand behind are installed.
#
#   tools/webservers.sh [NAME...]        without names: all of them
#
# It ends with 0 also where one could not be had: the tests that need it are then left out by name (and fail in CI).
set -euo pipefail
cd "$(dirname "$0")"

# name        program (or a file, by its whole path)          Debian packages
servers='
nginx         nginx                                           nginx
lighttpd      lighttpd                                        lighttpd lighttpd-mod-openssl
apache2       apache2                                         apache2
mod_fcgid     /usr/lib/apache2/modules/mod_fcgid.so           libapache2-mod-fcgid
spawn-fcgi    spawn-fcgi                                      spawn-fcgi
caddy         caddy                                           caddy
haproxy       haproxy                                         haproxy
h2o           h2o                                             h2o
'

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
wanted=()
while read -r name program packages; do
    [ -n "$name" ] || continue
    if [ "$#" -gt 0 ] && [[ " $* " != *" $name "* ]]; then continue; fi
    if [ ! -f "$program" ] && ! command -v "$program" >/dev/null; then
        read -ra packages <<<"$packages"
        wanted+=("${packages[@]}")
    fi
done <<<"$servers"

[ "${#wanted[@]}" -gt 0 ] || exit 0
./apt.sh "${wanted[@]}" && exit 0
# One package that this distribution does not have must not keep the others away.
for package in "${wanted[@]}"; do
    if [ "${#wanted[@]}" -eq 1 ] || [ "$(id -u)" -ne 0 ] || ! ./apt.sh "$package"; then
        echo "penstock: going on without $package" >&2
    fi
done
