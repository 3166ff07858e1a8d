"""The processes that host agents."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
START = 30.0  # seconds a process may take until it serves, on a busy machine


@contextmanager
def serving(module: str, *arguments: str) -> Iterator[str]:
    """The address of a process that runs `module` until we leave."""
    with subprocess.Popen(
        [sys.executable, "-m", f"tests.conformance.patterns.{module}", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "GRPC_VERBOSITY": "NONE"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert select.select([process.stdout], [], [], START)[0], "the process says nothing"
        yield process.stdout.readline().strip()
        process.stdin.close()
        process.wait(START)


@pytest.fixture(scope="session")
def agents_at() -> Iterator[str]:
    """The address of the process that hosts every agent."""
    with serving("agents_process") as address:
        yield address


@pytest.fixture(scope="module")
def sockets() -> Iterator[Path]:
    """A folder with a short path, for the gates."""
    with tempfile.TemporaryDirectory(prefix="gates-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def waiting_at(sockets: Path) -> Iterator[str]:
    """The address of a process whose agents wait at the gates in `sockets`."""
    with serving("waiting_process", str(sockets / "gates")) as address:
        yield address
