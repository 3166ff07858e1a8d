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

__all__ = ["MAX_DEPTH", "MAX_INT_BITS", "JSONValue", "label", "plain", "text_size", "to_json_bytes"]

MAX_DEPTH = 100  # levels of nesting in one JSON value
MAX_INT_BITS = 14_000  # about 4,200 digits; Python itself refuses to read integers above 4,300

if TYPE_CHECKING:
    JSONValue: TypeAlias = (
        "str | int | float | bool | list[JSONValue] | dict[str, JSONValue] | None"
    )
else:  # @agent reads annotations at run time, where a type that contains itself means anything
    JSONValue = Any


def to_json_bytes(value: object, path: str = "payload") -> bytes:
    """`value` checked against the JSON domain and encoded.

    Raises:
        InvalidMessage: with the path of the offending value.
    """
    return msgspec.json.encode(plain(value, path))


def text_size(text: str, path: str) -> int:
    """Bytes of `text` in UTF-8; a lone surrogate has none and is refused."""
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError as exc:
        raise InvalidMessage(f"holds a lone surrogate at character {exc.start}", path) from None


def label(text: str, path: str) -> str:
    """`text` if it can travel as a short name, such as a message's type."""
    if not isinstance(text, str):
        raise InvalidMessage(f"is a {type(text).__name__}, not text", path)
    if not text.isascii():
        text_size(text, path)
    return text


def plain(value: object, path: str, depth: int = 0) -> JSONValue:
    """`value` as plain JSON types, or InvalidMessage naming where it is not."""
    kind = value.__class__  # faster than isinstance, and what no type checker follows
    if kind is str:
        text_size(value, path)  # type: ignore[arg-type]
        return value  # type: ignore[return-value]
    if kind is int:
        if value.bit_length() <= MAX_INT_BITS:  # type: ignore[attr-defined]
            return value  # type: ignore[return-value]
        raise InvalidMessage(f"is an integer of more than {MAX_INT_BITS} bits", path)
    if value is None or kind is bool:
        return value  # type: ignore[return-value]
    if kind is float:
        if math.isfinite(value):  # type: ignore[arg-type]
            return value  # type: ignore[return-value]
        raise InvalidMessage(f"is {value}, which JSON cannot hold", path)
    if depth >= MAX_DEPTH:
        raise InvalidMessage(
            f"is nested more than {MAX_DEPTH} levels", path if len(path) < 80 else path[:80] + "…"
        )
    if isinstance(value, Mapping):
        found: dict[str, JSONValue] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidMessage(
                    f"has the key {key!r} of type {type(key).__name__}; keys are text", path
                )
            text_size(key, f"a key of {path}")
            key = str.__str__(key)  # of a text enum its value
            found[key] = plain(item, f"{path}.{key}", depth + 1)
        return found
    if isinstance(value, (list, tuple)):
        return [plain(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
    return _plain_rare(value, path, depth)


def _plain_rare(value: object, path: str, depth: int) -> JSONValue:
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
    raise InvalidMessage(f"is a {type(value).__name__}, which is no JSON value", path)
