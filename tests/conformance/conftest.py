"""Worlds, gates and server processes for the conformance tests."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.gates import Gates, open_gates
from tests.conformance.places import Fleet, Place, World, open_world

OpenWorld = Callable[..., AbstractAsyncContextManager[World]]


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The server processes all tests share."""
    with tempfile.TemporaryDirectory(
        prefix="aixgo"
    ) as sockets:  # short: a socket's path is bounded
        fleet = Fleet(tmp_path_factory.mktemp("servers"), Path(sockets))
        yield fleet
        fleet.end()


@pytest.fixture
def sockets() -> Iterator[Path]:
    """A folder with a short name, for unix sockets."""
    with tempfile.TemporaryDirectory(prefix="aixgo") as folder:
        yield Path(folder)


@pytest.fixture
async def gates(sockets: Path) -> AsyncIterator[Gates]:
    async with open_gates(sockets) as gates:
        yield gates


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Place:
    """Which world; a test module says over which places it runs."""
    assert isinstance(request.param, Place)
    return request.param


@pytest.fixture
def opened(place: Place, fleet: Fleet, sockets: Path) -> OpenWorld:
    """How a test opens the place with `hosts=` or `caller=`, options of the runtimes on either end."""

    def open_with(**options: Any) -> AbstractAsyncContextManager[World]:
        return open_world(place, fleet, sockets, **options)

    return open_with


@pytest.fixture
async def world(opened: OpenWorld) -> AsyncIterator[World]:
    """The place, opened without options."""
    async with opened() as world:
        yield world
