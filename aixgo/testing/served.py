"""Agents behind a real server, for tests that want the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aixgo.contract import Agent
from aixgo.runtime.distributed import DistributedRuntime

__all__ = ["served"]


@asynccontextmanager
async def served(*agents: Agent, transport: str = "stream") -> AsyncIterator[DistributedRuntime]:
    """Serve `agents` on a free port of this machine; gives a runtime to which each is a peer."""
    async with DistributedRuntime(*agents, address="127.0.0.1:0") as server:
        peers = dict.fromkeys(server.list_agents(), server.address)
        async with DistributedRuntime(peers=peers, transport=transport) as caller:
            yield caller
