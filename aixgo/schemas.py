"""Hold a JSON value against a JSON Schema, and say what is wrong so that a model can mend it.

Checked are: type, enum, const, the bounds of numbers, texts, lists and objects, pattern, properties,
required, additionalProperties, patternProperties, propertyNames, items, prefixItems, contains,
uniqueItems, anyOf, oneOf, allOf, not, if/then/else, and `$ref` into the schema itself. `format` and every
other word is for the reader only. Below: domain. Above: tools, agents.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, TypeAlias, TypeGuard, cast

import msgspec

from aixgo.domain import JSONValue
from aixgo.errors import ConfigError

__all__ = ["check_schema", "problems"]

Schema: TypeAlias = "Mapping[str, JSONValue]"

MOST_PROBLEMS = 5  # a model mends a few faults at a time
MAX_PROBLEM = 500  # characters of one problem
MAX_REASON = 160  # characters of why one alternative does not fit
MAX_STEPS = (
    300_000  # parts held against parts: nested alternatives multiply, and this blocks the loop
)
MAX_DEPTH = 200  # steps down a schema; one that refers to itself without end stops here

MAPPED: Final = ("properties", "patternProperties", "$defs", "definitions")
LISTED: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
SINGLE: Final = (
    "items",
    "additionalProperties",
    "propertyNames",
    "contains",
    "not",
    "if",
    "then",
    "else",
)

TYPES: Final[Mapping[str, Callable[[JSONValue], bool]]] = {
    "object": lambda value: isinstance(value, Mapping),
    "array": lambda value: isinstance(value, (list, tuple)),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "integer": lambda value: (
        not isinstance(value, bool)
        and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))
    ),
}


def problems(value: JSONValue, schema: Schema) -> list[str]:
    """What is wrong with `value`, each with its path; empty when it fits. At most five are given."""
    try:
        found = islice(_Walk(schema).check(value, schema, ""), MOST_PROBLEMS)
        return [problem[:MAX_PROBLEM] for problem in found]
    except _TooMuch:
        return ["the value cannot be checked: it has too many parts for its schema"]


def check_schema(schema: object, where: str) -> None:
    """Refuse a schema that cannot be used.

    Raises:
        ConfigError: a part of it is no schema, a pattern cannot be read, or a `$ref` leads nowhere.
    """
    _check_part(schema, schema, where, 0)


def _check_part(schema: object, root: object, where: str, depth: int) -> None:
    if isinstance(schema, bool):
        return
    if not isinstance(schema, Mapping):
        raise ConfigError(f"{where} must be a JSON Schema, not {type(schema).__name__}")
    if depth > MAX_DEPTH:
        raise ConfigError(f"{where} is nested too deeply")
    named = schema.get("type")
    for kind in named if isinstance(named, list) else [named]:
        if kind is not None and kind not in TYPES:
            raise ConfigError(f"{where}.type is {kind!r}, which is none of: {', '.join(TYPES)}")
    if "pattern" in schema:
        _check_pattern(schema["pattern"], where)
    for pattern in _keys(schema.get("patternProperties")):
        _check_pattern(pattern, where)
    if "$ref" in schema and _referred(root, schema["$ref"]) is None:
        raise ConfigError(f"{where}.$ref leads nowhere: {str(schema['$ref'])[:80]!r}")
    for inner, part in _inner_schemas(schema, where):
        _check_part(part, root, inner, depth + 1)


def _inner_schemas(schema: Mapping[str, object], where: str) -> Iterator[tuple[str, object]]:
    """The schemas inside of `schema`, each with where it stands."""
    for word in MAPPED:
        inner = schema.get(word, {})
        if not isinstance(inner, Mapping):
            raise ConfigError(f"{where}.{word} must be a mapping")
        for name, part in inner.items():
            yield f"{where}.{word}.{name}", part
    for word in LISTED:
        listed = schema.get(word, [])
        if not isinstance(listed, (list, tuple)):
            raise ConfigError(f"{where}.{word} must be a list")
        for index, part in enumerate(listed):
            yield f"{where}.{word}[{index}]", part
    for word in SINGLE:
        if word in schema:
            yield f"{where}.{word}", schema[word]


def _check_pattern(pattern: object, where: str) -> None:
    try:
        re.compile(cast("str", pattern))
    except (re.error, TypeError) as exc:
        raise ConfigError(f"{where}: the pattern {pattern!r} cannot be read: {exc}") from exc


def _referred(root: object, ref: object) -> object:
    """The part of `root` that `ref` names, or None."""
    if not isinstance(ref, str) or not ref.startswith("#"):
        return None
    found = root
    for part in filter(None, ref[1:].split("/")):
        name = part.replace("~1", "/").replace("~0", "~")
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


class _TooMuch(Exception):
    """A check would take too long."""


class _Walk:
    """One check of one value."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._depth = 0
        self._steps = 0

    def check(self, value: JSONValue, schema: object, path: str) -> Iterator[str]:
        """What is wrong with `value`, which stands at `path`."""
        if not isinstance(schema, Mapping):
            if schema is False:
                yield f"{_at(path)} must not be there"
            return
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise _TooMuch
        self._depth += 1
        try:
            if self._depth > MAX_DEPTH:
                yield f"{_at(path)} cannot be checked: its schema refers to itself without end"
                return
            if "$ref" in schema:
                yield from self.check(value, _referred(self._root, schema["$ref"]), path)
            wrong = _wrong_type(value, schema, path)
            if wrong:
                yield wrong
                return  # what follows from a wrong type helps nobody
            yield from _value_problems(value, schema, path)
            if isinstance(value, str):
                yield from _text_problems(value, schema, path)
            elif isinstance(value, Mapping):
                yield from self._object(value, schema, path)
            elif isinstance(value, (list, tuple)):
                yield from self._list(value, schema, path)
            elif isinstance(value, (int, float)) and not isinstance(value, bool):
                yield from _number_problems(value, schema, path)
            yield from self._combined(value, schema, path)
        finally:
            self._depth -= 1

    def _fits(self, value: JSONValue, schema: object) -> bool:
        return next(self.check(value, schema, ""), None) is None

    def _object(self, value: Mapping[str, JSONValue], schema: Schema, path: str) -> Iterator[str]:
        yield from _size_problems(len(value), schema, path, "Properties", "properties")
        for name in _texts(schema.get("required")):
            if name not in value:
                yield f"{_at(path)} lacks {name!r}"
        known = cast("Mapping[str, JSONValue]", schema.get("properties") or {})
        patterned = cast("Mapping[str, JSONValue]", schema.get("patternProperties") or {})
        rest = schema.get("additionalProperties", True)
        for name, item in value.items():
            inner = f"{path}.{name}"
            if "propertyNames" in schema:
                yield from self.check(name, schema["propertyNames"], f"{inner} (the name)")
            matched = [part for pattern, part in patterned.items() if re.search(pattern, name)]
            if name in known:
                matched.append(known[name])
            for part in matched:
                yield from self.check(item, part, inner)
            if not matched and rest is False:
                yield f"{_at(path)} has {name!r}, which is not known; known: {', '.join(known)}"
            elif not matched:
                yield from self.check(item, rest, inner)

    def _list(self, value: Sequence[JSONValue], schema: Schema, path: str) -> Iterator[str]:
        yield from _size_problems(len(value), schema, path, "Items", "items")
        first = schema.get("prefixItems")
        fixed = first if isinstance(first, list) else []
        for index, item in enumerate(value):
            part = fixed[index] if index < len(fixed) else schema.get("items", True)
            yield from self.check(item, part, f"{path}[{index}]")
        if schema.get("uniqueItems") is True:
            seen = [msgspec.json.encode(item, order="sorted") for item in value]
            if len(set(seen)) < len(seen):
                yield f"{_at(path)} holds an item twice"
        if "contains" in schema and not any(self._fits(i, schema["contains"]) for i in value):
            yield f"{_at(path)} has no item of the wanted kind"

    def _combined(self, value: JSONValue, schema: Schema, path: str) -> Iterator[str]:
        for part in _parts(schema, "allOf"):
            yield from self.check(value, part, path)
        for word in ("anyOf", "oneOf"):
            if branches := _parts(schema, word):
                yield from self._alternatives(value, branches, path, word == "oneOf")
        if "not" in schema and self._fits(value, schema["not"]):
            yield f"{_at(path)} is what it must not be"
        if "if" in schema:
            word = "then" if self._fits(value, schema["if"]) else "else"
            yield from self.check(value, schema.get(word, True), path)

    def _alternatives(
        self, value: JSONValue, branches: Sequence[JSONValue], path: str, only_one: bool
    ) -> Iterator[str]:
        """Nothing if a branch fits, else why each of them does not."""
        reasons: list[str] = []
        fitting = 0
        for part in branches:
            reason = next(self.check(value, part, path), None)
            if reason is not None:
                reasons.append(reason[:MAX_REASON])  # of alternatives within alternatives
                continue
            fitting += 1
            if not only_one:
                return
        if fitting > 1:
            yield f"{_at(path)} fits {fitting} of the alternatives; it must fit one"
        elif not fitting:
            yield f"{_at(path)} fits none of the alternatives: {'; or '.join(dict.fromkeys(reasons))}"


