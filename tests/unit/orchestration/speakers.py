"""Agents of files of tests: each does one thing that a pattern's setting can bring out."""

from __future__ import annotations

import asyncio
from typing import Any, TypeAlias

from aixgo import Message, agent
from aixgo.errors import AgentRefused

Asked: TypeAlias = dict[str, Any] | str

at_work = most = 0


@agent
async def yes(asked: Asked) -> str:
    return "yes"


@agent
async def yes2(asked: Asked) -> str:
    return "yes"


@agent
async def sure(asked: Asked) -> Message:
    return Message("no", metadata={"confidence": 0.9})


@agent
async def no(asked: Asked) -> str:
    return "no"


@agent
async def maybe(asked: Asked) -> str:
    return "maybe"


@agent
async def nearly(asked: Asked) -> str:
    return "yes yes no"


@agent
async def upper(text: str) -> str:
    return text.upper()


@agent
async def turned(text: str) -> str:
    return text[::-1]


@agent
async def refuses(asked: Asked) -> str:
    raise AgentRefused("no")


@agent
async def shown(asked: Asked) -> dict[str, Any]:
    """What it was asked."""
    return {"asked": asked}


@agent
async def peak(text: str) -> int:
    """How many of it were at work at once."""
    global at_work, most
    most = max(most, at_work + 1) if at_work else 1
    at_work += 1
    for _ in range(9):
        await asyncio.sleep(0)
    at_work -= 1
    return most


@agent
async def longest(asked: dict[str, Any]) -> dict[str, Any]:
    answer = asked["answer"]
    return {"score": min(1.0, len(str(answer)) / 10)}


@agent
async def shortest(asked: dict[str, Any]) -> dict[str, Any]:
    return {"score": 1 / (1 + len(str(asked["answer"])))}


@agent
async def kind(text: str) -> Message:
    return Message("x", metadata={"confidence": 0.4})


@agent
async def other(text: str) -> str:
    return "y"


@agent
async def stranger(text: str) -> str:
    return "z"


@agent
async def several(text: str) -> list[Any]:
    return [{"category": "y", "confidence": 0.6}, {"category": "x", "confidence": 0.5}]


@agent
async def rounds(asked: Asked) -> str:
    """As many exclamation marks as there were rounds, with a word of its own."""
    return "one" + "!" * (asked["round"] if isinstance(asked, dict) else 0)


@agent
async def agrees(asked: dict[str, Any]) -> str:
    return "two" if asked["round"] == 1 else "one" + "!" * asked["round"]


@agent
async def stances(asked: dict[str, Any]) -> str:
    return asked["stance"] or "none"


@agent
async def for_yes(asked: dict[str, Any]) -> dict[str, Any]:
    return {"winner": "yes"}


@agent
async def follows(asked: Asked) -> Asked:
    """Says maybe, and then revises to what was said first."""
    if isinstance(asked, str):
        return "maybe"
    return {
        "action": "support",
        "agent": next(k for k, v in asked["answers"].items() if v == "yes"),
    }


@agent
async def revises(asked: Asked) -> Asked:
    if isinstance(asked, str):
        return "maybe"
    return {"action": "revise", "answer": "yes"}


@agent
async def votes(asked: Asked) -> Asked:
    """Knows one new answer, and then votes for it."""
    if isinstance(asked, str):
        return "maybe"
    new = next((k for k, v in asked["answers"].items() if v == "new"), "")
    return {"action": "vote", "agent": new} if new else {"action": "new_answer", "answer": "new"}


@agent
async def stays(asked: Asked) -> Asked:
    """Keeps its answer, or votes for the new one."""
    if isinstance(asked, str):
        return "yes"
    new = next((k for k, v in asked["answers"].items() if v == "new"), "")
    return {"action": "vote", "agent": new} if new else {"action": "keep"}


@agent
async def lenient(asked: Asked) -> Any:
    """Supports the others, unless it is told to be strict."""
    if not isinstance(asked, dict):
        return "no"
    if "high standard" in asked["instructions"]:
        return {"action": "keep"}
    other = next(name for name in asked["answers"] if name != asked["yours"])
    return {"action": "support", "agent": other}


