"""A client in another language, made from the .proto files alone, gets what ours gets."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "polyglot"
NODE = shutil.which("node")

pytestmark = pytest.mark.slow


@pytest.mark.skipif(NODE is None, reason="node is not installed")
async def test_the_node_client_prints_what_its_page_says() -> None:
    if not (EXAMPLE / "node_modules").exists():
        pytest.skip(f"its packages are not installed: npm ci --prefix {EXAMPLE}")
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        EXAMPLE / "server.py",
        "127.0.0.1:0",
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},  # as the tests see it, installed or not
    )
    try:
        assert server.stdout is not None
        async with asyncio.timeout(20):
            address = (await server.stdout.readline()).decode().split()[-1]
            printed = await run_client(address)
    finally:
        server.terminate()
        async with asyncio.timeout(10):
            await server.communicate()
    assert printed in (EXAMPLE / "README.md").read_text()
    assert "AgentRefused" in printed
    assert server.returncode == 0


async def run_client(address: str) -> str:
    assert NODE is not None
    client = await asyncio.create_subprocess_exec(
        NODE, EXAMPLE / "client.mjs", address, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await client.communicate()
    assert client.returncode == 0
    return output.decode()
