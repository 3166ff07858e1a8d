"""PlannerAgent: what every strategy keeps to. The strategies themselves: test_planning_strategies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aixgo.agents import ExamplePlan, PlannerAgent
from aixgo.agents._plan import critical_path, groups, in_order, read_steps
from aixgo.errors import AgentRefused, ConfigError, InvalidMessage, OutputInvalid
from aixgo.ledger import Budget
from aixgo.message import JSONValue, Message
from aixgo.runtime.local import LocalRuntime
from aixgo.testing import ScriptedProvider

STRATEGIES = (
    "chain_of_thought",
    "tree_of_thought",
    "react_planning",
    "backward_chaining",
    "hierarchical_plan",
    "monte_carlo",
)

NOTHING: tuple[JSONValue, ...] = ("  ", {}, {"task": ""})


def step(name: str, *needs: str, agent: str = "") -> dict[str, JSONValue]:
    made: dict[str, JSONValue] = {
        "id": name,
        "description": f"do {name}",
        "depends_on": list(needs),
    }
    return {**made, "agent": agent} if agent else made


def plan(*steps: dict[str, JSONValue]) -> dict[str, JSONValue]:
    return {"reasoning": ["because"], "steps": list(steps)}


async def asked(
    agent: PlannerAgent, problem: JSONValue = "a problem"
) -> tuple[dict[str, JSONValue], Message]:
    async with LocalRuntime(agent) as rt:
        reply = await rt.call("p", problem)
    assert isinstance(reply.payload, dict)
    return reply.payload, reply


def ids(value: JSONValue) -> list[JSONValue]:
    assert isinstance(value, list)
    return [item["id"] for item in value if isinstance(item, dict)]


def needs(payload: dict[str, JSONValue]) -> dict[str, JSONValue]:
    steps = payload["steps"]
    assert isinstance(steps, list)
    return {str(item["id"]): item["depends_on"] for item in steps if isinstance(item, dict)}


async def test_the_reply_is_a_plan_of_steps_that_name_what_they_wait_for() -> None:
    provider = ScriptedProvider([plan(step("a"), step("b"), step("c", "a", "b"))])
    planner = PlannerAgent("p", provider=provider, parallelizable_steps=True)
    payload, reply = await asked(planner)
    assert payload["problem"] == "a problem"
    assert payload["reasoning"] == ["because"]
    assert payload["steps"] == [step("a"), step("b"), step("c", "a", "b")]
    assert reply.type == "reasoning_plan"
    assert reply.metadata["step_count"] == 3
    assert reply.metadata["model_calls"] == 1
    assert reply.metadata["planning_strategy"] == payload["strategy"] == "chain_of_thought"


async def test_steps_come_in_an_order_in_which_they_can_run() -> None:
    provider = ScriptedProvider([plan(step("c", "b"), step("b", "a"), step("a"))])
    payload, _ = await asked(PlannerAgent("p", provider=provider, parallelizable_steps=True))
    assert ids(payload["steps"]) == ["a", "b", "c"]


async def test_the_critical_path_is_the_longest_chain_and_not_every_step_that_waits_for_nothing() -> (
    None
):
    provider = ScriptedProvider([plan(step("a"), step("b"), step("c", "b"), step("d", "c", "a"))])
    payload, _ = await asked(PlannerAgent("p", provider=provider, parallelizable_steps=True))
    assert payload["critical_path"] == ["b", "c", "d"]


async def test_a_group_holds_only_steps_that_do_not_wait_for_each_other() -> None:
    steps = (step("a"), step("b"), step("c", "b"), step("d", "a"), step("e", "c", "d"))
    planner = PlannerAgent(
        "p", provider=ScriptedProvider([plan(*steps)]), parallelizable_steps=True
    )
    payload, _ = await asked(planner)
    assert payload["parallel_groups"] == [["a", "b"], ["c", "d"], ["e"]]


async def test_unless_steps_may_run_at_once_each_waits_for_the_one_before_it() -> None:
    provider = ScriptedProvider([plan(step("a"), step("b"), step("c", "a"))])
    payload, _ = await asked(PlannerAgent("p", provider=provider))
    assert needs(payload) == {"a": [], "b": ["a"], "c": ["a", "b"]}
    assert "parallel_groups" not in payload


@pytest.mark.parametrize(
    ("steps", "complaint"),
    [
        ([step("a", "c"), step("b", "a"), step("c", "b")], "in a circle: "),
        ([step("a", "a")], "in a circle: a → a"),
        ([step("a", "z")], "depends on 'z', which is no step; there are: a"),
        ([step("a"), step("a")], "two steps have the id 'a'"),
        ([{"id": "a", "description": " ", "depends_on": []}], "'a' needs a description"),
        ([{"id": "a", "description": "x", "depends_on": "b"}], "must be a list of ids"),
        (["do it"], "step 1 must be an object"),
        ([], "at least one step"),
        ([step(name) for name in "abcd"], "there may be at most 3"),
        ([step("a", agent="nobody")], "'nobody', which is no agent; there are: writer"),
        ([step("x" * 65)], "at most 64 characters, no braces"),
        ([step("input")], "is not 'input'"),
        ([step("{a}")], "at most 64 characters, no braces"),
    ],
)
async def test_what_is_no_plan_goes_back_to_the_model_with_what_is_wrong(
    steps: list[JSONValue], complaint: str
) -> None:
    provider = ScriptedProvider([{"reasoning": [], "steps": steps}, plan(step("good"))])
    planner = PlannerAgent("p", provider=provider, max_steps=3, executors=["writer"])
    payload, _ = await asked(planner)
    assert ids(payload["steps"]) == ["good"]
    assert complaint in provider.requests[1].messages[-1].content


async def test_a_cycle_names_its_steps_in_the_order_they_wait() -> None:
    provider = ScriptedProvider([plan(step("a", "b"), step("b", "a")), plan(step("good"))])
    await asked(PlannerAgent("p", provider=provider))
    told = provider.requests[1].messages[-1].content
    assert "a → b → a" in told


async def test_a_model_that_keeps_making_circles_is_refused() -> None:
    provider = ScriptedProvider([plan(step("a", "b"), step("b", "a"))], cycle=True)
    async with LocalRuntime(PlannerAgent("p", provider=provider)) as rt:
        with pytest.raises(OutputInvalid):
            await rt.call("p", "a problem")
    assert len(provider.requests) == 3


async def test_a_step_without_an_id_is_numbered_and_one_without_needs_follows_the_last() -> None:
    bare: list[JSONValue] = [{"description": "one"}, {"description": "two"}]
    planner = PlannerAgent(
        "p", provider=ScriptedProvider([{"steps": bare}]), parallelizable_steps=True
    )
    payload, _ = await asked(planner)
    assert needs(payload) == {"step_1": [], "step_2": ["step_1"]}


async def test_without_agents_a_step_is_for_nobody() -> None:
    provider = ScriptedProvider([plan(step("a", agent="writer"))])
    payload, _ = await asked(PlannerAgent("p", provider=provider))
    assert payload["steps"] == [step("a")]


async def test_with_agents_a_step_says_whose_it_is_and_what_that_agent_gets() -> None:
    steps = (step("a", agent="writer"), step("b", "a", agent="editor"))
    provider = ScriptedProvider([plan(*steps)])
    payload, _ = await asked(PlannerAgent("p", provider=provider, executors=["writer", "editor"]))
    assert isinstance(payload["steps"], list)
    task: JSONValue = {"task": "do b", "input": "{input}", "results": {"a": "{a}"}}
    assert payload["steps"][1] == {**step("b", "a", agent="editor"), "input": task}


async def test_a_lone_agent_need_not_be_named() -> None:
    provider = ScriptedProvider([plan(step("a"))])
    payload, _ = await asked(PlannerAgent("p", provider=provider, executors=["writer"]))
    assert isinstance(payload["steps"], list)
    assert isinstance(payload["steps"][0], dict)
    assert payload["steps"][0]["agent"] == "writer"


async def test_a_message_may_name_agents_and_say_what_went_wrong_before() -> None:
    provider = ScriptedProvider([plan(step("a", agent="editor"))])
    problem: JSONValue = {
        "task": "write",
        "agents": {"editor": "mends texts"},
        "feedback": "the writer was ill",
    }
    payload, _ = await asked(PlannerAgent("p", provider=provider, executors=["writer"]), problem)
    request = provider.requests[0]
    assert payload["problem"] == "write"
    assert "the writer was ill" in request.text
    assert "- editor: mends texts" in request.instructions
    assert "writer" not in request.instructions


async def test_agents_that_are_no_names_are_refused() -> None:
    async with LocalRuntime(PlannerAgent("p", model="offline")) as rt:
        with pytest.raises(InvalidMessage, match=r"payload\.agents does not fit names, or name"):
            await rt.call("p", {"task": "write", "agents": [1]})


async def test_what_the_plan_is_without_a_model_takes_none_of_the_budget_of_one() -> None:
    provider = ScriptedProvider([plan(step("a"))])
    async with LocalRuntime(PlannerAgent("p", provider=provider, max_tokens=100)) as rt:
        reply = await rt.call("p", "word " * 3000, budget=Budget(tokens=5000))
    assert reply.metadata["step_count"] == 1


async def test_no_problem_is_refused() -> None:
    async with LocalRuntime(PlannerAgent("p", model="offline")) as rt:
        for nothing in NOTHING:
            with pytest.raises(AgentRefused, match="no problem"):
                await rt.call("p", nothing)


async def test_the_review_sees_the_whole_plan_and_its_problems_lead_to_a_revision() -> None:
    provider = ScriptedProvider(
        [plan(step("a")), {"problems": ["nobody tests it"]}, plan(step("a"), step("test", "a"))]
    )
    payload, reply = await asked(PlannerAgent("p", provider=provider, enable_self_critique=True))
    assert "do a" in provider.requests[1].text
    assert "nobody tests it" in provider.requests[2].text
    assert ids(payload["steps"]) == ["a", "test"]
    assert payload["critique"] == {"problems": ["nobody tests it"], "revised": True}
    assert reply.metadata["model_calls"] == 3


async def test_a_plan_without_problems_is_not_revised() -> None:
    provider = ScriptedProvider([plan(step("a")), {"problems": []}])
    payload, _ = await asked(PlannerAgent("p", provider=provider, enable_self_critique=True))
    assert payload["critique"] == {"problems": [], "revised": False}
    assert len(provider.requests) == 2


async def test_a_revision_that_is_no_plan_leaves_the_plan_as_it_was() -> None:
    bad = plan(step("a", "a"))
    provider = ScriptedProvider([plan(step("a")), {"problems": ["x"]}, bad, bad, bad])
    payload, reply = await asked(PlannerAgent("p", provider=provider, enable_self_critique=True))
    assert ids(payload["steps"]) == ["a"]
    assert payload["critique"] == {"problems": ["x"], "revised": False}
    assert reply.metadata["model_calls"] == 5


async def test_another_plan_is_added_and_one_that_is_the_same_is_not() -> None:
    other = plan(step("b"))
    planner = PlannerAgent(
        "p", provider=ScriptedProvider([plan(step("a")), other]), include_alternatives=True
    )
    payload, _ = await asked(planner)
    assert isinstance(payload["alternatives"], list)
    (alternative,) = payload["alternatives"]
    assert isinstance(alternative, dict)
    assert ids(alternative["steps"]) == ["b"]
    same = ScriptedProvider([plan(step("a")), plan(step("a"))])
    payload, _ = await asked(PlannerAgent("p", provider=same, include_alternatives=True))
    assert payload["alternatives"] == []


async def test_what_the_model_is_told_holds_detail_bounds_examples_and_the_prompt() -> None:
    provider = ScriptedProvider([plan(step("a"))])
    example = ExamplePlan("bake", ["mix", "heat"], "heat comes last")
    planner = PlannerAgent(
        "p",
        provider=provider,
        step_detail_level="coarse",
        max_steps=7,
        max_tasks=4,
        reasoning_depth=2,
        example_plans=[example],
        prompt="Be frugal.",
    )
    await asked(planner)
    request = provider.requests[0]
    for part in (
        "coarse",
        "At most 4 steps",
        "2 thoughts",
        "bake",
        "2. heat",
        "last",
        "Be frugal.",
    ):
        assert part in request.instructions
    assert (request.temperature, request.max_tokens) == (0.7, 2000)
    assert request.text == "a problem"


async def test_what_is_for_the_one_who_runs_the_plan_stands_in_it() -> None:
    planner = PlannerAgent(
        "p",
        provider=ScriptedProvider([plan(step("a"))]),
        enable_replanning=True,
        task_timeout_ms=50,
    )
    payload, _ = await asked(planner)
    assert (payload["enable_replanning"], payload["task_timeout_ms"]) == (True, 50)


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_offline_every_strategy_reads_the_plan_off_the_text(strategy: str) -> None:
    planner = PlannerAgent("p", planning_strategy=strategy, model="offline")
    text = "Collect the figures. Check the figures, then write the report."
    payload, reply = await asked(planner, {"task": text, "agents": {"writer": "writes reports"}})
    steps = payload["steps"]
    assert isinstance(steps, list)
    told = [item["description"] for item in steps if isinstance(item, dict)]
    assert told == ["Collect the figures", "Check the figures", "write the report"]
    assert isinstance(steps[-1], dict)
    assert steps[-1]["agent"] == "writer"
    assert payload["critical_path"] == ids(steps)
    assert reply.metadata["offline"] is True


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_offline_no_plan_has_more_steps_than_it_may_and_nothing_is_lost(
    strategy: str,
) -> None:
    planner = PlannerAgent("p", planning_strategy=strategy, model="offline", max_steps=2)
    payload, _ = await asked(planner, "1. mix\n2. heat\n3. eat")
    steps = payload["steps"]
    assert isinstance(steps, list)
    told = [item["description"] for item in steps if isinstance(item, dict)]
    assert told == ["mix", "heat; eat"]


async def test_offline_the_items_of_a_list_without_numbers_may_run_at_once() -> None:
    planner = PlannerAgent("p", model="offline", parallelizable_steps=True)
    free, _ = await asked(planner, "- mix\n- heat")
    numbered, _ = await asked(planner, "1. mix\n2. heat")
    assert free["parallel_groups"] == [["step_1", "step_2"]]
    assert numbered["parallel_groups"] == [["step_1"], ["step_2"]]


async def test_the_same_problem_gets_the_same_plan() -> None:
    planner = PlannerAgent("p", planning_strategy="monte_carlo", model="offline")
    first, _ = await asked(planner, "Mix. Heat. Eat.")
    second, _ = await asked(planner, "Mix. Heat. Eat.")
    assert first == second


@given(st.lists(st.sets(st.integers(0, 7)), min_size=1, max_size=8))
def test_a_plan_is_taken_exactly_if_every_step_can_have_its_turn(graph: list[set[int]]) -> None:
    listed: list[JSONValue] = [
        step(str(number), *map(str, sorted(needed))) for number, needed in enumerate(graph)
    ]
    able: set[int] = set()
    while more := {n for n, needed in enumerate(graph) if n not in able and needed <= able}:
        able |= more
    runs = len(able) == len(graph)
    try:
        steps = in_order(read_steps(listed, most=8, agents=()))
    except ValueError:
        assert not runs
    else:
        assert runs
        places = [step.id for step in steps]
        for made in steps:
            assert all(places.index(n) < places.index(made.id) for n in made.depends_on)
        assert sorted(name for group in groups(steps) for name in group) == sorted(places)
        assert len(critical_path(steps)) == len(groups(steps))


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(
        ConfigError, match="planning_strategy is 'guess', not one of chain_of_thought"
    ):
        PlannerAgent("p", planning_strategy="guess")
    with pytest.raises(ConfigError, match="at least 1"):
        PlannerAgent("p", max_steps=0)


def test_every_key_of_the_go_configuration_is_taken() -> None:
    settings: dict[str, object] = {
        "planning_strategy": "tree_of_thought",
        "max_steps": 9,
        "max_tasks": 8,
        "step_detail_level": "brief",
        "enable_backtracking": True,
        "enable_self_critique": True,
        "reasoning_depth": 2,
        "parallelizable_steps": True,
        "include_alternatives": True,
        "temperature": 0.1,
        "max_tokens": 50,
        "example_plans": [{"problem": "p", "steps": ["s"], "explanation": "e"}],
        "enable_replanning": True,
        "task_timeout_ms": 1000,
    }
    planner = PlannerAgent.from_config("p", {"model": "offline", "planner_config": settings})
    assert (planner.strategy, planner.max_steps, planner.reasoning_depth) == (
        "tree_of_thought",
        8,
        2,
    )
    assert planner.enable_backtracking
    assert planner.enable_self_critique
    assert planner.include_alternatives
    assert planner.parallelizable_steps
    assert PlannerAgent.from_config("p", {"max_steps": 3}).max_steps == 3
    with pytest.raises(ConfigError, match="did you mean 'max_steps'"):
        PlannerAgent.from_config("p", {"planner_config": {"max_step": 1}})
    with pytest.raises(ConfigError, match="not one of chain_of_thought"):
        PlannerAgent.from_config("p", {"planner_config": {"planning_strategy": "guess"}})


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"executors": "writer"}, "planner 'p': executors must be a list"),
        ({"max_steps": "3"}, "planner 'p': max_steps must be a whole number"),
        ({"reasoning_depth": 1.5}, "planner 'p': reasoning_depth must be a whole number"),
        ({"planning_strategy": "monte_karlo"}, "did you mean 'monte_carlo'"),
        ({"temperature": 9}, "agent 'p': temperature is 9"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_in_code_as_in_a_file(
    options: dict[str, object], text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        PlannerAgent("p", **options)  # type: ignore[arg-type]  # wrong on purpose
