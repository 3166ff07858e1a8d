#!/usr/bin/env bash
# Installs Arize Phoenix, an OTLP backend that is not ours, into an environment of its own. Does nothing when it is there.
set -euo pipefail
cd "$(dirname "$0")/.."

wanted="arize-phoenix==20.26.1"
place=.cache/phoenix-venv
[ "$(cat "$place/installed" 2>/dev/null)" = "$wanted" ] && exit 0

echo "Installing $wanted into $place, about 900 MB"
rm -rf "$place"
.venv/bin/python -m venv "$place"
"$place/bin/python" -m pip --disable-pip-version-check install --quiet "$wanted"
echo "$wanted" >"$place/installed"
