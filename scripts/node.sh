#!/usr/bin/env bash
# Installs the npm packages that tests and examples declare, each beside its package.json. Without node, or when npm
# fails, the tests that need them skip.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v node >/dev/null && command -v npm >/dev/null || exit 0
find . '(' -name node_modules -o -name '.?*' ')' -prune -o -name package-lock.json -print | while read -r lock; do
    folder=$(dirname "$lock")
    stamp="$folder/node_modules/.installed"
    cmp -s "$lock" "$stamp" && continue
    if npm ci --prefix "$folder" --no-audit --no-fund --loglevel=error; then
        cp "$lock" "$stamp"
    else
        echo "npm ci failed in $folder: the tests that need it will skip" >&2
    fi
done
