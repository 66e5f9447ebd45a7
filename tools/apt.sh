#!/usr/bin/env bash
# Installs Debian packages where that can be done without asking, and says what to install where it cannot.
#
#   tools/apt.sh PACKAGE...        exit code 0: they are there now
set -euo pipefail

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "penstock: not installed: $*. On Debian or Ubuntu, as root: apt-get install $*" >&2
    exit 1
fi

# A web server's package starts a service as it is installed. Ours are started by the demo and the tests, on ports and in
# folders of their own, so Debian's own switch keeps the service off; an administrator's file stays as it is.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi

echo "penstock: installing $*"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq --yes --no-install-recommends "$@" >/dev/null
