"""Ensemble."""

from __future__ import annotations

import asyncio

import pytest

from aixgo import Budget, Message
from aixgo.agents import ChatAgent
from aixgo.errors import AgentRefused, BudgetExceeded, ConfigError, DeadlineExceeded, LimitExceeded
from aixgo.message import JSONValue
from aixgo.orchestration import Ensemble, ErrorStrategy, Limits, Parallel
from aixgo.runtime.local import LocalRuntime
from aixgo.testing import RecordingAgent, ScriptedProvider
from tests.unit.orchestration.failing import Fails, down


def voter(name: str, says: JSONValue, sure: float | None = None) -> RecordingAgent:
    known: dict[str, JSONValue] = {} if sure is None else {"confidence": sure}
    return RecordingAgent(name, [Message(says, metadata=known)] * 3)


async def result(ensemble: Ensemble, text: str = "?") -> Message:
    async with LocalRuntime(ensemble) as rt:
        return await rt.call(ensemble.name, text)


async def test_most_votes_decide_and_every_agent_gets_the_message() -> None:
    agents = [voter("a", "flu"), voter("b", " Cold "), voter("c", "cold")]
    reply = await result(Ensemble("e", agents), "a cough")
    assert reply.text == " Cold "  # the first spelling of what won
    assert [agent.messages[0].text for agent in agents] == ["a cough"] * 3
    told = {name: reply.metadata[name] for name in ("winner", "votes", "agreement", "tie_broken")}
    assert told == {
        "winner": "b",
        "votes": {"flu": 1.0, "cold": 2.0},
        "agreement": pytest.approx(2 / 3),
        "tie_broken": False,
    }


async def test_another_answer_of_one_agent_makes_another_result() -> None:
    for says in ("flu", "cold"):
        agents = [voter("a", "flu"), voter("b", "cold"), voter("c", says)]
        assert (await result(Ensemble("e", agents))).text == says


async def test_a_tie_goes_to_the_surer_ones_and_then_to_the_order_of_the_agents() -> None:
    for _ in range(20):  # the ancestor decided at random
        agents = [voter("a", "x"), voter("b", "y"), voter("c", "z")]
        reply = await result(Ensemble("e", agents, threshold=0.3))
        assert (reply.text, reply.metadata["tie_broken"]) == ("x", True)
    surer = [voter("a", "x", 0.2), voter("b", "y", 0.9)]
    assert (await result(Ensemble("e", surer))).text == "y"


async def test_the_order_of_arrival_does_not_matter() -> None:
    slow, fast = RecordingAgent("slow", ["x"], gated=True), RecordingAgent("fast", ["y"])
    async with LocalRuntime(Ensemble("e", [slow, fast])) as rt:
        call = asyncio.create_task(rt.call("e", "?"))
        await fast.finished.wait()
        slow.release()
        assert (await call).text == "x"


async def test_weights_decide_where_votes_would_not() -> None:
    agents = [voter("a", "x"), voter("b", "x"), voter("c", "y")]
    weighted = Ensemble("e", agents, voting_strategy="weighted", weights={"c": 5})
    reply = await result(weighted)
    assert (reply.text, reply.metadata["votes"]) == ("y", {"x": 2.0, "y": 5.0})


async def test_without_weights_a_vote_counts_what_its_agent_says_to_be_sure() -> None:
    agents = [voter("a", "x", 0.2), voter("b", {"category": "x"}, 0.2), voter("c", "y", 0.9)]
    assert (await result(Ensemble("e", agents, voting_strategy="weighted"))).text == "y"


async def test_answers_of_one_category_agree_whatever_else_they_say() -> None:
    agents = [voter("a", {"category": "x", "why": 1}), voter("b", {"category": "X", "why": 2})]
    reply = await result(Ensemble("e", agents, threshold=1))
    assert (reply.payload, reply.metadata["votes"]) == ({"category": "x", "why": 1}, {"x": 2.0})


