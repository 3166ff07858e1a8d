"""TLS and mutual TLS over real sockets, on each transport: who may talk to whom, and what the refused are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from aixgo.context import CallContext
from aixgo.errors import Unavailable
from aixgo.message import Message, StreamChunk
from aixgo.rpc.base import Link
from aixgo.rpc.credentials import PLAIN, Credentials
from aixgo.rpc.options import WireSettings
from aixgo.rpc.server import Server
from aixgo.rpc.transports import TRANSPORTS, open_link
from aixgo.security.certificates import identity_of
from aixgo.security.tls import Tls
from tests.pki import Pki, pki
from tests.unit.rpc.small_host import SmallHost, a_context

READER = identity_of("reader")
SOON = 3.0  # seconds in which a refusal is there; reaching a peer may take ten times as long

Open = Callable[..., Link]


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    assert isinstance(request.param, str)
    return request.param


@pytest.fixture
def made() -> Pki:
    return pki()


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let either side come with certificates that we would refuse to load."""
    monkeypatch.setattr(Tls, "check_validity", lambda _: None)


@pytest.fixture
async def scene(transport: str) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack, asyncio.timeout(20):
        yield Scene(transport, stack)


class Scene:
    """A host that may be served, and links to it; everything ends with the test."""

    def __init__(self, transport: str, stack: AsyncExitStack) -> None:
        self.host = SmallHost()
        self.host.producers["count"] = _count
        self.host.mailboxes["box"] = asyncio.Queue()
        self._transport = transport
        self._stack = stack

    async def serve(self, credentials: Credentials = PLAIN, address: str = "127.0.0.1:0") -> str:
        server = Server(self.host, address, credentials=credentials)
        bound = await server.start()
        self._stack.push_async_callback(server.stop, 0)
        return bound

    def link(self, address: str, credentials: Credentials = PLAIN, name: str = "") -> Link:
        settings = WireSettings(connect_timeout=30)
        link = open_link(
            self._transport, address, settings=settings, credentials=credentials, name=name
        )
        self._stack.push_async_callback(link.aclose)
        return link


async def _count(message: Message, context: CallContext) -> AsyncIterator[StreamChunk | Message]:
    yield StreamChunk(content="1")
    yield message.reply("1")


async def refusals(link: Link) -> set[str]:
    """Why each way to use a link that was refused is refused; every one at once, with nothing sent."""
    found = set()
    async with asyncio.timeout(SOON):
        for attempt in (
            link.connect(),
            link.call("echo", Message("hi"), a_context()),
            link.stream("count", Message("hi"), a_context("count")),
            link.send("box", Message("hi"), a_context("box")),
        ):
            with pytest.raises(Unavailable) as caught:
                await attempt
            assert caught.value.outcome == "not_started"
            found.add(caught.value.reason)
    return found


# -- who is let in ------------------------------------------------------------------------------------------


async def test_over_mutual_tls_the_callee_sees_whose_certificate_called(
    scene: Scene, made: Pki
) -> None:
    link = scene.link(
        await scene.serve(Credentials(tls=made.tls("writer"))), Credentials(tls=made.tls("reader"))
    )
    assert (await link.call("echo", Message("hi"), a_context())).text == "hi"
    chunks = await link.stream("count", Message("hi"), a_context("count"))
    assert [chunk.content async for chunk in chunks] == ["1"]
    await link.send("box", Message("hi"), a_context("box"))
    assert [context.peer for context in scene.host.contexts] == [READER] * 3


async def test_who_calls_is_not_taken_from_what_the_caller_wrote(scene: Scene, made: Pki) -> None:
    link = scene.link(
        await scene.serve(Credentials(tls=made.tls("writer"))), Credentials(tls=made.tls("reader"))
    )
    context = a_context(principal=identity_of("writer"), baggage={"peer": identity_of("writer")})
    context.peer = identity_of("writer")
    await link.call("echo", Message("hi", metadata={"peer": identity_of("writer")}), context)
    assert [context.peer for context in scene.host.contexts] == [READER]


async def test_a_server_that_asks_nobody_for_a_certificate_does_not_know_who_calls(
    scene: Scene, made: Pki
) -> None:
    serving = Credentials(tls=made.tls("writer", mutual=False))
    for calling in (Credentials(tls=Tls(ca=made.ca)), Credentials(tls=made.tls("reader"))):
        link = scene.link(await scene.serve(serving), calling)
        assert (await link.call("echo", Message("hi"), a_context())).text == "hi"
    assert [context.peer for context in scene.host.contexts] == ["", ""]


async def test_a_unix_socket_stays_plaintext(scene: Scene, made: Pki, tmp_path: Path) -> None:
    bound = await scene.serve(Credentials(tls=made.tls("writer")), f"unix:{tmp_path}/s")
    for calling in (PLAIN, Credentials(tls=made.tls("reader"))):
        await scene.link(bound, calling).call("echo", Message("hi"), a_context())
    assert [context.peer for context in scene.host.contexts] == ["", ""]


