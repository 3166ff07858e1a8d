"""Three real `aixgo serve` processes in a row, the last one with a model: first → second → chat → the vendor."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tests.conformance_providers.dialects import KEY

__all__ = ["BOUND", "Chain", "command", "running_chain"]

ROOT = Path(__file__).resolve().parents[2]
BOUND = 20.0  # seconds for what takes a fraction of one, on a busy machine

HOP = """
orchestration: {{name: {name}, pattern: sequential, agents: [{then}]}}
deployment: {{transport: {transport}, peers: {{{then}: "{address}"}}}}
"""
MODEL = "agents: [{name: chat, role: chat, model: 'openai:gpt-4o'}]\n"


class Chain:
    """Where the hops are."""

    def __init__(self, folder: Path, transport: str) -> None:
        self.transport = transport
        self.addresses = {name: f"unix:{folder}/{name}" for name in ("first", "second", "chat")}
        self._folder = folder

    @property
    def peers(self) -> dict[str, str]:
        """The only one its caller knows."""
        return {"first": self.addresses["first"]}

    def file(self, name: str, then: str = "") -> Path:
        """A configuration of one hop, which hands on to `then`, or asks the model."""
        path = self._folder / f"{name}.yaml"
        if then:
            text = HOP.format(
                name=name, then=then, transport=self.transport, address=self.addresses[then]
            )
        else:
            text = MODEL
        path.write_text(text, encoding="utf-8")
        return path


@asynccontextmanager
async def running_chain(folder: Path, transport: str, url: str) -> AsyncIterator[Chain]:
    """All three, serving; the model is at `url`. They end with the block, or with this process."""
    chain = Chain(folder, transport)
    files = {
        "first": chain.file("first", "second"),
        "second": chain.file("second", "chat"),
        "chat": chain.file("chat"),
    }
    environment = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{url}/v1"}
    async with AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(
                command(
                    *("serve", file, "--address", chain.addresses[name], "--follow-stdin"),
                    environment=environment,
                )
            )
            for name, file in files.items()
        ]
        for server in servers:
            assert server.stdout is not None
            async with asyncio.timeout(BOUND):
                assert (await server.stdout.readline()).startswith(b"serving "), "it ended"
        yield chain


@asynccontextmanager
async def command(
    *arguments: object, environment: Mapping[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A running `aixgo` command, which is killed at the end of the block if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "aixgo", *map(str, arguments)),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        async with asyncio.timeout(BOUND):
            await process.communicate()
