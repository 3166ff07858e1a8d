"""Parallel."""

from __future__ import annotations

from aixgo.message import JSONValue
from aixgo.orchestration import Parallel
from tests.conformance.patterns.base import Case

__all__ = ["CASES"]


def size(text: JSONValue) -> JSONValue:
    return len(str(text))


def upper(text: JSONValue) -> JSONValue:
    return str(text).upper()


CASES = [
    Case(
        name="fan",
        build=lambda: Parallel("fan", ["fan.size", "fan.upper"]),
        config="{name: fan, pattern: parallel, agents: [fan.size, fan.upper]}",
        agents={"fan.size": size, "fan.upper": upper},
        given="rain",
        gives={"fan.size": 4, "fan.upper": "RAIN"},
        calls=[("fan.size", "rain"), ("fan.upper", "rain")],
        metadata={"pattern": "parallel", "agent_count": 2, "success_count": 2},
        flips={"fan.upper": (lambda text: str(text)[::-1], {"fan.size": 4, "fan.upper": "niar"})},
        survives={"fan.size": {"fan.upper": "RAIN"}, "fan.upper": {"fan.size": 4}},
    ),
    Case(
        name="fan with a vote",
        build=lambda: Parallel(
            "fan with a vote", ["fan.size", "fan.upper", "fan.capitals"], aggregation="voting"
        ),
        config="{name: fan with a vote, pattern: parallel, config: {aggregation: voting}, "
        "agents: [fan.size, fan.upper, fan.capitals]}",
        agents={"fan.size": size, "fan.upper": upper, "fan.capitals": upper},
        given="rain",
        gives="RAIN",
        calls=[("fan.size", "rain"), ("fan.upper", "rain"), ("fan.capitals", "rain")],
        metadata={"winner": "fan.upper", "votes": {"4": 1, "rain": 2}, "success_count": 3},
        flips={"fan.upper": (size, 4)},
        survives={"fan.size": "RAIN", "fan.upper": 4, "fan.capitals": 4},
    ),
]
