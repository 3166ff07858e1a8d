"""Sent messages: none is lost without a trace, none is worked on in somebody else's context."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest

from aixgo import LocalRuntime, agent
from aixgo.context import CallContext
from aixgo.contract import Caller
from aixgo.errors import AgentNotReady, DeadlineExceeded, RuntimeClosed
from aixgo.message import Message

user: ContextVar[str] = ContextVar("user", default="nobody")


async def test_a_message_is_not_worked_on_with_the_variables_of_whoever_sent_first() -> None:
    seen: list[str] = []
    done = asyncio.Event()

    @agent
    async def reader(text: str) -> str:
        seen.append(user.get())
        done.set()
        return text

    async def send_as(name: str) -> None:
        user.set(name)
        await rt.send("reader", "hello")

    async with asyncio.timeout(5), LocalRuntime(reader) as rt:
        await asyncio.create_task(send_as("alice"))
        await done.wait()
    assert seen == ["nobody"]


async def test_a_message_sent_while_its_agent_starts_waits_until_it_has_started() -> None:
    seen: list[str] = []
    done = asyncio.Event()

    class Late:
        name, role = "late", "late"

        async def start(self, caller: Caller) -> None:
            await caller.send("late", "hello")
            for _ in range(5):  # a consumer that does not wait would have failed by now
                await asyncio.sleep(0)

        async def execute(self, message: Message) -> Message:
            seen.append(message.text)
            done.set()
            return message

    async with asyncio.timeout(5), LocalRuntime(Late()) as rt:
        await done.wait()
        assert not rt.dead_letters
    assert seen == ["hello"]


async def test_a_message_whose_agent_never_starts_becomes_a_dead_letter() -> None:
    class Broken:
        name, role = "broken", "broken"

        async def start(self, caller: Caller) -> None:
            await caller.send("broken", "hello")
            await asyncio.sleep(0)
            raise OSError

        async def execute(self, message: Message) -> Message:
            return message

    rt = LocalRuntime(Broken())
    async with asyncio.timeout(5):
        with pytest.raises(AgentNotReady):
            await rt.start()
    assert [letter.message.text for letter in rt.dead_letters] == ["hello"]


async def test_a_message_cut_off_by_unregistering_its_agent_becomes_a_dead_letter() -> None:
    inside = asyncio.Event()

    @agent
    async def busy(text: str) -> str:
        inside.set()
        await asyncio.Event().wait()
        return text

    async with asyncio.timeout(5), LocalRuntime(busy) as rt:
        await rt.send("busy", "hello")
        await inside.wait()
        await rt.unregister("busy")
        (letter,) = rt.dead_letters
    assert letter.message.text == "hello"
    assert isinstance(letter.error, RuntimeClosed)


async def test_an_agent_that_found_no_further_message_works_on_its_own_again() -> None:
    keys: list[str] = []
    done = asyncio.Event()

    @agent
    async def other(text: str) -> str:
        keys.append(CallContext.current().key)
        return text

    class Reader:
        name, role, mailbox = "reader", "reader", True

        async def start(self, caller: Caller) -> None:
            self.task = asyncio.create_task(self.loop(caller))

        async def loop(self, caller: Caller) -> None:
            await caller.recv()
            await caller.call("other", "for the message")
            try:
                await caller.recv(timeout=0)
            except DeadlineExceeded:
                await caller.call("other", "for itself")
            done.set()

        async def execute(self, message: Message) -> Message:
            return message

        async def stop(self) -> None:
            await self.task

    async with asyncio.timeout(5), LocalRuntime(other, Reader()) as rt:
        await rt.send("reader", "hello")
        await done.wait()
    assert keys == ["received/other", "other"]
