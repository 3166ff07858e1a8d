"""TLS and tokens through the runtimes: what agents see, which replica is taken, what is kept apart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from aixgo import CallContext, Caller, DistributedRuntime, agent, serve
from aixgo.errors import ConfigError, Unauthenticated, Unavailable
from aixgo.security.auth import Token
from aixgo.security.certificates import identity_of
from aixgo.security.tls import Tls
from tests.pki import Pki, pki

TOKEN = Token("the-token-of-this-fleet")


@pytest.fixture
def made() -> Pki:
    return pki()


@agent
async def who(text: str, context: CallContext) -> str:
    return context.peer or "nobody"


@agent
async def asks(text: str, caller: Caller, context: CallContext) -> list[str]:
    inner = (await caller.call("who", "")).text
    return [context.peer, inner]


@asynccontextmanager
async def served(*agents: object, **options: object) -> AsyncIterator[DistributedRuntime]:
    async with DistributedRuntime(*agents, address="127.0.0.1:0", **options) as rt:  # type: ignore[arg-type]
        yield rt


@pytest.mark.parametrize("transport", ["stream", "unary"])
async def test_an_agent_sees_who_called_it_and_not_who_called_before(
    made: Pki, transport: str
) -> None:
    async with (
        served(who, tls=made.tls("writer"), token=TOKEN) as end,
        served(
            asks,
            tls=made.tls("reader"),
            token=TOKEN,
            peers={"who": end.address},
            transport=transport,
        ) as middle,
        DistributedRuntime(
            peers={"asks": middle.address},
            tls=made.tls("writer"),
            token=TOKEN,
            transport=transport,
        ) as rt,
    ):
        assert (await rt.call("asks", "")).payload == [
            identity_of("writer"),
            identity_of("reader"),
        ]


async def test_a_caller_in_the_same_process_is_no_peer(made: Pki) -> None:
    async with (
        served(who, asks, tls=made.tls("writer")) as host,
        DistributedRuntime(peers={"asks": host.address}, tls=made.tls("reader")) as rt,
    ):
        assert (await rt.call("asks", "")).payload == [identity_of("reader"), "nobody"]


async def test_a_message_in_a_mailbox_keeps_who_sent_it(made: Pki) -> None:
    seen: asyncio.Queue[str] = asyncio.Queue()

    @agent
    async def keeps(text: str, context: CallContext) -> str:
        seen.put_nowait(context.peer)
        return ""

    async with (
        served(keeps, tls=made.tls("writer")) as host,
        DistributedRuntime(peers={"keeps": host.address}, tls=made.tls("reader")) as rt,
    ):
        await rt.send("keeps", "hi")
        assert await asyncio.wait_for(seen.get(), 10) == identity_of("reader")


async def test_callers_do_not_share_idempotency_keys(made: Pki) -> None:
    runs: list[str] = []

    @agent
    async def once(text: str, context: CallContext) -> str:
        runs.append(context.peer)
        return context.peer

    async with served(once, tls=made.tls("writer")) as host:
        for name in ("reader", "writer", "reader"):
            peers = {"once": host.address}
            async with DistributedRuntime(peers=peers, tls=made.tls(name)) as rt:
                reply = await rt.call("once", "x", idempotency_key="k")
                assert reply.text == identity_of(name)
    assert runs == [identity_of("reader"), identity_of("writer")]


async def test_a_replica_with_a_wrong_certificate_is_passed_over(made: Pki) -> None:
    async with (
        served(who, tls=made.tls("misnamed", mutual=False)) as wrong,
        served(who, tls=made.tls("writer", mutual=False)) as right,
        DistributedRuntime(
            peers={"who": [wrong.address, right.address]}, tls=Tls(ca=made.ca)
        ) as rt,
    ):
        assert [(await rt.call("who", "")).text for _ in range(6)] == ["nobody"] * 6


async def test_a_name_that_is_looked_up_is_what_its_certificates_have_to_be_for(made: Pki) -> None:
    async with (
        served(who, tls=made.tls("by-address", mutual=False)) as host,
        DistributedRuntime(
            peers={
                "who": host.address,
                "named": f"dns:///localhost:{host.address.rpartition(':')[2]}",
            },
            tls=Tls(ca=made.ca),
        ) as rt,
    ):
        assert (await rt.call("who", "")).text == "nobody"
        with pytest.raises(Unavailable, match=r"is not for 'localhost'|refused"):
            await rt.call("named", "", timeout=5)


async def test_a_caller_that_is_refused_is_told_long_before_its_deadline(made: Pki) -> None:
    async with served(who, tls=made.tls("writer"), token=TOKEN) as host:
        peers = {"who": host.address}
        for options, error in (
            ({}, Unavailable),
            ({"tls": Tls(ca=made.ca)}, Unavailable),
            ({"tls": made.tls("reader")}, Unauthenticated),
        ):
            async with asyncio.timeout(5), DistributedRuntime(peers=peers, **options) as rt:  # type: ignore[arg-type]
                with pytest.raises(error):
                    await rt.call("who", "", timeout=60)
                assert "ready" not in (await rt.health())["agents"].values()


async def test_serve_takes_the_same_settings(made: Pki) -> None:
    with pytest.raises(ConfigError, match="needs a certificate"):
        await serve(who, address="127.0.0.1:0", tls=Tls(ca=made.ca))
    with pytest.raises(ConfigError, match="both given"):
        await serve(who, address="0.0.0.0:0", external_tls=True, insecure=True)
