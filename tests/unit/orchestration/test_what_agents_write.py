"""What agents write is read the same by every pattern, and nothing they write breaks a run in an unclear way."""

from __future__ import annotations

import asyncio
import unicodedata

import pytest

from aixgo import Message
from aixgo.errors import AgentRefused, MessageTooLarge
from aixgo.message import JSONValue
from aixgo.orchestration import (
    Debate,
    Hierarchical,
    Orchestrator,
    Planning,
    Router,
    Supervisor,
    Swarm,
)
from aixgo.runtime.local import LocalRuntime
from aixgo.testing import RecordingAgent

DEEP = "[" * 5_000
PLAN = '{"steps": [{"id": "a", "input": "hi"}]}'


def says(name: str, *replies: JSONValue | Message) -> RecordingAgent:
    return RecordingAgent(name, replies)


async def answer(pattern: Orchestrator, given: JSONValue = "x") -> Message:
    async with LocalRuntime(pattern) as rt, asyncio.timeout(10):
        return await rt.call(pattern.name, given)


# -- JSON in a text --------------------------------------------------------------------------------------


async def test_a_plan_may_stand_in_a_code_fence() -> None:
    worker = says("worker", "done")
    planner = says("planner", f"```json\n{PLAN}\n```")
    assert (await answer(Planning("p", planner, [worker]))).payload == "done"
    assert worker.messages[0].payload == "hi"


@pytest.mark.parametrize(
    "text", [DEEP, '{"steps": [{"id": "a", "input": NaN}]}', "[" * 101 + "]" * 101]
)
async def test_a_plan_that_no_message_could_hold_is_refused_as_a_plan(text: str) -> None:
    with pytest.raises(
        AgentRefused, match=r"the plan of 'planner' for 'p': .* is text that is no JSON"
    ):
        await answer(Planning("p", says("planner", text), [says("worker")]))


async def test_a_plan_that_cannot_be_read_is_asked_for_again() -> None:
    planner = says("planner", DEEP, PLAN)
    reply = await answer(Planning("p", planner, [says("worker", "done")], max_replans=1))
    assert (reply.payload, reply.metadata["replans"]) == ("done", 1)


async def test_a_managers_text_that_is_nested_too_deeply_is_an_answer_like_any_text() -> None:
    text = f'{{"team_assignments": {DEEP}}}'
    reply = await answer(Hierarchical("h", says("manager", text), {"t": says("worker")}))
    assert (reply.payload, reply.metadata["teams"]) == (text, [])


async def test_a_judges_text_that_is_nested_too_deeply_decides_nothing() -> None:
    judge = says("judge", DEEP, '{"winner": "b"}')
    pattern = Debate("d", [says("a", "yes"), says("b", "no")], judge=judge, rounds=1)
    assert (await answer(pattern)).payload == "no"


@pytest.mark.parametrize("given", ["{a}" * 100, ["{a}"] * 100, ["{a}!"] * 100])
async def test_a_plan_that_names_a_large_result_often_is_stopped_before_it_is_written(
    given: JSONValue,
) -> None:
    steps: JSONValue = [{"id": "a", "agent": "big"}, {"id": "b", "agent": "last", "input": given}]
    big, last = says("big", "x" * 1_000_000), says("last")
    with pytest.raises(MessageTooLarge):
        await answer(Planning("p", says("planner", steps), [big, last]))
    assert last.messages == []


# -- names -----------------------------------------------------------------------------------------------

APART = unicodedata.normalize("NFD", "Zoë")  # as some keyboards and models write it


async def test_a_name_is_meant_however_its_letters_are_composed() -> None:
    assert APART != "Zoë"
    swarm = Swarm("s", [says("a", f"x\nHANDOFF: {APART}"), says("Zoë", "hers")])
    assert (await answer(swarm)).payload == "hers"
    led = Supervisor("s", [says("a", "his"), says("Zoë", "hers")], manager=says("m", APART))
    assert (await answer(led)).payload == "hers"
    routed = Router("r", says("c", APART), {"zoë": says("Zoë", "hers")})
    assert (await answer(routed)).payload == "hers"


@pytest.mark.parametrize("name", ["Dr.", "'x'", "v1.0", "the *star*", "Backend Dev"])
async def test_a_handoff_finds_a_name_with_signs_that_others_put_around_one(name: str) -> None:
    for marker in (f"HANDOFF: {name}", f"HANDOFF: `{name}`"):
        swarm = Swarm("s", [says("a", marker), says(name, "mine"), says("b")])
        assert (await answer(swarm)).payload == "mine"


async def test_of_names_that_differ_in_case_the_one_that_is_written_is_meant() -> None:
    for winner, argument in (("Ärzte", "first"), ("ärzte", "second")):
        debaters = [says("Ärzte", "first"), says("ärzte", "second")]
        judged = Debate("d", debaters, judge=says("j", {"winner": winner}), rounds=1)
        assert (await answer(judged)).payload == argument


async def test_a_judge_that_names_nobody_does_not_choose_a_debater_called_none() -> None:
    judge = says("j", {"answer": "neither"})
    pattern = Debate("d", [says("None", "yes"), says("b", "no")], judge=judge, rounds=1)
    assert (await answer(pattern)).payload == "neither"
