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
]
