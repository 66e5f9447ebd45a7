#!/bin/sh
# Makes .venv-bench, the environment `python -m bench` runs in: penstock from this working tree, every peer that installs,
# the C responder.  What could not be had is written to .venv-bench/bench-setup.json with its reason; the report names it.
#   PYTHON=python3.12 bench/setup.sh
#   bench/setup.sh trials                     php-fpm too, which the trials alone need
set -eu
cd "$(dirname "$0")/.."
venv=.venv-bench
python=${PYTHON:-python3}
trials=${1:-}

say() { printf '%s\n' "bench/setup: $*"; }

# nginx often stands outside a user's PATH.
have() { PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v "$1" >/dev/null 2>&1; }

# Debian has its version in the name: php-fpm8.2.
have_php_fpm() { have php-fpm || ls /usr/sbin/php-fpm[0-9]* >/dev/null 2>&1; }

# Debian packages still needed, space separated: programs first, then what bjoern and the C responder compile against.
wanted() {
    have nginx || printf 'nginx-light '
    have wrk || printf 'wrk '
    have gcc || printf 'gcc libc6-dev '
    [ -e /usr/include/fcgiapp.h ] || printf 'libfcgi-dev '
    [ -z "$trials" ] || have_php_fpm || printf 'php-fpm '
    [ -e /usr/include/ev.h ] || printf 'libev-dev '
    "$python" -c 'import os, sysconfig; raise SystemExit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' ||
        printf 'python3-dev '
    "$python" -c 'import ensurepip' 2>/dev/null || printf 'python3-venv '
}

"$python" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' || {
    say "$python is older than 3.11: set PYTHON"
    exit 1
}

packages=$(wanted)
if [ -n "$packages" ]; then
    if [ "$(id -u)" = 0 ] && have apt-get; then
        say "installing $packages"
        apt-get update -qq || say "apt-get update failed; trying with the lists there are"
        for package in $packages; do
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null ||
                say "could not install $package"
        done
    else
        say "missing: $packages"
        say "install them first (on Debian, as root: apt-get install $packages), then run this again;"
        say "without gcc, libfcgi-dev or libev-dev only the peers that need them are left out, without php-fpm only itself"
    fi
fi
for program in nginx wrk; do
    have "$program" || { say "no $program, so there is nothing to measure with"; exit 1; }
done

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
exec "$venv/bin/python" bench/install.py
