"""The memory mailbox: in order, bounded, and nothing lost to a waiter that leaves."""

import asyncio

import pytest

from aixgo.context import CallContext, Hop, SystemClock
from aixgo.errors import DeadlineExceeded, MailboxFull, RuntimeClosed
from aixgo.mailboxes.base import Posted
from aixgo.mailboxes.memory import MemoryMailbox
from aixgo.message import Message

SOON = 0.02  # seconds; long enough to wait, short enough for a test
LONG = 30.0


def posted(text: str) -> Posted:
    return Posted(message=Message(text))


async def take(box: MemoryMailbox) -> str:
    async with asyncio.timeout(5):
        return (await box.get()).message.text


async def take_all(box: MemoryMailbox) -> list[str]:
    return [await take(box) for _ in range(len(box))]


async def turn() -> None:
    """Let every task that can run do so."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
def box() -> MemoryMailbox:
    return MemoryMailbox("reader", 2)


async def test_messages_come_out_in_the_order_they_went_in(box: MemoryMailbox) -> None:
    for text in "ab":
        await box.put(posted(text), LONG)
    assert await take_all(box) == ["a", "b"]


async def test_a_full_mailbox_refuses_after_the_timeout_and_keeps_what_it_has(
    box: MemoryMailbox,
) -> None:
    for text in "ab":
        await box.put(posted(text), LONG)
    with pytest.raises(MailboxFull) as caught:
        await box.put(posted("c"), SOON)
    assert (caught.value.name, caught.value.capacity) == ("reader", 2)
    assert await take_all(box) == ["a", "b"]


async def test_an_empty_mailbox_gives_up_after_the_timeout(box: MemoryMailbox) -> None:
    with pytest.raises(DeadlineExceeded, match="'reader'"):
        await box.get(SOON)


async def test_waiting_senders_get_room_in_the_order_they_came(box: MemoryMailbox) -> None:
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        for text in "abcdef":
            group.create_task(box.put(posted(text), LONG))
        await turn()
        assert [await take(box) for _ in "abcdef"] == list("abcdef")


async def test_a_sender_that_comes_as_room_appears_does_not_overtake_one_that_waits(
    box: MemoryMailbox,
) -> None:
    for text in "ab":
        await box.put(posted(text), LONG)
    waiting = asyncio.create_task(box.put(posted("c"), LONG))
    await turn()

    async def take_and_answer() -> str:
        taken = await take(
            box
        )  # makes room, which is the waiting one's although it has not run yet
        await box.put(posted("d"), LONG)
        return taken

    answering = asyncio.create_task(take_and_answer())
    await turn()
    assert [await take(box) for _ in "bcd"] == ["b", "c", "d"]
    async with asyncio.timeout(5):
        assert await answering == "a"
        await waiting


async def test_a_reader_that_comes_as_a_message_appears_does_not_overtake_one_that_waits(
    box: MemoryMailbox,
) -> None:
    first = asyncio.create_task(take(box))
    await turn()

    async def ask_and_take() -> str:
        await box.put(posted("a"), LONG)
        return await take(box)

    second = asyncio.create_task(ask_and_take())
    await turn()
    await box.put(posted("b"), LONG)
    assert await asyncio.gather(first, second) == ["a", "b"]


async def test_a_reader_cancelled_as_its_message_comes_leaves_it_to_the_next(
    box: MemoryMailbox,
) -> None:
    first, second = (asyncio.create_task(take(box)) for _ in range(2))
    await turn()
    await box.put(posted("a"), LONG)
    first.cancel()
    assert await second == "a"
    assert first.cancelled() or await asyncio.gather(first, return_exceptions=True)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_sender_cancelled_as_room_comes_leaves_it_to_the_next(
    box: MemoryMailbox, when: str
) -> None:
    for text in "ab":
        await box.put(posted(text), LONG)
    leaver, stayer = (asyncio.create_task(box.put(posted(text), LONG)) for text in "cd")
    await turn()
    if when == "before":
        leaver.cancel()
    assert await take(box) == "a"
    if when == "after":
        leaver.cancel()
    async with asyncio.timeout(5):
        await stayer
    assert await take_all(box) == ["b", "d"]
    await turn()
    assert leaver.cancelled()


async def test_of_many_cancelled_readers_and_senders_nothing_is_lost_or_doubled(
    box: MemoryMailbox,
) -> None:
    texts = [str(number) for number in range(60)]
    got: list[str] = []

    async def read() -> None:
        got.append(await take(box))

    readers = [asyncio.create_task(read()) for _ in range(90)]
    senders = [asyncio.create_task(box.put(posted(text), LONG)) for text in texts]
    for reader in readers[::3]:
        await asyncio.sleep(0)
        reader.cancel()
    async with asyncio.timeout(5):
        await asyncio.gather(*senders)
    left = box.close()
    await asyncio.gather(*readers, return_exceptions=True)
    assert sorted(got + [item.message.text for item in left]) == sorted(texts)


async def test_closing_wakes_all_who_wait_and_gives_what_nobody_took(box: MemoryMailbox) -> None:
    empty = MemoryMailbox("other", 1)
    readers = [asyncio.create_task(empty.get()) for _ in range(3)]
    for text in "ab":
        await box.put(posted(text), LONG)
    senders = [asyncio.create_task(box.put(posted(text), LONG)) for text in "cde"]
    await turn()
    assert [item.message.text for item in box.close()] == ["a", "b"]
    assert empty.close() == []
    async with asyncio.timeout(5):
        ends = await asyncio.gather(*readers, *senders, return_exceptions=True)
    assert [type(end) for end in ends] == [RuntimeClosed] * 6


async def test_a_closed_mailbox_says_so_also_the_second_time(box: MemoryMailbox) -> None:
    await box.put(posted("a"), LONG)
    box.close()
    assert box.close() == []
    with pytest.raises(RuntimeClosed):
        await box.put(posted("b"), LONG)
    with pytest.raises(RuntimeClosed):
        await box.get()


def test_what_is_posted_keeps_the_path_and_identity_of_its_call() -> None:
    clock = SystemClock()
    context = CallContext(
        "writer",
        deadline=clock.monotonic() + 1,
        clock=clock,
        key="run/writer",
        hops=(Hop("here", "editor", "run"),),
        session="s",
        principal="p",
        tenant="t",
        traceparent="00-1",
        baggage={"shop": "blue"},
    )
    context.tracestate = "vendor=1"
    kept = Posted.of(Message("x"), context)
    for name in (
        "hops",
        "max_hops",
        "key",
        "session",
        "principal",
        "tenant",
        "traceparent",
        "tracestate",
        "baggage",
        "budget",
    ):
        assert getattr(kept, name) == getattr(context, name)