async def test_confidence_asks_how_sure_the_winner_is() -> None:
    agents = [voter("a", "x", 0.7), voter("b", "y", 0.75)]
    sure = Ensemble("e", agents, voting_strategy="confidence", threshold=0.75)
    assert (await result(sure)).text == "y"
    unsure = Ensemble("e", agents, voting_strategy="confidence", threshold=0.8)
    with pytest.raises(
        AgentRefused, match=r"insufficient confidence in 'e': 0.75 for 'y', 0.80 is"
    ):
        await result(unsure)


async def test_unanimous_names_two_that_differ() -> None:
    agents = [voter("a", "x"), voter("b", "y")]
    with pytest.raises(AgentRefused, match="not unanimous: 'a' and 'b' differ"):
        await result(Ensemble("e", agents, voting_strategy="unanimous"))


async def test_insufficient_agreement_is_an_error_that_says_how_much_there_was() -> None:
    agents = [voter("a", "x"), voter("b", "y"), voter("c", "z")]
    with pytest.raises(
        AgentRefused, match=r"insufficient agreement in 'e': 0.33 for 'x', 0.50 is needed"
    ):
        await result(Ensemble("e", agents))


async def test_two_thirds_are_reached_by_two_of_three() -> None:
    agents = [voter("a", "x"), voter("b", "x"), voter("c", "z")]
    assert (await result(Ensemble("e", agents, threshold=2 / 3))).text == "x"


async def test_without_agreement_the_fallback_answers_the_original_message() -> None:
    judge = RecordingAgent("judge", ["w"])
    ensemble = Ensemble("e", [voter("a", "x"), voter("b", "y")], threshold=1, fallback=judge)
    reply = await result(ensemble, "which?")
    assert (reply.text, judge.messages[0].text) == ("w", "which?")
    assert reply.metadata["used_fallback"] is True
    assert (reply.metadata["agreement"], reply.metadata["votes"]) == (0.5, {"x": 1.0, "y": 1.0})
    assert "winner" not in reply.metadata
    agreed = Ensemble("e", [voter("a", "x"), voter("b", "x")], threshold=1, fallback=judge)
    assert (await result(agreed)).metadata["used_fallback"] is False
    assert len(judge.messages) == 1


async def test_the_replies_of_the_agents_are_left_as_they_were() -> None:
    kept = Message("x", metadata={"mine": 1})
    reply = await result(Ensemble("e", [RecordingAgent("a", [kept])]))
    assert reply.metadata["mine"] == 1
    assert kept.metadata == {"mine": 1}


async def test_who_fails_has_no_vote_and_the_result_says_why() -> None:
    broken = RecordingAgent("b", [AgentRefused("no")])
    reply = await result(Ensemble("e", [voter("a", "x"), broken]))
    assert reply.metadata["errors"] == {"b": {"class": "AgentRefused", "text": "no"}}
    assert (reply.metadata["agent_count"], reply.metadata["success_count"]) == (2, 1)


async def test_too_few_votes_are_an_error_that_names_who_failed() -> None:
    broken = RecordingAgent("b", [AgentRefused("no"), AgentRefused("no")])
    with pytest.raises(AgentRefused, match="only 1 of 2 agents of 'e' answered, 2 are needed: b:"):
        await result(Ensemble("e", [voter("a", "x"), broken], min_successes=2))
    with pytest.raises(AgentRefused, match="all 1 agents of 'e' failed: b: AgentRefused"):
        await result(Ensemble("e", [broken]))


async def test_an_agent_out_of_its_time_has_no_vote() -> None:
    never = RecordingAgent("b", gated=True)
    reply = await result(Ensemble("e", [voter("a", "x"), never], timeout=0.01))
    assert reply.text == "x"
    assert never.cancelled == 1


async def test_the_time_of_the_run_ends_it_and_those_at_work() -> None:
    never = RecordingAgent("b", gated=True)
    with pytest.raises(DeadlineExceeded):
        await result(Ensemble("e", [voter("a", "x"), never], limits=Limits(timeout=0.01)))
    assert never.cancelled == 1


async def test_a_cancelled_run_stops_its_agents() -> None:
    never = RecordingAgent("b", gated=True)
    async with LocalRuntime(Ensemble("e", [never])) as rt:
        call = asyncio.create_task(rt.call("e", "?"))
        await never.started.wait()
        call.cancel()
        await asyncio.wait([call])
    assert never.cancelled == 1


