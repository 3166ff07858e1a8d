"""What a message asks of a planner: by itself, or as a Planning pattern asks.

Below: message. Above: the planner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from aixgo.errors import InvalidMessage
from aixgo.message import JSONValue, Message, to_json_bytes

__all__ = ["Task", "read_task"]

PROBLEM = ("problem", "task", "goal", "input", "text")
FEEDBACK = ("feedback", "error", "done")


@dataclass(slots=True, frozen=True, kw_only=True)
class Task:
    """What a message asks for."""

    problem: str
    agents: Mapping[str, str]
    max_steps: int | None = None
    feedback: str = ""
    done: Sequence[str] = ()


def read_task(message: Message) -> Task:
    """The task of a message; what a Planning pattern adds to one is taken as well."""
    payload, facts = message.payload, message.metadata
    listed, most = facts.get("agents"), facts.get("max_steps")
    agents = _agents(listed) if isinstance(listed, list) else {}
    max_steps = most if type(most) is int and most > 0 else None
    if not isinstance(payload, dict):
        return Task(problem=message.text.strip(), agents=agents, max_steps=max_steps)
    problem = next((payload[key] for key in PROBLEM if key in payload), payload or "")
    told = {key: payload[key] for key in FEEDBACK if payload.get(key)}
    done = payload.get("done")
    return Task(
        problem=_text(problem).strip(),
        agents=_agents(payload.get("agents")) or agents,
        max_steps=max_steps,
        feedback="\n".join(f"{key}: {_text(value)}" for key, value in told.items()),
        done=tuple(done) if isinstance(done, dict) else (),
    )


def _text(value: JSONValue) -> str:
    return value if isinstance(value, str) else to_json_bytes(value).decode()


def _agents(value: JSONValue) -> dict[str, str]:
    """Name → what it can do, of a list of names or a mapping."""
    if value is None:
        return {}
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return dict.fromkeys(cast("list[str]", value), "")
    if not isinstance(value, dict):
        raise InvalidMessage(path="payload.agents", expected="names, or name → what it can do")
    return {name: str(text) for name, text in value.items()}
