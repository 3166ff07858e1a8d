"""What a result says of the run that gave it: the facts a pattern declares, and what goes up from one inside it.

A result's metadata is flat, so a name in it belongs to one speaker. The names a pattern declares, and those of COMMON,
are its own; those of a pattern whose reply it passes on are taken out; whatever else the reply says stays. What was
missing inside goes up under `inner`, wherever in the run the reply was heard.

Below: message, loading. Above: `_caller`, which hears the replies, and `base`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from aixgo.errors import AixgoError
from aixgo.loading import kinds, load
from aixgo.message import JSONValue, Message

__all__ = ["COMMON", "Fact", "Inner", "declare", "in_order", "said_of_answer", "without_facts"]


@dataclass(slots=True, frozen=True)
class Fact:
    """A key of a result's metadata that a pattern sets: what it says, in one line."""

    help: str
    seen: bool = True
    """Whether spans have it, where it is a text, a number or a truth value; not if it may be what somebody said."""
    stays: bool = False
    """Whether it is about the answer, and so stays in the results of patterns around this one."""


COMMON: Mapping[str, Fact] = {
    "pattern": Fact("the kind of the pattern", seen=False),
    "agent_count": Fact("the agents it has"),
    "cost_usd": Fact("what everything below it cost", seen=False),
    "tokens_total": Fact("the tokens everything below it took", seen=False),
    "stopped_by": Fact(
        "what ended it before it had its answer: `max_iterations`, `failures`, `timeout`, `budget`, `limit`"
    ),
    "degraded": Fact("true: something is missing, and `errors`, `missing` or `inner` says what"),
    "inner": Fact("agent → what its result says of these, and of `errors`, if it is a pattern"),
    "retries": Fact("of an error strategy: attempts that repeated one"),
    "fallbacks": Fact("of an error strategy: agent → who answered instead, and why"),
    "missing": Fact("of an error strategy: agent that was done without → class and text"),
}
"""What every result may say."""

TROUBLE = ("degraded", "stopped_by", "errors", "missing", "retries", "fallbacks", "inner")
"""What goes up from a pattern inside; of another agent only the first two, which mean the same everywhere."""

_declared: dict[str, dict[str, Fact]] = {}


def declare(kind: str, facts: Mapping[str, Fact]) -> None:
    """Note what the results of a kind of pattern may say."""
    if kind:
        _declared.setdefault(kind, {}).update(facts)


def in_order(key: str) -> tuple[int, str]:
    """What orders the keys of calls that differ in a number: the second before the tenth."""
    return len(key), key


def without_facts(reply: Message, own: Iterable[str]) -> Message:
    """`reply` without the names in `own`, and without what a pattern that gave it says of its run."""
    said = reply.metadata
    if not said:
        return reply
    drop = {*own}
    if isinstance(kind := said.get("pattern"), str):
        drop.update(name for name, fact in _facts_of(kind).items() if not fact.stays)
    found = drop.intersection(said)
    return reply.without_metadata(*found) if found else reply


def said_of_answer(reply: Message) -> dict[str, JSONValue]:
    """The metadata of `reply` that is about what it answers: the category of a router's run is none of its answer's."""
    return without_facts(reply, ()).metadata


def _facts_of(kind: str) -> Mapping[str, Fact]:
    """The facts of a kind of pattern, which may have run elsewhere; of one that is not installed here COMMON."""
    if kind not in _declared and kind in _installed():  # any agent may write any text there
        try:
            load("orchestration", kind)
        except (AixgoError, ImportError):
            declare(kind, COMMON)  # cannot be imported, and is not tried again
    return _declared.get(kind, COMMON)


@cache
def _installed() -> frozenset[str]:
    return frozenset(kinds("orchestration"))


class Inner:
    """What went wrong inside one run, as its replies say; of several of an agent the last that says so.

    Of calls made at once the last is the one with the last key, whichever ends last.
    """

    __slots__ = ("_found", "_keys")

    def __init__(self) -> None:
        self._found: dict[str, JSONValue] = {}
        self._keys: dict[str, str] = {}

    def hear(self, agent: str, reply: Message, key: str = "") -> None:
        """Note what `reply` to the call of that key says of it."""
        said = reply.metadata
        if not said:
            return
        names = TROUBLE if "pattern" in said else TROUBLE[:2]
        found = {name: said[name] for name in names if said.get(name)}
        if found and (not key or in_order(key) >= in_order(self._keys.get(agent, ""))):
            self._found[agent] = found
            self._keys[agent] = key

    def facts(self, agents: Iterable[str]) -> dict[str, JSONValue]:
        """What a result says of it, in the order of `agents`."""
        if not self._found:
            return {}
        found = {agent: self._found[agent] for agent in agents if agent in self._found}
        lacks = any(isinstance(said, dict) and said.get("degraded") for said in found.values())
        return {"inner": found, **({"degraded": True} if lacks else {})}
