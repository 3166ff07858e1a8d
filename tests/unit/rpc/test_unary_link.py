"""What only a unary link does."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from aixgo.context import CallContext
from aixgo.errors import AgentRefused, DeadlineExceeded
from aixgo.ledger import Usage
from aixgo.message import Message
from aixgo.rpc.unary import UnaryLink
from tests.unit.rpc.small_host import SmallHost, a_context


@pytest.fixture
def transport() -> str:
    return "unary"


async def test_a_status_that_arrives_with_the_deadline_still_brings_its_usage(
    host: SmallHost, link: UnaryLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(message: Message, context: CallContext) -> Message:
        context.charge(Usage(calls=1))
        raise AgentRefused("no")

    async def see_it_too_late(
        rpc: grpc.aio.UnaryUnaryCall[bytes, bytes], context: CallContext
    ) -> bytes:
        await rpc.code()
        await asyncio.Event().wait()
        return b""

    host.agents["refuse"] = refuse
    monkeypatch.setattr(link, "_finish", see_it_too_late)
    context = a_context("refuse", timeout=0.5)
    with pytest.raises(DeadlineExceeded):
        await link.call("refuse", Message("hi"), context)
    await link.settle(context)
    assert context.usage == Usage(calls=1)
