"""The adapters, the server of our own, and aimock."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.conformance_providers.dialects import DIALECTS, Dialect
from tests.conformance_providers.wire import WireServer


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    """Each adapter with its API."""
    return DIALECTS[request.param]()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[WireServer]:
    """One for a whole module: a client per test would be most of a test's time."""
    async with WireServer() as running:
        yield running


@pytest.fixture
def wire(server: WireServer) -> WireServer:
    """The server, as if nobody had asked it anything."""
    server.forget()
    return server
