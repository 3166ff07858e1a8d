"""Addresses that parse, those that do not, and which of them stay on the machine."""

from __future__ import annotations

import pytest

from aixgo.context import SystemClock
from aixgo.errors import ConfigError, Unavailable
from aixgo.rpc.addresses import parse_address, resolve
from aixgo.rpc.credentials import Credentials
from aixgo.rpc.server import Server
from aixgo.rpc.transports import open_link
from tests.unit.rpc.small_host import SmallHost


@pytest.mark.parametrize(
    ("text", "target", "loopback"),
    [
        ("127.0.0.1:50051", "127.0.0.1:50051", True),
        ("127.8.9.1:1", "127.8.9.1:1", True),
        ("localhost:0", "localhost:0", True),
        ("[::1]:80", "[::1]:80", True),
        ("unix:/run/a.sock", "unix:/run/a.sock", True),
        ("unix:///run/a.sock", "unix:/run/a.sock", True),
        ("unix:a.sock", "unix:a.sock", True),
        ("0.0.0.0:80", "0.0.0.0:80", False),
        ("[::]:80", "[::]:80", False),
        ("10.0.0.7:80", "10.0.0.7:80", False),
        ("writer.agents.svc:50051", "writer.agents.svc:50051", False),
        ("dns:///writer:50051", "writer:50051", False),
        ("dns:///localhost:50051", "localhost:50051", True),
    ],
)
def test_an_address_parses(text: str, target: str, loopback: bool) -> None:
    address = parse_address(text)
    assert (address.target, address.loopback) == (target, loopback)
    assert address.by_name == text.startswith("dns:")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "50051",
        "localhost",
        "localhost:",
        "localhost:http",
        "localhost:65536",
        "::1:80",
        "[::g]:80",
        "[127.0.0.1]:80",
        "http://localhost:80",
        "local host:80",
        "unix:",
        "dns://8.8.8.8/name:80",
        "dns:///name",
        "dns:///name:0",
        "localhost:80\n",
        "unix:/" + "x" * 107,
    ],
)
def test_what_is_no_address_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(ConfigError, match="listen"):
        parse_address(text, what="listen")


def test_plaintext_off_loopback_needs_insecure_on_both_sides() -> None:
    with pytest.raises(ConfigError, match="insecure=True"):
        Server(SmallHost(), "0.0.0.0:0")
    with pytest.raises(ConfigError, match="insecure=True"):
        open_link("unary", "10.0.0.7:80", clock=SystemClock())
    for allowing in (Credentials(insecure=True), Credentials(external_tls=True)):
        Server(SmallHost(), "0.0.0.0:0", credentials=allowing)
        open_link("unary", "10.0.0.7:80", clock=SystemClock(), credentials=allowing)
    Server(SmallHost(), "unix:/run/a.sock")


def test_a_transport_nobody_has_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'unary'"):
        open_link("unari", "127.0.0.1:1")


async def test_a_name_resolves_to_each_of_its_addresses() -> None:
    assert "127.0.0.1:80" in await resolve("dns:///localhost:80")
    assert await resolve("writer:80") == ["writer:80"]


async def test_a_name_without_addresses_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="does not resolve"):
        await resolve("dns:///nowhere.invalid:80")
