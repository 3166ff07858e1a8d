#!/usr/bin/env bash
# Makes .venv with aixgo (editable) and everything its tests need, pinned by constraints.txt. Does nothing when it is current.
# PYTHON=… chooses the interpreter; otherwise the newest supported one on PATH that really runs.
set -euo pipefail
cd "$(dirname "$0")/.."

works() { # a shim on PATH may name a version that is not installed, and a distribution may leave venv out
    "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        works "$PYTHON" && { echo "$PYTHON"; return; }
        echo "PYTHON=$PYTHON is not a working Python 3.11 to 3.13 with venv" >&2
        return 1
    fi
    local candidate
    for candidate in python3.13 python3.12 python3.11 python3 /usr/bin/python3; do
        works "$candidate" && { echo "$candidate"; return; }
    done
    echo "No Python 3.11 to 3.13 with venv was found; name one with PYTHON=/path/to/python" >&2
    return 1
}

version() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }

# A virtual environment does not survive being moved, so the place is part of what makes it current.
wanted() { { pwd; version .venv/bin/python; cat pyproject.toml constraints.txt scripts/venv.sh; } | cksum; }

usable() {
    works .venv/bin/python && { [ -z "${PYTHON:-}" ] || [ "$(version .venv/bin/python)" = "$(version "$PYTHON")" ]; }
}

if usable && [ "$(cat .venv/installed 2>/dev/null)" = "$(wanted)" ]; then exit 0; fi

if ! usable || [ "$(head -n 1 .venv/place 2>/dev/null)" != "$(pwd)" ]; then
    python=$(find_python)
    echo "Making .venv with $python ($("$python" --version))"
    rm -rf .venv
    "$python" -m venv .venv
    pwd >.venv/place
fi

pip() { .venv/bin/python -m pip --disable-pip-version-check "$@"; }
# The build tools come first and pinned, so that nothing is fetched a second time into an isolated build.
pip install --quiet --constraint constraints.txt hatchling editables
pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[all,dev]'
wanted >.venv/installed
