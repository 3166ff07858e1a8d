"""A function's signature as a JSON Schema, and a model's arguments as the function's.

The only module of the family that needs pydantic. Below: contract. Above: base.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from aixgo.context import CallContext
from aixgo.contract import Caller
from aixgo.domain import JSONValue
from aixgo.errors import ConfigError
from aixgo.tools.base import ArgumentsInvalid

__all__ = ["Signature"]

MOST_PROBLEMS = 5  # a model mends a few faults at a time


class Signature:
    """How a function takes its arguments and what else it asked for.

    Raises:
        ConfigError: a parameter cannot be given by name, or its type has no schema.
    """

    def __init__(self, function: Callable[..., object], where: str) -> None:
        self.is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004 - asks how the call behaves, not whether it can be
        )
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise ConfigError(f"{where}: a generator cannot be a tool; return a list")
        self.caller_name = self.context_name = ""
        self._takes_any = False
        self._names: dict[str, str] = {}  # field of the model → parameter
        hints = _hints(function, where)
        told = dict(_argument_lines(inspect.getdoc(function) or ""))
        fields: dict[str, object] = {}
        for parameter in _parameters(function, where):
            hint = hints.get(parameter.name, object)
            if hint is Caller:
                self._only_async(where, "a Caller")
                self.caller_name = parameter.name
            elif hint is CallContext:
                self.context_name = parameter.name
            elif parameter.kind is parameter.VAR_KEYWORD:
                self._takes_any = True
            elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
                raise ConfigError(
                    f"{where}: the parameter {parameter.name!r} cannot be given by name"
                )
            else:
                field = (
                    f"p{len(fields)}"  # a parameter may be called what pydantic keeps for itself
                )
                self._names[field] = parameter.name
                fields[field] = _field(parameter, hint, told.get(parameter.name, ""))
        self._model = self._make_model(fields, where)
        self.schema = self._make_schema(where)

    def bind(self, arguments: Mapping[str, JSONValue]) -> dict[str, object]:
        """The function's keyword arguments.

        Raises:
            ArgumentsInvalid: which arguments do not fit, and why.
        """
        try:
            made = self._model.model_validate(dict(arguments))
        except ValidationError as exc:
            raise ArgumentsInvalid("; ".join(self._problems(exc))) from exc
        found: dict[str, object] = dict(made.model_extra or {})
        found |= {name: getattr(made, field) for field, name in self._names.items()}
        if self.caller_name:
            found[self.caller_name] = CallContext.current().caller
        if self.context_name:
            found[self.context_name] = CallContext.current()
        return found

    def _make_model(self, fields: Mapping[str, object], where: str) -> type[BaseModel]:
        config = ConfigDict(
            extra="allow" if self._takes_any else "forbid", alias_generator=self._alias
        )
        try:
            return cast(
                "type[BaseModel]",
                create_model("Arguments", __config__=config, **fields),  # type: ignore[call-overload]  # no overload takes **fields
            )
        except (PydanticUserError, PydanticSchemaGenerationError, TypeError) as exc:
            reason = str(exc).partition("\n")[0]
            raise ConfigError(
                f"{where}: a parameter has a type no model can write: {reason}"
            ) from exc

    def _alias(self, field: str) -> str:
        return self._names.get(field, field)  # fields of dataclasses are asked about too

    def _make_schema(self, where: str) -> dict[str, JSONValue]:
        try:
            made = cast("dict[str, JSONValue]", self._model.model_json_schema())
        except PydanticUserError as exc:
            reason = str(exc).partition("\n")[0]
            raise ConfigError(f"{where}: a parameter has no JSON Schema: {reason}") from exc
        made = cast("dict[str, JSONValue]", _untitled(made))
        made.pop("description", None)
        made.setdefault("properties", {})
        made["additionalProperties"] = self._takes_any
        return made

    def _problems(self, exc: ValidationError) -> list[str]:
        found: list[str] = []
        for error in exc.errors(include_url=False, include_input=False)[:MOST_PROBLEMS]:
            path = ".".join(str(part) for part in error["loc"]) or "the arguments"
            if error["type"] == "extra_forbidden":
                known = ", ".join(self._names.values()) or "none"
                found.append(f"{path}: there is no such argument; there are: {known}")
            else:
                found.append(f"{path}: {error['msg']}")
        return found

    def _only_async(self, where: str, what: str) -> None:
        if not self.is_async:
            raise ConfigError(f"{where}: only an 'async def' can use {what}")


def _hints(function: Callable[..., object], where: str) -> dict[str, object]:
    source = function if hasattr(function, "__annotations__") else type(function).__call__
    try:
        return typing.get_type_hints(source, include_extras=True)
    except NameError as exc:
        raise ConfigError(f"{where}: the annotation {exc.name!r} cannot be resolved") from exc


def _parameters(function: Callable[..., object], where: str) -> list[inspect.Parameter]:
    try:
        found = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as exc:
        raise ConfigError(f"{where}: its parameters cannot be read: {exc}") from exc
    if found and found[0].name == "self" and "." in getattr(function, "__qualname__", ""):
        raise ConfigError(
            f"{where}: is a method without its object; make a tool of `object.method`"
        )
    return found


def _field(parameter: inspect.Parameter, hint: object, told: str) -> tuple[object, object]:
    """The type and the default of one parameter, as pydantic takes them."""
    hint = typing.Any if hint is object else hint
    default: object = ... if parameter.default is parameter.empty else parameter.default
    places = (default, *_annotations(hint))
    if told and not any(getattr(part, "description", None) for part in places):
        hint = typing.Annotated[hint, Field(description=told)]
    return hint, default


def _annotations(hint: object) -> tuple[object, ...]:
    return typing.get_args(hint)[1:] if typing.get_origin(hint) is typing.Annotated else ()


def _argument_lines(doc: str) -> Iterator[tuple[str, str]]:
    """What a docstring says under `Args:` about each parameter."""
    section = re.search(r"^Args:\s*\n((?:[ \t]+\S.*\n?|\s*\n)*)", doc, re.MULTILINE)
    if section is None:
        return
    body = inspect.cleandoc("\n" + section[1])
    for found in re.finditer(r"^(\w+)(?:\s*\([^)]*\))?:\s*(.+(?:\n[ \t]+.+)*)", body, re.MULTILINE):
        yield found[1], " ".join(found[2].split())


def _untitled(schema: object) -> object:
    """`schema` without the titles pydantic makes of names: a model pays for every word."""
    if isinstance(schema, list):
        return [_untitled(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found: dict[str, object] = {}
    for key, value in schema.items():
        if key == "title" and isinstance(value, str):
            continue
        if key in ("properties", "$defs") and isinstance(value, dict):
            found[key] = {name: _untitled(part) for name, part in value.items()}
        elif key in ("default", "const", "enum", "examples"):
            found[key] = value
        else:
            found[key] = _untitled(value)
    return found
