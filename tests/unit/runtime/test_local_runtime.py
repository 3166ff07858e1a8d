"""LocalRuntime: what its users and its agents can do with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from aixgo import Agent, AgentRefused, CallContext, Caller, LocalRuntime, Message, Usage, agent
from aixgo.errors import (
    AgentExists,
    AgentNotFound,
    AgentNotReady,
    DeadlineExceeded,
    LimitExceeded,
    RuntimeClosed,
)
from aixgo.runtime import calling


@agent
async def upper(text: str) -> str:
    return text.upper()


@agent
async def lower(text: str) -> str:
    return text.lower()


class Pattern:
    """An agent with members, that calls them one after another."""

    role = "pattern"
    kind = "orchestrator"

    def __init__(self, name: str, *members: Agent | str, max_agents: int = 100) -> None:
        self.name = name
        self.members = members
        self.max_agents = max_agents

    async def execute(self, message: Message) -> Message:
        caller = CallContext.current().caller
        assert caller is not None
        for member in self.members:
            name = member if isinstance(member, str) else member.name
            message = await caller.call(name, message)
        return message


# -- agents ---------------------------------------------------------------------------------------------


async def test_an_agent_registered_while_running_starts_and_can_be_called() -> None:
    async with LocalRuntime(upper) as rt:
        await rt.register(lower)
        assert (await rt.call("lower", "X")).text == "x"
        assert rt.list_agents() == ["upper", "lower"]


async def test_one_registered_while_running_may_depend_on_one_that_runs() -> None:
    async with LocalRuntime(upper) as rt:
        await rt.register(lower, depends_on=["upper"])
        assert (await rt.call("lower", "X")).text == "x"


async def test_one_that_fails_to_start_while_running_is_not_hosted() -> None:
    class Bad(Pattern):
        async def start(self, caller: Caller) -> None:
            raise ValueError("broken")

    async with LocalRuntime(upper) as rt:
        with pytest.raises(AgentNotReady):
            await rt.register(Bad("bad", lower))
        assert rt.list_agents() == ["upper"]
        await rt.register(lower)  # the name is free again


async def test_an_agent_can_be_hosted_under_another_name_and_twice() -> None:
    async with LocalRuntime() as rt:
        await rt.register(upper, "first")
        await rt.register(upper, "second")
        assert [(await rt.call(name, "x")).source for name in ("first", "second")] == [
            "first",
            "second",
        ]


async def test_an_unregistered_agent_is_stopped_and_unknown_and_its_name_free() -> None:
    stopped = asyncio.Event()

    class Ends(Pattern):
        async def stop(self) -> None:
            stopped.set()

    async with LocalRuntime(Ends("ends")) as rt:
        await rt.unregister("ends")
        assert stopped.is_set()
        for failing in (rt.call("ends", "x"), rt.send("ends", "x"), rt.unregister("ends")):
            with pytest.raises(AgentNotFound):
                await failing
        await rt.register(upper, "Ends")  # a name with the same slug


async def test_registering_an_orchestrator_hosts_its_objects_all_the_way_down() -> None:
    inner = Pattern("inner", upper)
    async with LocalRuntime(Pattern("outer", inner, lower, "inner")) as rt:
        assert rt.list_agents() == ["outer", "inner", "upper", "lower"]
        assert (await rt.call("outer", "x")).text == "X"


@pytest.mark.parametrize("order", ["member first", "pattern first"])
async def test_an_object_may_be_given_by_itself_and_inside_a_pattern(order: str) -> None:
    agents: list[Agent] = [upper, Pattern("team", upper)]
    async with LocalRuntime(*(agents if order == "member first" else reversed(agents))) as rt:
        assert sorted(rt.list_agents()) == ["team", "upper"]
        await rt.register(upper, outputs=["seen"])  # what is said of it later counts
        await rt.send("upper", "x")
        assert (await rt.recv("seen", timeout=5)).text == "X"


async def test_another_object_under_a_members_name_is_refused_and_nothing_of_it_stays() -> None:
    other = Pattern("upper")
    async with LocalRuntime(upper) as rt:
        with pytest.raises(AgentExists, match="'upper' is registered already"):
            await rt.register(Pattern("team", lower, other))
        assert rt.list_agents() == ["upper"]


async def test_get_agent_gives_the_object_and_names_the_nearest_when_there_is_none() -> None:
    async with LocalRuntime(upper) as rt:
        assert rt.get_agent("upper") is upper
        with pytest.raises(AgentNotFound, match="did you mean 'upper'"):
            rt.get_agent("uper")


async def test_describe_tells_what_an_agent_says_of_itself() -> None:
    team = Pattern("team", upper, "lower")
    rt = LocalRuntime(team, lower)
    before = rt.describe("team")
    assert before is not None
    assert (before.kind, before.members, before.ready) == (
        "orchestrator",
        ("upper", "lower"),
        False,
    )
    async with rt:
        now = rt.describe("upper")
        assert now is not None
        assert (now.ready, now.streams, now.input_schema) == (True, False, {"type": "string"})
        with pytest.raises(AgentNotFound):
            rt.describe("nobody")


async def test_a_spawned_agent_lives_as_long_as_its_block_and_so_do_those_it_brought() -> None:
    async with LocalRuntime(upper) as rt:
        async with rt.spawn(Pattern("team", lower, upper)) as name:
            assert name != "team"
            assert (await rt.call(name, "x")).text == "X"
            assert rt.list_agents() == ["upper", name, "lower"]
            async with rt.spawn(Pattern("team", lower)) as other:
                assert other not in (name, "team")
        assert rt.list_agents() == ["upper"]


async def test_an_agent_spawns_a_child_while_it_works_also_while_the_runtime_drains() -> None:
    inside, gate = asyncio.Event(), asyncio.Event()

    @agent
    async def parent(text: str, caller: Caller) -> str:
        inside.set()
        await gate.wait()
        async with caller.spawn(upper) as child:
            return (await caller.call(child, text)).text

    async with asyncio.timeout(5):
        rt = LocalRuntime(parent)
        await rt.start()
        call = asyncio.create_task(rt.call("parent", "x"))
        await inside.wait()
        stop = asyncio.create_task(rt.stop())
        while rt.state != "draining":
            await asyncio.sleep(0)
        gate.set()
        assert (await call).text == "X"
        await stop


# -- calls ----------------------------------------------------------------------------------------------


async def test_a_reply_names_its_source_and_a_call_its_caller() -> None:
    @agent
    async def says_who(message: Message) -> str:
        return message.source

    @agent
    async def asks(text: str, caller: Caller) -> str:
        return (await caller.call("says_who", Message("x", source="forged"))).text

    async with LocalRuntime(says_who, asks) as rt:
        assert (await rt.call("says_who", "x")).payload == ""
        reply = await rt.call("asks", "x")
        assert (reply.payload, reply.source) == ("asks", "asks")


async def test_what_nested_calls_spend_adds_up_on_the_reply() -> None:
    @agent
    async def spends(text: str, context: CallContext) -> str:
        context.charge(Usage(cost_nanos=2_000_000_000, tokens_prompt=3, calls=1))
        return text

    async with LocalRuntime(spends, Pattern("team", "spends", "spends")) as rt:
        reply = await rt.call("team", "x")
        assert reply.usage == Usage(cost_nanos=4_000_000_000, tokens_prompt=6, calls=2)
        assert reply.metadata["cost_usd"] == 4.0


async def test_identity_and_keys_travel_down_the_path() -> None:
    seen: list[tuple[str, ...]] = []

    @agent
    async def leaf(text: str, context: CallContext) -> str:
        seen.append((context.session, context.principal, context.key))
        seen.append(tuple(hop.agent for hop in context.hops))
        return text

    async with LocalRuntime(leaf, Pattern("team", "leaf", "leaf"), principal="me") as rt:
        await rt.call("team", "x", session="s", key="run-1")
    assert seen == [
        *(("s", "me", "run-1/leaf"), ("team", "leaf")),
        *(("s", "me", "run-1/leaf[1]"), ("team", "leaf")),
    ]


async def test_a_deadline_is_inherited_and_can_only_be_shortened() -> None:
    left: list[float] = []

    @agent
    async def leaf(text: str, context: CallContext) -> str:
        left.append(context.remaining)
        return text

    @agent
    async def middle(text: str, caller: Caller) -> str:
        await caller.call("leaf", text, timeout=3)
        return (await caller.call("leaf", text, timeout=3000)).text

    async with LocalRuntime(leaf, middle) as rt:
        await rt.call("leaf", "x")
        await rt.call("middle", "x", timeout=10)
    assert [round(seconds + 0.4) for seconds in left] == [60, 3, 10]


async def test_parallel_outcomes_come_in_target_order_with_failures_among_them() -> None:
    async with LocalRuntime(upper, lower) as rt:
        outcomes = await rt.call_parallel(["lower", "nobody", "upper"], "aB")
    assert [outcome.target for outcome in outcomes] == ["lower", "nobody", "upper"]
    assert [reply.text for reply in outcomes.replies] == ["ab", "AB"]
    assert [type(error) for error in outcomes.errors] == [AgentNotFound]
    with pytest.raises(AgentNotFound):
        outcomes.raise_first()


async def test_calls_beyond_the_bound_wait_their_turn_in_order() -> None:
    order: list[str] = []
    inside, gate = asyncio.Event(), asyncio.Event()

    @agent
    async def busy(text: str) -> str:
        inside.set()
        await gate.wait()
        order.append(text)
        return text

    async with asyncio.timeout(5), LocalRuntime(busy, max_in_flight=1) as rt:
        calls = []
        for text in "abc":
            calls.append(asyncio.create_task(rt.call("busy", text)))
            await asyncio.sleep(0)
        await inside.wait()
        assert rt.metrics()["calls_waiting"] == 2
        gate.set()
        await asyncio.gather(*calls)
    assert order == ["a", "b", "c"]


async def test_so_many_may_wait_and_the_next_is_turned_away() -> None:
    inside, gate = asyncio.Event(), asyncio.Event()

    @agent
    async def busy(text: str) -> str:
        inside.set()
        await gate.wait()
        return text

    async with asyncio.timeout(5), LocalRuntime(busy, max_in_flight=1) as rt:
        calls = [asyncio.create_task(rt.call("busy", "x")) for _ in range(11)]
        while rt.metrics()["calls_waiting"] < 10:
            await asyncio.sleep(0)
        with pytest.raises(LimitExceeded, match="calls waiting for max_in_flight"):
            await rt.call("busy", "x")
        gate.set()
        await asyncio.gather(*calls)


async def test_a_call_that_would_wait_for_its_own_slot_fails_at_once() -> None:
    async with (
        asyncio.timeout(5),
        LocalRuntime(upper, Pattern("team", "upper"), max_in_flight=1) as rt,
    ):
        with pytest.raises(LimitExceeded, match="max_in_flight of 1 exceeded at 'upper'"):
            await rt.call("team", "x")
        assert (await rt.call("upper", "x")).text == "X"  # the slot came back


async def test_a_call_cancelled_as_its_slot_comes_passes_the_slot_on() -> None:
    gates = {text: asyncio.Event() for text in "abc"}
    inside = asyncio.Event()

    @agent
    async def busy(text: str) -> str:
        inside.set()
        await gates[text].wait()
        return text

    async with asyncio.timeout(5), LocalRuntime(busy, max_in_flight=1) as rt:
        first = asyncio.create_task(rt.call("busy", "a"))
        await inside.wait()
        second, third = (asyncio.create_task(rt.call("busy", text)) for text in "bc")
        while rt.metrics()["calls_waiting"] < 2:
            await asyncio.sleep(0)
        gates["c"].set()
        gates["a"].set()
        while rt.metrics()["calls_waiting"] == 2:  # until the slot is the second one's
            await asyncio.sleep(0)
        second.cancel()
        assert (await third).text == "c"
        assert (await asyncio.gather(first, second, return_exceptions=True))[0].text == "a"


async def test_an_agent_that_ignores_the_end_of_its_time_still_fails_for_its_caller() -> None:
    @agent
    async def stubborn(text: str) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "too late"
        return text

    async with asyncio.timeout(5), LocalRuntime(stubborn) as rt:
        with pytest.raises(DeadlineExceeded, match="'stubborn'"):
            await rt.call("stubborn", "x", timeout=0.01)
        async with rt.stream("stubborn", "x", timeout=0.01) as chunks:
            with pytest.raises(DeadlineExceeded, match="'stubborn'"):
                await anext(aiter(chunks))
        assert rt.metrics()["calls_in_flight"] == 0


async def test_what_an_agent_raises_as_its_time_ends_is_what_its_caller_gets() -> None:
    @agent
    async def last_words(text: str) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise AgentRefused("I gave up") from None
        return text

    async with asyncio.timeout(5), LocalRuntime(last_words) as rt:
        with pytest.raises(AgentRefused, match="I gave up"):
            await rt.call("last_words", "x", timeout=0.01)


async def test_a_stream_whose_producer_does_not_stop_is_left_behind_and_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(calling, "CLOSE_TIMEOUT", 0.02)

    @agent
    async def clings(text: str) -> AsyncIterator[str]:
        try:
            yield text
        finally:
            await asyncio.Event().wait()

    async with asyncio.timeout(5), LocalRuntime(clings) as rt:
        async with rt.stream("clings", "x") as chunks:
            assert (await anext(aiter(chunks))).content == "x"
        assert "'clings' did not stop streaming within 0.02 s" in caplog.text
        assert rt.metrics()["calls_in_flight"] == 0


async def test_a_task_that_outlives_its_call_may_not_call_for_it() -> None:
    left: list[asyncio.Task[Message]] = []
    gate = asyncio.Event()

    @agent
    async def leaves(text: str, caller: Caller) -> str:
        async def later() -> Message:
            await gate.wait()
            return await caller.call("upper", text)

        left.append(asyncio.create_task(later()))
        return text

    async with asyncio.timeout(5), LocalRuntime(upper, leaves) as rt:
        await rt.call("leaves", "x")
        gate.set()
        with pytest.raises(RuntimeClosed, match="done with the call to 'leaves'"):
            await left[0]


# -- what it tells --------------------------------------------------------------------------------------


async def test_health_follows_the_life_of_the_runtime() -> None:
    rt = LocalRuntime(upper)
    assert await rt.health() == {"status": "not started", "agents": {"upper": "not started"}}
    async with rt:
        assert await rt.health() == {"status": "serving", "agents": {"upper": "ready"}}
    assert await rt.health() == {"status": "stopped", "agents": {"upper": "stopped"}}


async def test_metrics_count_calls_and_messages() -> None:
    @agent
    async def fails(text: str) -> str:
        raise ValueError(text)

    async with LocalRuntime(upper, fails) as rt:
        await rt.call("upper", "x")
        await rt.call_parallel(["fails", "upper"], "x")
        counted = rt.metrics()
        assert (counted["agents"], counted["calls_succeeded"], counted["calls_failed"]) == (2, 2, 1)
        assert counted["calls_in_flight"] == counted["calls_waiting"] == 0
        assert counted["call_seconds_mean"] > 0


async def test_pending_counts_what_waits_and_what_runs_until_nothing_is_left() -> None:
    inside, gate = asyncio.Event(), asyncio.Event()

    @agent
    async def busy(text: str) -> str:
        inside.set()
        await gate.wait()
        return text

    async with asyncio.timeout(5), LocalRuntime(busy) as rt:
        assert await rt.pending() == 0
        for _ in range(3):
            await rt.send("busy", "x")
        await inside.wait()
        assert await rt.pending() >= 3
        gate.set()
        while await rt.pending():
            await asyncio.sleep(0)
        assert rt.metrics()["calls_succeeded"] == 3


@pytest.mark.parametrize("check_wire", [False, True])
@pytest.mark.parametrize("streaming", [False, True], ids=["call", "stream"])
async def test_an_error_that_agents_pass_on_keeps_its_cause_and_is_not_its_own(
    streaming: bool, check_wire: bool
) -> None:
    @agent
    async def breaks(text: str) -> str:
        raise AgentRefused("no") from KeyError(text)

    outer = Pattern("outer", Pattern("inner", breaks))

    async def asked(rt: LocalRuntime) -> None:
        if not streaming:
            await rt.call("outer", "x")
            return
        async with rt.stream("outer", "x") as chunks:
            async for _ in chunks:
                pass

    async with LocalRuntime(outer, check_wire=check_wire) as rt:
        with pytest.raises(AgentRefused) as caught:
            await asked(rt)
    causes: list[BaseException | None] = [caught.value]
    while causes[-1] is not None and len(causes) < 20:
        causes.append(causes[-1].__cause__)
    assert [type(cause) for cause in causes][-2:] == [KeyError, type(None)]
