"""The shape an answer must have: what a model is told of it, and how its answer is held against it.

Below: schemas. Above: the turn.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar, cast, overload

import msgspec

from aixgo.errors import ConfigError
from aixgo.message import JSONValue, Message
from aixgo.schemas import check_schema, problems

__all__ = ["Checked", "Output", "Wanted", "read_output"]

T = TypeVar("T")

MOST_PROBLEMS = 5  # a model mends a few faults at a time


class Wanted(Protocol):
    """What a turn needs to know of the shape of its answer."""

    @property
    def asked(self) -> Mapping[str, JSONValue]:
        """The schema for `CompletionRequest.output_schema`."""
        ...

    def read(self, text: str) -> JSONValue:
        """The value of an answer.

        Raises:
            ValueError: what is wrong with it, for the model.
        """
        ...


class _Adapter(Protocol):
    """What is used of pydantic's TypeAdapter."""

    def json_schema(self) -> dict[str, JSONValue]: ...

    def validate_json(self, data: bytes, /) -> object: ...

    def dump_python(self, instance: object, /, *, mode: str) -> JSONValue: ...


class Output:
    """A wanted shape: a pydantic model, a dataclass, any other type pydantic knows, or a JSON Schema.

    Vendors want an object at the root of a schema. Another shape, such as a list or a union, is asked for as
    `{"value": …}` and taken out of it again.

    Raises:
        ConfigError: it is no type that can be described, or the schema cannot be used.
    """

    def __init__(self, wanted: object) -> None:
        self._adapter: _Adapter | None = None
        if isinstance(wanted, Mapping):
            check_schema(wanted, "output_schema")
            self.schema = cast("Mapping[str, JSONValue]", wanted)
        else:
            self._adapter = _adapter(wanted)
            self.schema = _schema_of(self._adapter, wanted)
        self._wrapped = not _is_object(self.schema) and _movable(self.schema)
        self.asked = _wrap(self.schema) if self._wrapped else _inlined(self.schema)
        """The schema for `CompletionRequest.output_schema`."""

    def read(self, text: str) -> JSONValue:
        """The value of an answer.

        Raises:
            ValueError: what is wrong with it, for the model.
        """
        value = _decoded(text)
        if self._wrapped and isinstance(value, dict) and list(value) == ["value"]:
            value = value["value"]
        if self._adapter is None:
            if wrong := problems(value, self.schema):
                raise ValueError("; ".join(wrong))
            return value
        made = _validated(self._adapter, value)
        return self._adapter.dump_python(made, mode="json")

    def object_of(self, payload: JSONValue) -> object:
        """A reply's payload as the type; with a JSON Schema, the payload itself."""
        return payload if self._adapter is None else _validated(self._adapter, payload)


class Checked:
    """A shape that an agent checks itself: what models are told of it, and a function that reads an answer.

    `check` gets the decoded JSON and gives the value to go on with, or raises ValueError with what is wrong.
    """

    def __init__(
        self, asked: Mapping[str, JSONValue], check: Callable[[JSONValue], JSONValue]
    ) -> None:
        self.asked = asked
        self._check = check

    def read(self, text: str) -> JSONValue:
        """The value of an answer; ValueError says what is wrong with it."""
        return self._check(_decoded(text))


@overload
def read_output(reply: Message, wanted: type[T]) -> T: ...


@overload
def read_output(reply: Message, wanted: object) -> object: ...


def read_output(reply: Message, wanted: object) -> object:
    """A reply's payload as the type its agent was given as `output`, such as `Person` or `Cat | Dog`.

    Raises:
        ValueError: the payload is not of that type.
    """
    payload = reply.payload
    if isinstance(payload, bytes):
        raise ValueError("the reply is bytes, not a value")  # noqa: TRY004 - like every misfit
    return Output(wanted).object_of(payload)


def _decoded(text: str) -> JSONValue:
    try:
        return cast("JSONValue", msgspec.json.decode(_unfenced(text)))
    except RecursionError as exc:
        raise ValueError("it is nested too deeply") from exc


def _unfenced(text: str) -> str:
    """`text` without the code fence some models put around JSON."""
    inner = text.strip()
    if len(inner) > 6 and inner.startswith("```") and inner.endswith("```"):
        return inner[3:-3].partition("\n")[2]
    return text


def _adapter(wanted: object) -> _Adapter:
    from pydantic import TypeAdapter  # only for those who want a type
    from pydantic.errors import PydanticUserError

    try:
        return cast("_Adapter", TypeAdapter(cast("type[object]", wanted)))
    except PydanticUserError as exc:
        reason = str(exc).partition("\n")[0]
        raise ConfigError(f"output: {wanted!r} cannot be described to a model: {reason}") from exc


def _schema_of(adapter: _Adapter, wanted: object) -> Mapping[str, JSONValue]:
    from pydantic.errors import PydanticUserError

    try:
        return adapter.json_schema()
    except PydanticUserError as exc:
        reason = str(exc).partition("\n")[0]
        raise ConfigError(f"output: {wanted!r} has no JSON Schema: {reason}") from exc


def _validated(adapter: _Adapter, value: JSONValue) -> object:
    from pydantic import ValidationError

    try:
        return adapter.validate_json(msgspec.json.encode(value))
    except ValidationError as exc:
        found = []
        for error in exc.errors(include_url=False, include_input=False)[:MOST_PROBLEMS]:
            path = ".".join(str(part) for part in error["loc"])
            found.append(f"{path}: {error['msg']}" if path else error["msg"])
        raise ValueError("; ".join(found)) from exc


def _is_object(schema: Mapping[str, JSONValue]) -> bool:
    inlined = _inlined(schema)
    return inlined.get("type") == "object" or "properties" in inlined


def _inlined(schema: Mapping[str, JSONValue]) -> Mapping[str, JSONValue]:
    """`schema` with a root that only refers to a definition, as of a recursive model, replaced by it."""
    ref, definitions = schema.get("$ref"), schema.get("$defs")
    if isinstance(ref, str) and isinstance(definitions, dict):
        target = definitions.get(ref.removeprefix("#/$defs/"))
        if isinstance(target, dict):
            return {**target, "$defs": definitions}
    return schema


def _movable(schema: Mapping[str, JSONValue]) -> bool:
    """Whether `schema` may stand inside another one: all it refers to are its definitions."""
    text = msgspec.json.encode(schema).decode()
    refs = re.findall(r'"\$ref":"([^"]*)"', text)
    return all(ref.startswith(("#/$defs/", "#/definitions/")) for ref in refs)


def _wrap(schema: Mapping[str, JSONValue]) -> Mapping[str, JSONValue]:
    shared = {word: schema[word] for word in ("$defs", "definitions") if word in schema}
    inner = {word: part for word, part in schema.items() if word not in shared}
    return {
        "type": "object",
        "properties": {"value": inner},
        "required": ["value"],
        "additionalProperties": False,
        **shared,
    }
