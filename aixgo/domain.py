"""What a JSON value may be: string keys, finite numbers, valid Unicode, at most 100 levels.

The check is our own walk, because an encoder would let NaN pass as null. It also makes values plain:
tuples become lists, dataclasses and pydantic models are dumped. Below: errors. Above: message.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from aixgo.errors import InvalidMessage

__all__ = [
    "MAX_DEPTH",
    "MAX_INT_BITS",
    "JSONValue",
    "label",
    "number_of",
    "plain",
    "text_size",
    "to_json_bytes",
]

MAX_DEPTH = 100  # levels of nesting in one JSON value
MAX_INT_BITS = 14_000  # about 4,200 digits; Python itself refuses to read integers above 4,300
MOST = 1e9  # of a number that an agent states, such as how sure it is; sums of these stay finite

if TYPE_CHECKING:
    JSONValue: TypeAlias = (
        "str | int | float | bool | list[JSONValue] | dict[str, JSONValue] | None"
    )
    Where: TypeAlias = "str | tuple[Where, str | int]"
    """The path of a value: its text, or that of what holds it and its key there; spelled where something is wrong."""
else:  # @agent reads annotations at run time, where a type that contains itself means anything
    JSONValue = Any


def to_json_bytes(value: object, path: str = "payload") -> bytes:
    """`value` checked against the JSON domain and encoded.

    Raises:
        InvalidMessage: with the path of the offending value.
    """
    return msgspec.json.encode(plain(value, path))


def text_size(text: str, path: Where) -> int:
    """Bytes of `text` in UTF-8; a lone surrogate has none and is refused."""
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError as exc:
        problem = f"holds a lone surrogate at character {exc.start}"
        raise InvalidMessage(problem, _spelled(path)) from None


def label(text: str, path: str) -> str:
    """`text` if it can travel as a short name, such as a message's type."""
    if not isinstance(text, str):
        raise InvalidMessage(f"is a {type(text).__name__}, not text", path)
    if not text.isascii():
        text_size(text, path)
    return text


def plain(value: object, path: Where, depth: int = 0) -> JSONValue:
    """`value` as plain JSON types, or InvalidMessage naming where it is not."""
    kind = value.__class__  # faster than isinstance, and what no type checker follows
    if kind is str and value.isascii():  # type: ignore[attr-defined]
        return value  # type: ignore[return-value]
    if value is None or kind is bool:
        return value  # type: ignore[return-value]
    if kind is int and value.bit_length() <= MAX_INT_BITS:  # type: ignore[attr-defined]
        return value  # type: ignore[return-value]
    if kind is float and math.isfinite(value):  # type: ignore[arg-type]
        return value  # type: ignore[return-value]
    if kind is str or kind is int or kind is float:
        return _checked(value, path)  # type: ignore[arg-type]
    if depth >= MAX_DEPTH:
        where = _spelled(path)
        raise InvalidMessage(
            f"is nested more than {MAX_DEPTH} levels",
            where if len(where) < 80 else where[:80] + "…",
        )
    if kind is dict or isinstance(value, Mapping):
        found: dict[str, JSONValue] = {}
        for key, item in value.items():  # type: ignore[attr-defined]
            if key.__class__ is not str or not key.isascii():
                key = _key(key, path)
            found[key] = plain(item, (path, key), depth + 1)
        return found
    if isinstance(value, (list, tuple)):
        return [plain(item, (path, index), depth + 1) for index, item in enumerate(value)]
    return _plain_rare(value, path, depth)


def _checked(value: str | float, path: Where) -> JSONValue:
    """Text beyond ASCII that UTF-8 can hold; any other scalar that comes here is out of its range."""
    if isinstance(value, str):
        text_size(value, path)
        return value
    if isinstance(value, int):
        raise InvalidMessage(f"is an integer of more than {MAX_INT_BITS} bits", _spelled(path))
    raise InvalidMessage(f"is {value}, which JSON cannot hold", _spelled(path))


def _key(key: object, path: Where) -> str:
    if not isinstance(key, str):
        problem = f"has the key {key!r} of type {type(key).__name__}; keys are text"
        raise InvalidMessage(problem, _spelled(path))
    text_size(key, f"a key of {_spelled(path)}")
    return str.__str__(key)  # of a text enum its value


def _spelled(path: Where) -> str:
    """`path` as text, such as `payload.rows[3]`."""
    steps: list[str] = []
    while not isinstance(path, str):
        path, step = path
        steps.append(f"[{step}]" if isinstance(step, int) else f".{step}")
    return path + "".join(reversed(steps))


def _plain_rare(value: object, path: Where, depth: int) -> JSONValue:
    if isinstance(value, str):  # a subclass, such as a text enum
        return plain(str.__str__(value), path, depth)
    if isinstance(value, int):
        return plain(int(value), path, depth)
    if isinstance(value, float):
        return plain(float(value), path, depth)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        named = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return plain(named, path, depth)
    dump: Callable[..., object] | None = getattr(value, "model_dump", None)
    if dump is not None and not isinstance(
        value, type
    ):  # a pydantic model, which core does not import
        return plain(dump(mode="json"), path, depth)
    raise InvalidMessage(f"is a {type(value).__name__}, which is no JSON value", _spelled(path))


def number_of(value: JSONValue) -> float | None:
    """The number that `value` is; None for anything else, and for numbers that nobody means."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if -MOST <= value <= MOST else None
