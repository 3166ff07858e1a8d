"""What agents write is read the same by every pattern, and nothing they write breaks a run in an unclear way."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest

from aixgo import Message
from aixgo.errors import AgentRefused, MessageTooLarge
from aixgo.message import JSONValue
from aixgo.orchestration import (
    RAG,
    Aggregation,
    Classification,
    Debate,
    Ensemble,
    Hierarchical,
    MapReduce,
    Orchestrator,
    Planning,
    Reflection,
    Router,
    Supervisor,
    Swarm,
)
from aixgo.runtime.local import LocalRuntime
from aixgo.testing import RecordingAgent

DEEP = "[" * 5_000
PLAN = '{"steps": [{"id": "a", "input": "hi"}]}'


def says(
    name: str, *replies: JSONValue | Message | Callable[[Message], JSONValue]
) -> RecordingAgent:
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


async def test_a_judges_answer_that_no_message_could_hold_decides_nothing() -> None:
    answer_of = '{"answer": ' + "[" * 101 + "]" * 101 + "}"
    judge = says("judge", answer_of, '{"winner": "b"}')
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


OBJECT = (
    '{"agent": "b", "category": "b", "handoff_to": "b", "score": 0.25, "why": "not a score: 9/10"}'
)
LIST = '["a", "b"]'


def pair() -> list[RecordingAgent]:
    return [says("a", "from a"), says("b", "from b")]


@pytest.mark.parametrize(
    "make",
    [
        lambda text: Supervisor("p", pair(), manager=says("m", text)),
        lambda text: Router("p", says("m", text), {agent.name: agent for agent in pair()}),
        lambda text: Swarm("p", [says("m", text), *pair()]),
    ],
)
@pytest.mark.parametrize("text", [OBJECT, f"```json\n{OBJECT}\n```"])
async def test_who_is_asked_may_be_said_by_a_text_that_is_an_object(
    make: Callable[[str], Orchestrator], text: str
) -> None:
    assert (await answer(make(text))).payload == "from b"


async def test_a_score_in_a_text_that_is_an_object_is_that_of_the_object() -> None:
    pattern = Reflection("r", says("g", "draft"), says("c", OBJECT), max_iterations=1)
    assert (await answer(pattern)).metadata["score"] == 0.25


async def test_votes_in_texts_that_are_objects_are_told_by_their_categories() -> None:
    voters = [says("x", OBJECT), says("y", '{"category": "B", "why": "another"}')]
    assert (await answer(Ensemble("e", voters, threshold=1))).metadata["votes"] == {"b": 2}


@pytest.mark.parametrize(
    ("make", "gives"),
    [
        (
            lambda: Classification(
                "p", says("m", LIST), {agent.name: agent for agent in pair()}, multi_label=True
            ),
            {"a": "from a", "b": "from b"},
        ),
        (lambda: MapReduce("p", says("w"), splitter=says("m", LIST)), ["a", "b"]),
        (
            lambda: RAG(
                "p", says("f", *[["one"]] * 3), says("g", "told"), expander=says("m", LIST)
            ),
            "told",
        ),
        (
            lambda: RAG(
                "p",
                says("f", [{"id": name, "content": name} for name in "ab"]),
                says("g", lambda message: [d["id"] for d in message.payload["documents"]]),
                reranker=says("m", '["b", "a"]'),
            ),
            ["b", "a"],
        ),
    ],
)
async def test_a_list_may_be_written_as_text(
    make: Callable[[], Orchestrator], gives: JSONValue
) -> None:
    reply = await answer(make())
    assert reply.payload == gives
    assert reply.metadata.get("queries", ["x", "a", "b"]) in (["x", "a", "b"], ["x"])


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
    routed = Router("r", says("c", "Zoë"), {APART: says("Zoë", "hers"), "zoë": says("a", "his")})
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


@pytest.mark.parametrize("several", [False, True])
async def test_of_a_category_nobody_knows_a_result_repeats_the_beginning(several: bool) -> None:
    talk = "well, " * 1_000
    kind = Classification if several else Router
    options: dict[str, bool] = {"multi_label": True} if several else {}
    routes = {"x": says("a")}
    pattern = kind("p", says("c", talk), routes, fallback=says("b", "his"), **options)
    found = (await answer(pattern)).metadata
    assert found["used_fallback"]
    assert found.get("category", found.get("unknown")) in (talk[:60], [talk[:60]])


# -- numbers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "score"),
    [('{"score": 1e-3}', 0.001), ("Score: 5E-1", 0.5), ("8e-1", 0.8), ({"score": 1e-3}, 0.001)],
)
async def test_a_score_may_have_an_exponent(said: JSONValue, score: float) -> None:
    judged = Reflection("r", says("g", "draft"), says("c", said), max_iterations=1)
    assert (await answer(judged)).metadata["score"] == score


@pytest.mark.parametrize("said", ["Score: 0,8", "Score: 1.2.3", "rating: 9,5/10", "0,8", "3,5/10"])
async def test_a_number_in_another_notation_is_no_score_and_not_half_of_one(said: str) -> None:
    with pytest.raises(AgentRefused, match="gave no usable score"):
        await answer(Reflection("r", says("g", "draft"), says("c", said), max_iterations=1))


@pytest.mark.parametrize("sure", [10**400, 1e308, -1e308])
async def test_a_confidence_that_nobody_can_mean_counts_as_none(sure: float) -> None:
    voters = [says(name, {"category": name, "confidence": sure}) for name in ("a", "b", "c")]
    pattern = Ensemble("e", voters, voting_strategy="weighted", threshold=0)
    assert (await answer(pattern)).metadata["votes"] == {"a": 0.5, "b": 0.5, "c": 0.5}
    routed = Router("r", says("k", {"category": "x", "confidence": sure}), {"x": says("a", "hers")})
    assert "confidence" not in (await answer(routed)).metadata


@pytest.mark.parametrize("numbers", [[10**400, 0.5], [1e308, 1e308]])
async def test_numbers_too_large_to_sum_are_refused(numbers: list[float]) -> None:
    pattern = MapReduce("m", says("mapper"), split="items", reduce="sum")
    with pytest.raises(AgentRefused, match="they are too large"):
        await answer(pattern, [*numbers])


# -- documents -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [None, ""])
async def test_documents_without_ids_are_told_apart_by_what_they_say(name: str | None) -> None:
    found: JSONValue = [{"id": name, "content": "one"}, {"id": name, "content": "two"}]
    reply = await answer(RAG("r", says("finds", found), says("tells")))
    assert reply.metadata["sources"] == ["one", "two"]


async def test_a_long_document_without_an_id_is_not_written_twice() -> None:
    long = ["rain " * 40 + end for end in ("one", "two")]
    first = "rain " * 12 + "… "
    generator = says("tells", lambda message: message.payload)
    reply = await answer(RAG("r", says("finds", [*long, *long]), generator))
    assert isinstance(reply.payload, dict)
    shown: Any = reply.payload["documents"]
    assert [document["content"] for document in shown] == long
    names = [document["id"] for document in shown]
    assert reply.metadata["sources"] == names
    assert [len(name) for name in names] == [len(first) - 1 + 8] * 2
    assert names[0] != names[1]


async def test_a_text_of_nothing_but_blank_lines_is_split_into_documents_at_once() -> None:
    pattern = RAG("r", says("finds", "\n" * 300_000 + "x\n ---\t\ny"), says("tells"))
    assert (await answer(pattern)).metadata["sources"] == ["x", "y"]


# -- what a pattern inside says of its run, not of its answer --------------------------------------------


def routed(name: str, answer: str) -> Router:
    return Router(name, says(f"{name}.c", "k"), {"k": says(f"{name}.w", answer)})


async def test_answers_that_routers_give_are_not_the_same_because_their_routes_are() -> None:
    voters = [routed("x", "yes"), routed("y", "no")]
    found = (await answer(Ensemble("e", voters))).metadata
    assert found["votes"] == {"yes": 1, "no": 1}
    debaters = [routed("x", "yes"), routed("y", "no")]
    assert not (await answer(Debate("d", debaters, rounds=1))).metadata["converged"]


async def test_the_score_of_a_critique_is_not_the_score_it_gives() -> None:
    critics = [says("strict", "Score: 2/10"), says("mild", "Score: 3/10")]
    best = Aggregation("critic", critics, strategy="best", scorer=says("judge", "0.4", "0.99"))
    pattern = Reflection("r", says("g", "draft"), best, max_iterations=1)
    assert (await answer(pattern)).metadata["score"] in (0.2, 0.3)


async def test_a_judge_that_votes_does_not_name_its_own_winner() -> None:
    both = says("a", "yes", "neither", "neither")  # debates, and votes as a part of the judge
    judge = Ensemble("judge", [both, says("c", "neither", "neither")])
    with pytest.raises(AgentRefused, match="never decided"):
        await answer(Debate("d", [both, says("b", "no")], judge=judge, rounds=1))
