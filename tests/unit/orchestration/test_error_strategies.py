"""What becomes of a run when an agent of it fails, by its error strategy."""

from __future__ import annotations

import asyncio
import random
from typing import Any, cast

import pytest

from aixgo import AixgoError, Caller, LocalRuntime, Message, StreamChunk, agent
from aixgo.errors import (
    AgentFailed,
    AgentRefused,
    BudgetExceeded,
    DeadlineExceeded,
    LimitExceeded,
    ProviderUnavailable,
    Throttled,
    Unavailable,
)
from aixgo.middleware import ReplyStream
from aixgo.orchestration import ErrorStrategy, Limits, Orchestrator, Parallel, Router, Sequential
from aixgo.resilience.retry import Backoff
from aixgo.testing import RecordingAgent
from tests.unit.orchestration.failing import (
    Fails,
    HeldClock,
    QuickClock,
    answer,
    down,
    failure,
)

AT_ONCE = ErrorStrategy("retry", retry_delay=0)


@pytest.fixture(params=[False, True], ids=["call", "stream"])
def streaming(request: pytest.FixtureRequest) -> bool:
    """Whether the pattern is called or streamed."""
    return bool(request.param)


def patterns(agent: Fails, strategy: ErrorStrategy) -> list[Orchestrator]:
    """One of every pattern that asks `agent`."""
    kind = RecordingAgent("kind", ["it"] * 9)
    return [
        Sequential("p", [agent], error_strategy=strategy),
        Parallel("p", [agent], aggregation="first", error_strategy=strategy),
        Router("p", kind, {"it": agent}, error_strategy=strategy),
        Sequential("p", [Parallel("q", [agent], aggregation="first", error_strategy=strategy)]),
    ]


def told(reply: Message) -> dict[str, Any]:
    """What a reply says of its run, or of that of `q` inside it."""
    inner = reply.metadata.get("inner", {})
    return cast("dict[str, Any]", inner).get("q", reply.metadata)


# -- retry ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", range(4), ids=["sequential", "parallel", "router", "nested"])
async def test_every_pattern_asks_again_and_says_how_often(which: int, streaming: bool) -> None:
    flaky = Fails("flaky", [down(), down()])
    async with LocalRuntime(patterns(flaky, AT_ONCE)[which]) as rt:
        reply = await answer(rt, "p", "x", streaming=streaming)
    assert reply.text == "flaky of x"
    assert told(reply)["retries"] == 2
    assert len(flaky.messages) == 3


async def test_three_retries_are_at_most_four_calls(streaming: bool) -> None:
    flaky = Fails("flaky", [down()] * 9)
    async with LocalRuntime(Sequential("p", [flaky], error_strategy=AT_ONCE)) as rt:
        error = await failure(rt, "p", "x", streaming=streaming)
    assert isinstance(error, ProviderUnavailable)
    assert len(flaky.messages) == 4


async def test_all_attempts_get_the_same_message_under_keys_of_their_own(streaming: bool) -> None:
    flaky, spare = Fails("flaky", [down()] * 2), Fails("spare", [down()])
    strategy = ErrorStrategy("retry", 1, 0, fallbacks={"flaky": [spare]})
    async with LocalRuntime(Sequential("p", [flaky], error_strategy=strategy)) as rt:
        await answer(rt, "p", "x", streaming=streaming)
    assert flaky.keys == ["p/flaky", "p/flaky#2"]
    assert spare.keys == ["p/flaky#spare", "p/flaky#spare#2"]
    assert len({message.id for message in flaky.messages + spare.messages}) == 1


async def test_keys_do_not_depend_on_who_fails_first() -> None:
    quick_is_done = asyncio.Event()

    class Late(Fails):
        async def execute(self, message: Message) -> Message:
            await quick_is_done.wait()
            return await super().execute(message)

    class Early(Fails):
        async def execute(self, message: Message) -> Message:
            try:
                return await super().execute(message)
            finally:
                if len(self.keys) == 2:
                    quick_is_done.set()

    slow, quick = Late("slow", [down()]), Early("quick", [down()])
    async with LocalRuntime(Parallel("p", [slow, quick], error_strategy=AT_ONCE)) as rt:
        await answer(rt, "p", "x")
    assert slow.keys == ["p/slow", "p/slow#2"]
    assert quick.keys == ["p/quick", "p/quick#2"]


