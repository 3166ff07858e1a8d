"""Sequential."""

from __future__ import annotations

from aixgo.message import JSONValue
from aixgo.orchestration import Sequential
from tests.conformance.patterns.base import Case

__all__ = ["CASES"]


def strip(text: JSONValue) -> JSONValue:
    return str(text).strip()


def title(text: JSONValue) -> JSONValue:
    return str(text).title()


CASES = [
    Case(
        name="row",
        build=lambda: Sequential("row", ["row.strip", "row.title"]),
        config="{name: row, pattern: sequential, agents: [row.strip, row.title]}",
        agents={"row.strip": strip, "row.title": title},
        given=" rain in spain ",
        gives="Rain In Spain",
        calls=[("row.strip", " rain in spain "), ("row.title", "rain in spain")],
        metadata={"pattern": "sequential", "step_count": 2, "agent_count": 2},
        flips={
            "row.strip": (lambda _: "snow", "Snow"),
            "row.title": (lambda text: str(text).upper(), "RAIN IN SPAIN"),
        },
    ),
    Case(
        name="tolerant row",
        build=lambda: Sequential(
            "tolerant row", ["row.strip", "row.title"], error_strategy="continue"
        ),
        config="{name: tolerant row, pattern: sequential, agents: [row.strip, row.title], "
        "config: {error_strategy: continue}}",
        agents={"row.strip": strip, "row.title": title},
        given=" rain ",
        gives="Rain",
        calls=[("row.strip", " rain "), ("row.title", "rain")],
        survives={"row.strip": " Rain ", "row.title": "rain"},
    ),
]
