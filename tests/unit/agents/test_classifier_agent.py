"""ClassifierAgent."""

from __future__ import annotations

import pytest

from aixgo.agents import Category, ClassifierAgent, FewShot
from aixgo.errors import AgentRefused, ConfigError, OutputInvalid
from aixgo.message import JSONValue
from aixgo.runtime.local import LocalRuntime
from aixgo.testing import ScriptedProvider

CATEGORIES = [
    Category("technical_issue", "Problems with the system", ["error", "crash"], ["It is slow"]),
    Category("billing", "Payments", ["invoice", "refund"]),
]


def answer(category: str, confidence: float = 0.9, **more: JSONValue) -> dict[str, JSONValue]:
    return {
        "category": category,
        "confidence": confidence,
        "reasoning": "r",
        "alternatives": [],
        **more,
    }


async def test_it_classifies_offline_by_the_words_of_its_categories() -> None:
    async with LocalRuntime(ClassifierAgent("c", CATEGORIES, model="offline")) as rt:
        reply = await rt.call("c", "I get an error and then a crash.")
        other = await rt.call("c", "Where is my refund?")
    assert isinstance(reply.payload, dict)
    assert list(reply.payload) == ["category", "confidence", "reasoning", "alternatives"]
    assert reply.payload["category"] == reply.metadata["category"] == "technical_issue"
    assert reply.metadata["confident"] is True
    assert reply.type == "classification"
    assert other.metadata["category"] == "billing"


async def test_few_shot_examples_tell_too() -> None:
    shots = [FewShot("my parcel has vanished", "billing", "because")]
    agent = ClassifierAgent("c", CATEGORIES, few_shot_examples=shots, model="offline")
    async with LocalRuntime(agent) as rt:
        reply = await rt.call("c", "A parcel vanished")
    assert reply.metadata["category"] == "billing"
    assert reply.metadata["prompt_strategy"] == "few-shot"


async def test_the_model_sees_categories_and_examples_as_instructions_and_only_the_text_as_text() -> (
    None
):
    provider = ScriptedProvider([answer("billing")])
    shots = [FewShot("where is my money", "billing")]
    agent = ClassifierAgent(
        "c", CATEGORIES, few_shot_examples=shots, prompt="Be strict.", provider=provider
    )
    async with LocalRuntime(agent) as rt:
        await rt.call("c", "text")
    request = provider.requests[0]
    assert request.text == "text"
    for part in ("Be strict.", "technical_issue", "It is slow", "where is my money"):
        assert part in request.instructions
    assert (request.temperature, request.max_tokens) == (0.3, 500)


async def test_a_category_outside_the_list_is_asked_again_and_then_refused() -> None:
    provider = ScriptedProvider([answer("sales"), answer(" BILLING ")])
    async with LocalRuntime(ClassifierAgent("c", CATEGORIES, provider=provider)) as rt:
        assert (await rt.call("c", "text")).metadata["category"] == "billing"
    assert "one of: technical_issue, billing" in provider.requests[1].messages[-1].content
    provider = ScriptedProvider([answer("sales")], cycle=True)
    async with LocalRuntime(ClassifierAgent("c", CATEGORIES, provider=provider)) as rt:
        with pytest.raises(OutputInvalid):
            await rt.call("c", "text")


async def test_below_the_threshold_it_is_not_confident() -> None:
    provider = ScriptedProvider([answer("billing", 0.5)])
    async with LocalRuntime(ClassifierAgent("c", CATEGORIES, provider=provider)) as rt:
        assert (await rt.call("c", "text")).metadata["confident"] is False


async def test_several_labels_come_with_the_best_one_first() -> None:
    async with LocalRuntime(
        ClassifierAgent("c", CATEGORIES, multi_label=True, model="offline")
    ) as rt:
        reply = await rt.call("c", "A crash, an error, and no refund.")
    assert isinstance(reply.payload, dict)
    assert reply.payload["categories"] == ["technical_issue", "billing"]


async def test_nothing_to_classify_is_refused() -> None:
    async with LocalRuntime(ClassifierAgent("c", CATEGORIES, model="offline")) as rt:
        with pytest.raises(AgentRefused, match="no text"):
            await rt.call("c", "  ")


def test_wrong_categories_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least one category"):
        ClassifierAgent("c", [])
    with pytest.raises(ConfigError, match="two categories"):
        ClassifierAgent("c", ["a", "A"])
    with pytest.raises(ConfigError, match="'z', which is no category"):
        ClassifierAgent("c", ["a"], few_shot_examples=[FewShot("x", "z")])


def test_every_key_of_the_go_configuration_is_taken() -> None:
    entry = {
        "model": "offline",
        "prompt": "p",
        "classifier_config": {
            "categories": [{"name": "a", "description": "d", "keywords": ["k"], "examples": ["e"]}],
            "few_shot_examples": [{"input": "i", "category": "a", "reason": "r"}],
            "confidence_threshold": 0.9,
            "multi_label": True,
            "use_embeddings": False,
            "temperature": 0.1,
            "max_tokens": 50,
        },
    }
    agent = ClassifierAgent.from_config("c", entry)
    assert agent.categories == (Category("a", "d", ["k"], ["e"]),)
    assert (agent.confidence_threshold, agent.multi_label) == (0.9, True)
    with pytest.raises(ConfigError, match="did you mean 'multi_label'"):
        ClassifierAgent.from_config("c", {"classifier_config": {"multilabel": True}})
