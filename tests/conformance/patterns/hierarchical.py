"""Hierarchical."""

from __future__ import annotations

from aixgo.message import JSONValue
from aixgo.orchestration import Hierarchical
from tests.conformance.patterns.base import Case

__all__ = ["CASES"]

PLAN: JSONValue = {"task": "a house", "teams": ["walls", "roof"]}


def chief(asked: JSONValue) -> JSONValue:
    """Every team gets the task with its name; the results are the answer."""
    assert isinstance(asked, dict)
    if "results" in asked:
        return asked["results"]
    teams = asked["teams"]
    assert isinstance(teams, list)
    return {"team_assignments": {str(team): f"{team} of {asked['task']}" for team in teams}}


def first_only(asked: JSONValue) -> JSONValue:
    assert isinstance(asked, dict)
    return asked.get("results", {"team_assignments": {"walls": "only these"}})


def mason(text: JSONValue) -> JSONValue:
    return f"{text}: stone"


def roofer(text: JSONValue) -> JSONValue:
    return f"{text}: slate"


BOTH: JSONValue = {"walls": "walls of a house: stone", "roof": "roof of a house: slate"}

CASES = [
    Case(
        name="site",
        build=lambda: Hierarchical(
            "site", "site.chief", {"walls": "site.mason", "roof": {"workers": ["site.roofer"]}}
        ),
        config="{name: site, pattern: hierarchical, config: {manager: site.chief, "
        "teams: {walls: site.mason, roof: {workers: [site.roofer]}}}}",
        agents={"site.chief": chief, "site.mason": mason, "site.roofer": roofer},
        given="a house",
        gives=BOTH,
        calls=[
            ("site.chief", PLAN),
            ("site.mason", "walls of a house"),
            ("site.roofer", "roof of a house"),
            ("site.chief", {"task": "a house", "results": BOTH}),
        ],
        metadata={
            "pattern": "hierarchical",
            "teams": ["walls", "roof"],
            "success_count": 2,
            "agent_count": 3,
        },
        flips={
            "site.chief": (first_only, {"walls": "only these: stone"}),
            "site.roofer": (
                lambda _: "straw",
                {"walls": "walls of a house: stone", "roof": "straw"},
            ),
        },
        survives={
            "site.mason": {"roof": "roof of a house: slate"},
            "site.roofer": {"walls": "walls of a house: stone"},
        },
    ),
]
