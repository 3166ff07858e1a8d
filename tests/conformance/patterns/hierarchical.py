"""Hierarchical."""

from __future__ import annotations

from aixgo.message import JSONValue
from aixgo.orchestration import Hierarchical, Sequential
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


def lead(asked: JSONValue) -> JSONValue:
    """Of the workers only the painter is needed, who gets the task with a colour."""
    assert isinstance(asked, dict)
    if "results" in asked:
        return {"done by": asked["results"]}
    return {"team_assignments": {"site.painter": f"{asked['task']}, red"}}


def everybody(asked: JSONValue) -> JSONValue:
    """Every team gets the task as it is, and the results are the answer."""
    assert isinstance(asked, dict)
    if "results" in asked:
        return asked["results"]
    teams = asked["teams"]
    assert isinstance(teams, list)
    return {"team_assignments": {str(team): asked["task"] for team in teams}}


def painter(text: JSONValue) -> JSONValue:
    return f"{text}: painted"


def glazier(text: JSONValue) -> JSONValue:
    return f"{text}: glazed"


BOTH: JSONValue = {"walls": "walls of a house: stone", "roof": "roof of a house: slate"}

SHELL: dict[str, JSONValue] = {"site.mason": "a hut: stone", "site.roofer": "a hut: slate"}
ALL: dict[str, JSONValue] = {
    "shell": SHELL,
    "finish": {"done by": {"site.painter": "a hut, red: painted"}},
    "check": "a hut: painted: glazed",
}

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
    Case(
        name="firm",
        build=lambda: Hierarchical(
            "firm",
            "firm.chief",
            {
                "shell": ["site.mason", "site.roofer"],
                "finish": {
                    "manager": "firm.lead",
                    "workers": ["site.painter", "site.glazier"],
                },
                "check": Sequential("firm check", ["site.painter", "site.glazier"]),
            },
        ),
        config="{name: firm, pattern: hierarchical, config: {manager: firm.chief, teams: {"
        "shell: {workers: [site.mason, site.roofer]}, "
        "finish: {manager: firm.lead, workers: [site.painter, site.glazier]}, "
        "check: {name: firm check, pattern: sequential, agents: [site.painter, site.glazier]}}}}",
        agents={
            "firm.chief": everybody,
            "firm.lead": lead,
            "site.mason": mason,
            "site.roofer": roofer,
            "site.painter": painter,
            "site.glazier": glazier,
        },
        given="a hut",
        gives=ALL,
        calls=[
            ("firm.chief", {"task": "a hut", "teams": ["shell", "finish", "check"]}),
            ("firm.shell", "a hut"),
            ("site.mason", "a hut"),
            ("site.roofer", "a hut"),
            ("firm.finish", "a hut"),
            ("firm.lead", {"task": "a hut", "teams": ["site.painter", "site.glazier"]}),
            ("site.painter", "a hut, red"),
            ("firm.lead", {"task": "a hut", "results": {"site.painter": "a hut, red: painted"}}),
            ("firm check", "a hut"),
            ("site.painter", "a hut"),
            ("site.glazier", "a hut: painted"),
            ("firm.chief", {"task": "a hut", "results": ALL}),
        ],
        metadata={"teams": ["shell", "finish", "check"], "success_count": 3, "agent_count": 4},
        flips={
            "site.roofer": (lambda _: "straw", ALL | {"shell": SHELL | {"site.roofer": "straw"}}),
            "firm.lead": (lambda _: "nobody", ALL | {"finish": "nobody"}),
            "site.glazier": (lambda _: "open", ALL | {"check": "open"}),
        },
        survives={
            "site.roofer": ALL | {"shell": {"site.mason": "a hut: stone"}},
            "firm.lead": {"shell": SHELL, "check": ALL["check"]},
            "site.painter": {"shell": SHELL},
            "site.glazier": {"shell": SHELL, "finish": ALL["finish"]},
            "site.mason": ALL | {"shell": {"site.roofer": "a hut: slate"}},
        },
    ),
]
