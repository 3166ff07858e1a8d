"""Read a YAML file that nobody has vouched for, and remember the line of every key.

The text is taken event by event, so a limit stops the work where it is crossed: a file of nested
aliases costs no more than its first ten thousand nodes. Only plain data comes out (YAML 1.2's core
types); tags, duplicate keys and anything that is no tree are refused.

Below: errors, config.env. Above: config.check gives the values their meaning.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import yaml

from aixgo.config.env import HIDDEN_KEYS, expand
from aixgo.errors import ConfigError
from aixgo.keys import Secret
from aixgo.message import JSONValue

__all__ = [
    "MAX_DEPTH",
    "MAX_FILE_BYTES",
    "MAX_KEY_BYTES",
    "MAX_NODES",
    "MAX_SCALAR_BYTES",
    "Block",
    "Items",
    "Line",
    "block_of",
    "in_file",
    "position",
    "problem",
    "read_file",
    "read_text",
    "text_of",
]

MAX_FILE_BYTES = 10 * 1024 * 1024
MAX_DEPTH = 20  # mappings and lists inside each other
MAX_NODES = 10_000  # scalars, mappings and lists; an alias counts as everything it stands for
MAX_KEY_BYTES = 1024
MAX_SCALAR_BYTES = 1024 * 1024
HEADERS = "observability.headers."

# YAML 1.2's core types. YAML 1.1 would make `no` false, `1:30` ninety and a date an object.
_NULL = re.compile(r"~|null|Null|NULL|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INTEGER = re.compile(r"[-+]?[0-9]{1,300}|0x[0-9a-fA-F]{1,250}|0o[0-7]{1,300}")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


class Block(dict[str, JSONValue]):
    """A mapping of the file, with the line it starts at and the line of each key."""

    def __init__(self, line: int = 0) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}


def text_of(block: Block, name: str) -> str:
    """The text that stands under `name`, or ""."""
    value = block.get(name)
    return value if isinstance(value, str) else ""


def block_of(block: Block, name: str) -> Block:
    """The mapping that stands under `name`, or an empty one."""
    value = block.get(name)
    return value if isinstance(value, Block) else Block()


class Items(list[JSONValue]):
    """A list of the file, with the line it starts at and the line of each item."""

    def __init__(self, line: int = 0) -> None:
        super().__init__()
        self.line = line
        self.lines: list[int] = []


class Line(int):
    """The number of a line in `file`, for what was brought from there into another one."""

    file: str

    def __new__(cls, number: int, file: str) -> Self:
        line = super().__new__(cls, number)
        line.file = file
        return line


def in_file(value: JSONValue, file: str) -> None:
    """Have every line of `value` say that it is one of `file`."""
    if isinstance(value, Block):
        value.line = Line(value.line, file)
        value.lines = {key: Line(line, file) for key, line in value.lines.items()}
        for inner in value.values():
            in_file(inner, file)
    elif isinstance(value, Items):
        value.line = Line(value.line, file)
        value.lines = [Line(line, file) for line in value.lines]
        for inner in value:
            in_file(inner, file)


def position(file: str, line: int) -> str:
    """`file:line`, of the file the line is in."""
    return f"{line.file if isinstance(line, Line) else file}:{line}"


def problem(file: str, line: int, key: str, what: str) -> ConfigError:
    """The error every fault of a file becomes: `file:line: key …: what`."""
    where = f"{position(file, line)}: " if line else f"{file}: "
    return ConfigError(f"{where}key {key}: {what}" if key else f"{where}{what}")


def read_file(path: Path) -> Block:
    """The mapping in the file at `path`.

    Raises:
        ConfigError: it cannot be read, is not YAML, is no mapping, or crosses a limit.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise ConfigError(f"{path}: {exc.strerror or 'cannot be read'}") from exc
    return read_text(raw, str(path))


def read_text(raw: bytes, file: str) -> Block:
    """The mapping in `raw`, which errors call `file`.

    Raises:
        ConfigError: as for `read_file`.
    """
    if len(raw) > MAX_FILE_BYTES:
        raise problem(file, 0, "", f"the file holds more than {MAX_FILE_BYTES} bytes")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = raw.count(b"\n", 0, exc.start) + 1
        raise problem(file, line, "", "the text is not UTF-8") from exc
    try:
        return _Reader(text, file).document()
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else 0
        raise problem(file, line, "", f"this is not YAML: {exc.problem or exc.context}") from exc
    except yaml.YAMLError as exc:  # a character YAML does not allow
        raise problem(file, 0, "", "this is not YAML: a character that may not be in it") from exc


class _Anchored:
    """A value an alias can repeat, and what repeating it costs."""

    __slots__ = ("depth", "nodes", "value")

    def __init__(self, value: JSONValue, nodes: int, depth: int) -> None:
        self.value = value
        self.nodes = nodes
        self.depth = depth


