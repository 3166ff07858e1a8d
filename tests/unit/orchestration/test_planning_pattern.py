"""Planning."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from aixgo import CallContext, Message, agent
from aixgo.errors import AgentRefused, ConfigError, LimitExceeded
from aixgo.message import JSONValue
from aixgo.orchestration import Limits, Planning
from aixgo.runtime.local import LocalRuntime
from aixgo.testing import RecordingAgent


@agent
async def upper(text: str) -> str:
    return text.upper()


@agent
async def refuses(_: str) -> str:
    raise AgentRefused("no")


def plans(*replies: JSONValue) -> RecordingAgent:
    return RecordingAgent("planner", replies)


async def answer(pattern: Planning, given: JSONValue = "x") -> Message:
    async with LocalRuntime(pattern) as rt, asyncio.timeout(5):
        return await rt.call(pattern.name, given)


async def test_steps_that_are_ready_run_at_once_and_others_wait_for_theirs() -> None:
    left, right = RecordingAgent("left", gated=True), RecordingAgent("right", gated=True)
    end = RecordingAgent("end")
    steps: JSONValue = [
        {"id": "c", "agent": "end", "depends_on": ["a", "b"]},
        {"id": "a", "agent": "left"},
        {"id": "b", "agent": "right"},
    ]
    async with (
        LocalRuntime(Planning("p", plans(steps), [left, right, end])) as rt,
        asyncio.timeout(5),
    ):
        call = asyncio.create_task(rt.call("p", "x"))
        await left.started.wait()
        await right.started.wait()
        left.release()
        await left.finished.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        assert end.messages == []
        right.release()
        await call
    assert len(end.messages) == 1


async def test_no_more_steps_are_at_work_than_may_be() -> None:
    worker, most = RecordingAgent("worker", gated=True), 0
    steps: JSONValue = [{"agent": "worker"}] * 6
    pattern = Planning("p", plans(steps), [worker], max_parallel=2)
    async with LocalRuntime(pattern) as rt, asyncio.timeout(5):
        call = asyncio.create_task(rt.call("p", "x"))
        while worker.running < 2:
            await asyncio.sleep(0)
        for _ in range(30):
            await asyncio.sleep(0)
            most = max(most, worker.running)
        worker.release()
        await call
    assert (most, len(worker.messages)) == (2, 6)


@pytest.mark.parametrize(
    ("given", "filled"),
    [
        ("{a}", {"n": 1}),
        ("got {a}", 'got {"n": 1}'),
        ({"deep": ["{a}", "{input}"]}, {"deep": [{"n": 1}, "x"]}),
        ("{unknown} stays", "{unknown} stays"),
        ("{b}{b}", "{a}{a}"),
    ],
)
async def test_references_are_replaced_once_and_a_lone_one_by_the_value(
    given: JSONValue, filled: JSONValue
) -> None:
    worker = RecordingAgent("worker", [{"n": 1}, "{a}"])
    last = RecordingAgent("last")
    steps: JSONValue = [
        {"id": "a", "agent": "worker"},
        {"id": "b", "agent": "worker", "depends_on": ["a"]},
        {"agent": "last", "input": given, "depends_on": "b"},
    ]
    await answer(Planning("p", plans(steps), [worker, last]))
    assert last.messages[0].payload == filled


async def test_the_planner_is_told_whom_it_may_ask_and_how_often() -> None:
    planner = plans([{}])
    await answer(Planning("p", planner, [upper], max_steps=3))
    assert planner.messages[0].metadata == {"agents": ["upper"], "max_steps": 3}
    assert planner.messages[0].text == "x"


async def test_a_plan_may_be_text_of_json() -> None:
    reply = await answer(Planning("p", plans('{"steps": [{"input": "hi"}]}'), [upper]))
    assert reply.text == "HI"
    assert reply.metadata["steps"] == [{"id": "1", "agent": "upper"}]


@pytest.mark.parametrize(
    ("plan", "text"),
    [
        ("first upper, then lower", "the plan is text that is no JSON"),
        ({"tasks": []}, "a plan is a list of steps, or an object with one under 'steps'"),
        ([], "the plan has no steps"),
        (["upper"], "step 1 is no object"),
        ([{}, {}, {}, {}], "the plan has 4 steps; at most 3 are allowed"),
        ([{"id": ""}], "step 1: its id must be a text"),
        ([{"id": "a"}, {"id": "a"}], "two steps are called 'a'"),
        ([{"agent": "uper"}], "step '1': there is no agent 'uper'; did you mean 'upper'"),
        ([{"depends_on": ["z"]}], "step '1' depends on 'z', which is no step"),
        (
            [{"id": "a", "depends_on": ["b"]}, {"id": "b", "input": "{a}"}],
            "the plan goes in a circle: a → b → a",
        ),
        ([{"id": "a", "input": "{a}"}], "the plan goes in a circle: a → a"),
    ],
)
async def test_a_plan_that_cannot_be_run_is_refused_before_any_step(
    plan: JSONValue, text: str
) -> None:
    worker = RecordingAgent("upper")
    with pytest.raises(AgentRefused, match=text):
        await answer(Planning("p", plans(plan), [worker], max_steps=3))
    assert worker.messages == []


async def test_a_plan_that_cannot_be_run_is_planned_again() -> None:
    planner = plans([], [{"input": "better"}])
    reply = await answer(Planning("p", planner, [upper], max_replans=1))
    assert (reply.text, reply.metadata["replans"]) == ("BETTER", 1)
    asked = planner.messages[1]
    assert (asked.type, asked.metadata["agents"]) == ("replan", ["upper"])
    assert isinstance(asked.payload, dict)
    assert "the plan has no steps" in str(asked.payload["error"])


async def test_what_is_done_and_planned_again_unchanged_is_not_run_again() -> None:
    worker = RecordingAgent("worker", ["one", "two", "changed"])
    first: JSONValue = [
        {"id": "a", "agent": "worker", "input": "a"},
        {"id": "b", "agent": "worker", "input": "b{a}"},
        {"id": "c", "agent": "refuses", "input": "{b}"},
    ]
    second: JSONValue = [
        {"id": "a", "agent": "worker", "input": "a"},
        {"id": "b", "agent": "worker", "input": "other {a}"},
    ]
    pattern = Planning("p", plans(first, second), [worker, refuses], max_replans=1)
    reply = await answer(pattern)
    assert [message.payload for message in worker.messages] == ["a", "bone", "other one"]
    assert reply.text == "changed"


async def test_a_step_is_run_again_when_one_it_depends_on_is() -> None:
    worker = RecordingAgent("worker", ["1", "2", "3", "4"])
    later: JSONValue = {"id": "b", "agent": "worker", "input": "{a}"}
    first: JSONValue = [{"id": "a", "agent": "worker"}, later, {"agent": "refuses", "input": "{b}"}]
    second: JSONValue = [{"id": "a", "agent": "worker", "input": "new"}, later]
    await answer(Planning("p", plans(first, second), [worker, refuses], max_replans=1))
    assert [message.payload for message in worker.messages] == ["x", "1", "new", "3"]


async def test_the_first_failure_fails_the_run_and_stops_the_other_steps() -> None:
    stuck = RecordingAgent("stuck", gated=True)

    @agent
    async def fails(_: str) -> str:
        await stuck.started.wait()
        raise AgentRefused("no")

    with pytest.raises(AgentRefused, match="no"):
        await answer(Planning("p", plans([{"agent": "stuck"}, {"agent": "fails"}]), [stuck, fails]))
    assert stuck.cancelled == 1


async def test_with_continue_what_depends_on_a_failed_step_is_skipped() -> None:
    steps: JSONValue = [
        {"id": "a", "agent": "upper"},
        {"id": "b", "agent": "refuses"},
        {"id": "c", "agent": "upper", "depends_on": ["b"]},
    ]
    pattern = Planning("p", plans(steps), [upper, refuses], error_strategy="continue")
    reply = await answer(pattern)
    assert reply.text == "X"
    assert reply.metadata["steps"] == [
        {"id": "a", "agent": "upper"},
        {"id": "b", "agent": "refuses", "error": "AgentRefused"},
        {"id": "c", "agent": "upper", "skipped": True},
    ]
    assert reply.metadata["errors"] == {"b": {"class": "AgentRefused", "text": "no"}}


@pytest.mark.parametrize(
    ("enabled", "given", "plans_made"),
    [(True, None, 3), (False, None, 1), (None, None, 1), (True, 0, 1), (False, 1, 2)],
)
async def test_a_plan_may_enable_replanning_where_the_pattern_says_nothing(
    enabled: bool | None, given: int | None, plans_made: int
) -> None:
    plan: JSONValue = {"steps": [{}], "enable_replanning": enabled}
    planner = plans(*[plan] * 9)
    with pytest.raises(AgentRefused, match="no"):
        await answer(Planning("p", planner, [refuses], max_replans=given))
    assert len(planner.messages) == plans_made


async def test_a_plans_time_for_a_step_holds_where_the_pattern_says_none() -> None:
    seen: list[float] = []

    @agent
    async def works(_: str, context: CallContext) -> str:
        seen.append(round(context.remaining))
        return "done"

    plan: JSONValue = {"steps": [{}], "task_timeout_ms": 7000}
    await answer(Planning("p", plans(plan), [works]))
    await answer(Planning("p", plans(plan), [works], step_timeout=20))
    assert seen == [7, 20]


async def test_a_time_for_steps_that_is_none_makes_no_plan() -> None:
    for wrong in (0, -5, "soon", True):
        plan: JSONValue = {"steps": [{}], "task_timeout_ms": wrong}
        with pytest.raises(AgentRefused, match="task_timeout_ms must be a number above 0"):
            await answer(Planning("p", plans(plan), [upper]))


@pytest.mark.parametrize(("limits", "plans_made"), [(Limits(), 4), (Limits(max_iterations=2), 2)])
async def test_a_run_plans_no_more_often_than_it_may(limits: Limits, plans_made: int) -> None:
    planner = plans(*[[{}]] * 9)
    with pytest.raises(AgentRefused, match="no"):
        await answer(Planning("p", planner, [refuses], max_replans=3, limits=limits))
    assert len(planner.messages) == plans_made


async def test_a_limit_is_no_failure_to_plan_around() -> None:
    planner = plans([{}], [{}])
    pattern = Planning("outer", planner, [Planning("inner", "planner", [upper])], max_replans=1)
    pattern.limits = Limits(max_depth=1)
    with pytest.raises(LimitExceeded):
        await answer(pattern)
    assert len(planner.messages) == 1


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Planning("p", upper, []), "planning 'p' needs at least one agent besides the"),
        (lambda: Planning("p", upper, [refuses], max_steps=0), "max_steps is 0; it must be at le"),
        (lambda: Planning("p", upper, [refuses], max_replans=-1), "max_replans is -1"),
        (lambda: Planning("p", upper, [refuses], max_parallel=0), "max_parallel is 0"),
        (
            lambda: Planning("p", upper, [refuses], max_replans=1, error_strategy="fail_fast"),
            "under 'fail_fast' the first failure fails the run, so nothing is planned again",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(make: Callable[[], Planning], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        make()


@pytest.mark.parametrize(
    ("replans", "limits", "stopped"),
    [
        (0, None, None),
        (1, None, "failures"),
        (5, Limits(max_iterations=2), "max_iterations"),
    ],
)
async def test_what_left_a_failed_plan_as_it_was_is_said(
    replans: int, limits: Limits | None, stopped: str | None
) -> None:
    steps: JSONValue = [{"id": "a", "agent": "upper"}, {"id": "b", "agent": "refuses"}]
    pattern = Planning(
        "p",
        plans(steps, steps),
        [upper, refuses],
        max_replans=replans,
        limits=limits,
        error_strategy="continue",
    )
    reply = await answer(pattern)
    assert (reply.text, reply.metadata["degraded"]) == ("X", True)
    assert reply.metadata.get("stopped_by") == stopped
