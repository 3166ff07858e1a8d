"""What cannot work is refused where it is given in code, with its name, as a file's keys are."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

from aixgo import agent
from aixgo.agents import AggregatorAgent, ChatAgent, ClassifierAgent
from aixgo.errors import ConfigError
from aixgo.observability import setup
from aixgo.orchestration import ErrorStrategy, Limits, Parallel, Router, Sequential

WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "a temperature": (
        lambda: ChatAgent("a", temperature=-1),
        "agent 'a': temperature is -1; it must be at least 0 and at most 2",
    ),
    "no tokens": (
        lambda: ChatAgent("a", max_tokens=0),
        "agent 'a': max_tokens is 0; it must be at least 1",
    ),
    "text for a number": (
        lambda: AggregatorAgent("a", temperature="hot"),  # type: ignore[arg-type]
        "agent 'a': temperature must be a number, not the text 'hot'",
    ),
    "a threshold": (
        lambda: AggregatorAgent("a", consensus_threshold=7),
        "aggregator 'a': consensus_threshold is 7; it must be at least 0 and at most 1",
    ),
    "a text for categories": (
        lambda: ClassifierAgent("c", "ab"),
        "classifier 'c': give a list of categories, not one",
    ),
    "a text for agents": (
        lambda: Parallel("p", "text", aggregator="a"),
        "parallel 'p': give a list of agents, not one",
    ),
    "a negative time": (
        lambda: Parallel("p", ["a"], timeout=-1),
        "parallel 'p': timeout is -1; it must be at least 0",
    ),
    "a time that is none": (
        lambda: Sequential("p", ["a"], timeout=float("nan")),
        "sequential 'p': timeout is nan; it must be at least 0",
    ),
    "a time as text": (
        lambda: Sequential("p", ["a"], timeout="2s"),  # type: ignore[arg-type]
        "sequential 'p': timeout must be seconds, not the text '2s'",
    ),
    "a confidence": (
        lambda: Router("r", "c", {"a": "b"}, min_confidence=2),
        "router 'r': min_confidence is 2; it must be at least 0 and at most 1",
    ),
    "a number for a budget": (
        lambda: Limits(budget=5),  # type: ignore[arg-type]
        "Limits(budget=5): give Budget(usd=…)",
    ),
    "a delay as text": (
        lambda: ErrorStrategy("retry", retry_delay="2s"),  # type: ignore[arg-type]
        "retry_delay is '2s'; it is seconds",
    ),
    "a list of fallbacks": (
        lambda: ErrorStrategy("retry", fallbacks=["a"]),  # type: ignore[arg-type]
        "fallbacks is a mapping of agent",
    ),
    "a class for an agent": (lambda: agent(int), "@agent takes a function, not the class int"),
    "a number for an agent": (lambda: agent(42), "@agent takes a function, not 42"),  # type: ignore[call-overload]
    "an object for an agent": (
        lambda: agent(functools.partial(str.upper)),
        "takes a function, not partial",
    ),
    "a function without a signature": (
        lambda: agent(dict.pop),
        "@agent 'pop': its parameters cannot be seen; call it in a function of your own",
    ),
    "a header's value": (
        lambda: setup(exporter="otlp", headers={"shop": 5}),  # type: ignore[dict-item]
        "observability.headers: the value of 'shop' must be text",
    ),
    "a mapping for Langfuse": (
        lambda: setup(langfuse={"host": "http://127.0.0.1:1"}),  # type: ignore[arg-type]
        "observability.langfuse must be LangfuseSettings(…), not dict",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_it_is_refused_with_its_name(case: str) -> None:
    make, text = WRONG[case]
    with pytest.raises(ConfigError) as refused:
        make()
    assert text in str(refused.value)