async def test_waits_double_and_part_of_them_is_drawn_from_the_calls_key(streaming: bool) -> None:
    clock = QuickClock()
    flow = Sequential("p", [Fails("flaky", [down()] * 3)], error_strategy="retry")
    async with LocalRuntime(flow, clock=clock) as rt:
        await answer(rt, "p", "x", streaming=streaming)
    chance, backoff = random.Random("p/flaky"), Backoff(2.0)
    assert clock.waits == [backoff.wait(n, down(), chance) for n in (1, 2, 3)]
    assert all(wait <= most for wait, most in zip(clock.waits, (2, 4, 8), strict=True))


async def test_a_server_that_says_when_to_come_back_is_obeyed() -> None:
    clock = QuickClock()
    flow = Sequential("p", [Fails("flaky", [down(7.5)])], error_strategy="retry")
    async with LocalRuntime(flow, clock=clock) as rt:
        await answer(rt, "p", "x")
    assert clock.waits == [7.5]


async def test_a_wait_that_would_end_behind_the_runs_deadline_is_not_begun(streaming: bool) -> None:
    clock = QuickClock()
    limits = Limits(timeout=200)
    flow = Sequential("p", [Fails("flaky", [down(250)])], error_strategy="retry", limits=limits)
    async with LocalRuntime(flow, clock=clock) as rt:
        error = await failure(rt, "p", "x", streaming=streaming)
    assert isinstance(error, ProviderUnavailable)
    assert clock.waits == []


@pytest.mark.parametrize(
    "error",
    [RuntimeError("x"), AgentRefused("no"), Unavailable("x", "lost", "unknown")],
    ids=lambda error: type(error).__name__,
)
async def test_what_says_not_that_it_may_pass_is_not_asked_again(error: Exception) -> None:
    fails = Fails("fails", [error])
    async with LocalRuntime(Sequential("p", [fails], error_strategy=AT_ONCE)) as rt:
        await failure(rt, "p", "x")
    assert len(fails.messages) == 1


async def test_cancelling_the_run_ends_a_wait_between_attempts_at_once(streaming: bool) -> None:
    clock = HeldClock()
    flow = Sequential("p", [Fails("flaky", [down()])], error_strategy="retry")
    async with LocalRuntime(flow, clock=clock) as rt:
        call = asyncio.create_task(answer(rt, "p", "x", streaming=streaming))
        await clock.waiting.wait()
        call.cancel()
        done, _ = await asyncio.wait([call], timeout=5)
        assert done
    assert call.cancelled()
    assert clock.timers == []


async def test_after_the_first_piece_nobody_is_asked_again_or_instead() -> None:
    asked: list[str] = []

    class Breaks:
        name, role = "breaks", "breaks"

        async def execute(self, message: Message) -> Message:
            raise AssertionError

        async def stream(self, message: Message):  # type: ignore[no-untyped-def]
            asked.append(message.text)
            yield StreamChunk(content="It is")
            raise down()

    strategy = ErrorStrategy("retry", retry_delay=0, fallbacks={"breaks": [Fails("spare")]})
    async with LocalRuntime(Sequential("p", [Breaks()], error_strategy=strategy)) as rt:
        seen: list[str] = []
        with pytest.raises(ProviderUnavailable):
            async with rt.stream("p", "x") as chunks:
                seen.extend([chunk.content async for chunk in chunks])
    assert asked == ["x"]


# -- others instead ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", range(4), ids=["sequential", "parallel", "router", "nested"])
async def test_others_are_asked_in_order_and_the_result_says_who_answered(
    which: int, streaming: bool
) -> None:
    fails, worse, spare = Fails("fails", [RuntimeError()]), Fails("worse", [down()]), Fails("spare")
    strategy = ErrorStrategy("retry", 0, fallbacks={"fails": [worse, spare]})
    async with LocalRuntime(patterns(fails, strategy)[which]) as rt:
        reply = await answer(rt, "p", "x", streaming=streaming)
    assert reply.text == "spare of x"
    assert [len(each.messages) for each in (fails, worse, spare)] == [1, 1, 1]
    instead = told(reply)["fallbacks"]["fails"]
    assert (instead["served_by"], instead["error"]["class"]) == ("spare", "AgentFailed")


async def test_when_those_fail_too_the_first_error_is_raised() -> None:
    fails, spare = Fails("fails", [RuntimeError()]), Fails("spare", [AgentRefused("no")])
    strategy = ErrorStrategy("retry", 0, fallbacks={"fails": [spare]})
    async with LocalRuntime(Sequential("p", [fails], error_strategy=strategy)) as rt:
        error = await failure(rt, "p", "x")
    assert isinstance(error, AgentFailed)
    assert error.agent == "fails"


