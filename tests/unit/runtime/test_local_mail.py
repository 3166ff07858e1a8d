"""Sent messages: who works on them, where replies go, and what becomes of those nobody takes."""

from __future__ import annotations

import asyncio

import pytest

from aixgo import AgentRefused, CallContext, Caller, LocalRuntime, Message, agent
from aixgo.errors import (
    AgentFailed,
    AgentNotFound,
    AgentNotReady,
    ConfigError,
    DeadlineExceeded,
    HopLimit,
    MailboxFull,
    RuntimeClosed,
)


@agent
async def upper(text: str) -> str:
    return text.upper()


@agent(mailbox=True)
async def reader(text: str) -> str:
    return text


async def quiet(rt: LocalRuntime) -> None:
    """Wait until nothing is waiting or being worked on."""
    async with asyncio.timeout(5):
        while await rt.pending():
            await asyncio.sleep(0)


async def test_sent_messages_are_worked_on_in_order_and_replies_go_to_the_outputs() -> None:
    async with LocalRuntime() as rt:
        await rt.register(upper, outputs=["done", "copy"])
        for text in "abc":
            await rt.send("upper", text)
        for name in ("done", "copy"):
            replies = [await rt.recv(name, timeout=5) for _ in "abc"]
            assert [reply.text for reply in replies] == ["A", "B", "C"]
            assert {reply.source for reply in replies} == {"upper"}


async def test_the_reply_to_a_call_goes_to_its_caller_only() -> None:
    async with LocalRuntime() as rt:
        await rt.register(upper, outputs=["done"])
        assert (await rt.call("upper", "a")).text == "A"
        with pytest.raises(DeadlineExceeded):
            await rt.recv("done", timeout=0)


async def test_an_output_may_be_another_agent() -> None:
    async with LocalRuntime() as rt:
        await rt.register(upper, "first", outputs=["second"])
        await rt.register(upper, "second", outputs=["done"])
        await rt.send("first", "a")
        assert (await rt.recv("done", timeout=5)).text == "A"


async def test_agents_that_pass_messages_round_in_a_circle_end_at_the_hop_limit() -> None:
    async with LocalRuntime() as rt:
        await rt.register(upper, "a", outputs=["b"])
        await rt.register(upper, "b", outputs=["a"])
        await rt.send("a", "x")
        await quiet(rt)
        assert [type(letter.error) for letter in rt.dead_letters] == [HopLimit]
        assert rt.metrics()["calls_succeeded"] == 32


async def test_an_agent_that_declares_its_mailbox_reads_it_and_nobody_else_works_on_it() -> None:
    async with LocalRuntime(reader) as rt:
        await rt.send("reader", "a")
        await rt.send("reader", "b")
        assert rt.metrics()["mailboxes"] == {"reader": 2}
        assert [(await rt.recv("reader")).text for _ in "ab"] == ["a", "b"]
        assert rt.metrics()["calls_succeeded"] == 0


async def test_what_an_agent_does_after_taking_a_message_is_part_of_its_path() -> None:
    paths: list[tuple[str, ...]] = []
    done = asyncio.Event()

    @agent
    async def leaf(text: str, context: CallContext) -> str:
        paths.append(tuple(hop.agent for hop in context.hops))
        return text

    class Worker:
        name, role, mailbox = "worker", "worker", True

        async def start(self, caller: Caller) -> None:
            self.task = asyncio.create_task(self.work(caller))

        async def work(self, caller: Caller) -> None:
            for _ in range(2):
                message = await caller.recv()
                await caller.call("leaf", message)
            done.set()

        async def execute(self, message: Message) -> Message:
            return message

        async def stop(self) -> None:
            await self.task

    @agent
    async def sender(text: str, caller: Caller) -> str:
        await caller.send("worker", text)
        return text

    async with asyncio.timeout(5), LocalRuntime(leaf, Worker(), sender) as rt:
        await rt.call("sender", "x")
        await rt.send("worker", "y")
        await done.wait()
    assert paths == [("sender", "leaf"), ("leaf",)]


async def test_only_a_declared_mailbox_or_an_exit_can_be_read() -> None:
    async with LocalRuntime(upper) as rt:
        with pytest.raises(ConfigError, match=r"declare it with @agent\(mailbox=True\)"):
            await rt.recv("upper")
        with pytest.raises(AgentNotFound):
            await rt.recv("nowhere")
        with pytest.raises(AgentNotFound):
            await rt.send("nowhere", "x")


async def test_reading_is_bounded_by_the_timeout() -> None:
    async with LocalRuntime(reader) as rt, asyncio.timeout(5):
        with pytest.raises(DeadlineExceeded, match="'reader'"):
            await rt.recv("reader", timeout=0.01)


