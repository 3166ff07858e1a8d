"""Stopping: from several sides, in the middle of starting, with work on its way, and cut short."""

from __future__ import annotations

import asyncio
import socket

import pytest

from aixgo import DistributedRuntime, LocalRuntime, agent
from aixgo.contract import Caller
from aixgo.errors import AgentNotReady, ConfigError, RuntimeClosed
from aixgo.message import Message
from tests.unit.runtime.waiting import until


class Slow:
    """An agent whose `start` and `stop` wait at gates."""

    role = "slow"

    def __init__(self, name: str = "slow") -> None:
        self.name = name
        self.starting, self.start_gate = asyncio.Event(), asyncio.Event()
        self.stopping, self.stop_gate = asyncio.Event(), asyncio.Event()
        self.stops = 0

    async def start(self, caller: Caller) -> None:
        self.starting.set()
        await self.start_gate.wait()

    async def execute(self, message: Message) -> Message:
        return message

    async def stop(self) -> None:
        self.stops += 1
        self.stopping.set()
        await self.stop_gate.wait()


async def test_a_runtime_stopped_while_it_starts_stays_stopped_and_start_says_so() -> None:
    slow = Slow()
    slow.stop_gate.set()
    async with asyncio.timeout(10):
        rt = DistributedRuntime(slow, address="127.0.0.1:0")
        start = asyncio.create_task(rt.start())
        await slow.starting.wait()
        stop = asyncio.create_task(rt.stop())
        await slow.stopping.wait()
        slow.start_gate.set()
        with pytest.raises(RuntimeClosed):
            await start
        await stop
        assert rt.state == "stopped"
        assert rt.address == ""
        with pytest.raises(RuntimeClosed):
            await rt.call("slow", "hello")


async def test_stopping_from_two_sides_at_once_waits_for_the_last_call_only() -> None:
    inside, gate = asyncio.Event(), asyncio.Event()

    @agent
    async def busy(text: str) -> str:
        inside.set()
        await gate.wait()
        return text

    async with asyncio.timeout(5):
        rt = LocalRuntime(busy, stop_grace=60)
        await rt.start()
        call = asyncio.create_task(rt.call("busy", "hello"))
        await inside.wait()
        stops = [asyncio.create_task(rt.stop()) for _ in range(2)]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(*stops)
        assert (await call).text == "hello"


async def test_a_message_passed_on_while_stopping_is_worked_on_whatever_the_order_of_registration() -> (
    None
):
    seen: list[str] = []
    gate = asyncio.Event()

    @agent
    async def last(text: str) -> str:
        seen.append(text)
        return text

    @agent
    async def first(text: str) -> str:
        return f"{text} passed on"

    @agent
    async def far(text: str) -> str:
        await gate.wait()
        return text

    async with (
        asyncio.timeout(10),
        DistributedRuntime(far, address="127.0.0.1:0", mailbox_capacity=1) as there,
    ):
        rt = DistributedRuntime(last, peers={"far": there.address})
        await rt.register(first, outputs=["far", "last"])
        await rt.start()
        for _ in range(2):  # one is worked on, the other fills the mailbox
            await rt.send("far", "before")
        await rt.send("first", "hello")
        await until(lambda: rt.metrics()["calls_succeeded"])  # then it is on its way to `far`
        stop = asyncio.create_task(rt.stop())
        await until(lambda: rt.state == "draining")
        gate.set()
        await stop
    assert seen == ["hello passed on"]
    assert not rt.dead_letters


async def test_a_stop_that_is_cut_short_still_lets_go_of_the_address() -> None:
    slow = Slow()
    slow.start_gate.set()
    async with asyncio.timeout(10):
        rt = DistributedRuntime(slow, address="127.0.0.1:0")
        await rt.start()
        address = rt.address
        stop = asyncio.create_task(rt.stop())
        await slow.stopping.wait()
        stop.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stop
        async with DistributedRuntime(address=address) as again:
            assert again.address == address


async def test_an_agent_that_ignores_its_cancellation_does_not_keep_the_runtime_from_stopping() -> (
    None
):
    inside, gate = asyncio.Event(), asyncio.Event()

    @agent
    async def stubborn(text: str) -> str:
        inside.set()
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                continue
        return text

    rt = LocalRuntime(stubborn, stop_grace=0.01)
    await rt.start()
    await rt.send("stubborn", "hello")
    try:
        async with asyncio.timeout(15):
            await inside.wait()
            stop = asyncio.create_task(rt.stop())
            done, _ = await asyncio.wait([stop], timeout=8)
            assert done
    finally:
        gate.set()
    await stop


async def test_a_runtime_that_cannot_begin_holds_no_thread_and_takes_no_calls() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        rt = DistributedRuntime(peers={"far": "127.0.0.1:1"}, address=address)
        with pytest.raises(ConfigError, match=address):
            await rt.start()
    assert rt.state == "stopped"
    with pytest.raises(RuntimeClosed):
        await rt.call("far", "hello")


async def test_what_an_agent_registers_while_it_starts_is_started_too() -> None:
    @agent
    async def child(text: str) -> str:
        return text

    class Parent(Slow):
        async def start(self, caller: Caller) -> None:
            await rt.register(child)

    parent = Parent("parent")
    parent.stop_gate.set()
    rt = LocalRuntime(parent)
    async with asyncio.timeout(5), rt:
        assert (await rt.call("child", "hello")).text == "hello"


async def test_a_failed_start_stops_what_an_agent_registered_while_it_started() -> None:
    child, parent_stop = Slow("child"), asyncio.Event()
    for gate in (child.start_gate, child.stop_gate, parent_stop):
        gate.set()

    class Parent(Slow):
        async def start(self, caller: Caller) -> None:
            await rt.register(child)
            raise OSError

    parent = Parent("parent")
    parent.stop_gate = parent_stop
    rt = LocalRuntime(parent)
    async with asyncio.timeout(5):
        with pytest.raises(AgentNotReady):
            await rt.start()
    assert child.stops == 1


async def test_an_agent_registered_while_running_may_depend_on_one_that_runs() -> None:
    @agent
    async def early(text: str) -> str:
        return text

    @agent
    async def late(text: str) -> str:
        return text

    async with asyncio.timeout(5), LocalRuntime(early) as rt:
        await rt.register(late, depends_on=["early"])
        assert (await rt.call("late", "hello")).text == "hello"


async def test_an_agent_may_unregister_itself_while_it_works_on_a_message() -> None:
    done = asyncio.Event()

    @agent
    async def leaver(text: str) -> str:
        await rt.unregister("leaver")
        done.set()
        return text

    rt = LocalRuntime(leaver)
    async with asyncio.timeout(5), rt:
        await rt.send("leaver", "bye")
        await done.wait()
        assert rt.list_agents() == []
