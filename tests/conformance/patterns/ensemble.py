"""Ensemble."""

from __future__ import annotations

from aixgo import Message
from aixgo.message import JSONValue
from aixgo.orchestration import Ensemble
from tests.conformance.patterns.base import Case

__all__ = ["CASES"]


def vowels(text: JSONValue) -> JSONValue:
    return "even" if sum(letter in "aeiou" for letter in str(text)) % 2 == 0 else "odd"


def letters(text: JSONValue) -> JSONValue:
    return "Even" if len(str(text)) % 2 == 0 else "Odd"


def words(text: JSONValue) -> JSONValue:
    return "even" if len(str(text).split()) % 2 == 0 else "odd"


def sure(text: JSONValue) -> Message:
    return Message("odd", metadata={"confidence": 0.9})


CASES = [
    Case(
        name="ballot",
        build=lambda: Ensemble("ballot", ["ballot.vowels", "ballot.letters", "ballot.words"]),
        config="{name: ballot, pattern: ensemble, agents: [ballot.vowels, ballot.letters, ballot.words]}",
        agents={"ballot.vowels": vowels, "ballot.letters": letters, "ballot.words": words},
        given="rain",
        gives="even",
        calls=[("ballot.vowels", "rain"), ("ballot.letters", "rain"), ("ballot.words", "rain")],
        metadata={
            "pattern": "ensemble",
            "agent_count": 3,
            "success_count": 3,
            "agreement": 2 / 3,
            "votes": {"even": 2.0, "odd": 1.0},
            "winner": "ballot.vowels",
            "tie_broken": False,
        },
        flips={
            "ballot.vowels": (lambda _: "odd", "odd"),
            "ballot.letters": (lambda _: "odd", "odd"),
        },
        # Of two that differ the first one wins, and two that agree always do.
        survives={"ballot.vowels": "Even", "ballot.letters": "even", "ballot.words": "even"},
    ),
    Case(
        name="heavy ballot",
        build=lambda: Ensemble(
            "heavy ballot",
            ["ballot.vowels", "ballot.words"],
            voting_strategy="weighted",
            weights={"ballot.vowels": 3},
            threshold=0.75,
        ),
        config="{name: heavy ballot, pattern: ensemble, agents: [ballot.vowels, ballot.words], config: "
        "{voting_strategy: weighted, weights: {ballot.vowels: 3}, threshold: 0.75}}",
        agents={"ballot.vowels": vowels, "ballot.words": words},
        given="rain",
        gives="even",
        calls=[("ballot.vowels", "rain"), ("ballot.words", "rain")],
        metadata={"agreement": 0.75, "winner": "ballot.vowels"},
        flips={"ballot.vowels": (lambda _: "odd", "odd")},
        survives={"ballot.vowels": "odd", "ballot.words": "even"},
    ),
    Case(
        name="hung ballot",
        build=lambda: Ensemble(
            "hung ballot",
            ["ballot.vowels", "ballot.words"],
            threshold=1,
            fallback="ballot.sure",
            min_successes=2,
        ),
        config="{name: hung ballot, pattern: ensemble, agents: [ballot.vowels, ballot.words], config: "
        "{threshold: 1, fallback: ballot.sure, min_successes: 2}}",
        agents={"ballot.vowels": vowels, "ballot.words": words, "ballot.sure": sure},
        given="rain",
        gives="odd",
        calls=[("ballot.vowels", "rain"), ("ballot.words", "rain"), ("ballot.sure", "rain")],
        metadata={"used_fallback": True},
        flips={"ballot.words": (lambda _: "even", "even"), "ballot.sure": (lambda _: "?", "?")},
    ),
]
