"""Reflection."""

from __future__ import annotations

from aixgo.message import JSONValue
from aixgo.orchestration import Reflection
from tests.conformance.patterns.base import Case

__all__ = ["CASES"]

FIRST: JSONValue = {"task": "rain", "draft": "rain!"}
SECOND: JSONValue = {"task": "rain", "draft": "rain!!"}


def louder(asked: JSONValue) -> JSONValue:
    """The draft before, or the task, with one more mark."""
    return f"{asked['draft'] if isinstance(asked, dict) else asked}!"


def marks(work: JSONValue) -> JSONValue:
    assert isinstance(work, dict)
    return {"score": min(1.0, str(work["draft"]).count("!") / 2)}


def length(work: JSONValue) -> JSONValue:
    assert isinstance(work, dict)
    return f"score: {len(str(work['draft']))}/10"


def fewer(work: JSONValue) -> JSONValue:
    """The opposite of both critics: the shorter the better."""
    assert isinstance(work, dict)
    return {"score": 1 / len(str(work["draft"]))}


CASES = [
    Case(
        name="polish",
        build=lambda: Reflection("polish", "polish.louder", "polish.marks"),
        config="{name: polish, pattern: reflection, "
        "config: {generator: polish.louder, critic: polish.marks}}",
        agents={"polish.louder": louder, "polish.marks": marks},
        given="rain",
        gives="rain!!",
        calls=[
            ("polish.louder", "rain"),
            ("polish.marks", FIRST),
            (
                "polish.louder",
                {"task": "rain", "draft": "rain!", "critique": {"score": 0.5}},
            ),
            ("polish.marks", SECOND),
        ],
        metadata={
            "pattern": "reflection",
            "scores": [0.5, 1.0],
            "iterations": 2,
            "best_iteration": 2,
            "ended_by": "threshold",
            "agent_count": 2,
        },
        flips={
            "polish.marks": (fewer, "rain!"),
            "polish.louder": (lambda _: "snow", "snow"),
        },
    ),
    Case(
        name="panel",
        build=lambda: Reflection(
            "panel", "polish.louder", ["polish.marks", "panel.length"], max_iterations=2
        ),
        config="{name: panel, pattern: reflection, agents: [polish.louder, polish.marks, panel.length], "
        "config: {max_iterations: 2}}",
        agents={"polish.louder": louder, "polish.marks": marks, "panel.length": length},
        given="rain",
        gives="rain!!",
        calls=[
            ("polish.louder", "rain"),
            ("polish.marks", FIRST),
            ("panel.length", FIRST),
            (
                "polish.louder",
                {
                    "task": "rain",
                    "draft": "rain!",
                    "critique": {"polish.marks": {"score": 0.5}, "panel.length": "score: 5/10"},
                },
            ),
            ("polish.marks", SECOND),
            ("panel.length", SECOND),
        ],
        metadata={"scores": [0.5, 0.8], "ended_by": "max_iterations", "agent_count": 3},
        flips={"polish.louder": (lambda _: "snow!", "snow!")},
        survives={"polish.marks": "rain!!", "panel.length": "rain!!"},
    ),
]
