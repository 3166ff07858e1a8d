"""pytest fixtures; a test module or conftest asks for them with `pytest_plugins = ["aixgo.testing.fixtures"]`.

They need pytest-asyncio, and run in the loop of the test. Below: served.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeAlias

import pytest_asyncio

from aixgo.contract import Agent
from aixgo.runtime.distributed import DistributedRuntime
from aixgo.testing.served import served

__all__ = ["ServeAgents", "serve_agents"]

ServeAgents: TypeAlias = Callable[..., Awaitable[DistributedRuntime]]


@pytest_asyncio.fixture
async def serve_agents() -> AsyncIterator[ServeAgents]:
    """Awaited with agents, it gives a runtime to them behind a real server, until the test ends."""
    async with AsyncExitStack() as stack:

        async def start(*agents: Agent) -> DistributedRuntime:
            return await stack.enter_async_context(served(*agents))

        yield start