class _Reader:
    """Builds values from the events of one document."""

    def __init__(self, text: str, file: str) -> None:
        # libyaml reads 10 MiB in a tenth of a second, the Python parser in nine.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=loader)
        self._file = file
        self._nodes = 0
        self._deepest = 0
        self._anchors: dict[str, _Anchored | None] = {}

    def document(self) -> Block:
        next(self._events)  # the stream starts
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            raise problem(self._file, 0, "", "the file is empty")
        root = self._value(next(self._events), "", 1)
        next(self._events)  # the document ends
        event = next(self._events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise self._problem(event, "", "a second document starts here; one file holds one")
        if not isinstance(root, Block):
            raise problem(self._file, 1, "", "the file must be a mapping of keys to values")
        return root

    def _value(self, event: yaml.Event, path: str, depth: int) -> JSONValue:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path, depth)
        assert isinstance(event, yaml.NodeEvent)
        if (tag := getattr(event, "tag", None)) is not None:
            raise self._problem(event, path, f"the tag {tag!r} is not allowed")
        self._count(event, path, 1)
        before, outer_deepest, self._deepest = self._nodes - 1, self._deepest, depth - 1
        if event.anchor:
            self._anchors[event.anchor] = (
                None  # until it is complete, an alias to it would be a cycle
            )
        value: JSONValue
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event, path)
        else:
            self._check_depth(event, path, depth)
            build: Callable[[yaml.Event, str, int], JSONValue] = (
                self._mapping if isinstance(event, yaml.MappingStartEvent) else self._sequence
            )
            value = build(event, path, depth)
        if event.anchor:
            height = self._deepest - (depth - 1)
            self._anchors[event.anchor] = _Anchored(value, self._nodes - before, height)
        self._deepest = max(self._deepest, outer_deepest)
        return value

    def _alias(self, event: yaml.AliasEvent, path: str, depth: int) -> JSONValue:
        name = event.anchor or ""
        anchored = self._anchors.get(name)
        if name not in self._anchors:
            raise self._problem(event, path, f"nothing is anchored as &{name} above")
        if anchored is None:
            raise self._problem(event, path, f"*{name} stands inside what it repeats")
        key = path.rpartition(".")[2]
        if isinstance(anchored.value, Secret) and not (key in HIDDEN_KEYS or _is_header(path)):
            listed = ", ".join(sorted(HIDDEN_KEYS))
            raise self._problem(event, path, f"*{name} is a secret and may only stand in: {listed}")
        self._count(event, path, anchored.nodes)
        if anchored.depth:
            self._check_depth(event, path, depth + anchored.depth - 1)
        return anchored.value

    def _mapping(self, event: yaml.Event, path: str, depth: int) -> Block:
        block = Block(_line(event))
        merges: list[tuple[yaml.Event, JSONValue]] = []
        while not isinstance(key_event := next(self._events), yaml.MappingEndEvent):
            key = self._key(key_event, path)
            inner = f"{path}.{key}" if path else key
            if key in block:
                first = block.lines[key]
                raise self._problem(key_event, inner, f"is here twice, first in line {first}")
            value = self._value(next(self._events), inner, depth + 1)
            if key == "<<" and isinstance(key_event, yaml.ScalarEvent) and key_event.implicit[0]:
                if merges:
                    raise self._problem(key_event, inner, "is here twice; merge a list instead")
                merges.append((key_event, value))
                continue
            block[key] = value
            block.lines[key] = _line(key_event)
        for merge_event, merged in merges:
            self._merge(block, merge_event, merged, path)
        return block

    def _merge(self, block: Block, event: yaml.Event, merged: JSONValue, path: str) -> None:
        sources = merged if isinstance(merged, Items) else [merged]
        for source in sources:
            if not isinstance(source, Block):
                raise self._problem(
                    event, f"{path}.<<" if path else "<<", "can only merge mappings"
                )
            for key, value in source.items():
                if key not in block:
                    block[key] = value
                    block.lines[key] = source.lines[key]

    def _sequence(self, event: yaml.Event, path: str, depth: int) -> Items:
        items = Items(_line(event))
        while not isinstance(item := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value(item, f"{path}[{len(items)}]", depth + 1))
            items.lines.append(_line(item))
        return items

    def _key(self, event: yaml.Event, path: str) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            raise self._problem(event, path, "a key must be plain text")
        if event.tag is not None or event.anchor is not None:
            raise self._problem(event, path, "a key can have no tag and no anchor")
        self._count(event, path, 1)
        if len(event.value.encode()) > MAX_KEY_BYTES:
            raise self._problem(event, path, f"a key holds more than {MAX_KEY_BYTES} bytes")
        return str(event.value)

    def _scalar(self, event: yaml.ScalarEvent, path: str) -> JSONValue:
        text, key = str(event.value), path.rpartition(".")[2]
        is_header = _is_header(path)
        if "${" in text:
            try:
                text = expand(text, key="" if is_header else key)
            except ConfigError as exc:
                raise self._problem(event, path, str(exc)) from exc
        if len(text.encode()) > MAX_SCALAR_BYTES:
            raise self._problem(event, path, f"a value holds more than {MAX_SCALAR_BYTES} bytes")
        if (is_header or key in HIDDEN_KEYS) and text != event.value:
            return Secret(text)
        if not event.implicit[0]:  # quoted, or a block of text
            return text
        if _NOT_FINITE.fullmatch(text):
            raise self._problem(event, path, f"{text} is no finite number")
        return _plain(text)

    def _count(self, event: yaml.Event, path: str, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise self._problem(
                event, path, f"the file holds more than {MAX_NODES} values, aliases included"
            )

    def _check_depth(self, event: yaml.Event, path: str, depth: int) -> None:
        self._deepest = max(self._deepest, depth)
        if depth > MAX_DEPTH:
            raise self._problem(event, path, f"values are nested more than {MAX_DEPTH} levels deep")

    def _problem(self, event: yaml.Event, path: str, what: str) -> ConfigError:
        key = path if len(path) <= 200 else f"{path[:200]}…"
        return problem(self._file, _line(event), key, what)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 0


def _is_header(path: str) -> bool:
    return path.startswith(HEADERS)


def _plain(text: str) -> JSONValue:
    """What an unquoted scalar means."""
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text):
        return True
    if _FALSE.fullmatch(text):
        return False
    if _INTEGER.fullmatch(text):
        return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
    if _NUMBER.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text
