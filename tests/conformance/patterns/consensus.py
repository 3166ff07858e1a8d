"""Consensus."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aixgo import Message
from aixgo.message import JSONValue
from aixgo.orchestration import Consensus
from aixgo.orchestration._presenting import TO_PRESENTER
from aixgo.orchestration._refining import ACTIONS, Answer, Shown
from tests.conformance.patterns.base import Call, Case, Rule

__all__ = ["CASES"]

TASK = "how many?"


def member(
    text: str, action: str = "", best: Callable[[Mapping[str, str]], str] | None = None
) -> Rule:
    """Answers with `text`; then does `action` for the answer `best` chooses, or keeps its own; presents what won."""

    def rule(asked: JSONValue) -> JSONValue:
        if not isinstance(asked, dict):
            return text
        answers = {str(name): str(said) for name, said in asked["answers"].items()}  # type: ignore[union-attr]  # an object
        if "chosen" in asked:
            return f"It is {answers[str(asked['chosen'])]}"
        if best is None:
            return {"action": "keep"}
        return {"action": action, "agent": best(answers), "reason": "sure"}

    return rule


def least(answers: Mapping[str, str]) -> str:
    return min(answers, key=lambda name: answers[name])


def most(answers: Mapping[str, str]) -> str:
    return max(answers, key=lambda name: answers[name])


def shown(texts: Mapping[str, str], suffix: str) -> Shown:
    answers = {agent: Answer(Message(text), agent) for agent, text in texts.items()}
    return Shown(answers, "\n".join((TASK, *texts, suffix)))


def refining(texts: Mapping[str, str], actions: str) -> list[Call]:
    """What each agent is asked in the first round."""
    seen = shown(texts, "0")
    told = "; ".join(ACTIONS[actions].values())
    return [
        (
            agent,
            {
                "task": TASK,
                "round": 1,
                "of": 3,
                "answers": seen.payloads,
                "instructions": f"Compare the answers. Reply with JSON, one of: {told}.",
                "yours": seen.ids[agent],
            },
        )
        for agent in texts
    ]


def presenting(texts: Mapping[str, str], winner: str, voter: str) -> Call:
    seen = shown(texts, "result")
    vote: JSONValue = {"agent": seen.ids[voter], "for": seen.ids[winner], "reason": "sure"}
    return (
        winner,
        {
            "task": TASK,
            "answers": seen.payloads,
            "chosen": seen.ids[winner],
            "votes": [vote],
            "instructions": TO_PRESENTER,
        },
    )


SETTLED = {"settle.firm": "4", "settle.open": "5"}
POLLED = {"poll.low": "1", "poll.high": "2"}

CASES = [
    Case(
        name="settle",
        build=lambda: Consensus("settle", ["settle.firm", "settle.open"]),
        config="{name: settle, pattern: consensus, agents: [settle.firm, settle.open]}",
        agents={"settle.firm": member("4"), "settle.open": member("5", "support", least)},
        given=TASK,
        gives="It is 4",
        calls=[
            ("settle.firm", TASK),
            ("settle.open", TASK),
            *refining(SETTLED, "vote"),
            presenting(SETTLED, "settle.firm", "settle.open"),
        ],
        metadata={
            "pattern": "consensus",
            "agent_count": 2,
            "rounds": 1,
            "converged": True,
            "winner": "settle.firm",
            "presenter": "settle.firm",
            "votes": {"settle.firm": "settle.firm", "settle.open": "settle.firm"},
        },
        flips={"settle.firm": (member("3"), "It is 3")},
        survives={"settle.firm": "5", "settle.open": "4"},
    ),
    Case(
        name="poll",
        build=lambda: Consensus(
            "poll", ["poll.low", "poll.high"], protocol="vote", presenter="verbatim"
        ),
        config="{name: poll, pattern: consensus, agents: [poll.low, poll.high], "
        "config: {protocol: vote, presenter: verbatim}}",
        agents={"poll.low": member("1", "vote", most), "poll.high": member("2", "vote", most)},
        given=TASK,
        gives="2",
        calls=[("poll.low", TASK), ("poll.high", TASK), *refining(POLLED, "protocol")],
        metadata={"rounds": 1, "converged": True, "agreement": 1.0, "tie_broken": False},
        flips={"poll.high": (member("2", "vote", least), "1")},
        survives={"poll.low": "2", "poll.high": "1"},
    ),
]
