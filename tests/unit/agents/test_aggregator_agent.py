"""AggregatorAgent."""

from __future__ import annotations

import json

import pytest

from aixgo import Message
from aixgo.agents import AggregatorAgent
from aixgo.agents._similarity import similarity
from aixgo.errors import AgentRefused, ConfigError, InvalidMessage
from aixgo.message import JSONValue
from aixgo.orchestration import Parallel
from aixgo.runtime.local import LocalRuntime
from aixgo.testing import RecordingAgent, ScriptedProvider

ANSWER: dict[str, JSONValue] = {"content": "blue sky", "conflicts": ["shade"], "insights": "seen"}


async def aggregate(agent: AggregatorAgent, payload: object) -> Message:
    async with LocalRuntime(agent) as rt:
        return await rt.call(agent.name, payload)


async def test_a_vote_needs_no_model() -> None:
    agent = AggregatorAgent("v", aggregation_strategy="voting_majority")
    reply = await aggregate(agent, {"a": "Blue", "b": "red", "c": "blue "})
    assert agent.model == ""
    assert isinstance(reply.payload, dict)
    assert reply.payload["aggregated_content"] == "Blue"
    assert reply.payload["consensus_level"] == pytest.approx(2 / 3)
    assert reply.payload["tokens_used"] == 0
    assert reply.payload["sources"] == ["a", "b", "c"]
    assert reply.type == "aggregation_result"
    assert reply.usage.calls == 0


async def test_confidences_are_read_from_objects_and_lists() -> None:
    agent = AggregatorAgent("v", aggregation_strategy="voting_confidence")
    listed = [
        {"source": "a", "content": "x", "confidence": 0.2},
        {"content": "y", "confidence": 0.7},
    ]
    reply = await aggregate(agent, listed)
    assert reply.payload["aggregated_content"] == "y"  # type: ignore[index,call-overload]
    assert reply.metadata["winner"] == "source_1"


@pytest.mark.parametrize("confidence", [10**4000, 1e308, -1e308, True, "high", None])
@pytest.mark.parametrize("strategy", ["voting_weighted", "voting_confidence", "voting_majority"])
async def test_a_confidence_that_nobody_means_is_none(strategy: str, confidence: JSONValue) -> None:
    agent = AggregatorAgent("v", aggregation_strategy=strategy)
    sure: JSONValue = {"content": "x", "confidence": confidence}
    reply = await aggregate(agent, {"a": sure, "b": sure, "c": "y"})
    assert reply.payload == (await aggregate(agent, {"a": "x", "b": "x", "c": "y"})).payload


async def test_of_equal_answers_no_more_are_taken_than_may_be() -> None:
    agent = AggregatorAgent("v", aggregation_strategy="voting_majority", max_input_sources=1)
    twice: JSONValue = [{"source": "a", "content": "x"}, {"source": "a", "content": "x"}]
    reply = await aggregate(agent, twice)
    assert reply.payload["sources"] == ["a"]  # type: ignore[index,call-overload]


async def test_source_weights_come_before_confidences_and_zero_leaves_a_source_out() -> None:
    agent = AggregatorAgent(
        "v", aggregation_strategy="voting_weighted", source_weights={"a": 3, "c": 0}
    )
    answers = {
        "a": "x",
        "b": {"content": "y", "confidence": 0.9},
        "c": {"content": "y", "confidence": 0.9},
    }
    reply = await aggregate(agent, answers)
    assert reply.payload["aggregated_content"] == "x"  # type: ignore[index,call-overload]
    assert reply.payload["sources"] == ["a", "b"]  # type: ignore[index,call-overload]


async def test_unanimity_refuses_naming_two() -> None:
    agent = AggregatorAgent("v", aggregation_strategy="voting_unanimous")
    with pytest.raises(AgentRefused, match="'a' and 'b' differ"):
        await aggregate(agent, {"a": "x", "b": "y"})


@pytest.mark.parametrize("strategy", ["consensus", "weighted", "semantic", "merge"])
async def test_a_model_reads_every_source(strategy: str) -> None:
    provider = ScriptedProvider([ANSWER])
    agent = AggregatorAgent(
        "m", aggregation_strategy=strategy, prompt="Be brief.", provider=provider
    )
    reply = await aggregate(
        agent, {"a": "blue sky", "b": {"content": "blue sky", "confidence": 0.9}}
    )
    request = provider.requests[0]
    assert request.text.count("blue sky") == 2
    assert "Be brief." in request.instructions
    assert isinstance(reply.payload, dict)
    assert reply.payload["aggregated_content"] == "blue sky"
    assert reply.payload["conflicts_resolved"] == ["shade"]
    assert reply.payload["consensus_level"] == 1.0
    assert reply.payload["tokens_used"] == 15
    if strategy == "weighted":
        assert request.text.index("[b") < request.text.index("[a")
    if strategy == "semantic":
        assert reply.payload["semantic_clusters"] == {"cluster_0": ["a", "b"]}


