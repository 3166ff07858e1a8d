"""Supervisor."""

from __future__ import annotations

from aixgo.message import JSONValue
from aixgo.orchestration import Supervisor
from tests.conformance.patterns.base import Case

__all__ = ["CASES"]


def picks(asked: JSONValue) -> JSONValue:
    """The clerk first, and the boss about what the clerk said."""
    return {"agent": "office.boss" if isinstance(asked, dict) else "office.clerk", "done": False}


def clerk(_: JSONValue) -> JSONValue:
    return {"form": 7}


def forms(_: JSONValue) -> JSONValue:
    """Has work for others."""
    return {"done": False}


def boss(asked: JSONValue) -> JSONValue:
    assert isinstance(asked, dict)
    return {"signed": asked["history"], "done": True}


HISTORY: JSONValue = [{"agent": "office.clerk", "says": {"form": 7}}]
SECOND: JSONValue = {"task": "a permit", "history": HISTORY}

CASES = [
    Case(
        name="office",
        build=lambda: Supervisor("office", ["office.clerk", "office.boss"], manager="office.picks"),
        config="{name: office, pattern: supervisor, agents: [office.clerk, office.boss], "
        "config: {manager: office.picks}}",
        agents={"office.picks": picks, "office.clerk": clerk, "office.boss": boss},
        given="a permit",
        gives={"signed": HISTORY, "done": True},
        calls=[
            ("office.picks", "a permit"),
            ("office.clerk", "a permit"),
            ("office.picks", SECOND),
            ("office.boss", SECOND),
        ],
        metadata={
            "pattern": "supervisor",
            "rounds": 2,
            "path": ["office.clerk", "office.boss"],
            "routed_to": "office.boss",
            "used_fallback": False,
            "ended_by": "answer",
            "agent_count": 3,
        },
        flips={
            "office.picks": (lambda _: "office.clerk", {"form": 7}),
            "office.boss": (lambda _: {"no": 1, "done": True}, {"no": 1, "done": True}),
            "office.clerk": (lambda _: {"lost": 1, "done": True}, {"lost": 1, "done": True}),
        },
    ),
    Case(
        name="turns",
        build=lambda: Supervisor(
            "turns", ["office.clerk", "turns.other"], routing_strategy="round_robin"
        ),
        config="{name: turns, pattern: supervisor, agents: [office.clerk, turns.other], "
        "config: {routing_strategy: round_robin}}",
        agents={"office.clerk": clerk, "turns.other": boss},
        given="a permit",
        gives={"form": 7},
        calls=[("office.clerk", "a permit")],
        metadata={"rounds": 1, "routed_to": "office.clerk"},
        flips={"office.clerk": (lambda _: "no", "no")},
    ),
    Case(
        name="by hand",
        build=lambda: Supervisor("by hand", ["hand.a", "hand.b"], routing_strategy="manual"),
        config="{name: by hand, pattern: supervisor, agents: [hand.a, hand.b], "
        "config: {routing_strategy: manual}}",
        agents={"hand.a": lambda text: f"a:{text}", "hand.b": lambda text: f"b:{text}"},
        given="@hand.b: rain",
        gives="b:rain",
        calls=[("hand.b", "rain")],
        metadata={"routed_to": "hand.b"},
        flips={"hand.b": (lambda _: "no", "no")},
    ),
    Case(
        name="short hours",
        build=lambda: Supervisor(
            "short hours",
            ["office.forms", "office.clerk"],
            routing_strategy="round_robin",
            max_rounds=1,
        ),
        config="{name: short hours, pattern: supervisor, agents: [office.forms, office.clerk], "
        "config: {routing_strategy: round_robin, max_rounds: 1}}",
        agents={"office.forms": forms, "office.clerk": clerk},
        given="a permit",
        gives={"done": False},
        calls=[("office.forms", "a permit")],
        metadata={"ended_by": "max_rounds", "stopped_by": "max_rounds", "rounds": 1},
        flips={"office.forms": (lambda _: "here", "here")},
    ),
]