@agent
async def copies(asked: Asked) -> Any:
    """Begins with something else, and then says what is there."""
    if not isinstance(asked, dict):
        return "no"
    other = next(name for name in asked["answers"] if name != asked["yours"])
    return {"action": "revise", "answer": asked["answers"][other]}


@agent
async def doubts(asked: Asked) -> Any:
    """Wants all to begin again, and then says something else."""
    if isinstance(asked, dict):
        return {"action": "restart", "instructions": "not that"}
    return "no" if "not that" in asked else "yes"


@agent
async def presents(asked: dict[str, Any]) -> str:
    return f"so {asked['chosen'] is not None}"


@agent
async def chief(asked: dict[str, Any]) -> dict[str, Any]:
    if "results" in asked:
        return asked["results"]
    return {"team_assignments": dict.fromkeys(asked["teams"], asked["task"])}


@agent
async def idle(asked: dict[str, Any]) -> str:
    return "nothing to do"


@agent
async def halves(text: str) -> list[Any]:
    return [text[: len(text) // 2], text[len(text) // 2 :]]


@agent
async def counted(asked: list[Any]) -> int:
    return len(asked)


@agent
async def size(text: str) -> int:
    return len(text)


@agent
async def plans(message: Message) -> dict[str, Any]:
    """A step for each word; of a plan that failed, one that works."""
    if message.type == "replan":
        return {"steps": [{"id": "b", "agent": "upper", "input": "again"}]}
    agents = message.metadata["agents"]
    words = str(message.payload).split()
    return {"steps": [{"id": f"s{i}", "agent": agents[0], "input": w} for i, w in enumerate(words)]}


@agent
async def plans_one(message: Message) -> dict[str, Any]:
    return {"steps": [{"id": "a", "agent": message.metadata["agents"][0], "input": "one"}]}


@agent
async def finds(message: Message) -> list[Any]:
    pages = [
        {"id": "a", "content": "cats purr", "score": 0.9},
        {"id": "b", "content": "dogs bark", "score": 0.5},
        {"id": "c", "content": "rain falls on dogs", "score": 0.1},
    ]
    return pages if "dogs" in message.text else pages[:1]


@agent
async def finds_more(asked: str) -> list[Any]:
    return [{"id": "d", "content": "dogs sleep"}]


@agent
async def finds_nothing(asked: str) -> list[Any]:
    return []


@agent
async def expands(asked: str) -> list[Any]:
    return ["dogs", "and dogs"]


@agent
async def keeps_one(asked: dict[str, Any]) -> list[bool]:
    return [i == 1 for i, _ in enumerate(asked["documents"])]


@agent
async def reorders(asked: dict[str, Any]) -> list[Any]:
    return [one["id"] for one in reversed(asked["documents"])]


@agent
async def writes(asked: Asked) -> str:
    return asked["draft"] + "+" if isinstance(asked, dict) else "draft"


@agent
async def scribbles(asked: Asked) -> str:
    return "scribble"


@agent
async def marks(asked: dict[str, Any]) -> dict[str, Any]:
    """The longer the better."""
    return {"score": min(1.0, len(asked["draft"]) / 10)}


@agent
async def hates(asked: dict[str, Any]) -> dict[str, Any]:
    """The shorter the better."""
    return {"score": 1 / len(asked["draft"])}


@agent
async def flat(asked: dict[str, Any]) -> dict[str, Any]:
    return {"score": 0.5 + len(asked["draft"]) / 1000}


@agent
async def picks_no(asked: Asked) -> str:
    return "no"


@agent
async def picks_yes(asked: Asked) -> dict[str, Any]:
    return {"agent": "yes", "done": False}


@agent
async def goes_on(asked: Asked) -> dict[str, Any]:
    return {"turns": len(asked.get("history", "")) if isinstance(asked, dict) else 0, "done": False}


@agent
async def hands_over(asked: Asked) -> Message:
    turns = len(asked.get("history", "")) if isinstance(asked, dict) else 0
    return Message({"turns": turns, "asked": asked}, metadata={"handoff_to": "hands_back"})


@agent
async def hands_back(asked: Asked) -> Message:
    turns = len(asked.get("history", "")) if isinstance(asked, dict) else 0
    return Message({"back": turns, "asked": asked}, metadata={"handoff_to": "hands_over"})
