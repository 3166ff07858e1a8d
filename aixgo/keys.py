"""What an agent or a pattern can be given in YAML, as data beside the class that takes it.

A class states its keys once, as `config_keys: ClassVar[Mapping[str, Key]]`. The configuration reader
checks values against it and names file and line; `aixgo schema` prints it; the class's own `from_config`
reads its settings with `read_keys`. Below: errors. Above: agents, orchestration, config.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from aixgo.errors import ConfigError, nearest

__all__ = [
    "AGENT_WORDS",
    "Key",
    "KeyKind",
    "Secret",
    "check_given",
    "duration_seconds",
    "read_keys",
]

KeyKind: TypeAlias = Literal[
    "text",
    "integer",
    "number",
    "boolean",
    "duration",  # seconds, or text such as "800ms" and "1m30s"
    "any",  # any JSON value
    "texts",  # a list of text
    "numbers",  # a mapping of text to numbers
    "mapping",  # a mapping with `fields`, or any mapping without
    "list",  # a list of mappings with `fields`
    "slot",  # an agent: its name, or an inline mapping the reader builds
    "slots",  # a list of them
    "slot map",  # a mapping of text to them
    "slots map",  # a mapping of text to lists of them
    "groups",  # a mapping of text to a slot, or to a mapping with `fields`
]

AGENT_WORDS = ("pattern", "role", "type", "code", "folder")
"""Any of these makes a mapping an agent of its own."""

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}  # seconds


class Secret(str):
    """A text from the environment that nobody should read by accident: its `repr` does not show it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'…'"


@dataclass(slots=True, frozen=True)
class Key:
    """One key: what it takes, what it means, and within which bounds."""

    kind: KeyKind
    help: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    required: bool = False
    absent: str = ""
    """Names the feature this key belongs to when this version does not have it: accepted, without effect."""
    fields: Mapping[str, Key] = field(default_factory=dict)
    closed: bool = False
    """Whether a key that `fields` does not list is an error, and not an extra."""
    default: object = None
    """What holds when the key is not given, for people who read the schema."""
    same_as: str = ""
    """The key this is another name of: the class finds its value there."""
    secret: bool = False
    """Its value belongs into the environment, and into no text anybody reads."""

    def check(self, value: object, where: str) -> object:
        """`value` as the class takes it: durations become seconds, the rest stays as it is.

        Raises:
            ConfigError: it is of the wrong type or out of bounds; the text starts with `where`.
        """
        match self.kind:
            case "any" | "slot":
                return value
            case "duration":
                return self._bounded(duration_seconds(value, where), where)
            case "text":
                return self._text(value, where)
            case "texts":
                return [
                    self._text(item, f"{where}[{i}]") for i, item in enumerate(_list(value, where))
                ]
            case "boolean":
                return _expect(value, bool, "true or false", where)
            case "integer" | "number":
                return self._number(value, where)
            case "numbers":
                return {
                    name: self._number(item, f"{where}.{name}")
                    for name, item in _mapping(value, where).items()
                }
            case "slots":
                return _list(value, where)
            case "slot map" | "slots map" | "groups":
                return self._slots(_mapping(value, where), where)
            case "list":
                return [
                    self._entry(item, f"{where}[{i}]") for i, item in enumerate(_list(value, where))
                ]
            case "mapping":
                return self._entry(value, where)

    @staticmethod
    def is_group(value: object) -> bool:
        """Whether an item of `groups` is a mapping of its fields, and not an agent in a mapping of its own."""
        return isinstance(value, Mapping) and not any(key in value for key in AGENT_WORDS)

    def _slots(self, value: Mapping[str, object], where: str) -> Mapping[str, object]:
        if self.kind == "slot map":
            return value
        if self.kind == "groups":
            return {
                name: self._entry(item, f"{where}.{name}") if self.is_group(item) else item
                for name, item in value.items()
            }
        return {name: _list(item, f"{where}.{name}") for name, item in value.items()}

    def _entry(self, value: object, where: str) -> Mapping[str, object]:
        given = _mapping(value, where)
        return read_keys(self.fields, given, where) if self.fields else given

    def _text(self, value: object, where: str) -> object:
        if self.secret and not isinstance(value, str):
            raise ConfigError(f"{where} must be text, such as ${{NAME}}")
        text = _expect(value, str, "text", where)
        if self.choices and text not in self.choices:
            near = nearest(str(text), self.choices)
            hint = f"; did you mean {near!r}?" if near else ""
            raise ConfigError(f"{where} is {text!r}, not one of {', '.join(self.choices)}{hint}")
        return text

    def _number(self, value: object, where: str) -> float:
        whole = self.kind == "integer"
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            raise ConfigError(
                f"{where} must be {'a whole number' if whole else 'a number'}, not {_shown(value)}"
            )
        if value != value:
            raise ConfigError(f"{where} is nan, which is no number")
        return self._bounded(value, where)

    def _bounded(self, value: float, where: str) -> float:
        if (self.minimum is not None and not value >= self.minimum) or (
            self.maximum is not None and not value <= self.maximum
        ):
            low = "" if self.minimum is None else f"at least {self.minimum:g}"
            high = "" if self.maximum is None else f"at most {self.maximum:g}"
            raise ConfigError(
                f"{where} is {value:g}; it must be {' and '.join(filter(None, (low, high)))}"
            )
        return value