async def test_an_ipv6_address_is_checked_like_any_other(scene: Scene, made: Pki) -> None:
    both = Credentials(tls=made.tls("writer"))
    link = scene.link(await scene.serve(both, "[::1]:0"), both)
    assert (await link.call("echo", Message("hi"), a_context())).text == "hi"


# -- certificates that are refused ---------------------------------------------------------------------------


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("expired", "TLS failed: its certificate has expired"),
        ("early", "TLS failed: its certificate is not valid yet"),
        ("misnamed", "TLS failed: its certificate is not for '127.0.0.1'"),
        ("stranger", "TLS failed: its certificate is from an authority that is not in our ca"),
        ("self-signed", "TLS failed: its certificate, or its authority's, is self-signed"),
    ],
)
async def test_a_servers_wrong_certificate_is_named_at_once(
    scene: Scene, made: Pki, name: str, said: str
) -> None:
    bound = await scene.serve(Credentials(tls=made.tls(name, mutual=False)))
    (reason,) = await refusals(scene.link(bound, Credentials(tls=Tls(ca=made.ca))))
    assert reason.startswith(said)
    assert not scene.host.contexts


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", ["expired", "early", "stranger", "self-signed"])
async def test_a_callers_wrong_certificate_is_refused_at_once(
    scene: Scene, made: Pki, name: str
) -> None:
    bound = await scene.serve(Credentials(tls=made.tls("writer")))
    (reason,) = await refusals(scene.link(bound, Credentials(tls=made.tls(name))))
    assert "it does not accept our certificate" in reason
    assert not scene.host.contexts


async def test_a_certificate_that_expired_since_it_was_loaded_is_named(
    scene: Scene, made: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = await scene.serve(Credentials(tls=made.tls("writer")))
    with monkeypatch.context() as earlier:
        earlier.setattr(Tls, "check_validity", lambda _: None)
        calling = Credentials(tls=made.tls("expired"))
    (reason,) = await refusals(scene.link(bound, calling))
    assert "expired.pem' has expired" in reason


async def test_a_caller_without_a_certificate_is_told_that_one_is_asked_for(
    scene: Scene, made: Pki
) -> None:
    bound = await scene.serve(Credentials(tls=made.tls("writer")))
    (reason,) = await refusals(scene.link(bound, Credentials(tls=Tls(ca=made.ca))))
    assert "perhaps it asks for a certificate, and tls has no cert" in reason


async def test_without_a_ca_the_systems_authorities_decide(scene: Scene, made: Pki) -> None:
    bound = await scene.serve(Credentials(tls=made.tls("writer", mutual=False)))
    (reason,) = await refusals(scene.link(bound, Credentials(tls=Tls())))
    assert reason.startswith("TLS failed: its certificate")


# -- one side without TLS ------------------------------------------------------------------------------------


async def test_plaintext_against_a_tls_server_is_told_so(scene: Scene, made: Pki) -> None:
    bound = await scene.serve(Credentials(tls=made.tls("writer")))
    (reason,) = await refusals(scene.link(bound))
    assert "perhaps it wants TLS" in reason


async def test_tls_against_a_plaintext_server_is_told_so(scene: Scene, made: Pki) -> None:
    (reason,) = await refusals(scene.link(await scene.serve(), Credentials(tls=made.tls("reader"))))
    assert reason == "TLS failed: what listens there does not speak TLS"


async def test_tls_against_silence_ends_with_the_connect_timeout(scene: Scene, made: Pki) -> None:
    async with _silent_server() as address:
        link = scene.link(address, Credentials(tls=made.tls("reader")))
        with pytest.raises(Unavailable, match="does not answer"):
            await link.connect(timeout=0.2)


# -- the name a certificate is for ---------------------------------------------------------------------------


async def test_a_certificate_is_checked_for_the_name_that_was_looked_up(
    scene: Scene, made: Pki
) -> None:
    """What a `dns:///` name resolves to is an address; the name is what its user asked for."""
    calling = Credentials(tls=Tls(ca=made.ca))
    for name, right, wrong in (("by-name", "localhost", ""), ("by-address", "", "localhost")):
        bound = await scene.serve(Credentials(tls=made.tls(name, mutual=False)))
        await scene.link(bound, calling, name=right).connect()
        (reason,) = await refusals(scene.link(bound, calling, name=wrong))
        assert f"not for {wrong or '127.0.0.1'!r}" in reason


async def test_server_name_says_what_certificates_have_to_be_for(scene: Scene, made: Pki) -> None:
    bound = await scene.serve(Credentials(tls=made.tls("misnamed", mutual=False)))
    expected = Credentials(tls=Tls(ca=made.ca, server_name="elsewhere.test"))
    await scene.link(bound, expected).connect()
    other = Credentials(tls=Tls(ca=made.ca, server_name="writer"))
    (reason,) = await refusals(scene.link(bound, other))
    assert reason == "TLS failed: its certificate is not for 'writer'"


@asynccontextmanager
async def _silent_server() -> AsyncIterator[str]:
    """Takes connections and says nothing."""
    done = asyncio.Event()

    async def silence(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.close()

    async with await asyncio.start_server(silence, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        done.set()
