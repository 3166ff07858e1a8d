"""Agents of a consensus that say what a test has them say."""

from __future__ import annotations

from collections.abc import Callable

from aixgo import Message
from aixgo.message import JSONValue
from aixgo.orchestration import Consensus
from aixgo.runtime.local import LocalRuntime
from aixgo.testing import RecordingAgent

__all__ = ["KEEP", "asked", "names", "plain", "result", "revises", "says", "supports"]

KEEP: JSONValue = {"action": "keep"}


def says(name: str, *replies: object) -> RecordingAgent:
    """Answers with `replies`, then keeps its answer."""
    return RecordingAgent(name, [*replies, *[KEEP] * 9])  # type: ignore[list-item]  # text, objects, messages and errors


def names(shown: Message, text: str) -> str:
    """Who is shown with the answer `text`."""
    answers = dict(shown.payload["answers"])  # type: ignore[arg-type,index,call-overload]  # an object
    return next(name for name, answer in answers.items() if answer == text)


def supports(
    text: str, action: str = "support", reason: str = "why"
) -> Callable[[Message], Message]:
    """A reply that supports whoever is shown with the answer `text`."""

    def reply(asked: Message) -> Message:
        return Message({"action": action, "agent": names(asked, text), "reason": reason})

    return reply


def revises(text: str, action: str = "revise") -> JSONValue:
    return {"action": action, "answer": text}


def plain(name: str, agents: list[RecordingAgent], **options: object) -> Consensus:
    """A consensus that gives the answer as it is."""
    return Consensus(name, agents, **{"presenter": "verbatim", **options})  # type: ignore[arg-type]  # options of its own


async def result(consensus: Consensus) -> Message:
    async with LocalRuntime(consensus) as rt:
        return await rt.call(consensus.name, "how many?")


def asked(agent: RecordingAgent, number: int) -> dict[str, JSONValue]:
    payload = agent.messages[number].payload
    assert isinstance(payload, dict)
    return payload
