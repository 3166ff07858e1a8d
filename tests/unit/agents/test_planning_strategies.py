"""How each strategy of a planner comes to its plan: what it asks, which branch it takes, where it ends."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import msgspec
import pytest

from aixgo.agents import PlannerAgent
from aixgo.errors import BudgetExceeded
from aixgo.ledger import Budget
from aixgo.message import JSONValue
from aixgo.providers import CompletionRequest
from aixgo.runtime.local import LocalRuntime
from aixgo.testing import ScriptedProvider
from tests.unit.agents.test_planner_agent import asked, ids, needs, plan, step

Answer = dict[str, JSONValue]


def wanted(request: CompletionRequest) -> str:
    """The first field the request asks for."""
    assert request.output_schema is not None
    properties = request.output_schema["properties"]
    assert isinstance(properties, dict)
    return next(iter(properties))


def by_field(**answers: Callable[[CompletionRequest], Answer]) -> ScriptedProvider:
    """A provider that answers by the field that is asked for."""

    def answer(request: CompletionRequest) -> str:
        return msgspec.json.encode(answers[wanted(request)](request)).decode()

    return ScriptedProvider([answer], cycle=True)


def kinds_of(provider: ScriptedProvider) -> list[str]:
    return [wanted(request) for request in provider.requests]


def searched(
    score: Callable[[str], float], thoughts: Callable[[str], list[str]] | None = None
) -> ScriptedProvider:
    """A model that thinks A, B and C, scores what it is shown, and plans what it was thinking."""

    def items(request: CompletionRequest) -> list[str]:
        parts = re.split(r"(?:Line of thought|Plan) \d+:\n", request.text)[1:]
        return [part.strip() for part in parts]

    def thinks(request: CompletionRequest) -> Answer:
        listed = thoughts(request.text) if thoughts else ["A", "B", "C"]
        return {"thoughts": [*listed]}

    def plans(request: CompletionRequest) -> Answer:
        line = re.findall(r"^- (\w+)$", request.text, re.MULTILINE)
        return plan(step("-".join(line) or "root"))

    return by_field(
        thoughts=thinks,
        scores=lambda request: {"scores": [score(item) for item in items(request)]},
        reasoning=plans,
    )


def tree(provider: ScriptedProvider, **settings: bool | int) -> PlannerAgent:
    return PlannerAgent(
        "p",
        planning_strategy="tree_of_thought",
        provider=provider,
        **settings,  # type: ignore[arg-type]  # each is one of its keywords
    )


async def test_a_tree_follows_the_thought_with_the_best_score_level_by_level() -> None:
    provider = searched(lambda line: {"A": 2, "B": 9, "C": 4}[line[-1]])
    payload, reply = await asked(tree(provider, reasoning_depth=2))
    assert payload["reasoning"] == ["B", "B"]
    assert ids(payload["steps"]) == ["B-B"]
    assert payload["score"] == 0.9
    assert kinds_of(provider) == ["thoughts", "scores", "thoughts", "scores", "reasoning"]
    assert (reply.metadata["expanded"], reply.metadata["thoughts"]) == (2, 6)


async def test_a_tree_takes_another_branch_when_the_scores_are_the_other_way_round() -> None:
    payload, _ = await asked(
        tree(searched(lambda line: {"A": 8, "B": 1, "C": 6}[line[-1]]), reasoning_depth=2)
    )
    assert payload["reasoning"] == ["A", "A"]


async def test_equal_scores_go_to_the_thought_named_first() -> None:
    payload, _ = await asked(tree(searched(lambda _: 5), reasoning_depth=2))
    assert payload["reasoning"] == ["A", "A"]


def dead_end(line: str) -> float:
    """A looks better than B, but nothing good follows from it."""
    lines = re.findall(r"- (\w)", line)
    return {"A": 6, "B": 5, "C": 0}[lines[0]] if len(lines) == 1 else 10 * (lines[0] == "B")


async def test_with_backtracking_a_tree_leaves_a_branch_that_disappoints() -> None:
    payload, reply = await asked(
        tree(searched(dead_end), reasoning_depth=2, enable_backtracking=True)
    )
    assert payload["reasoning"] == ["B", "A"]
    assert payload["score"] == 0.75
    assert reply.metadata["expanded"] == 3


async def test_without_backtracking_it_does_not() -> None:
    payload, reply = await asked(tree(searched(dead_end), reasoning_depth=2))
    assert payload["reasoning"] == ["A", "A"]
    assert reply.metadata["expanded"] == 2


async def test_a_tree_that_always_disappoints_ends_with_its_deepest_line() -> None:
    deeper_is_worse = searched(lambda line: 10 / 4 ** line.count("- "))
    agent = tree(deeper_is_worse, reasoning_depth=6, enable_backtracking=True)
    payload, reply = await asked(agent)
    assert reply.metadata["expanded"] == 18
    assert reply.metadata["stopped_by"] == "max_expansions"
    assert payload["steps"]


async def test_the_alternative_of_a_tree_is_its_second_best_line() -> None:
    provider = searched(lambda line: {"A": 2, "B": 9, "C": 4}[line[-1]])
    payload, _ = await asked(tree(provider, reasoning_depth=1, include_alternatives=True))
    assert isinstance(payload["alternatives"], list)
    (other,) = payload["alternatives"]
    assert isinstance(other, dict)
    assert (other["reasoning"], other["score"]) == (["C"], 0.4)


async def test_a_score_outside_the_scale_goes_back_to_the_judge_and_no_default_is_taken() -> None:
    answers: list[Answer] = [
        {"thoughts": ["A"]},
        {"scores": [15]},
        {"scores": ["8/10"]},
        {"scores": [8]},
        plan(step("a")),
    ]
    provider = ScriptedProvider(answers)
    payload, _ = await asked(tree(provider, reasoning_depth=1))
    assert payload["score"] == 0.8
    assert "from 0 to 10, not 15" in provider.requests[2].messages[-1].content
    assert "not '8/10'" in provider.requests[3].messages[-1].content


async def test_judges_are_asked_without_chance() -> None:
    provider = searched(lambda _: 5)
    await asked(tree(provider, reasoning_depth=1))
    assert [request.temperature for request in provider.requests] == [0.7, 0.0, 0.7]


def monte_carlo(provider: ScriptedProvider, depth: int = 1) -> PlannerAgent:
    return PlannerAgent(
        "p",
        planning_strategy="monte_carlo",
        provider=provider,
        reasoning_depth=depth,
        include_alternatives=True,
    )


def mentions(good: str) -> Callable[[str], float]:
    return lambda shown: 9 if f'"{good}' in shown else 2


async def test_a_monte_carlo_search_gives_a_plan_and_it_is_the_best_it_simulated() -> None:
    payload, reply = await asked(monte_carlo(searched(mentions("B"))))
    assert ids(payload["steps"]) == ["B"]
    assert payload["score"] == 0.9
    assert reply.metadata["simulations"] == 10
    assert reply.metadata["nodes"] == 4


async def test_a_monte_carlo_search_finds_another_plan_when_another_is_good() -> None:
    payload, _ = await asked(monte_carlo(searched(mentions("C"))))
    assert ids(payload["steps"]) == ["C"]
    assert isinstance(payload["alternatives"], list)
    (other,) = payload["alternatives"]
    assert isinstance(other, dict)
    assert other["score"] == 0.2


async def test_a_monte_carlo_search_tries_all_and_then_what_has_the_highest_upper_bound() -> None:
    provider = searched(mentions("B"))
    await asked(monte_carlo(provider))
    tried = [
        found.group(1)
        for request in provider.requests
        if wanted(request) == "reasoning"
        and (found := re.search(r"^- (\w)$", request.text, re.MULTILINE))
    ]
    assert sorted(tried[:3]) == ["A", "B", "C"]
    scores = {"A": 0.2, "B": 0.9, "C": 0.2}
    visits = dict.fromkeys(tried[:3], 1)
    for name in tried[3:]:
        total = sum(visits.values())
        bound = {
            n: scores[n] + math.sqrt(2 * math.log(total) / count) for n, count in visits.items()
        }
        assert name == max(bound, key=lambda n: bound[n])
        visits[name] += 1
    assert max(visits, key=lambda name: visits[name]) == "B"


async def test_a_monte_carlo_search_goes_deeper_where_it_is_worth_it() -> None:
    provider = searched(mentions("B"))
    await asked(monte_carlo(provider, depth=2))
    below = [
        request.text
        for request in provider.requests
        if wanted(request) == "thoughts" and "Thoughts so far" in request.text
    ]
    assert "Thoughts so far:\n- B" in below[0]


def reacting(*answers: Answer) -> tuple[PlannerAgent, ScriptedProvider]:
    provider = ScriptedProvider(answers)
    agent = PlannerAgent(
        "p",
        planning_strategy="react_planning",
        provider=provider,
        parallelizable_steps=True,
        max_steps=3,
        reasoning_depth=1,
    )
    return agent, provider


def move(made: JSONValue, *, done: bool = False, thought: str = "next") -> Answer:
    return {"thoughts": [thought, "too much"], "done": done, "step": made}


async def test_react_planning_adds_a_step_at_a_time_until_the_model_is_done() -> None:
    agent, provider = reacting(
        move(step("a"), thought="first"), move(step("b", "a")), move(None, done=True, thought="end")
    )
    payload, reply = await asked(agent)
    assert needs(payload) == {"a": [], "b": ["a"]}
    assert payload["reasoning"] == ["first", "next", "end"]
    assert "do b" in provider.requests[2].text
    assert "stopped_by" not in reply.metadata


async def test_react_planning_ends_when_the_plan_is_full() -> None:
    agent, _ = reacting(*(move(step(name)) for name in "abc"))
    payload, reply = await asked(agent)
    assert ids(payload["steps"]) == ["a", "b", "c"]
    assert reply.metadata["stopped_by"] == "max_steps"


async def test_react_planning_takes_no_step_that_waits_for_a_later_one() -> None:
    agent, provider = reacting(
        move(step("a", "b")), move(step("a")), move(step("a")), move(None, done=True)
    )
    payload, _ = await asked(agent)
    assert ids(payload["steps"]) == ["a"]
    assert "depends on 'b', which is no step" in provider.requests[1].messages[-1].content
    assert "two steps have the id 'a'" in provider.requests[3].messages[-1].content


async def test_react_planning_is_not_done_before_the_first_step() -> None:
    agent, provider = reacting(move(None, done=True), move(step("a")), move(None, done=True))
    payload, _ = await asked(agent)
    assert ids(payload["steps"]) == ["a"]
    assert "must be an object" in provider.requests[1].messages[-1].content


def backward(
    graph: dict[str, list[str]], *, depth: int = 3, max_steps: int = 20
) -> tuple[PlannerAgent, ScriptedProvider]:
    """A planner whose model wants to eat and knows what everything needs."""

    def needed(request: CompletionRequest) -> Answer:
        name = request.text.rpartition("Step:\n")[2].split("\n")[0]
        return {"needs": [{"description": inner} for inner in graph.get(name, [])]}

    provider = by_field(goal=lambda _: {"goal": {"description": "eat"}}, needs=needed)
    agent = PlannerAgent(
        "p",
        planning_strategy="backward_chaining",
        provider=provider,
        parallelizable_steps=True,
        reasoning_depth=depth,
        max_steps=max_steps,
    )
    return agent, provider


def told(payload: Answer) -> list[JSONValue]:
    assert isinstance(payload["steps"], list)
    return [item["description"] for item in payload["steps"] if isinstance(item, dict)]


async def test_backward_chaining_goes_from_the_goal_to_what_it_needs() -> None:
    agent, _ = backward({"eat": ["cook", "lay the table"], "cook": ["buy"]})
    payload, _ = await asked(agent)
    assert told(payload) == ["buy", "cook", "lay the table", "eat"]
    assert needs(payload) == {
        "step_1": [],
        "step_2": ["step_1"],
        "step_3": [],
        "step_4": ["step_2", "step_3"],
    }


async def test_what_two_steps_need_is_one_step() -> None:
    agent, provider = backward({"eat": ["cook", "bake"], "cook": ["Buy."], "bake": ["buy"]})
    payload, _ = await asked(agent)
    assert told(payload) == ["Buy.", "cook", "bake", "eat"]
    assert needs(payload)["step_3"] == ["step_1"]
    assert kinds_of(provider).count("needs") == 4


async def test_a_need_that_waits_for_what_needs_it_goes_back_to_the_model() -> None:
    answers: list[Answer] = [
        {"goal": {"description": "eat"}},
        {"needs": [{"description": "cook"}]},
        {"needs": [{"description": "eat"}]},
        {"needs": []},
    ]
    provider = ScriptedProvider(answers)
    agent = PlannerAgent("p", planning_strategy="backward_chaining", provider=provider)
    payload, _ = await asked(agent)
    assert told(payload) == ["cook", "eat"]
    assert "'eat' cannot be done before 'cook'" in provider.requests[3].messages[-1].content


async def test_backward_chaining_ends_at_its_depth() -> None:
    chain = {"eat": ["4"], "4": ["3"], "3": ["2"], "2": ["1"]}
    agent, _ = backward(chain, depth=2)
    payload, _ = await asked(agent)
    assert told(payload) == ["3", "4", "eat"]


async def test_backward_chaining_ends_when_the_plan_is_full() -> None:
    chain = {"eat": ["4"], "4": ["3"], "3": ["2"], "2": ["1"]}
    agent, _ = backward(chain, depth=9, max_steps=3)
    payload, _ = await asked(agent)
    assert told(payload) == ["3", "4", "eat"]


def part(name: str, *needed: str, atomic: bool = False) -> Answer:
    return {**step(name, *needed), "atomic": atomic}


def hierarchy(
    *answers: Answer, depth: int = 3, max_steps: int = 20
) -> tuple[PlannerAgent, ScriptedProvider]:
    provider = ScriptedProvider(answers)
    agent = PlannerAgent(
        "p",
        planning_strategy="hierarchical_plan",
        provider=provider,
        parallelizable_steps=True,
        reasoning_depth=depth,
        max_steps=max_steps,
    )
    return agent, provider


def parts(*listed: Answer) -> Answer:
    return {"parts": [*listed]}


async def test_a_part_becomes_its_steps_and_who_waits_for_it_waits_for_its_last_ones() -> None:
    agent, provider = hierarchy(
        parts(part("build"), part("ship", "build", atomic=True)),
        parts(part("x", atomic=True), part("y", atomic=True)),
    )
    payload, _ = await asked(agent)
    assert told(payload) == ["do x", "do y", "do ship"]
    assert needs(payload) == {"1.1": [], "1.2": [], "2": ["1.1", "1.2"]}
    assert "Part:\ndo build" in provider.requests[1].text


async def test_the_first_steps_of_a_part_wait_for_what_the_part_waits_for() -> None:
    agent, _ = hierarchy(
        parts(part("a", atomic=True), part("b", "a")),
        parts(part("a", atomic=True), part("c", "a", atomic=True)),
    )
    payload, _ = await asked(agent)
    assert needs(payload) == {"1": [], "2.1": ["1"], "2.2": ["2.1"]}


async def test_parts_are_taken_apart_as_deep_as_they_may() -> None:
    agent, provider = hierarchy(parts(part("a")), parts(part("b"), part("c", atomic=True)), depth=2)
    payload, _ = await asked(agent)
    assert told(payload) == ["do b", "do c"]
    assert len(provider.requests) == 2


async def test_a_part_never_becomes_more_steps_than_there_is_room_for() -> None:
    big = parts(*(part(name, atomic=True) for name in "wxyz"))
    agent, provider = hierarchy(
        parts(part("a"), part("b", "a")),
        big,
        parts(part("w", atomic=True), part("x", "w", atomic=True)),
        max_steps=3,
    )
    payload, _ = await asked(agent)
    assert told(payload) == ["do w", "do x", "do b"]
    assert "there may be at most 2" in provider.requests[2].messages[-1].content


async def test_the_parts_of_a_hierarchy_may_not_wait_for_each_other_in_a_circle() -> None:
    agent, provider = hierarchy(
        parts(part("a", "b", atomic=True), part("b", "a", atomic=True)),
        parts(part("a", atomic=True)),
    )
    payload, _ = await asked(agent)
    assert told(payload) == ["do a"]
    assert "circle" in provider.requests[1].messages[-1].content


async def test_a_search_ends_where_its_call_runs_out_of_budget() -> None:
    provider = searched(mentions("B"))
    async with LocalRuntime(monte_carlo(provider)) as rt:
        with pytest.raises(BudgetExceeded):
            await rt.call("p", "a problem", budget=Budget(calls=5))
    assert len(provider.requests) == 5
