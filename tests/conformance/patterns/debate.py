"""Debate."""

from __future__ import annotations

from aixgo.message import JSONValue
from aixgo.orchestration import Debate
from aixgo.orchestration.debate import TO_DEBATERS, TO_JUDGE, TO_JUDGE_AT_LAST
from tests.conformance.patterns.base import Call, Case

__all__ = ["CASES"]


def firm(asked: JSONValue) -> JSONValue:
    return "left"


def yields(asked: JSONValue) -> JSONValue:
    """Another position, until it has read what somebody else says."""
    assert isinstance(asked, dict)
    others = asked["arguments"]
    assert isinstance(others, dict)
    return next((said for name, said in others.items() if name == "talk.firm"), "right")


def prefers(asked: JSONValue) -> JSONValue:
    """Decides for the firm one, but not before the last round."""
    assert isinstance(asked, dict)
    return {"winner": "talk.firm", "reason": "firm"} if asked["final"] else {"undecided": True}


def stubborn(asked: JSONValue) -> JSONValue:
    return "right"


def speaking(agent: str, number: int, of: int, arguments: JSONValue, stance: str = "") -> Call:
    return (
        agent,
        {
            "question": "which way?",
            "round": number,
            "of": of,
            "arguments": arguments,
            "instructions": TO_DEBATERS,
            "stance": stance,
        },
    )


def judging(rounds: int, final: bool) -> Call:
    return (
        "talk.judge",
        {
            "question": "which way?",
            "stances": {"talk.firm": "it is left"},
            "rounds": [{"talk.firm": "left", "talk.stubborn": "right"}] * rounds,
            "final": final,
            "instructions": f"{TO_JUDGE_AT_LAST if final else ''}{TO_JUDGE}",
        },
    )


BOTH: dict[str, JSONValue] = {"talk.firm": "left", "talk.yields": "right"}
APART: JSONValue = {"talk.firm": "left", "talk.stubborn": "right"}

CASES = [
    Case(
        name="talk",
        build=lambda: Debate("talk", ["talk.firm", "talk.yields"]),
        config="{name: talk, pattern: debate, agents: [talk.firm, talk.yields]}",
        agents={"talk.firm": firm, "talk.yields": yields},
        given="which way?",
        gives="left",
        calls=[
            speaking("talk.firm", 1, 3, {}),
            speaking("talk.yields", 1, 3, {}),
            speaking("talk.firm", 2, 3, BOTH),
            speaking("talk.yields", 2, 3, BOTH),
        ],
        metadata={
            "pattern": "debate",
            "agent_count": 2,
            "rounds": 2,
            "agreements": [0.5, 1.0],
            "decided_by": "consensus",
            "winner": "talk.firm",
        },
        flips={"talk.firm": (lambda _: "up", "up")},
    ),
    Case(
        name="trial",
        build=lambda: Debate(
            "trial",
            ["talk.firm", "talk.stubborn"],
            stances={"talk.firm": "it is left"},
            rounds=2,
            judge="talk.judge",
        ),
        config="{name: trial, pattern: debate, agents: [talk.firm, talk.stubborn], "
        "config: {stances: {talk.firm: it is left}, rounds: 2, judge: talk.judge}}",
        agents={"talk.firm": firm, "talk.stubborn": stubborn, "talk.judge": prefers},
        given="which way?",
        gives="left",
        calls=[
            speaking("talk.firm", 1, 2, {}, "it is left"),
            speaking("talk.stubborn", 1, 2, {}),
            judging(1, final=False),
            speaking("talk.firm", 2, 2, APART, "it is left"),
            speaking("talk.stubborn", 2, 2, APART),
            judging(2, final=True),
        ],
        metadata={"agent_count": 3, "rounds": 2, "decided_by": "judge", "reason": "firm"},
        flips={
            "talk.judge": (lambda _: "talk.stubborn", "right"),
            "talk.firm": (lambda _: "up", "up"),
        },
    ),
    Case(
        name="talk of three",
        build=lambda: Debate("talk of three", ["talk.firm", "talk.yields", "talk.agrees"]),
        config="{name: talk of three, pattern: debate, "
        "agents: [talk.firm, talk.yields, talk.agrees]}",
        agents={"talk.firm": firm, "talk.yields": yields, "talk.agrees": firm},
        given="which way?",
        gives="left",
        calls=[
            *(speaking(name, 1, 3, {}) for name in (*BOTH, "talk.agrees")),
            *(speaking(n, 2, 3, {**BOTH, "talk.agrees": "left"}) for n in (*BOTH, "talk.agrees")),
        ],
        metadata={"rounds": 2, "votes": {"left": 3}},
        flips={"talk.firm": (lambda _: "up", "up")},
        survives={"talk.firm": "right", "talk.yields": "left", "talk.agrees": "left"},
    ),
]
