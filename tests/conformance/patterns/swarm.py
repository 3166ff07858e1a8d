"""Swarm."""

from __future__ import annotations

from aixgo import Message
from aixgo.message import JSONValue
from aixgo.orchestration import Swarm
from tests.conformance.patterns.base import Case

__all__ = ["CASES"]


def desk(_: JSONValue) -> Message:
    return Message("Wait.\nHANDOFF: help.expert", metadata={"context": {"ticket": 7}})


def expert(case: JSONValue) -> JSONValue:
    assert isinstance(case, dict)
    return f"{case['task']}: {case['context']}"


def passes(text: JSONValue) -> Message:
    return Message(f"{text}?", metadata={"handoff_to": "chain.last"})


def last(text: JSONValue) -> JSONValue:
    return f"{text}!"


CASES = [
    Case(
        name="help",
        build=lambda: Swarm("help", ["help.desk", "help.expert"]),
        config="{name: help, pattern: swarm, agents: [help.desk, help.expert]}",
        agents={"help.desk": desk, "help.expert": expert},
        given="broken",
        gives="broken: {'ticket': 7}",
        calls=[
            ("help.desk", "broken"),
            (
                "help.expert",
                {
                    "task": "broken",
                    "history": [{"agent": "help.desk", "says": "Wait."}],
                    "context": {"ticket": 7},
                },
            ),
        ],
        metadata={
            "pattern": "swarm",
            "handoffs": 1,
            "path": ["help.desk", "help.expert"],
            "answered_by": "help.expert",
            "ended_by": "answer",
            "agent_count": 2,
        },
        flips={
            "help.desk": (lambda _: "it is not", "it is not"),
            "help.expert": (lambda _: "repaired", "repaired"),
        },
    ),
    Case(
        name="chain",
        build=lambda: Swarm(
            "chain", ["chain.last"], entry="chain.first", shared_state=False, max_handoffs=1
        ),
        config="{name: chain, pattern: swarm, agents: [chain.last], "
        "config: {entry: chain.first, shared_state: false, max_handoffs: 1}}",
        agents={"chain.first": passes, "chain.last": last},
        given="rain",
        gives="rain?!",
        calls=[("chain.first", "rain"), ("chain.last", "rain?")],
        metadata={"handoffs": 1, "answered_by": "chain.last"},
        flips={"chain.last": (lambda text: f"{text}\nHANDOFF: chain.first", "rain?")},
    ),
]
