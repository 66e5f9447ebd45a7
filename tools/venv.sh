#!/usr/bin/env bash
# Makes the virtual environment that the goals of the Makefile run in, and installs penstock into it from the source.
#
#   tools/venv.sh PYTHON FOLDER EXTRAS        for example: tools/venv.sh python3 .venv test,lint
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1 folder=$2 extras=$3

if [ "$python" = python3 ] && ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    # Debian has the two in a package of their own.
    tools/apt.sh python3 python3-venv
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "penstock: needs Python 3.11 or newer; name one: make PYTHON=python3.12 ..." >&2
    exit 1
fi
[ -x "$folder/bin/python" ] || "$python" -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[$extras]"
