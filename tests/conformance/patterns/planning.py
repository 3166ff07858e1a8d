"""Planning."""

from __future__ import annotations

from aixgo.message import JSONValue
from aixgo.orchestration import Planning
from tests.conformance.patterns.base import Case, refuses

__all__ = ["CASES"]


def diamond(text: JSONValue) -> JSONValue:
    return {
        "steps": [
            {"id": "end", "agent": "plan.join", "input": ["{left}", "{right}"]},
            {"id": "left", "agent": "plan.upper", "input": "{top}"},
            {"id": "right", "agent": "plan.mirror", "input": "{top}!"},
            {"id": "top", "agent": "plan.strip"},
            {"id": "last", "agent": "plan.join", "input": ["{end}", "{input}"]},
        ]
    }


def straight(text: JSONValue) -> JSONValue:
    return [{"id": "only", "agent": "plan.upper"}]


def around(text: JSONValue) -> JSONValue:
    """Plans a way, and another one when that failed."""
    if isinstance(text, dict):
        return [{"agent": "plan.upper", "input": "{first} instead"}]
    return [
        {"id": "first", "agent": "plan.strip"},
        {"id": "second", "agent": "plan.refuses", "input": "{first}"},
    ]


def stubborn(text: JSONValue) -> JSONValue:
    """Plans the same way again."""
    return [
        {"id": "first", "agent": "plan.strip"},
        {"id": "second", "agent": "plan.refuses", "input": "{first}"},
    ]


def strip(text: JSONValue) -> JSONValue:
    return str(text).strip()


def upper(text: JSONValue) -> JSONValue:
    return str(text).upper()


def mirror(text: JSONValue) -> JSONValue:
    return str(text)[::-1]


def join(parts: JSONValue) -> JSONValue:
    assert isinstance(parts, list)
    return "+".join(map(str, parts))


def summary(asked: JSONValue) -> JSONValue:
    assert isinstance(asked, dict)
    results = asked["results"]
    assert isinstance(results, dict)
    return sorted(results)


WORKERS = ["plan.strip", "plan.upper", "plan.mirror", "plan.join"]
RULES = {"plan.strip": strip, "plan.upper": upper, "plan.mirror": mirror, "plan.join": join}

CASES = [
    Case(
        name="diamond",
        build=lambda: Planning("diamond", "plan.diamond", WORKERS),
        config="{name: diamond, pattern: planning, config: {planner: plan.diamond}, "
        "agents: [plan.strip, plan.upper, plan.mirror, plan.join]}",
        agents={"plan.diamond": diamond, **RULES},
        given=" rain ",
        gives="RAIN+!niar+ rain ",
        calls=[
            ("plan.diamond", " rain "),
            ("plan.strip", " rain "),
            ("plan.upper", "rain"),
            ("plan.mirror", "rain!"),
            ("plan.join", ["RAIN", "!niar"]),
            ("plan.join", ["RAIN+!niar", " rain "]),
        ],
        metadata={"pattern": "planning", "step_count": 5, "replans": 0, "agent_count": 5},
        flips={
            "plan.diamond": (straight, " RAIN "),
            "plan.strip": (lambda _: "sun", "SUN+!nus+ rain "),
            "plan.mirror": (lambda text: text, "RAIN+rain!+ rain "),
        },
    ),
    Case(
        name="around",
        build=lambda: Planning(
            "around", "plan.around", ["plan.strip", "plan.upper", "plan.refuses"], max_replans=1
        ),
        config="{name: around, pattern: planning, config: {planner: plan.around, max_replans: 1}, "
        "agents: [plan.strip, plan.upper, plan.refuses]}",
        agents={
            "plan.around": around,
            "plan.strip": strip,
            "plan.upper": upper,
            "plan.refuses": refuses,
        },
        given=" rain ",
        gives="RAIN INSTEAD",
        calls=[
            ("plan.around", " rain "),
            ("plan.strip", " rain "),
            ("plan.refuses", "rain"),
            (
                "plan.around",
                {
                    "task": " rain ",
                    "error": {"step": "second", "class": "AgentRefused", "text": "no"},
                    "done": {"first": "rain"},
                },
            ),
            ("plan.upper", "rain instead"),
        ],
        metadata={"replans": 1, "step_count": 1},
        flips={"plan.refuses": (lambda text: f"{text} after all", "rain after all")},
        survives={"plan.refuses": "RAIN INSTEAD", "plan.strip": "{FIRST} INSTEAD"},
    ),
    Case(
        name="planned summary",
        build=lambda: Planning(
            "planned summary", "plan.straight", ["plan.upper"], synthesizer="plan.summary"
        ),
        config="{name: planned summary, pattern: planning, agents: [plan.upper], "
        "config: {planner: plan.straight, synthesizer: plan.summary}}",
        agents={"plan.straight": straight, "plan.upper": upper, "plan.summary": summary},
        given="rain",
        gives=["only"],
        calls=[
            ("plan.straight", "rain"),
            ("plan.upper", "rain"),
            ("plan.summary", {"task": "rain", "results": {"only": "RAIN"}}),
        ],
        flips={"plan.summary": (lambda asked: asked["results"], {"only": "RAIN"})},  # type: ignore[index,call-overload]
    ),
    Case(
        name="as far as it goes",
        build=lambda: Planning(
            "as far as it goes",
            "plan.stubborn",
            ["plan.strip", "plan.refuses"],
            max_replans=1,
            error_strategy="continue",
        ),
        config="{name: as far as it goes, pattern: planning, agents: [plan.strip, plan.refuses], "
        "config: {planner: plan.stubborn, max_replans: 1, error_strategy: continue}}",
        agents={"plan.stubborn": stubborn, "plan.strip": strip, "plan.refuses": refuses},
        given=" rain ",
        gives="rain",
        calls=[
            ("plan.stubborn", " rain "),
            ("plan.strip", " rain "),
            ("plan.refuses", "rain"),
            (
                "plan.stubborn",
                {
                    "task": " rain ",
                    "error": {"step": "second", "class": "AgentRefused", "text": "no"},
                    "done": {"first": "rain"},
                },
            ),
            ("plan.refuses", "rain"),
        ],
        metadata={
            "replans": 1,
            "degraded": True,
            "stopped_by": "failures",
            "errors": {"second": {"class": "AgentRefused", "text": "no"}},
        },
        flips={"plan.refuses": (lambda text: f"{text} after all", "rain after all")},
        survives={"plan.refuses": "rain"},
    ),
]