async def test_nobody_answers_for_an_agent_that_refused_or_may_have_done_its_work() -> None:
    for error in (AgentRefused("no"), Unavailable("x", "lost", "unknown")):
        spare = Fails("spare")
        strategy = ErrorStrategy("retry", 0, fallbacks={"fails": [spare]})
        flow = Sequential("p", [Fails("fails", [error])], error_strategy=strategy)
        async with LocalRuntime(flow) as rt:
            assert isinstance(await failure(rt, "p", "x"), type(error))
        assert spare.messages == []


# -- continue ---------------------------------------------------------------------------------------------


async def test_a_sequence_goes_on_with_the_last_good_output(streaming: bool) -> None:
    flow = Sequential(
        "p", [Fails("a"), Fails("b", [RuntimeError()]), Fails("c")], error_strategy="continue"
    )
    async with LocalRuntime(flow) as rt:
        reply = await answer(rt, "p", "x", streaming=streaming)
    assert reply.text == "c of a of x"
    assert reply.metadata["degraded"] is True
    missing = reply.metadata["missing"]
    assert isinstance(missing, dict)
    assert missing["b"]["class"] == "AgentFailed"  # type: ignore[index,call-overload]


async def test_a_fan_goes_on_without_those_who_fail(streaming: bool) -> None:
    flow = Parallel("p", [Fails("a"), Fails("b", [RuntimeError()])], error_strategy="continue")
    async with LocalRuntime(flow) as rt:
        reply = await answer(rt, "p", "x", streaming=streaming)
    assert reply.payload == {"a": "a of x"}
    assert list(reply.metadata["missing"]) == ["b"]  # type: ignore[arg-type]


@pytest.mark.parametrize("who", ["kind", "fails"])
async def test_a_router_goes_on_with_its_fallback(who: str, streaming: bool) -> None:
    kind = Fails("kind", [RuntimeError()] if who == "kind" else [])
    routes = {"kind of x": Fails("fails", [RuntimeError()])}
    flow = Router("p", kind, routes, fallback=Fails("spare"), error_strategy="continue")
    async with LocalRuntime(flow) as rt:
        reply = await answer(rt, "p", "x", streaming=streaming)
    assert reply.text == "spare of x"
    assert (reply.metadata["routed_to"], reply.metadata["used_fallback"]) == ("spare", True)
    assert list(reply.metadata["missing"]) == [who]  # type: ignore[arg-type]


async def test_going_on_asks_again_first_when_told_so() -> None:
    flaky = Fails("flaky", [down()])
    strategy = ErrorStrategy("continue", max_retries=1, retry_delay=0)
    async with LocalRuntime(Parallel("p", [flaky, Fails("a")], error_strategy=strategy)) as rt:
        reply = await answer(rt, "p", "x")
    assert list(reply.payload) == ["flaky", "a"]  # type: ignore[call-overload]
    assert "degraded" not in reply.metadata


@pytest.mark.parametrize("pattern", [Sequential, Parallel])
async def test_a_run_with_too_few_answers_fails_and_says_who_failed(
    pattern: type[Sequential | Parallel], streaming: bool
) -> None:
    team = [Fails("a"), Fails("b", [RuntimeError()]), Fails("c", [down()])]
    strategy = ErrorStrategy("continue", min_successes=2)
    async with LocalRuntime(pattern("p", team, error_strategy=strategy)) as rt:
        error = await failure(rt, "p", "x", streaming=streaming)
    assert isinstance(error, AgentRefused)
    assert "only 1 agent of 'p' answered, 2 are needed: b: AgentFailed; c: Pro" in str(error)


async def test_a_run_nobody_answers_fails() -> None:
    team = [Fails("a", [RuntimeError()]), Fails("b", [down()])]
    async with LocalRuntime(Sequential("p", team, error_strategy="continue")) as rt:
        assert isinstance(await failure(rt, "p", "x"), ProviderUnavailable)


# -- fail_fast --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["fail_fast", "retry"])
async def test_the_first_failure_stops_the_others_and_waits_for_them(
    kind: str, streaming: bool
) -> None:
    stuck = RecordingAgent("stuck", gated=True)

    @agent
    async def fails(text: str) -> str:
        await stuck.started.wait()
        raise AgentRefused(text)

    flow = Parallel("p", [stuck, fails], error_strategy=kind)  # type: ignore[arg-type]
    async with LocalRuntime(flow) as rt:
        error = await failure(rt, "p", "x", streaming=streaming)
        assert (stuck.cancelled, stuck.running) == (1, 0)
    assert isinstance(error, AgentRefused)