def _wrong_type(value: JSONValue, schema: Schema, path: str) -> str:
    wanted = schema.get("type")
    kinds = [kind for kind in (wanted if isinstance(wanted, list) else [wanted]) if kind]
    if not kinds or any(TYPES[kind](value) for kind in kinds if isinstance(kind, str)):
        return ""
    return f"{_at(path)} must be {' or '.join(map(str, kinds))}, not {_shown(value)}"


def _value_problems(value: JSONValue, schema: Schema, path: str) -> Iterator[str]:
    options = schema.get("enum")
    if isinstance(options, list) and not any(_same(value, option) for option in options):
        shown = ", ".join(_shown(option) for option in options[:20])
        yield f"{_at(path)} must be one of {shown}, not {_shown(value)}"
    if "const" in schema and not _same(value, schema["const"]):
        yield f"{_at(path)} must be {_shown(schema['const'])}"


def _text_problems(value: str, schema: Schema, path: str) -> Iterator[str]:
    yield from _size_problems(len(value), schema, path, "Length", "characters")
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and not re.search(pattern, value):
        yield f"{_at(path)} must match {pattern}"


def _number_problems(value: float, schema: Schema, path: str) -> Iterator[str]:
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    step = schema.get("multipleOf")
    if _is_number(low) and value < low:
        yield f"{_at(path)} must be at least {low}"
    if _is_number(high) and value > high:
        yield f"{_at(path)} must be at most {high}"
    if _is_number(above) and value <= above:
        yield f"{_at(path)} must be above {above}"
    if _is_number(below) and value >= below:
        yield f"{_at(path)} must be below {below}"
    if _is_number(step) and step > 0 and not _is_multiple(value, step):
        yield f"{_at(path)} must be a multiple of {step}"


def _size_problems(size: int, schema: Schema, path: str, word: str, what: str) -> Iterator[str]:
    low, high = schema.get(f"min{word}"), schema.get(f"max{word}")
    if _is_number(low) and size < low:
        yield f"{_at(path)} must have at least {low} {what}, not {size}"
    if _is_number(high) and size > high:
        yield f"{_at(path)} must have at most {high} {what}, not {size}"


def _is_number(value: JSONValue) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_multiple(value: float, step: float) -> bool:
    if isinstance(value, int) and isinstance(step, int):
        return value % step == 0
    return math.isclose(value / step, round(value / step), rel_tol=1e-9, abs_tol=1e-9)


def _same(one: JSONValue, other: JSONValue) -> bool:
    """Equality of JSON, where true is not 1."""
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _parts(schema: Schema, word: str) -> list[JSONValue]:
    found = schema.get(word)
    return found if isinstance(found, list) else []


def _texts(value: JSONValue) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _keys(value: object) -> list[object]:
    return list(value) if isinstance(value, Mapping) else []


def _at(path: str) -> str:
    return path.lstrip(".") if path else "the value"


def _shown(value: JSONValue) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else f"{text[:60]}…"
