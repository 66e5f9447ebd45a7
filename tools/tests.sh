#!/usr/bin/env bash
# Runs all tests in two halves side by side, as most of them wait for other programs; with arguments it is pytest itself.
#
#   tools/tests.sh PYTHON [PYTEST_ARG...]
set -uom pipefail  # m: a group of its own for the other half, or it would be deaf to SIGINT, and its programs too
python=$1
shift
if [ "$#" -gt 0 ]; then
    exec "$python" -m pytest "$@"
fi

half=(tests/cli tests/client tests/compat tests/connection tests/examples tests/gateways tests/homes tests/interop tests/property)
output=$(mktemp)
"$python" -m pytest -o cache_dir=.pytest_cache/half "${half[@]}" >"$output" 2>&1 &
other=$!
trap 'kill "$other" 2>/dev/null; rm -f "$output"' EXIT

"$python" -m pytest "${half[@]/#/--ignore=}"
mine=$?
wait "$other"
theirs=$?
cat "$output"
[ "$mine" -eq 0 ] && [ "$theirs" -eq 0 ]
