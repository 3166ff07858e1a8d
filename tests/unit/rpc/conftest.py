"""A host, and a link to it over each transport: what holds for `Link` is tested over all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from aixgo.rpc.base import Link
from aixgo.rpc.options import WireSettings
from aixgo.rpc.transports import TRANSPORTS, open_link
from tests.unit.rpc.small_host import SmallHost, linked

OpenLink = Callable[..., Link]


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    assert isinstance(request.param, str)
    return request.param


@pytest.fixture
def host() -> SmallHost:
    return SmallHost()


@pytest.fixture
async def link(host: SmallHost, transport: str) -> AsyncIterator[Link]:
    """A link to a server of `host`, connected."""
    async with asyncio.timeout(20), linked(host, transport=transport) as link:
        yield link


@pytest.fixture
async def link_to(transport: str) -> AsyncIterator[OpenLink]:
    """Opens links to any address; they are closed at the end."""
    links: list[Link] = []

    def open_one(address: str, settings: WireSettings | None = None) -> Link:
        links.append(open_link(transport, address, settings=settings))
        return links[-1]

    yield open_one
    await asyncio.gather(*(link.aclose() for link in links))


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have links wait for a late status as long as a busy machine may need."""
    for module in ("stream", "unary", "connection"):
        monkeypatch.setattr(f"aixgo.rpc.{module}.STATUS_GRACE", 5.0)
