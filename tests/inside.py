"""A command inside the tests' process: what it says and how it ends, without most of a second of imports."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

from aixgo import pricing

__all__ = ["inside"]

ROOT = Path(__file__).resolve().parents[1]


def inside(
    main: Callable[[], int], environment: Mapping[str, str], *, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `main` in the checkout with nothing but `environment`; processes that it starts are processes."""
    before, prices = dict(os.environ), pricing.prices()
    said, complained = io.StringIO(), io.StringIO()
    kept, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8")
    _set(environment)
    try:
        with chdir(ROOT), redirect_stdout(said), redirect_stderr(complained):
            code = main()
    finally:
        sys.stdin = kept
        _set(before)
        pricing.install(prices)
    return subprocess.CompletedProcess("", code, said.getvalue(), complained.getvalue())


def _set(environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
