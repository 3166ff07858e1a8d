#!/usr/bin/env bash
# Rewrites constraints.txt with the newest versions that fit, for every supported Python. No registry address is recorded.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=.cache/uv-venv
[ -x "$tools/bin/uv" ] || { .venv/bin/python -m venv "$tools" && "$tools/bin/pip" install --quiet uv; }

pins=$("$tools/bin/uv" pip compile --quiet --universal --python-version 3.11 --upgrade --all-extras \
    --no-annotate --no-header --no-emit-index-url --no-emit-find-links pyproject.toml)
{
    echo "# What \`make test\` installs, for Python 3.11 to 3.13. Rewritten by \`make constraints\`."
    # Constraints may not carry extras or the project itself.
    sed -E 's/^([A-Za-z0-9._-]+)\[[^]]*\]/\1/; /^aixgo([ =@]|$)/d' <<<"$pins"
} >constraints.txt
