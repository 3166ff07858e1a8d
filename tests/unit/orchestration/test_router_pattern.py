"""Router."""

from __future__ import annotations

import pytest

from aixgo import Message, agent
from aixgo.agents import Category, ClassifierAgent
from aixgo.errors import AgentRefused, ConfigError
from aixgo.orchestration import Limits, Router
from aixgo.runtime.local import LocalRuntime
from aixgo.testing import RecordingAgent


def says(*replies: object) -> RecordingAgent:
    return RecordingAgent("classifier", replies)


@pytest.mark.parametrize(
    "verdict",
    [
        Message("anything", metadata={"category": "Billing"}),
        {"category": "Billing", "confidence": 0.9},
        " Billing\n",
        "billing",
        Message({"category": "other"}, metadata={"category": "BILLING"}),
    ],
)
async def test_the_category_is_read_from_metadata_payload_or_text(verdict: object) -> None:
    target = RecordingAgent("cash", ["paid"])
    async with LocalRuntime(Router("r", says(verdict), {"Billing": target})) as rt:
        reply = await rt.call("r", "my invoice")
    assert reply.text == "paid"
    assert target.messages[0].text == "my invoice"  # the original, not the verdict
    assert reply.metadata["routed_to"] == "cash"
    assert reply.metadata["category"] == "Billing"
    assert reply.metadata["used_fallback"] is False


async def test_an_exact_route_comes_before_one_of_another_case() -> None:
    one, two = RecordingAgent("one", ["1"]), RecordingAgent("two", ["2"])
    async with LocalRuntime(Router("r", says("A"), {"a": one, "A": two})) as rt:
        assert (await rt.call("r", "x")).text == "2"


async def test_without_a_route_the_fallback_answers() -> None:
    async with LocalRuntime(
        Router("r", says("?"), {"a": "b"}, fallback=RecordingAgent("any"))
    ) as rt:
        reply = await rt.call("r", "x")
    assert reply.metadata["routed_to"] == "any"
    assert reply.metadata["category"] == "?"
    assert reply.metadata["used_fallback"] is True


async def test_without_a_route_and_fallback_the_error_names_category_and_routes() -> None:
    async with LocalRuntime(Router("r", says("c"), {"a": RecordingAgent("b"), "d": "b"})) as rt:
        with pytest.raises(
            AgentRefused, match=r"no route for 'c' and no fallback; its routes: 'a', 'd'"
        ):
            await rt.call("r", "x")


async def test_low_confidence_uses_the_fallback() -> None:
    verdicts = [{"category": "a", "confidence": c} for c in (0.79, 0.8)] + [{"category": "a"}]
    router = Router(
        "r",
        says(*verdicts),
        {"a": RecordingAgent("sure")},
        fallback=RecordingAgent("any"),
        min_confidence=0.8,
    )
    async with LocalRuntime(router) as rt:
        targets = [(await rt.call("r", "x")).metadata["routed_to"] for _ in verdicts]
    assert targets == ["any", "sure", "sure"]


async def test_low_confidence_without_a_fallback_is_refused() -> None:
    verdict = {"category": "a", "confidence": 0.1}
    async with LocalRuntime(
        Router("r", says(verdict), {"a": RecordingAgent("b")}, min_confidence=0.5)
    ) as rt:
        with pytest.raises(AgentRefused, match=r"confidence 0\.1, below 0\.5"):
            await rt.call("r", "x")


async def test_it_understands_the_built_in_classifier() -> None:
    @agent
    async def upper(text: str) -> str:
        return text.upper()

    categories = [
        Category("technical", keywords=["crash"]),
        Category("billing", keywords=["invoice"]),
    ]
    classifier = ClassifierAgent("classifier", categories, model="offline")
    async with LocalRuntime(
        Router("r", classifier, {"technical": upper, "billing": RecordingAgent("b")})
    ) as rt:
        assert (await rt.call("r", "it will crash")).metadata["routed_to"] == "upper"
        assert (await rt.call("r", "the invoice is late")).metadata["routed_to"] == "b"


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least one route"):
        Router("r", "c", {})
    with pytest.raises(ConfigError, match="at least 0 and at most 1"):
        Router("r", "c", {"a": "b"}, min_confidence=2)


def test_it_is_built_from_configuration() -> None:
    config = {"classifier": "c", "routes": {"a": "x"}, "fallback": "y", "min_confidence": 0.5}
    router = Router.from_config("r", [], config, Limits())
    assert router.members == ("c", "x", "y")
    named = Router.from_config("r", ["c", "x", "y"], {"classifier": "c", "fallback": "y"}, Limits())
    assert named.members == ("c", "x", "y")
    with pytest.raises(ConfigError, match="'classifier' is missing"):
        Router.from_config("r", ["x"], {}, Limits())