async def test_failing_fast_asks_nobody_again_and_begins_no_later_step(streaming: bool) -> None:
    flaky, after = Fails("flaky", [down()]), Fails("after")
    async with LocalRuntime(Sequential("p", [flaky, after], error_strategy="fail_fast")) as rt:
        error = await failure(rt, "p", "x", streaming=streaming)
    assert isinstance(error, ProviderUnavailable)
    assert (len(flaky.messages), after.messages) == (1, [])


# -- what ends every run ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["continue", "retry"])
@pytest.mark.parametrize("pattern", [Sequential, Parallel])
@pytest.mark.parametrize(
    "error",
    [BudgetExceeded("money", 3, "a"), LimitExceeded("max_depth", 3)],
    ids=["budget", "limit"],
)
async def test_limits_and_budgets_end_the_run_whatever_the_strategy(
    kind: str, pattern: type[Sequential | Parallel], error: AixgoError, streaming: bool
) -> None:
    spare = Fails("spare")
    strategy = ErrorStrategy(kind, 3, 0, fallbacks={"over": [spare]})  # type: ignore[arg-type]
    over = Fails("over", [error] * 9)
    flow = pattern("p", [Fails("a"), over], error_strategy=strategy)
    async with LocalRuntime(flow) as rt:
        assert isinstance(await failure(rt, "p", "x", streaming=streaming), type(error))
    assert (len(over.messages), spare.messages) == (1, [])


async def test_the_runs_deadline_ends_it_whatever_the_strategy(streaming: bool) -> None:
    stuck = RecordingAgent("stuck", gated=True)
    flow = Parallel(
        "p", [Fails("a"), stuck], error_strategy="continue", limits=Limits(timeout=0.05)
    )
    async with LocalRuntime(flow) as rt:
        error = await failure(rt, "p", "x", streaming=streaming)
    assert isinstance(error, DeadlineExceeded)


async def test_the_time_of_one_agent_is_its_own_failure(streaming: bool) -> None:
    stuck = RecordingAgent("stuck", gated=True)
    strategy = ErrorStrategy("retry", fallbacks={"stuck": [Fails("spare")]})
    flow = Sequential("p", [stuck], timeout=0.05, error_strategy=strategy)
    async with LocalRuntime(flow) as rt:
        assert (await answer(rt, "p", "x", streaming=streaming)).text == "spare of x"


async def test_an_agent_that_has_no_room_now_is_asked_again() -> None:
    busy = Fails("busy", [Throttled(0.0, "busy")])
    async with LocalRuntime(Sequential("p", [busy], error_strategy=AT_ONCE)) as rt:
        assert (await answer(rt, "p", "x")).metadata["retries"] == 1


# -- patterns of others -----------------------------------------------------------------------------------


class Reads(Orchestrator):
    """Reads its agent's stream by itself."""

    pattern = "reads"

    @classmethod
    def from_config(cls, name, agents, config, limits):  # type: ignore[no-untyped-def]
        return cls(name, agents, limits=limits, **cls.settings(config, name))

    async def run(self, message: Message, caller: Caller) -> Message:
        (first, *_) = self.members
        stream = caller.stream(first if isinstance(first, str) else first.name, message)
        async with stream as chunks:
            return message.reply(await self.read(chunks))

    async def read(self, chunks: ReplyStream) -> str:
        return "".join([chunk.content async for chunk in chunks])


async def test_a_pattern_that_reads_streams_itself_has_them_begun_again(streaming: bool) -> None:
    flaky = Fails("flaky", [down()] * 4)
    strategy = ErrorStrategy("retry", 1, 0, fallbacks={"flaky": [Fails("spare", [down()])]})
    async with LocalRuntime(Reads("p", [flaky], error_strategy=strategy)) as rt:
        reply = await answer(rt, "p", "x", streaming=streaming)
    assert reply.text == "spare of x"
    assert reply.metadata["retries"] == 2


async def test_without_a_strategy_an_error_is_as_before() -> None:
    flaky = Fails("flaky", [down()])
    async with LocalRuntime(Sequential("p", [Fails("a"), flaky])) as rt:
        error = await failure(rt, "p", "x")
    assert error.partial is None
    assert len(flaky.messages) == 1
