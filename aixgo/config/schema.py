"""What a key of the configuration is, and the questions one can ask about a set of them.

Keys are data (config.keys): validation, "did you mean" and the JSON Schema all read the same table.

Below: config.durations. Above: config.keys, config.check, `aixgo schema`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from aixgo.message import JSONValue

__all__ = ["Feature", "Key", "Kind", "is_typo", "json_schema", "mapping_schema", "typo_of"]


class Kind(StrEnum):
    """What the value of a key may be."""

    TEXT = "text"
    INTEGER = "a whole number"
    NUMBER = "a number"
    BOOLEAN = "true or false"
    DURATION = "a length of time such as 800ms or 1m30s"
    TEXTS = "a list of texts"
    BLOCK = "a mapping"
    BLOCKS = "a list of mappings"
    ONE_OR_MORE = "a mapping or a list of mappings"
    SLOT = "an agent's name or a mapping"
    SLOTS = "a list of agents' names or mappings"
    SLOT_MAP = "a mapping of names to agents"
    ADDRESSES = "a mapping of agents to an address or a list of addresses"
    ANY = "any value"


@dataclass(slots=True, frozen=True, kw_only=True)
class Feature:
    """Something a key needs that this version does not have."""

    name: str
    security: bool = False
    """Ignoring the key would leave something open that its author meant to close."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Key:
    """One key: what it may hold, what it means, and what it needs."""

    name: str
    kind: Kind
    about: str
    default: JSONValue = None
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    required: bool = False
    needs: Feature | None = None
    harmless: tuple[JSONValue, ...] = ()
    """Values that ask nothing of the feature it needs."""
    keys: tuple[Key, ...] = ()
    """Of a BLOCK or BLOCKS; none when any key may stand there."""


def typo_of(name: str, known: Iterable[str]) -> str:
    """The known key that `name` is probably meant to be, or ""."""
    return next((key for key in known if is_typo(name, key)), "")


def is_typo(written: str, key: str) -> bool:
    """True if one slip of the keyboard, or two in a long word, makes `written` of `key`."""
    left, right = _plain(written), _plain(key)
    if left == right:
        return written != key
    allowed = 1 if min(len(left), len(right)) < 7 else 2
    if min(len(left), len(right)) < 3 or abs(len(left) - len(right)) > allowed:
        return False
    return _slips(left, right) <= allowed


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def _slips(left: str, right: str) -> int:
    """Insertions, deletions, replacements and swaps of neighbours between two words."""
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        current = [i]
        for j, b in enumerate(right, 1):
            cost = min(row[j] + 1, current[j - 1] + 1, row[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            current.append(cost)
        before, row = row, current
    return row[-1]


def json_schema(keys: Sequence[Key], title: str) -> dict[str, JSONValue]:
    """The JSON Schema (2020-12) of a file with these keys at its root."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **mapping_schema(keys),
    }


def mapping_schema(keys: Sequence[Key]) -> dict[str, JSONValue]:
    """The JSON Schema of one mapping; other keys are allowed, as the reader keeps them."""
    schema: dict[str, JSONValue] = {"type": "object"}
    if keys:
        schema["properties"] = {key.name: _key_schema(key) for key in keys}
    if required := [key.name for key in keys if key.required]:
        schema["required"] = list(required)
    return schema


def _key_schema(key: Key) -> dict[str, JSONValue]:
    schema = _kind_schema(key)
    schema["description"] = key.about + (f" (needs {key.needs.name})" if key.needs else "")
    if key.default is not None:
        schema["default"] = key.default
    if key.choices:
        schema["enum"] = list(key.choices)
    if key.minimum is not None:
        schema["minimum"] = key.minimum
    return schema


def _kind_schema(key: Key) -> dict[str, JSONValue]:
    text: JSONValue = {"type": "string"}
    block: JSONValue = mapping_schema(key.keys)
    slot: JSONValue = {"anyOf": [text, {"type": "object"}]}
    simple: dict[Kind, dict[str, JSONValue]] = {
        Kind.TEXT: {"type": "string"},
        Kind.INTEGER: {"type": "integer"},
        Kind.NUMBER: {"type": "number"},
        Kind.BOOLEAN: {"type": "boolean"},
        Kind.DURATION: {"type": ["string", "number"]},
        Kind.TEXTS: {"type": "array", "items": text},
        Kind.BLOCK: mapping_schema(key.keys),
        Kind.BLOCKS: {"type": "array", "items": block},
        Kind.ONE_OR_MORE: {"anyOf": [block, {"type": "array", "items": block}]},
        Kind.SLOT: {"anyOf": [text, {"type": "object"}]},
        Kind.SLOTS: {"type": "array", "items": slot},
        Kind.SLOT_MAP: {"type": "object", "additionalProperties": slot},
        Kind.ADDRESSES: {
            "type": "object",
            "additionalProperties": {"anyOf": [text, {"type": "array", "items": text}]},
        },
        Kind.ANY: {},
    }
    return simple[key.kind]
