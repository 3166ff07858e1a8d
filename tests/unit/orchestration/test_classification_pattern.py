"""Classification."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from aixgo import Agent, Message, agent
from aixgo.errors import AgentRefused, ConfigError
from aixgo.message import JSONValue
from aixgo.orchestration import Classification
from aixgo.runtime.local import LocalRuntime
from aixgo.testing import RecordingAgent


@agent
async def one(text: str) -> str:
    return f"one {text}"


@agent
async def two(text: str) -> str:
    return f"two {text}"


@agent
async def rest(text: str) -> str:
    return f"rest {text}"


@agent
async def refuses(_: str) -> str:
    raise AgentRefused("no")


ROUTES: dict[str, Agent] = {"a": one, "b": two}


def saying(reply: Message | JSONValue) -> RecordingAgent:
    return RecordingAgent("classifier", [reply])


async def answer(pattern: Classification) -> Message:
    async with LocalRuntime(pattern) as rt, asyncio.timeout(5):
        return await rt.call(pattern.name, "x")


@pytest.mark.parametrize(
    ("said", "agents"),
    [
        (["a", "b"], ["one", "two"]),
        (["b", " A "], ["two", "one"]),
        ({"categories": ["b", "a"]}, ["two", "one"]),
        ({"category": "b", "confidence": 0.9, "categories": ["b", "a"]}, ["two", "one"]),
        (
            [{"category": "a", "confidence": 0.6}, {"category": "b", "confidence": 0.7}],
            ["two", "one"],
        ),
        ([{"category": "a", "confidence": 0.6}, {"category": "b", "confidence": 0.4}], ["one"]),
        (
            [{"category": "a", "confidence": 0.5}, {"category": "b", "confidence": 0.5}],
            ["one", "two"],
        ),
        ({"category": "a", "confidence": 0.5}, ["one"]),
        ("b", ["two"]),
        (Message("", metadata={"categories": ["a"]}), ["one"]),
        (["a", 7, {"confidence": 1}, "c"], ["one"]),
    ],
)
async def test_several_labels_are_read_the_surest_first_or_as_they_are_listed(
    said: Message | JSONValue, agents: list[str]
) -> None:
    reply = await answer(Classification("c", saying(said), ROUTES, multi_label=True))
    assert isinstance(reply.payload, dict)
    assert list(reply.payload) == agents


async def test_an_agent_of_two_labels_is_asked_once() -> None:
    same = RecordingAgent("same", ["once"])
    routes: dict[str, Agent] = {"a": same, "b": same}
    reply = await answer(Classification("c", saying(["a", "b"]), routes, multi_label=True))
    assert reply.payload == {"same": "once"}
    assert len(same.messages) == 1


async def test_no_more_labels_count_than_may() -> None:
    pattern = Classification("c", saying(["b", "a"]), ROUTES, multi_label=True, max_labels=1)
    assert (await answer(pattern)).payload == {"two": "two x"}


async def test_an_agent_that_fails_is_left_out_and_named() -> None:
    routes: dict[str, Agent] = {"a": one, "b": refuses}
    reply = await answer(Classification("c", saying(["a", "b"]), routes, multi_label=True))
    assert reply.payload == {"one": "one x"}
    assert reply.metadata["errors"] == {"refuses": {"class": "AgentRefused", "text": "no"}}


async def test_when_all_fail_the_run_fails() -> None:
    pattern = Classification("c", saying(["a"]), {"a": refuses}, multi_label=True)
    with pytest.raises(AgentRefused, match="all 1 agents of 'c' failed: refuses: AgentRefused"):
        await answer(pattern)


@pytest.mark.parametrize("multi", [False, True])
async def test_when_nothing_is_sure_enough_the_fallback_answers(multi: bool) -> None:
    said: JSONValue = {"category": "a", "confidence": 0.49}
    pattern = Classification("c", saying(said), ROUTES, fallback=rest, multi_label=multi)
    reply = await answer(pattern)
    assert reply.text == "rest x"
    assert reply.metadata["used_fallback"] is True


@pytest.mark.parametrize("multi", [False, True])
async def test_without_a_fallback_an_unsure_classifier_fails_the_run(multi: bool) -> None:
    said: JSONValue = {"category": "a", "confidence": 0.49}
    with pytest.raises(AgentRefused, match=r"'c' has no fallback, and .*0\.5"):
        await answer(Classification("c", saying(said), ROUTES, multi_label=multi))


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("said", ["blah blah", {"mood": "bad"}, 7])
async def test_a_classifier_that_answers_nonsense_is_told_the_routes(
    said: JSONValue, multi: bool
) -> None:
    with pytest.raises(AgentRefused, match=r"'c' has no route for .*its routes: 'a', 'b'"):
        await answer(Classification("c", saying(said), ROUTES, multi_label=multi))


async def test_with_continue_the_fallback_answers_for_a_classifier_that_fails() -> None:
    pattern = Classification(
        "c", refuses, ROUTES, fallback=rest, multi_label=True, error_strategy="continue"
    )
    assert (await answer(pattern)).text == "rest x"


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Classification("c", one, {}), "classification 'c' needs at least one route"),
        (lambda: Classification("c", one, ROUTES, min_confidence=1.5), "min_confidence is 1.5"),
        (lambda: Classification("c", one, ROUTES, max_labels=2), "max_labels goes with multi_lab"),
        (
            lambda: Classification("c", one, ROUTES, multi_label=True, max_labels=0),
            "max_labels is 0; it must be at least 1",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(
    make: Callable[[], Classification], text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        make()