async def test_a_full_mailbox_refuses_after_the_timeout_and_with_none_at_once() -> None:
    async with asyncio.timeout(5), LocalRuntime(reader, mailbox_capacity=1) as rt:
        await rt.send("reader", "a", timeout=0)
        for timeout in (0, 0.01):
            with pytest.raises(MailboxFull) as caught:
                await rt.send("reader", "b", timeout=timeout)
            assert (caught.value.name, caught.value.capacity) == ("reader", 1)
        assert rt.metrics()["messages_sent"] == 1


async def test_a_message_nobody_can_work_on_becomes_a_dead_letter_and_the_next_is_worked_on() -> (
    None
):
    @agent
    async def picky(text: str) -> str:
        if text == "refuse":
            raise AgentRefused("no")
        if text == "fail":
            raise ValueError("secret")
        return text

    async with LocalRuntime() as rt:
        await rt.register(picky, outputs=["done"])
        for text in ("refuse", "fail", "good"):
            await rt.send("picky", text)
        assert (await rt.recv("done", timeout=5)).text == "good"
        letters = [
            (letter.target, letter.message.text, type(letter.error)) for letter in rt.dead_letters
        ]
        assert letters == [("picky", "refuse", AgentRefused), ("picky", "fail", AgentFailed)]
        assert rt.metrics()["dead_letters"] == 2


async def test_an_output_whose_agent_has_left_becomes_an_exit() -> None:
    async with LocalRuntime() as rt:
        await rt.register(upper, outputs=["gone"])
        await rt.register(reader, "gone")
        await rt.send("upper", "a")
        assert (await rt.recv("gone", timeout=5)).text == "A"
        await rt.unregister("gone")
        await rt.send("upper", "b")
        await quiet(rt)
        assert (await rt.recv("gone", timeout=5)).text == "B"
        assert not rt.dead_letters


async def test_what_nobody_took_before_the_end_becomes_dead_letters() -> None:
    async with LocalRuntime(reader) as rt:
        await rt.send("reader", "a")
    [letter] = rt.dead_letters
    assert (letter.target, letter.message.text, type(letter.error)) == (
        "reader",
        "a",
        RuntimeClosed,
    )


async def test_accepted_messages_are_worked_on_before_the_runtime_stops() -> None:
    seen: list[str] = []

    @agent
    async def collects(text: str) -> str:
        await asyncio.sleep(0)
        seen.append(text)
        return text

    async with LocalRuntime(collects) as rt:
        for text in "abc":
            await rt.send("collects", text)
    assert seen == ["a", "b", "c"]
    assert not rt.dead_letters


async def test_sending_to_an_agent_that_has_not_started_is_refused() -> None:
    late: list[BaseException] = []

    class Early:
        name, role, depends_on = "early", "early", ()

        async def start(self, caller: Caller) -> None:
            try:
                await caller.send("reader", "x")
            except AgentNotReady as exc:
                late.append(exc)

        async def execute(self, message: Message) -> Message:
            return message

    rt = LocalRuntime(Early())
    await rt.register(reader, depends_on=["early"])
    async with rt:
        assert [str(error) for error in late] == ["agent 'reader' is not started"]


async def test_an_agent_emits_to_all_its_outputs_also_from_its_own_tasks() -> None:
    @agent
    async def teller(text: str, caller: Caller) -> str:
        await caller.emit(text + "!")
        return text

    async with LocalRuntime() as rt:
        await rt.register(teller, outputs=["left", "right"])
        await rt.call("teller", "a")
        for name in ("left", "right"):
            message = await rt.recv(name, timeout=5)
            assert (message.text, message.source) == ("a!", "teller")


async def test_an_agent_that_waits_for_a_full_output_is_bound_by_its_deadline() -> None:
    @agent
    async def teller(text: str, caller: Caller) -> str:
        await caller.emit(text)
        return text

    async with LocalRuntime(reader, mailbox_capacity=1) as rt:
        await rt.register(teller, outputs=["reader", "right"])
        await rt.send("reader", "fills it")
        with pytest.raises(DeadlineExceeded):
            await rt.call("teller", "a", timeout=0.05)
        assert (await rt.recv("reader")).text == "fills it"
        await rt.call("teller", "b")
        assert (await rt.recv("right", timeout=5)).text == "b"


async def test_broadcast_reaches_all_but_the_sender_and_says_who_accepted() -> None:
    @agent
    async def tells(text: str, caller: Caller) -> list[str]:
        return [outcome.target for outcome in await caller.broadcast(text)]

    async with LocalRuntime(tells, reader) as rt:
        await rt.register(reader, "other")
        reply = await rt.call("tells", "hello")
        assert reply.payload == ["reader", "other"]
        for name in ("reader", "other"):
            message = await rt.recv(name, timeout=5)
            assert (message.text, message.source) == ("hello", "tells")
        outcomes = await rt.broadcast("x", ["reader", "nobody"])
        assert [type(outcome.error) for outcome in outcomes] == [type(None), AgentNotFound]
