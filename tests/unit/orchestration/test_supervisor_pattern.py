"""Supervisor."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aixgo import AgentRefused, LocalRuntime, Message
from aixgo.errors import ConfigError
from aixgo.orchestration import Limits, Supervisor
from aixgo.testing import RecordingAgent

MORE = {"half": 1, "done": False}


def team(picks: list[Any], **replies: list[Any]) -> tuple[RecordingAgent, list[RecordingAgent]]:
    return RecordingAgent("manager", picks), [
        RecordingAgent(n, said) for n, said in replies.items()
    ]


async def answer(flow: Supervisor, task: Any = "task") -> Message:
    async with LocalRuntime(flow) as rt, asyncio.timeout(5):
        return await rt.call("s", task)


@pytest.mark.parametrize(
    "choice",
    [
        "b",
        " B\n",
        {"agent": "b"},
        {"category": "b", "confidence": 0.3},
        Message({"agent": "a"}, metadata={"agent": "b"}),
        Message("a", metadata={"category": "b"}),
    ],
)
async def test_the_manager_names_the_agent_by_metadata_object_or_text(choice: Any) -> None:
    manager, agents = team([choice], a=["A"], b=["B"])
    reply = await answer(Supervisor("s", agents, manager=manager))
    assert reply.text == "B"
    assert agents[1].messages[0].text == "task"
    assert manager.messages[0].text == "task"
    assert (reply.metadata["routed_to"], reply.metadata["used_fallback"]) == ("b", False)
    assert (reply.metadata["rounds"], reply.metadata["ended_by"]) == (1, "answer")


@pytest.mark.parametrize("choice", ["nobody I know", "", {"x": 1}, {"agent": 7}, 3, "a or b"])
async def test_a_manager_that_names_nobody_has_the_first_agent_asked(choice: Any) -> None:
    manager, agents = team([choice], a=["A"], b=["B"])
    reply = await answer(Supervisor("s", agents, manager=manager))
    assert reply.text == "A"
    assert reply.metadata["used_fallback"] is True


async def test_one_agent_is_asked_without_a_manager() -> None:
    _, agents = team([], a=["A"])
    assert (await answer(Supervisor("s", agents))).text == "A"


async def test_a_reply_that_is_not_done_makes_another_round_that_sees_the_history() -> None:
    manager, agents = team(["a", "b"], a=[MORE], b=["whole"])
    reply = await answer(Supervisor("s", agents, manager=manager))
    seen = {"task": "task", "history": [{"agent": "a", "says": MORE}]}
    assert reply.text == "whole"
    assert reply.metadata["path"] == ["a", "b"]
    assert manager.messages[1].payload == seen
    assert agents[1].messages[0].payload == seen
    assert agents[1].messages[0].type == "supervise"


async def test_the_manager_may_want_to_see_the_reply_and_end_the_run() -> None:
    again, end = {"agent": "a", "done": False}, {"done": True}
    manager, agents = team([again, end], a=["A"], b=[])
    reply = await answer(Supervisor("s", agents, manager=manager))
    assert reply.text == "A"
    assert (reply.metadata["rounds"], reply.metadata["ended_by"]) == (1, "manager")


@pytest.mark.parametrize("before", [[], [{"agent": "a", "done": False}]])
async def test_the_answer_of_the_manager_goes_before_that_of_an_agent(before: list[Any]) -> None:
    manager, agents = team([*before, {"done": True, "answer": "mine"}], a=["A"], b=[])
    reply = await answer(Supervisor("s", agents, manager=manager))
    assert reply.text == "mine"
    assert reply.metadata["rounds"] == len(before)


@pytest.mark.parametrize(
    ("options", "rounds"),
    [
        ({"max_rounds": 2}, 2),
        ({"max_rounds": 0}, 10),
        ({"max_rounds": -3}, 10),
        ({"limits": Limits(max_iterations=3)}, 3),
    ],
)
async def test_after_the_last_round_the_last_reply_is_the_result(
    options: dict[str, Any], rounds: int
) -> None:
    _, agents = team([], a=[{"done": False, "n": n} for n in range(20)])
    reply = await answer(Supervisor("s", agents, **options))
    assert reply.payload == {"done": False, "n": rounds - 1}
    assert (reply.metadata["rounds"], reply.metadata["ended_by"]) == (rounds, "max_rounds")


async def test_a_supervisor_within_another_has_its_answer_taken() -> None:
    _, agents = team([], a=[MORE, MORE])
    inner = Supervisor("inner", agents, max_rounds=1)
    reply = await answer(Supervisor("s", [inner]))
    assert reply.metadata["rounds"] == 1


async def test_in_turns_the_agents_are_asked_in_their_order() -> None:
    _, agents = team([], z=[MORE, "end"], a=[MORE], m=[MORE])
    reply = await answer(Supervisor("s", agents, routing_strategy="round_robin"))
    assert reply.metadata["path"] == ["z", "a", "m", "z"]
    assert reply.text == "end"


@pytest.mark.parametrize(
    ("text", "name", "rest"),
    [
        ("@b do it", "b", "do it"),
        ("  @B: do it", "b", "do it"),
        ("@big one, now", "big one", "now"),
        ("do it @b", "a", "do it @b"),
        ("@b", "b", ""),
    ],
)
async def test_by_hand_the_text_says_whom_it_is_for(text: str, name: str, rest: str) -> None:
    agents = [RecordingAgent(n) for n in ("a", "b", "big one")]
    reply = await answer(Supervisor("s", agents, routing_strategy="manual"), text)
    assert (reply.metadata["routed_to"], reply.text) == (name, rest)


async def test_by_hand_a_reply_that_is_not_done_names_the_next() -> None:
    first = Message("@b look at this", metadata={"done": False})
    _, agents = team([], a=[first], b=[])
    reply = await answer(Supervisor("s", agents, routing_strategy="manual"))
    assert (reply.metadata["path"], reply.text) == (["a", "b"], "look at this")


@pytest.mark.parametrize("text", ["@nobody do it", "@", "@bb x"])
async def test_by_hand_a_name_nobody_has_is_refused_with_those_there_are(text: str) -> None:
    agents = [RecordingAgent(n) for n in ("a", "b")]
    with pytest.raises(AgentRefused, match=r"supervisor 's' has no agent @\w*; it has: a, b"):
        await answer(Supervisor("s", agents, routing_strategy="manual"), text)


async def test_a_run_that_goes_on_does_without_its_manager_and_without_a_later_round() -> None:
    manager, agents = team([AgentRefused("ill")], a=["A"], b=[])
    flow = Supervisor("s", agents, manager=manager, error_strategy="continue")
    assert (await answer(flow)).metadata["used_fallback"] is True

    manager, agents = team(["a", "b"], a=[MORE], b=[AgentRefused("ill")])
    flow = Supervisor("s", agents, manager=manager, error_strategy="continue")
    reply = await answer(flow)
    assert (reply.payload, reply.metadata["ended_by"]) == (MORE, "failures")


@pytest.mark.parametrize("ill", ["manager", "a"])
async def test_any_other_run_fails_with_its_manager_and_agents(ill: str) -> None:
    no = AgentRefused("ill")
    manager, agents = team([no if ill == "manager" else "a"], a=[no], b=[])
    with pytest.raises(AgentRefused, match="ill"):
        await answer(Supervisor("s", agents, manager=manager))


@pytest.mark.parametrize(
    ("agents", "options", "text"),
    [
        ([], {}, "needs at least one agent"),
        (["a", "b"], {}, "best_match needs a manager"),
        (["a", "b"], {"manager": "a"}, "its manager 'a' is one of its agents too"),
        (["a"], {"manager": "m", "routing_strategy": "manual"}, "a manager picks by best_match"),
        (["a"], {"routing_strategy": "luck"}, "routing_strategy is 'luck', not one of"),
        (["a"], {"limits": Limits(max_iterations=0)}, "limits.max_iterations is 0"),
    ],
)
def test_what_cannot_be_is_refused(agents: list[str], options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        Supervisor("s", agents, **options)


@pytest.mark.parametrize(("said", "stopped"), [("A", None), (MORE, "max_rounds")])
async def test_only_a_limit_or_failures_are_said_to_have_stopped_it(
    said: Any, stopped: str | None
) -> None:
    _, agents = team([], a=[said])
    reply = await answer(Supervisor("s", agents, max_rounds=1))
    assert reply.metadata.get("stopped_by") == stopped
