"""Aggregation."""

from __future__ import annotations

from aixgo.message import JSONValue
from aixgo.orchestration import Aggregation
from tests.conformance.patterns.base import Case

__all__ = ["CASES"]


def short(text: JSONValue) -> JSONValue:
    return str(text).split()[0]


def long(text: JSONValue) -> JSONValue:
    return str(text).upper()


def length(asked: JSONValue) -> JSONValue:
    assert isinstance(asked, dict)
    return {"score": len(str(asked["answer"])) / 10}


def brevity(asked: JSONValue) -> JSONValue:
    assert isinstance(asked, dict)
    return {"score": 1 - len(str(asked["answer"])) / 10}


def picky(asked: JSONValue) -> JSONValue:
    """Gives a short answer no score."""
    assert isinstance(asked, dict)
    return {"score": 0.5} if len(str(asked["answer"])) > 2 else "too short"


def joined(answers: JSONValue) -> JSONValue:
    assert isinstance(answers, dict)
    return " or ".join(str(answer) for answer in answers.values())


TWO = {"agg.short": short, "agg.long": long}

CASES = [
    Case(
        name="merged",
        build=lambda: Aggregation("merged", ["agg.short", "agg.long"]),
        config="{name: merged, pattern: aggregation, agents: [agg.short, agg.long]}",
        agents=TWO,
        given="it rains",
        gives="[agg.short]: it\n---\n[agg.long]: IT RAINS",
        calls=[("agg.short", "it rains"), ("agg.long", "it rains")],
        metadata={"pattern": "aggregation", "agent_count": 2, "success_count": 2},
        flips={"agg.short": (lambda _: "no", "[agg.short]: no\n---\n[agg.long]: IT RAINS")},
        survives={"agg.short": "[agg.long]: IT RAINS", "agg.long": "[agg.short]: it"},
    ),
    Case(
        name="best of two",
        build=lambda: Aggregation(
            "best of two", ["agg.short", "agg.long"], strategy="best", scorer="agg.length"
        ),
        config="{name: best of two, pattern: aggregation, agents: [agg.short, agg.long], "
        "config: {strategy: best, scorer: agg.length}}",
        agents={**TWO, "agg.length": length},
        given="it rains",
        gives="IT RAINS",
        calls=[
            ("agg.short", "it rains"),
            ("agg.long", "it rains"),
            ("agg.length", {"task": "it rains", "answer": "it"}),
            ("agg.length", {"task": "it rains", "answer": "IT RAINS"}),
        ],
        metadata={
            "winner": "agg.long",
            "score": 0.8,
            "scores": {"agg.short": 0.2, "agg.long": 0.8},
        },
        flips={"agg.length": (brevity, "it"), "agg.long": (lambda _: "", "it")},
        survives={"agg.short": "IT RAINS", "agg.long": "it"},
    ),
    Case(
        name="summarised",
        build=lambda: Aggregation(
            "summarised", ["agg.short", "agg.long"], strategy="summarize", summarizer="agg.joined"
        ),
        config="{name: summarised, pattern: aggregation, agents: [agg.short, agg.long], "
        "config: {strategy: summarize, summarizer: agg.joined}}",
        agents={**TWO, "agg.joined": joined},
        given="it rains",
        gives="it or IT RAINS",
        calls=[
            ("agg.short", "it rains"),
            ("agg.long", "it rains"),
            ("agg.joined", {"agg.short": "it", "agg.long": "IT RAINS"}),
        ],
        flips={"agg.joined": (lambda _: "neither", "neither")},
        survives={"agg.short": "IT RAINS", "agg.long": "it"},
    ),
    Case(
        name="voted",
        build=lambda: Aggregation("voted", ["agg.short", "agg.long", "agg.loud"], strategy="vote"),
        config="{name: voted, pattern: aggregation, agents: [agg.short, agg.long, agg.loud], "
        "config: {strategy: vote}}",
        agents={**TWO, "agg.loud": long},
        given="it rains",
        gives="IT RAINS",
        calls=[("agg.short", "it rains"), ("agg.long", "it rains"), ("agg.loud", "it rains")],
        metadata={"winner": "agg.long", "votes": {"it": 1, "it rains": 2}, "success_count": 3},
        flips={"agg.loud": (short, "it")},
        survives={"agg.short": "IT RAINS", "agg.long": "it", "agg.loud": "it"},
    ),
    Case(
        name="best that has a score",
        build=lambda: Aggregation(
            "best that has a score", ["agg.short", "agg.long"], strategy="best", scorer="agg.picky"
        ),
        config="{name: best that has a score, pattern: aggregation, agents: [agg.short, agg.long], "
        "config: {strategy: best, scorer: agg.picky}}",
        agents={**TWO, "agg.picky": picky},
        given="it rains",
        gives="IT RAINS",
        calls=[
            ("agg.short", "it rains"),
            ("agg.long", "it rains"),
            ("agg.picky", {"task": "it rains", "answer": "it"}),
            ("agg.picky", {"task": "it rains", "answer": "IT RAINS"}),
        ],
        metadata={"winner": "agg.long", "scores": {"agg.long": 0.5}},
        flips={"agg.picky": (brevity, "it"), "agg.long": (lambda _: "no rain", "no rain")},
        survives={"agg.short": "IT RAINS"},
    ),
]
