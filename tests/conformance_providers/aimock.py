"""The wire server none of us wrote: `@copilotkit/aimock` from npm, run by the tests with their fixtures."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

HERE = Path(__file__).parent
COMMAND = HERE / "node_modules" / "@copilotkit" / "aimock" / "dist" / "cli.js"
NODE = shutil.which("node")
START = 20  # seconds it may take to listen; it takes one


def skip_without_aimock() -> None:
    """Skip the test if the server is not installed, saying how it gets there."""
    if NODE is None:
        pytest.skip("node is not installed")
    if not COMMAND.exists():
        pytest.skip("aimock is not installed: npm ci --prefix tests/conformance_providers")


@asynccontextmanager
async def running_aimock() -> AsyncIterator[str]:
    """The URL of a server that answers from `fixtures/`, and anything else with an error."""
    assert NODE is not None
    process = await asyncio.create_subprocess_exec(
        NODE,
        COMMAND,
        *("--port", "0", "--fixtures", HERE / "fixtures", "--strict", "--log-level", "info"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START):
            while (line := (await process.stdout.readline()).decode()) and "http" not in line:
                pass
        found = re.search(r"http://[\w.:]+", line)
        assert found, "aimock ended before it listened"
        yield found[0]
    finally:
        process.terminate()
        async with asyncio.timeout(START):
            await process.communicate()
