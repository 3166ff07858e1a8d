"""A plan as a planner writes it: read, checked, and its steps' inputs filled in.

Below: message. Above: planning.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from aixgo.domain import plain
from aixgo.errors import InvalidMessage, MessageTooLarge, nearest
from aixgo.graphs import Circle, in_order
from aixgo.message import MAX_MESSAGE_BYTES, JSONValue, Message, to_json_bytes
from aixgo.orchestration._payloads import read_json

__all__ = ["INPUT", "BadPlan", "Plan", "Step", "fill", "read_plan"]

INPUT = "input"
"""What stands for the run's own message in a step's input, unless a step is called so."""

LONGEST_ID = 64  # characters
SHOWN = 200  # characters of what is wrong with a text
_REFERENCE = re.compile(r"\{([^{}]+)\}")


class BadPlan(ValueError):
    """The plan cannot be run; the text says why, for the planner to mend it."""


@dataclass(slots=True, frozen=True)
class Step:
    """One step: who does it, with what, and after which others."""

    id: str
    agent: str
    input: JSONValue
    depends_on: tuple[str, ...]


@dataclass(slots=True, frozen=True)
class Plan:
    """The steps, and what the planner wants of whoever runs them."""

    steps: list[Step]
    replanning: bool = False
    """`enable_replanning`: that it is asked again after a failure."""
    step_timeout: float | None = None
    """`task_timeout_ms`, in seconds."""


def read_plan(
    reply: Message, agents: Sequence[str], max_steps: int, done: Iterable[str] = ()
) -> Plan:
    """The plan in a planner's reply: an object with `steps`, or a list of them, as JSON or as its text.

    A step that refers to another in its input depends on it. `done` are steps of earlier plans that may be referred to.

    Raises:
        BadPlan: it is no plan, has too many steps, names what does not exist, or goes in a circle.
    """
    found = reply.payload
    if isinstance(found, str):
        try:
            found = plain(read_json(found), "it")
        except (ValueError, InvalidMessage) as exc:
            raise BadPlan(f"the plan is text that is no JSON: {str(exc)[:SHOWN]}") from None
    wishes: Mapping[str, JSONValue] = {}
    if isinstance(found, dict):
        wishes, found = found, found.get("steps")
    if not isinstance(found, list):
        raise BadPlan("a plan is a list of steps, or an object with one under 'steps'")
    if not found:
        raise BadPlan("the plan has no steps")
    if len(found) > max_steps:
        raise BadPlan(f"the plan has {len(found)} steps; at most {max_steps} are allowed")
    named = [_named(item, number) for number, item in enumerate(found, 1)]
    ids = [name for name, _ in named]
    for name in ids:
        if ids.count(name) > 1:
            raise BadPlan(f"two steps are called {name!r}")
    earlier = [name for name in done if name not in ids]
    steps = [_step(name, item, ids, earlier, agents) for name, item in named]
    try:
        in_order({step.id: step.depends_on for step in steps})
    except Circle as exc:
        raise BadPlan(f"the plan goes in a circle: {exc}") from exc
    return Plan(steps, wishes.get("enable_replanning") is True, _timeout(wishes))


def _timeout(wishes: Mapping[str, JSONValue]) -> float | None:
    wanted = wishes.get("task_timeout_ms")
    if wanted is None:
        return None
    if isinstance(wanted, bool) or not isinstance(wanted, (int, float)) or wanted <= 0:
        raise BadPlan(f"task_timeout_ms must be a number above 0, not {str(wanted)[:SHOWN]}")
    return wanted / 1000


def fill(given: JSONValue, values: Mapping[str, JSONValue]) -> JSONValue:
    """`given` with every `{name}` of `values` replaced, once: what stands in a value stays as it is.

    A text that is nothing else becomes the value itself; within a text, what is no text is written as JSON.

    Raises:
        MessageTooLarge: a plan may name a large result many times; it is noticed before all of them are written.
    """
    return _Filling(values).fill(given)


class _Filling:
    """Values on their way into one input, and how much of them it has by now."""

    def __init__(self, values: Mapping[str, JSONValue]) -> None:
        self._values = values
        self._size = 0

    def fill(self, given: JSONValue) -> JSONValue:
        if isinstance(given, list):
            return [self.fill(item) for item in given]
        if isinstance(given, dict):
            return {name: self.fill(item) for name, item in given.items()}
        if not isinstance(given, str):
            return given
        alone = _REFERENCE.fullmatch(given)
        if alone is not None and alone[1] in self._values:
            value = self._values[alone[1]]
            self._count(len(value if isinstance(value, str) else to_json_bytes(value)))
            return value
        return _REFERENCE.sub(self._put, given)

    def _put(self, found: re.Match[str]) -> str:
        if found[1] not in self._values:
            return found[0]
        value = self._values[found[1]]
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        self._count(len(text))
        return text

    def _count(self, size: int) -> None:
        """Of a text its characters, which are no more than its bytes."""
        self._size += size
        if self._size > MAX_MESSAGE_BYTES:
            raise MessageTooLarge(self._size, MAX_MESSAGE_BYTES)


def _named(item: JSONValue, number: int) -> tuple[str, Mapping[str, JSONValue]]:
    if not isinstance(item, dict):
        raise BadPlan(f"step {number} is no object")
    name = item.get("id", str(number))
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    if not isinstance(name, str) or not name or len(name) > LONGEST_ID:
        raise BadPlan(f"step {number}: its id must be a text of at most {LONGEST_ID} characters")
    return name, item


def _step(
    name: str,
    item: Mapping[str, JSONValue],
    ids: Sequence[str],
    earlier: Sequence[str],
    agents: Sequence[str],
) -> Step:
    agent = item.get("agent", agents[0] if len(agents) == 1 else None)
    if not isinstance(agent, str) or agent not in agents:
        near = nearest(agent, agents) if isinstance(agent, str) else None
        hint = f"did you mean {near!r}?" if near else f"there are: {', '.join(agents)}"
        raise BadPlan(f"step {name!r}: there is no agent {agent!r}; {hint}")
    listed = item.get("depends_on", [])
    after = [str(one) for one in (listed if isinstance(listed, list) else [listed])]
    for one in after:
        if one not in ids and one not in earlier:
            raise BadPlan(f"step {name!r} depends on {one!r}, which is no step")
    given = item.get("input", f"{{{INPUT}}}")
    after += [one for one in _references(given) if one in ids or one in earlier]
    return Step(name, agent, given, tuple(one for one in dict.fromkeys(after) if one in ids))


def _references(given: JSONValue) -> list[str]:
    if isinstance(given, str):
        return _REFERENCE.findall(given)
    items = given.values() if isinstance(given, dict) else given if isinstance(given, list) else ()
    return [name for item in items for name in _references(item)]
