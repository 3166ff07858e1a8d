"""The process that hosts the agents of all tables."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
START = 30.0  # seconds a process may take until it serves, on a busy machine


@pytest.fixture(scope="session")
def agents_at() -> Iterator[str]:
    """The address of the process that hosts every agent."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.conformance.patterns.agents_process"],
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