async def test_its_error_strategy_asks_again_and_fails_fast() -> None:
    again = Fails("a", [down()])
    patient = Ensemble("e", [again], error_strategy=ErrorStrategy("retry", 1, 0))
    assert (await result(patient)).metadata["retries"] == 1
    broken = RecordingAgent("b", [AgentRefused("no")])
    with pytest.raises(AgentRefused, match="no"):
        await result(Ensemble("e", [voter("a", "x"), broken], error_strategy="fail_fast"))


async def test_a_limit_ends_it_whatever_the_strategy() -> None:
    agents = [voter("a", "x"), RecordingAgent("b", [LimitExceeded("max_tokens", 1, "b")])]
    with pytest.raises(LimitExceeded):
        await result(Ensemble("e", agents, error_strategy="continue"))


async def test_it_nests_and_is_nested() -> None:
    inner = Ensemble("inner", [voter("a", "x"), voter("b", "x")])
    outer = Ensemble("outer", [inner, voter("c", "x")])
    reply = await result(outer)
    assert (reply.text, reply.metadata["votes"]) == ("x", {"x": 2.0})
    async with LocalRuntime(Parallel("p", [Ensemble("e", [voter("d", "y")])])) as rt:
        assert (await rt.call("p", "?")).payload == {"e": "y"}


async def test_its_calls_have_keys_that_tell_the_agents_apart() -> None:
    agents = [Fails("a"), Fails("b")]
    await result(Ensemble("e", agents, threshold=0))
    assert [agent.keys for agent in agents] == [["e/vote/a"], ["e/vote/b"]]


async def test_it_contains_itself_never() -> None:
    with pytest.raises((ConfigError, LimitExceeded), match="e"):
        await result(Ensemble("e", ["e"]))


def from_config(agents: list[str], **config: object) -> Ensemble:
    return Ensemble.from_config("e", agents, config, Limits())


def test_a_file_may_call_its_agents_models() -> None:
    made = from_config(["a"], models=["b"], voting_strategy="weighted", weights={"b": 2})
    assert made.members == ("a", "b")


@pytest.mark.parametrize(
    ("agents", "config", "says"),
    [
        ([], {}, "ensemble 'e' needs at least one agent"),
        (["a", "a"], {}, "'a' is given twice"),
        (["a"], {"threshold": 1.5}, "threshold.*1"),
        (["a"], {"voting_strategy": "majorty"}, "majority"),
        (["a"], {"weights": {"a": 1}}, "weights go with voting_strategy 'weighted'"),
        (
            ["alice"],
            {"voting_strategy": "weighted", "weights": {"alise": 1}},
            "it has no agent 'alise'; did you mean 'alice'",
        ),
        (["a"], {"voting_strategy": "weighted", "weights": {"a": 0}}, "that of 'a' is 0"),
        (["a"], {"min_successes": 2}, "min_successes is 2 of 1 agents"),
        (["a"], {"fallback": "a"}, "the fallback 'a' votes too"),
        (["a"], {"fallbck": "b"}, "fallback"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(
    agents: list[str], config: dict[str, object], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        from_config(agents, **config)


def test_a_threshold_out_of_range_is_refused_in_python_too() -> None:
    with pytest.raises(ConfigError, match="threshold is -1; it must be at least 0 and at most 1"):
        Ensemble("e", ["a"], threshold=-1)


def test_two_different_agents_under_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="two different agents called 'a'"):
        Ensemble("e", [voter("a", "x"), voter("a", "x")])


async def test_a_budget_that_leaves_a_vote_out_fails_the_run() -> None:
    dear = ChatAgent("dear", provider=ScriptedProvider(["hi"], cycle=True), max_tokens=5_000)
    async with LocalRuntime(Ensemble("panel", [voter("free", "hi"), dear])) as rt:
        with pytest.raises(BudgetExceeded):
            await rt.call("panel", "hi", budget=Budget(tokens=1_000))
