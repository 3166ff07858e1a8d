"""A JSON Schema as a vendor's structured output takes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import msgspec

from aixgo.message import JSONValue

__all__ = ["cleaned", "in_words", "strict"]

MAPS = ("properties", "$defs", "definitions")  # keys whose value maps names to schemas
STRICT_KEYS = frozenset(
    [
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "enum",
        "const",
        "anyOf",
        "$ref",
        "$defs",
        "description",
        "title",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "pattern",
        "format",
        "minItems",
        "maxItems",
    ]
)
Schema = Mapping[str, JSONValue]


def cleaned(schema: Schema) -> dict[str, JSONValue]:
    """The schema without our own `x-` keys, which a vendor may refuse."""
    found: dict[str, JSONValue] = {}
    for key, value in schema.items():
        if key in MAPS and isinstance(value, dict):
            found[key] = {name: _cleaned(inner) for name, inner in value.items()}
        elif not key.startswith("x-"):
            found[key] = value if key in ("enum", "const", "default") else _cleaned(value)
    return found


def _cleaned(value: JSONValue) -> JSONValue:
    if isinstance(value, dict):
        return cleaned(value)
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    return value


def strict(schema: Schema) -> dict[str, JSONValue] | None:
    """The cleaned schema in the form that OpenAI guarantees, or None if it has none without changing its meaning.

    Every object has to be closed and to require each property: an open one is closed here, which only narrows
    it, but one with an optional property has no such form.
    """
    if schema.get("type") != "object":
        return None
    closed = _closed(cleaned(schema))
    return closed if isinstance(closed, dict) else None


def _closed(value: JSONValue) -> JSONValue | None:
    """The schema `value` closed at every level; None if a part cannot be."""
    if not isinstance(value, dict) or not STRICT_KEYS.issuperset(value):
        return None
    found: dict[str, JSONValue] = dict(value)
    for key in ("properties", "$defs"):
        if key in value:
            inner = {
                name: _closed(part)
                for name, part in cast("dict[str, JSONValue]", value[key]).items()
            }
            if None in inner.values():
                return None
            found[key] = inner
    if "items" in value and (items := _closed(value["items"])) is not None:
        found["items"] = items
    elif "items" in value:
        return None
    if "anyOf" in value:
        parts = [_closed(part) for part in cast("list[JSONValue]", value["anyOf"])]
        if None in parts:
            return None
        found["anyOf"] = parts
    if value.get("type") == "object":
        names = set(cast("dict[str, JSONValue]", value.get("properties", {})))
        required = set(cast("list[str]", value.get("required", [])))
        if not names or names != required or value.get("additionalProperties"):
            return None
        found["additionalProperties"] = False
    return found


def in_words(schema: Schema) -> str:
    """The sentence that asks for the schema where the vendor has no mode for it."""
    text = msgspec.json.encode(cleaned(schema)).decode()
    return (
        f"Answer with JSON only, without a code fence, that is valid under this JSON Schema: {text}"
    )
