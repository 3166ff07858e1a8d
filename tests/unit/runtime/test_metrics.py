"""What `rt.metrics()` says about calls and mail: each once, with the reason when it failed."""

import asyncio

import pytest

from aixgo import DistributedRuntime, LocalRuntime, agent, measures, telemetry
from aixgo.errors import (
    AgentFailed,
    AgentNotFound,
    DeadlineExceeded,
    MailboxFull,
)
from tests.unit.runtime.waiting import until


@agent
async def upper(text: str) -> str:
    return text.upper()


@agent
async def fails(text: str) -> str:
    raise ValueError(text)


@agent
async def hangs(text: str) -> str:
    await asyncio.Event().wait()
    return text


@agent(mailbox=True)
async def reader(text: str) -> str:
    return text


async def test_calls_that_failed_are_counted_by_the_class_of_their_error() -> None:
    async with asyncio.timeout(5), LocalRuntime(fails, hangs) as rt:
        for _ in range(2):
            with pytest.raises(AgentFailed):
                await rt.call("fails", "x")
        with pytest.raises(DeadlineExceeded):
            await rt.call("hangs", "x", timeout=0.01)
        with pytest.raises(AgentNotFound):
            await rt.call("nobody", "x")
        counted = rt.metrics()
    assert counted["errors"] == {"AgentFailed": 2, "DeadlineExceeded": 1}
    assert counted["calls_failed"] == 3


async def test_a_cancelled_call_and_a_stream_that_was_left_are_told_apart() -> None:
    async with asyncio.timeout(5), LocalRuntime(upper, hangs) as rt:
        call = asyncio.create_task(rt.call("hangs", "x"))
        await until(lambda: rt.metrics()["calls_in_flight"] == 1)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        async with rt.stream("upper", "x") as chunks:
            await anext(aiter(chunks))
        counted = rt.metrics()
    assert counted["errors"] == {"cancelled": 1, "left": 1}
    assert counted["calls_failed"] == 2


async def test_a_stream_that_fails_counts_its_error() -> None:
    async with asyncio.timeout(5), LocalRuntime(fails) as rt:
        async with rt.stream("fails", "x") as chunks:
            with pytest.raises(AgentFailed):
                await anext(aiter(chunks))
        assert rt.metrics()["errors"] == {"AgentFailed": 1}


async def test_a_reply_that_comes_when_its_time_is_over_is_a_failure() -> None:
    @agent
    async def swallows(text: str) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return text
        return text

    async with asyncio.timeout(5), LocalRuntime(swallows) as rt:
        with pytest.raises(DeadlineExceeded):
            await rt.call("swallows", "x", timeout=0.01)
        counted = rt.metrics()
    assert (counted["calls_succeeded"], counted["calls_failed"]) == (0, 1)
    assert counted["errors"] == {"DeadlineExceeded": 1}


async def test_counting_is_the_same_while_somebody_watches() -> None:
    class Watches:
        def begin(self, work: telemetry.Work) -> None: ...

    counted: list[tuple[int, dict[str, int]]] = []
    for observers in ([], [Watches()]):
        for observer in observers:
            telemetry.add_observer(observer)
        async with asyncio.timeout(5), LocalRuntime(upper, fails) as rt:
            await rt.call("upper", "x")
            await rt.call_parallel(["fails", "nobody"], "x")
            counted.append((rt.metrics()["calls_succeeded"], rt.metrics()["errors"]))
        for observer in observers:
            telemetry.remove_observer(observer)
    assert counted == [(1, {"AgentFailed": 1})] * 2


async def test_messages_a_full_mailbox_refused_are_counted() -> None:
    async with asyncio.timeout(5), LocalRuntime(reader, mailbox_capacity=1) as rt:
        await rt.send("reader", "x")
        with pytest.raises(MailboxFull):
            await rt.send("reader", "y", timeout=0)
        counted = rt.metrics()
    assert (counted["messages_sent"], counted["messages_refused"]) == (1, 1)


async def test_messages_a_full_exit_refused_are_counted() -> None:
    async with asyncio.timeout(5), LocalRuntime(mailbox_capacity=1) as rt:
        await rt.register(upper, outputs=["out"])
        await rt.send("upper", "x")
        await until(lambda: rt.metrics()["mailboxes"] == {"out": 1})
        with pytest.raises(MailboxFull):
            await rt.send("out", "y", timeout=0)
        assert rt.metrics()["messages_refused"] == 1


async def test_dead_letters_are_counted_also_when_they_are_no_longer_kept() -> None:
    async with asyncio.timeout(5), LocalRuntime(fails) as rt:
        await rt.send("fails", "x")
        await until(lambda: len(rt.dead_letters) == 1)
        rt.dead_letters.clear()
        counted = rt.metrics()
    assert (counted["dead_letters"], counted["dead_letters_total"]) == (0, 1)


async def test_what_passed_over_a_connection_still_counts_when_it_is_closed() -> None:
    async with (
        asyncio.timeout(10),
        DistributedRuntime(upper, address="127.0.0.1:0") as server,
        DistributedRuntime() as rt,
    ):
        await rt.connect("upper", server.address)
        await rt.call("upper", "x")
        before = rt.metrics()["wire"]
        assert before["frames_sent"] > 0
        await rt.disconnect("upper")
        await until(lambda: rt.metrics()["wire"]["connections"] == 0)
        after = rt.metrics()["wire"]
        assert after["frames_sent"] >= before["frames_sent"]
        assert after["connections_opened"] == 1
    assert rt.metrics()["wire"]["frames_sent"] >= after["frames_sent"]


async def test_a_runtime_can_be_read_while_it_runs_and_is_summed_up_when_it_ends() -> None:
    def ended() -> int:
        found = measures.runtimes.ended().get("calls_succeeded", 0)
        assert isinstance(found, int)
        return found

    before = ended()
    async with LocalRuntime(upper) as rt:
        await rt.call("upper", "x")
        assert rt.metrics() in measures.runtimes.now()
        assert ended() == before
    assert rt.metrics() not in measures.runtimes.now()
    assert ended() == before + 1
