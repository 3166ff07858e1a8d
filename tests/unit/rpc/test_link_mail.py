"""Mail over a link of either transport: sending into mailboxes, and reading from them."""

from __future__ import annotations

import asyncio

import pytest

from aixgo.errors import AgentNotFound, DeadlineExceeded, RuntimeClosed, Unavailable
from aixgo.message import Message
from aixgo.rpc.base import Link
from tests.unit.rpc.conftest import OpenLink
from tests.unit.rpc.small_host import SmallHost, a_context, serving


async def test_what_is_sent_can_be_received_in_order(host: SmallHost, link: Link) -> None:
    host.mailboxes["box"] = asyncio.Queue()
    for number in range(3):
        await link.send("box", Message(number), a_context("box"))
    messages = link.receive("box", a_context("box"))
    assert [(await anext(messages)).payload for _ in range(3)] == [0, 1, 2]
    await messages.aclose()  # type: ignore[attr-defined]  # an async generator
    assert link.outstanding == 0


async def test_a_large_message_is_sent_and_received_like_a_small_one(
    host: SmallHost, link: Link
) -> None:
    host.mailboxes["box"] = asyncio.Queue()
    await link.send("box", Message(b"x" * 1_000_000), a_context("box"))
    messages = link.receive("box", a_context("box"))
    assert len((await anext(messages)).payload) == 1_000_000
    await messages.aclose()  # type: ignore[attr-defined]  # an async generator


async def test_sending_waits_for_room_until_the_deadline(host: SmallHost, link: Link) -> None:
    host.mailboxes["box"] = asyncio.Queue(maxsize=1)
    await link.send("box", Message(1), a_context("box"))
    with pytest.raises(DeadlineExceeded):
        await link.send("box", Message(2), a_context("box", timeout=0.1))
    assert link.outstanding == 0


async def test_receiving_ends_with_its_deadline(host: SmallHost, link: Link) -> None:
    host.mailboxes["box"] = asyncio.Queue()
    with pytest.raises(DeadlineExceeded):
        await anext(link.receive("box", a_context("box", timeout=0.1)))
    assert link.outstanding == 0


async def test_receiving_from_a_mailbox_nobody_has_says_so(link: Link) -> None:
    with pytest.raises(AgentNotFound, match="nobody"):
        await anext(link.receive("nobody", a_context("nobody")))
    assert link.outstanding == 0


async def test_a_reader_that_leaves_takes_no_more(host: SmallHost, link: Link) -> None:
    box: asyncio.Queue[Message] = asyncio.Queue()
    host.mailboxes["box"] = box
    box.put_nowait(Message("first"))
    first = link.receive("box", a_context("box"))
    assert (await anext(first)).text == "first"
    while not box._getters:
        await asyncio.sleep(0)
    await first.aclose()  # type: ignore[attr-defined]  # an async generator
    while box._getters:
        await asyncio.sleep(0)
    second = link.receive("box", a_context("box"))
    waiting = asyncio.ensure_future(anext(second))
    while not box._getters:
        await asyncio.sleep(0)
    box.put_nowait(Message("second"))
    assert (await waiting).text == "second"
    await second.aclose()  # type: ignore[attr-defined]  # an async generator


async def test_a_stopping_server_ends_those_who_receive(host: SmallHost, link_to: OpenLink) -> None:
    host.mailboxes["box"] = asyncio.Queue()
    host.mailboxes["box"].put_nowait(Message("first"))
    async with serving(host) as (server, bound):
        messages = link_to(bound).receive("box", a_context("box", timeout=60))
        assert (await anext(messages)).text == "first"
        stopping = asyncio.create_task(server.stop(grace=30))
        with pytest.raises(RuntimeClosed, match="stopping"):
            await anext(messages)
        async with asyncio.timeout(5):
            await stopping


async def test_receiving_where_nobody_is_says_so(link_to: OpenLink) -> None:
    link = link_to("127.0.0.1:1")
    with pytest.raises(Unavailable) as caught:
        await anext(link.receive("box", a_context("box")))
    assert caught.value.outcome == "not_started"
    assert link.outstanding == 0
