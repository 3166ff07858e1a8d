"""What is refused, each with an error that says what was wrong and where."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from aixgo import (
    Agent,
    Budget,
    CallContext,
    DistributedRuntime,
    LocalRuntime,
    Message,
    agent,
)
from aixgo.errors import (
    AgentExists,
    AgentNotFound,
    AixgoError,
    ConfigError,
    DeadlineExceeded,
    InvalidMessage,
    KeyConflict,
    LimitExceeded,
    NotBound,
    RuntimeClosed,
)
from aixgo.orchestration import Limits, Sequential
from aixgo.resilience import Retry


@agent
async def upper(text: str) -> str:
    return text.upper()


class Named:
    role = "named"

    def __init__(self, name: str, *members: Agent | str) -> None:
        self.name = name
        self.members = members

    async def execute(self, message: Message) -> Message:
        return message


async def test_an_unknown_agent_is_named_with_the_nearest_known_one() -> None:
    async with LocalRuntime(upper) as rt:
        for failing in (rt.call("uper", "x"), rt.send("uper", "x")):
            with pytest.raises(
                AgentNotFound, match=r"no agent is called 'uper'; did you mean 'upper'\?"
            ):
                await failing
        with pytest.raises(AgentNotFound):
            async with rt.stream("uper", "x"):
                pass


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("upper", "an agent called 'upper' is registered already"),
        ("Upper", "the name 'Upper' collides with 'upper': both have the same slug"),
        ("-upper-", "the name '-upper-' collides with 'upper': both have the same slug"),
    ],
)
def test_a_name_or_a_slug_that_is_taken_is_refused(name: str, text: str) -> None:
    with pytest.raises(AgentExists, match=text):
        LocalRuntime(upper, Named(name))


@pytest.mark.parametrize(
    ("name", "text"), [("", "is empty"), ("a/b", "contains '/'"), (" a", "blanks at its ends")]
)
async def test_a_name_that_cannot_be_one_is_refused(name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        LocalRuntime(Named(name))
    with pytest.raises(ConfigError, match=text):
        await LocalRuntime().register(upper, name)


async def test_a_payload_outside_the_domain_is_refused_before_anything_is_delivered() -> None:
    async with LocalRuntime(upper) as rt:
        for failing in (
            rt.call("upper", {"a": [math.nan]}),
            rt.send("upper", {"a": [math.nan]}),
            rt.call_parallel(["upper"], {"a": [math.nan]}),
            rt.broadcast({"a": [math.nan]}),
        ):
            with pytest.raises(InvalidMessage, match=r"^payload\.a\[0\] is nan"):
                await failing
        assert rt.metrics()["calls_succeeded"] == rt.metrics()["calls_failed"] == 0


async def test_before_the_start_and_after_the_stop_everything_is_refused() -> None:
    rt = LocalRuntime(upper)

    async def all_refused(state: str) -> None:
        for failing in (
            rt.call("upper", "x"),
            rt.send("upper", "x"),
            rt.recv("upper"),
            rt.broadcast("x"),
        ):
            with pytest.raises(RuntimeClosed, match=f"the runtime is {state}"):
                await failing
        with pytest.raises(RuntimeClosed):
            async with rt.stream("upper", "x"):
                pass
        outcomes = await rt.call_parallel(["upper"], "x")
        assert [type(error) for error in outcomes.errors] == [RuntimeClosed]

    await all_refused("not started")
    async with rt:
        pass
    await all_refused("stopped")
    with pytest.raises(RuntimeClosed, match="starts once"):
        await rt.start()
    with pytest.raises(RuntimeClosed):
        await rt.register(Named("late"))
    with pytest.raises(RuntimeClosed):
        async with rt.spawn(Named("late")):
            pass
    await rt.stop()  # twice is fine


async def test_an_orchestrator_nobody_hosts_says_that_it_must_be_registered() -> None:
    with pytest.raises(NotBound, match="'flow' is not bound: register it in a runtime"):
        await Sequential("flow", [upper]).execute(Message("x"))


async def test_an_orchestrator_executed_by_hand_inside_a_call_is_not_bound_either() -> None:
    flow = Sequential("flow", [upper])

    @agent
    async def cheats(text: str) -> str:
        return (await flow.execute(Message(text))).text

    async with LocalRuntime(cheats, flow) as rt:
        with pytest.raises(NotBound):
            await rt.call("cheats", "x")


async def test_a_cycle_of_dependencies_is_printed_and_nothing_starts() -> None:
    rt = LocalRuntime()
    await rt.register(Named("a"), depends_on=["b"])
    await rt.register(Named("b"), depends_on=["a"])
    with pytest.raises(ConfigError, match=r"^depends_on cycle: a -> b -> a$"):
        await rt.start()


async def test_a_dependency_nobody_knows_is_named() -> None:
    rt = LocalRuntime()
    await rt.register(upper, depends_on=["db"])
    with pytest.raises(ConfigError, match="upper -> db: no agent is called 'db'"):
        await rt.start()


async def test_a_cycle_of_orchestrators_is_printed_at_the_start_and_while_running() -> None:
    with pytest.raises(ConfigError, match="orchestration cycle: a -> b -> a"):
        await LocalRuntime(Named("a", "b"), Named("b", "a")).start()
    async with LocalRuntime(Named("a", "b")) as rt:
        with pytest.raises(ConfigError, match="orchestration cycle: b -> a -> b"):
            await rt.register(Named("b", "a"))
        assert rt.list_agents() == ["a"]


async def test_more_agents_than_an_orchestrator_may_reach_are_refused() -> None:
    flow = Sequential("flow", ["a", "b", "c"], limits=Limits(max_agents=2))
    rt = LocalRuntime(flow, Named("a"), Named("b"), Named("c"))
    with pytest.raises(LimitExceeded, match="max_agents of 2 exceeded at 'flow'"):
        await rt.start()


@pytest.mark.parametrize(("below", "fits"), [(10, True), (11, False)])
async def test_a_path_may_be_ten_agents_deep_below_an_orchestrator(below: int, fits: bool) -> None:
    @agent
    async def deeper(number: int, context: CallContext) -> int:
        if number <= 1:
            return 0
        assert context.caller is not None
        reply = await context.caller.call("deeper", number - 1)
        assert isinstance(reply.payload, int)
        return reply.payload + 1

    async with LocalRuntime(Sequential("flow", [deeper])) as rt:
        if fits:
            assert (await rt.call("flow", below)).payload == below - 1
        else:
            with pytest.raises(
                LimitExceeded, match=r"limit of 11 .* at 'deeper': .* limits.max_depth"
            ):
                await rt.call("flow", below)


@pytest.mark.parametrize("timeout", [-1, -0.001, math.nan, math.inf, "5s"])
async def test_a_timeout_that_is_none_is_refused_wherever_one_is_taken(timeout: float) -> None:
    async with LocalRuntime(upper) as rt:
        for failing in (
            rt.call("upper", "x", timeout=timeout),
            rt.call_parallel(["upper"], "x", timeout=timeout),
            rt.send("upper", "x", timeout=timeout),
            rt.recv("upper", timeout=timeout),
        ):
            with pytest.raises(ConfigError, match="a timeout is a finite number of seconds"):
                await failing
        with pytest.raises(ConfigError):
            async with rt.stream("upper", "x", timeout=timeout):
                pass
    for name in ("start_timeout", "stop_grace"):
        with pytest.raises(ConfigError):
            LocalRuntime(**{name: timeout})  # type: ignore[arg-type]


async def test_a_call_with_no_time_at_all_does_not_start() -> None:
    async with LocalRuntime(upper) as rt:
        with pytest.raises(DeadlineExceeded):
            await rt.call("upper", "x", timeout=0)
        assert rt.metrics()["calls_succeeded"] == 0


async def test_the_same_key_with_another_payload_is_a_conflict() -> None:
    async with LocalRuntime(upper) as rt:
        await rt.call("upper", "x", idempotency_key="k")
        with pytest.raises(KeyConflict, match="used for 'upper' before, with another payload"):
            await rt.call("upper", "y", idempotency_key="k")


@pytest.mark.parametrize("option", ["max_in_flight", "mailbox_capacity"])
def test_a_bound_below_one_is_refused(option: str) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        LocalRuntime(**{option: 0})  # type: ignore[arg-type]


class NotMade:
    name, role = "not made", "agent"

    async def execute(self, message: Message) -> Message: ...


@pytest.mark.parametrize(
    ("thing", "says"),
    [
        (upper.function, "the function 'upper' is no agent; decorate it with @agent"),
        (NotMade, "the class 'NotMade' is no agent; give an object of it"),
        ("upper", "'upper' is no agent: give a function under @agent"),
    ],
)
async def test_what_is_no_agent_is_refused_with_what_would_make_one(thing: Any, says: str) -> None:
    for hosting in (LocalRuntime, DistributedRuntime):
        with pytest.raises(ConfigError, match=re.escape(says)):
            hosting(thing)
    async with LocalRuntime() as rt:
        with pytest.raises(ConfigError, match=re.escape(says)):
            await rt.register(thing)


async def test_a_bare_number_is_no_budget() -> None:
    budget: Any = 5
    async with LocalRuntime(upper) as rt:
        with pytest.raises(ConfigError, match=re.escape("give a Budget, such as Budget(usd=0.10)")):
            await rt.call("upper", "x", budget=budget)
    side: Any = "much"
    with pytest.raises(ConfigError, match=re.escape("Budget(usd='much')")):
        Budget(usd=side)


async def test_one_name_in_place_of_a_list_of_them_is_refused() -> None:
    async with LocalRuntime(upper) as rt:
        with pytest.raises(ConfigError, match=re.escape("such as ['upper']")):
            await rt.call_parallel("upper", "x")


def test_middleware_that_is_no_list_is_refused() -> None:
    alone: Any = Retry()
    with pytest.raises(ConfigError, match="give a list, the first outermost"):
        LocalRuntime(upper, middleware=alone)


def test_peers_and_transport_are_checked_when_a_runtime_is_made() -> None:
    peers: Any = ["127.0.0.1:1"]
    with pytest.raises(ConfigError, match="a mapping of name → address"):
        DistributedRuntime(peers=peers)
    with pytest.raises(ConfigError, match="did you mean 'stream'"):
        DistributedRuntime(transport="streem")


async def test_as_many_keys_as_targets_are_needed() -> None:
    async with LocalRuntime(upper) as rt:
        with pytest.raises(ConfigError, match="2 targets need as many keys, not 1"):
            await rt.call_parallel(["upper", "upper"], "x", keys=["only one"])


async def test_every_refusal_is_an_aixgo_error_and_the_runtime_goes_on() -> None:
    async with LocalRuntime(upper) as rt:
        for failing in (rt.call("nobody", "x"), rt.call("upper", object()), rt.recv("upper")):
            with pytest.raises(AixgoError):
                await failing
        assert (await rt.call("upper", "x")).text == "X"