def read_keys(
    keys: Mapping[str, Key], given: Mapping[str, object], where: str
) -> dict[str, object]:
    """The values of `given`, checked; keys without effect in this version are left out.

    Raises:
        ConfigError: a key is unknown, missing or has a wrong value.
    """
    found: dict[str, object] = {}
    for name, value in given.items():
        key = keys.get(name)
        if key is None:
            near = nearest(name, keys)
            hint = f"did you mean {near!r}?" if near else f"there are: {', '.join(keys)}"
            raise ConfigError(f"{where}: there is no key {name!r}; {hint}")
        checked = key.check(value, f"{where}: {name}")
        if key.same_as and key.same_as in given:
            raise ConfigError(f"{where}: {name} and {key.same_as} are one key; give one")
        if not key.absent:
            found[key.same_as or name] = checked
    for name, key in keys.items():
        if key.required and name not in given:
            raise ConfigError(f"{where}: the key {name!r} is missing: {key.help}")
    return found


def check_given(keys: Mapping[str, Key], where: str, **given: object) -> None:
    """Hold what code gave against the keys a file would give it under; None stands for nothing given.

    Raises:
        ConfigError: a value is of the wrong type or out of bounds.
    """
    for name, value in given.items():
        if value is not None:
            key = keys[name]
            if key.kind == "duration" and isinstance(value, str):
                raise ConfigError(f"{where}: {name} must be seconds, not {_shown(value)}")
            key.check(value, f"{where}: {name}")


def duration_seconds(value: object, where: str) -> float:
    """Seconds of a number or of text such as "800ms", "30s" or "1m30s".

    Raises:
        ConfigError: it is neither.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    text = value.replace(" ", "") if isinstance(value, str) else ""
    if not re.fullmatch(r"(\d+(\.\d+)?(ms|s|m|h))+", text):
        raise ConfigError(
            f"{where} must be seconds or a duration such as '800ms' or '1m30s', not {_shown(value)}"
        )
    return sum(
        float(number) * UNITS[unit]
        for number, _, unit in re.findall(r"(\d+(\.\d+)?)(ms|s|m|h)", text)
    )


def _expect(value: object, wanted: type, name: str, where: str) -> object:
    if not isinstance(value, wanted):
        raise ConfigError(f"{where} must be {name}, not {_shown(value)}")
    return value


def _list(value: object, where: str) -> list[object]:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"{where} must be a list, not {_shown(value)}")
    return list(value)


def _mapping(value: object, where: str) -> dict[str, object]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where} must be a mapping, not {_shown(value)}")
    for name in value:
        if not isinstance(name, str):
            raise ConfigError(f"{where}: the key {name!r} must be text; put it in quotes")
    return dict(value)


def _shown(value: object) -> str:
    if isinstance(value, Secret):
        return "a secret"
    return (
        f"the text {value[:40]!r}"
        if isinstance(value, str)
        else f"{type(value).__name__} {str(value)[:40]}"
    )
