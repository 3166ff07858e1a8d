"""Filters: which metadata a record must have to be found.

A filter is a mapping; all that it says must hold. `{key: value}` asks for that value, `{key: [a, b]}` for one of
these, `{key: {operator: operand, …}}` for whatever OPERATORS offers, and `and`, `or` (lists of filters) and `not`
(a filter) put filters together.

Below: message. Above: the stores, the retriever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias, cast

from aixgo.errors import ConfigError, nearest
from aixgo.message import JSONValue

__all__ = ["OPERATORS", "Where", "check_where", "matches"]

Where: TypeAlias = Mapping[str, JSONValue]

DEEPEST = 20  # filters within filters
JOINS = ("and", "or", "not")


def check_where(where: Where | None) -> None:
    """Refuse a filter that could match nothing, or everything, by mistake.

    Raises:
        ConfigError: which key of it, and what it takes.
    """
    if where is not None:
        _check(where, "", 0)


def matches(metadata: Mapping[str, JSONValue], where: Where) -> bool:
    """Whether `metadata` is what `where`, a checked filter, asks for.

    True is not 1. Texts are compared with texts by their code points and numbers with numbers, so that a value of
    another kind is neither less nor greater. A key that is not there fits `ne`, `not_in` and `exists: false` only.
    """
    return all(_holds(metadata, name, wanted) for name, wanted in where.items())


def _holds(metadata: Mapping[str, JSONValue], name: str, wanted: JSONValue) -> bool:
    if name == "and":
        return all(matches(metadata, inner) for inner in cast("list[Where]", wanted))
    if name == "or":
        return any(matches(metadata, inner) for inner in cast("list[Where]", wanted))
    if name == "not":
        return not matches(metadata, cast("Where", wanted))
    there = name in metadata
    found = metadata.get(name)
    if not isinstance(wanted, dict):
        return there and _one_of(found, wanted if isinstance(wanted, list) else [wanted])
    return all(_fits(there, found, how, operand) for how, operand in wanted.items())


def _fits(there: bool, found: JSONValue, how: str, operand: JSONValue) -> bool:
    if how == "exists":
        return there is operand
    return OPERATORS[how](found, operand) if there else how in ("ne", "not_in")


def _same(found: JSONValue, wanted: JSONValue) -> bool:
    return found == wanted and isinstance(found, bool) == isinstance(wanted, bool)


def _one_of(found: JSONValue, wanted: JSONValue) -> bool:
    return any(_same(found, option) for option in cast("list[JSONValue]", wanted))


def _order(found: JSONValue, wanted: JSONValue) -> int | None:
    """-1, 0 or 1; None for what has no order."""
    if isinstance(found, str) and isinstance(wanted, str):
        return (found > wanted) - (found < wanted)
    if _is_number(found) and _is_number(wanted):
        one, other = cast("float", found), cast("float", wanted)
        return (one > other) - (one < other)
    return None


def _contains(found: JSONValue, wanted: JSONValue) -> bool:
    if isinstance(found, list):
        return any(_same(item, wanted) for item in found)
    return isinstance(found, str) and isinstance(wanted, str) and wanted in found


OPERATORS: Mapping[str, Callable[[JSONValue, JSONValue], bool]] = {
    "eq": _same,
    "ne": lambda found, wanted: not _same(found, wanted),
    "gt": lambda found, wanted: _order(found, wanted) == 1,
    "gte": lambda found, wanted: _order(found, wanted) in (0, 1),
    "lt": lambda found, wanted: _order(found, wanted) == -1,
    "lte": lambda found, wanted: _order(found, wanted) in (0, -1),
    "in": _one_of,
    "not_in": lambda found, wanted: not _one_of(found, wanted),
    "contains": _contains,
    "starts_with": lambda found, wanted: (
        isinstance(found, str) and found.startswith(cast("str", wanted))
    ),
    "ends_with": lambda found, wanted: (
        isinstance(found, str) and found.endswith(cast("str", wanted))
    ),
    "exists": lambda _found, wanted: wanted is True,
}
"""What may stand between a key and an operand: how the value found and the operand are compared."""


def _check(where: object, path: str, depth: int) -> None:
    if not isinstance(where, Mapping) or (path and not where):
        raise ConfigError(f"the filter {path!r} takes a filter: keys, and what they must be")
    if depth > DEEPEST:
        raise ConfigError(f"the filter {path[:80]!r} is nested more than {DEEPEST} levels deep")
    for name, wanted in where.items():
        at = f"{path}.{name}" if path else str(name)
        if name == "not":
            _check(wanted, at, depth + 1)
        elif name in JOINS:
            if not isinstance(wanted, list) or not wanted:
                raise ConfigError(f"the filter {at!r} takes a list of filters")
            for i, inner in enumerate(wanted):
                _check(inner, f"{at}[{i}]", depth + 1)
        elif isinstance(wanted, dict):
            _check_operators(wanted, at)
        elif wanted == []:
            raise ConfigError(f"the filter {at!r} takes a value, or a list of values")


def _check_operators(wanted: Mapping[str, JSONValue], at: str) -> None:
    if not wanted:
        raise ConfigError(f"the filter {at!r} takes a value, a list of values, or operators")
    for how, operand in wanted.items():
        if how not in OPERATORS:
            near = nearest(how, OPERATORS)
            hint = f"did you mean {near!r}?" if near else f"there are: {', '.join(OPERATORS)}"
            raise ConfigError(f"the filter {at!r} has no operator {how!r}; {hint}")
        needs = _needs(how, operand)
        if needs:
            raise ConfigError(f"the filter {at!r}: {how} takes {needs}")


def _needs(how: str, operand: JSONValue) -> str:
    """What the operator takes, if that is not what it got."""
    if how == "exists":
        return "" if isinstance(operand, bool) else "true or false"
    if how in ("in", "not_in"):
        return "" if isinstance(operand, list) and operand else "a list of values"
    if how in ("starts_with", "ends_with"):
        return "" if isinstance(operand, str) else "text"
    if how in ("gt", "gte", "lt", "lte"):
        return "" if isinstance(operand, str) or _is_number(operand) else "a number or text"
    return "a value" if isinstance(operand, dict) else ""


def _is_number(value: JSONValue) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