async def test_many_sources_are_summarised_in_groups_of_three() -> None:
    provider = ScriptedProvider(["first", "second", ANSWER])
    agent = AggregatorAgent("m", aggregation_strategy="hierarchical", provider=provider)
    reply = await aggregate(agent, {name: f"text {name}" for name in "abcd"})
    assert [request.max_tokens for request in provider.requests] == [200, 200, 1500]
    assert provider.requests[2].text == "first\n\nsecond"
    assert reply.payload["tokens_used"] == 45  # type: ignore[index,call-overload]


async def test_too_many_sources_are_cut_to_the_most_confident_in_their_order() -> None:
    agent = AggregatorAgent("v", aggregation_strategy="voting_majority", max_input_sources=2)
    answers = {n: {"content": n, "confidence": c} for n, c in (("a", 0.1), ("b", 0.5), ("c", 0.9))}
    reply = await aggregate(agent, answers)
    assert reply.payload["sources"] == ["b", "c"]  # type: ignore[index,call-overload]


async def test_offline_it_extracts_and_claims_no_conflicts() -> None:
    agent = AggregatorAgent("m", model="offline")
    reply = await aggregate(
        agent, {"a": "The sky is blue today.", "b": "The sky is blue and clear today."}
    )
    assert isinstance(reply.payload, dict)
    assert "sky" in str(reply.payload["aggregated_content"])
    assert reply.payload["conflicts_resolved"] == []
    assert reply.payload["summary_insights"] == ""
    assert 0.5 < reply.payload["consensus_level"] <= 1  # type: ignore[operator]
    assert reply.metadata["offline"] is True


async def test_it_serves_as_the_aggregator_of_a_parallel() -> None:
    votes = [
        RecordingAgent(name, [said]) for name, said in (("a", "yes"), ("b", "no"), ("c", "yes"))
    ]
    judge = AggregatorAgent("judge", aggregation_strategy="voting_majority")
    async with LocalRuntime(Parallel("p", votes, aggregator=judge)) as rt:
        reply = await rt.call("p", "well?")
    assert reply.payload["aggregated_content"] == "yes"  # type: ignore[index,call-overload]


@pytest.mark.parametrize("payload", [{}, [], "", {"a": " "}])
async def test_no_answers_are_invalid(payload: object) -> None:
    with pytest.raises(InvalidMessage, match="payload"):
        await aggregate(AggregatorAgent("v", aggregation_strategy="voting_majority"), payload)


def test_similarity_is_of_words_and_linear_in_them() -> None:
    assert similarity("a b", "a b") == 1.0
    assert similarity("a b", "b c") == 0.5
    assert similarity("", "a") == 0.0
    assert similarity("word " * 200_000, "other " * 200_000) == 0.0


def test_an_unknown_strategy_names_those_there_are() -> None:
    with pytest.raises(ConfigError, match="voting_majority"):
        AggregatorAgent("m", aggregation_strategy="guess")


def test_every_key_of_the_go_configuration_is_taken() -> None:
    entry = {
        "aggregator_config": {
            "aggregation_strategy": "voting_majority",
            "conflict_resolution": "llm_mediated",
            "deduplication_method": "semantic",
            "summarization_enabled": True,
            "max_input_sources": 5,
            "timeout_ms": 5000,
            "semantic_similarity_threshold": 0.5,
            "source_weights": {"a": 0.5},
            "consensus_threshold": 0.6,
            "temperature": 0.5,
            "max_tokens": 1500,
        }
    }
    agent = AggregatorAgent.from_config("m", entry)
    assert (agent.strategy, agent.source_weights, agent.max_input_sources) == (
        "voting_majority",
        {"a": 0.5},
        5,
    )


async def test_an_answer_without_content_is_asked_again_and_all_its_tokens_count() -> None:
    fenced = f"```json\n{json.dumps(ANSWER)}\n```"
    provider = ScriptedProvider([{"insights": "none"}, fenced])
    reply = await aggregate(AggregatorAgent("m", provider=provider), {"a": "blue", "b": "sky"})
    assert isinstance(reply.payload, dict)
    assert reply.payload["aggregated_content"] == "blue sky"
    assert reply.payload["tokens_used"] == 30
    assert "the text 'content'" in provider.requests[1].messages[-1].content
