"""What came of the calls of one run: for its result's metadata, and for the error it ends with.

Entries stand in the order the calls began, whatever order they ended in. Below: errors, message. Above: `_attempts`
writes it, `base` reads it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, cast

import msgspec

from aixgo.errors import AixgoError, partial_bytes, rebuild_error
from aixgo.message import NOT_JSON, JSONValue, Message
from aixgo.orchestration._facts import in_order

__all__ = ["Account", "Entry", "described", "fitting", "shortened"]

MAX_ENTRIES = 64  # kept of a run: the last ones
ALLOWANCES = (
    512,
    128,
    32,
    0,
)  # characters of one reply or text; the first that makes all fit holds
JSON = "application/json"
MAX_TEXT = 256  # characters of an error's text


@dataclass(slots=True, frozen=True)
class _Said:
    """The beginning of a reply: text, or JSON; of bytes only how many they are."""

    content_type: str
    text: str = ""
    whole: bool = True
    size: int = 0

    @classmethod
    def of(cls, reply: Message) -> _Said:
        """What is kept of `reply`."""
        kind, most = reply.content_type, ALLOWANCES[0]
        if kind == JSON:
            start = reply.encoded[: 4 * most]  # a character has up to four bytes
            text = start.decode(errors="ignore")
            return cls(kind, text[:most], len(text) <= most and len(start) == len(reply.encoded))
        if kind.startswith("text/"):
            text = reply.text
            return cls(kind, text[:most], len(text) <= most)
        return cls(kind[:MAX_TEXT], size=len(reply.encoded))

    def shown(self, most: int) -> dict[str, JSONValue]:
        """The reply, or as much of its text as is allowed."""
        if self.content_type != JSON and not self.content_type.startswith("text/"):
            return {"bytes": self.size, "content_type": self.content_type}
        if not self.whole or len(self.text) > most:
            return {"reply": self.text[:most], "cut": True}
        return {"reply": _json(self.text) if self.content_type == JSON else self.text}


class Entry:
    """One call of a run, its attempts and those asked instead included."""

    __slots__ = ("_said", "agent", "error", "key", "retries", "served_by")

    def __init__(self, agent: str, key: str = "") -> None:
        self.agent = agent
        self.key = key
        self._said: _Said | None = None
        self.error: AixgoError | None = None
        """What it failed with, also if another answered in the end."""
        self.retries = 0
        self.served_by = ""

    def answer(self, reply: Message) -> None:
        """The call has its reply, of which the beginning is kept."""
        self._said = _Said.of(reply)

    @property
    def answered(self) -> bool:
        return self._said is not None

    def shown(self, most: int) -> dict[str, JSONValue]:
        """The entry with at most `most` characters of what was said."""
        found: dict[str, JSONValue] = {"agent": self.agent}
        if self.retries:
            found["retries"] = self.retries
        if self.served_by:
            found["served_by"] = self.served_by
        if self._said is not None:
            found.update(self._said.shown(most))
        elif self.error is None:
            found["stopped"] = True
        else:
            found["error"] = described(self.error, min(most, MAX_TEXT))
            if most and self.error.partial:
                found["partial"] = self.error.partial
        return found


class _Told(NamedTuple):
    """What is told of a call, and its key."""

    key: str
    told: JSONValue


class Account:
    """The calls of one run."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=MAX_ENTRIES)
        self._answered: set[str] = set()
        self._missing: dict[str, _Told] = {}
        self._fallbacks: dict[str, _Told] = {}
        self._retries = 0
        self._begun = 0

    def begin(self, agent: str, key: str = "") -> Entry:
        """A call to `agent` begins; `end` it once, or it was stopped."""
        self._begun += 1
        entry = Entry(agent, key)
        self._entries.append(entry)
        return entry

    def end(self, entry: Entry) -> None:
        """A call has its reply, or its error."""
        self._retries += entry.retries
        error = entry.error
        if entry.answered:
            self._answered.add(entry.agent)
            if entry.served_by and error is not None:
                told: JSONValue = {"served_by": entry.served_by, "error": described(error)}
                _tell(self._fallbacks, entry, told)
        elif error is not None:
            _tell(self._missing, entry, described(error))

    @property
    def answered(self) -> int:
        """Agents that answered at least once, or had another answer in their stead."""
        return len(self._answered)

    def causes(self) -> str:
        """Who failed, and the class of its error."""
        return "; ".join(
            f"{agent}: {error['class']}"
            for agent, error in _shown(self._missing).items()
            if isinstance(error, dict)
        )

    def facts(self) -> dict[str, JSONValue]:
        """What a result's metadata says about the failures it survived."""
        found: dict[str, JSONValue] = {}
        if self._retries:
            found["retries"] = self._retries
        if self._fallbacks:
            found["fallbacks"] = _shown(self._fallbacks)
        if self._missing:
            found |= {"degraded": True, "missing": _shown(self._missing)}
        return found

    def partial(self) -> list[JSONValue] | None:
        """The entries, as much of them as an error may carry; None of a run that called nobody."""
        if not self._entries:
            return None
        return fitting(lambda most: [entry.shown(most) for entry in self._entries], self._begun)


def fitting(shown: Callable[[int], list[JSONValue]], count: int) -> list[JSONValue]:
    """`count` entries as `shown` gives them with so many characters of each text, as much as an error may carry."""
    found: list[JSONValue] = []
    for most in ALLOWANCES:
        found = shown(most)
        if len(found) == count and partial_bytes(found):
            return found
    while found and not partial_bytes([{"left_out": count}, *found]):
        found.pop(0)
    return [{"left_out": count - len(found)}, *found]


def shortened(reply: Message, most: int) -> dict[str, JSONValue]:
    """`reply`, or as much of its text as is allowed."""
    return _Said.of(reply).shown(most)


def _json(text: str) -> JSONValue:
    """What `text` says, or itself: a reply from elsewhere that is no JSON is found out by whoever reads it first."""
    try:
        return cast("JSONValue", msgspec.json.decode(text))
    except NOT_JSON:
        return text


def _tell(found: dict[str, _Told], entry: Entry, told: JSONValue) -> None:
    """Note what is told of a call: of several of an agent the one with the first key, whichever ended first."""
    known = found.get(entry.agent)
    if known is None or in_order(entry.key) <= in_order(known.key):
        found[entry.agent] = _Told(entry.key, told)


def _shown(found: Mapping[str, _Told]) -> dict[str, JSONValue]:
    """What is told, by agent, in the order of keys."""
    return {
        agent: told.told
        for agent, told in sorted(found.items(), key=lambda item: in_order(item[1].key))
    }


def described(error: AixgoError, most: int = MAX_TEXT) -> dict[str, JSONValue]:
    """An error as it may be told to anybody: its class, and what that says of its fields."""
    kind = type(error).__name__
    safe = rebuild_error(kind, error.wire_fields(), agent=error.agent, error_id=error.error_id)
    return {"class": kind, "text": str(safe)[:most]} if most else {"class": kind}
