"""`@agent`: a plain function as an agent.

The function's input is converted to its annotation and its result back into a message; parameters
annotated `Caller` or `CallContext` are filled in. An `async def` runs on the loop, a `def` in the agent's
own bounded threads, an async generator streams. The decorated function stays callable as itself.

Below: contract, message. Above: users.
"""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Generic, ParamSpec, TypeVar, cast, overload

import msgspec

from aixgo.context import CallContext
from aixgo.contract import Caller
from aixgo.errors import ConfigError, InvalidMessage
from aixgo.message import NOT_JSON, JSONValue, Message, StreamChunk
from aixgo.names import check_name
from aixgo.threads import DaemonThreads, run_in

__all__ = ["AgentFunction", "agent"]

P = ParamSpec("P")
R = TypeVar("R")

SYNC_THREADS = 8  # threads one synchronous agent may use at a time


class AgentFunction(Generic[P, R]):
    """An agent made from a function by `@agent`. Call it to call the function itself."""

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str,
        role: str,
        description: str,
        version: str,
        model: str,
        mailbox: bool,
        depends_on: Sequence[str],
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.name = name
        self.role = role
        self.description = description
        self.version = version
        self.model = model
        self.mailbox = mailbox
        self.depends_on = tuple(depends_on)
        self._signature = _Signature(function)
        self._threads: DaemonThreads | None = None
        if self._signature.is_generator:
            self.stream = self._stream

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<agent {self.name!r}>"

    def with_facts(self, *, description: str = "", version: str = "") -> AgentFunction[P, R]:
        """Another agent of the same function, described so; what is left empty stays as it is."""
        return AgentFunction(
            self.function,
            name=self.name,
            role=self.role,
            description=description or self.description,
            version=version or self.version,
            model=self.model,
            mailbox=self.mailbox,
            depends_on=self.depends_on,
        )

    @property
    def input_schema(self) -> Mapping[str, JSONValue] | None:
        """JSON Schema of the input's annotation, where it has one."""
        return _schema(self._signature.input_type)

    @property
    def output_schema(self) -> Mapping[str, JSONValue] | None:
        """JSON Schema of the result's annotation, where it has one."""
        return None if self._signature.is_generator else _schema(self._signature.output_type)

    async def execute(self, message: Message) -> Message:
        """Call the function with the message's payload, converted; its result is the reply."""
        signature = self._signature
        if signature.is_generator:
            return await self._collect(message)
        call = cast("Callable[..., object]", self.function)
        arguments = signature.bind(message)
        if signature.is_async:
            result = await cast("Awaitable[object]", call(**arguments))
        else:
            result = await run_in(self._pool(), functools.partial(call, **arguments))
        return result if isinstance(result, Message) else Message(result, type=message.type)

    async def stop(self) -> None:
        """Let go of the threads, which end after the calls they have; nobody waits for them."""
        if self._threads is not None:  # another name, or another runtime, may have calls queued
            self._threads.shutdown()
            self._threads = None

    async def _stream(self, message: Message) -> AsyncIterator[StreamChunk | Message]:
        pieces = cast("Callable[..., AsyncIterator[object]]", self.function)(
            **self._signature.bind(message)
        )
        try:
            async for piece in pieces:
                if isinstance(piece, (StreamChunk, Message)):
                    yield piece
                else:
                    yield StreamChunk(
                        content=piece if isinstance(piece, str) else Message(piece).text
                    )
        finally:
            aclose = getattr(pieces, "aclose", None)
            if aclose is not None:
                await aclose()

    async def _collect(self, message: Message) -> Message:
        parts: list[str] = []
        async for piece in self._stream(message):
            if isinstance(piece, Message):
                return piece
            parts.append(piece.content)
        return Message("".join(parts), type=message.type)

    def _pool(self) -> DaemonThreads:
        if self._threads is None:
            self._threads = DaemonThreads(SYNC_THREADS, f"aixgo-{self.name}")
        return self._threads


class _Signature:
    """How a function takes its input and what else it asked for."""

    def __init__(self, function: Callable[..., object]) -> None:
        where = f"@agent {getattr(function, '__name__', function)!r}"
        self.is_generator = inspect.isasyncgenfunction(function)
        self.is_async = inspect.iscoroutinefunction(function)
        if inspect.isgeneratorfunction(function):
            raise ConfigError(f"{where}: a generator must be an 'async def' one")
        try:
            hints = typing.get_type_hints(function)
        except NameError as exc:
            raise ConfigError(f"{where}: the annotation {exc.name!r} cannot be resolved") from exc
        except TypeError as exc:  # of an object that is called like a function
            raise ConfigError(f"{where}: takes a function, not {type(function).__name__}") from exc
        self.input_name = ""
        self.input_type: object = object
        self.output_type: object = hints.get("return", object)
        self.caller_name = self.context_name = ""
        try:
            parameters = inspect.signature(function).parameters
        except ValueError as exc:  # of some functions that are written in C
            raise ConfigError(
                f"{where}: its parameters cannot be seen; call it in a function of your own"
            ) from exc
        for parameter in parameters.values():
            hint = hints.get(parameter.name, object)
            if hint is Caller:
                if not (self.is_async or self.is_generator):
                    raise ConfigError(f"{where}: only an 'async def' can use a Caller")
                self.caller_name = parameter.name
            elif hint is CallContext:
                self.context_name = parameter.name
            elif parameter.default is not parameter.empty or parameter.kind in (
                parameter.VAR_POSITIONAL,
                parameter.VAR_KEYWORD,
            ):
                continue
            elif parameter.kind is parameter.POSITIONAL_ONLY:
                raise ConfigError(
                    f"{where}: the parameter {parameter.name!r} must not be positional-only"
                )
            elif self.input_name:
                raise ConfigError(
                    f"{where}: takes one input, but both {self.input_name!r} and {parameter.name!r} have no default; "
                    "use one dataclass or dict"
                )
            else:
                self.input_name, self.input_type = parameter.name, hint

    def bind(self, message: Message) -> dict[str, object]:
        arguments: dict[str, object] = {}
        if self.input_name:
            arguments[self.input_name] = _convert(message, self.input_type)
        if self.caller_name:
            arguments[self.caller_name] = CallContext.current().caller
        if self.context_name:
            arguments[self.context_name] = CallContext.current()
        return arguments


def _convert(message: Message, wanted: object) -> object:
    """The message's payload as `wanted`: Message, str, bytes, a JSON type, a dataclass or a pydantic model.

    Text is read as JSON where a structure is wanted, a structure is written as JSON where text is.

    Raises:
        InvalidMessage: the payload does not fit; the text says where, never what.
    """
    if wanted is str:
        return message.text
    if wanted is Message:
        return message
    if wanted is object or wanted is typing.Any:
        return message.payload
    if wanted is bytes:
        return message.encoded
    payload = message.payload
    model_validate = getattr(wanted, "model_validate", None)
    if isinstance(payload, str) and not _accepts_text(wanted):
        try:
            payload = cast("JSONValue", msgspec.json.decode(payload.encode()))
        except NOT_JSON as exc:
            raise InvalidMessage(
                f"is text that is no JSON; {_type_name(wanted)} is wanted",
                "payload",
                _type_name(wanted),
            ) from exc
    if model_validate is not None:
        try:
            return model_validate(payload)
        except (
            ValueError
        ) as exc:  # pydantic's ValidationError is one; its text would quote the payload
            fields = [".".join(map(str, error["loc"])) for error in exc.errors()]  # type: ignore[attr-defined]  # pydantic's
            path = f"payload.{fields[0]}".rstrip(".")
            raise InvalidMessage(path=path, expected=_type_name(wanted)) from exc
    try:
        return msgspec.convert(payload, wanted)
    except msgspec.ValidationError as exc:
        where = str(exc).rpartition("`$")[2].rstrip("`") if "`$" in str(exc) else ""
        raise InvalidMessage(f"does not fit: {exc}", f"payload{where}", _type_name(wanted)) from exc


def _accepts_text(wanted: object) -> bool:
    if typing.get_origin(wanted) in (typing.Union, types.UnionType):
        return any(_accepts_text(item) for item in typing.get_args(wanted))
    return wanted is str or typing.get_origin(wanted) is typing.Literal


def _type_name(wanted: object) -> str:
    return wanted.__name__ if isinstance(wanted, type) else str(wanted)


def _schema(wanted: object) -> Mapping[str, JSONValue] | None:
    if wanted in (object, typing.Any, Message, bytes, type(None), None):
        return None
    model_schema = getattr(wanted, "model_json_schema", None)
    if model_schema is not None:
        return cast("Mapping[str, JSONValue]", model_schema())
    try:
        return cast("Mapping[str, JSONValue]", msgspec.json.schema(wanted))
    except TypeError:  # a type msgspec cannot describe; the agent still works with it
        return None


@overload
def agent(function: Callable[P, R], /) -> AgentFunction[P, R]: ...


@overload
def agent(
    *,
    name: str = ...,
    role: str = ...,
    description: str = ...,
    version: str = ...,
    model: str = ...,
    mailbox: bool = ...,
    depends_on: Iterable[str] = ...,
) -> Callable[[Callable[P, R]], AgentFunction[P, R]]: ...


def agent(
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str = "",
    role: str = "agent",
    description: str = "",
    version: str = "",
    model: str = "",
    mailbox: bool = False,
    depends_on: Iterable[str] = (),
) -> AgentFunction[P, R] | Callable[[Callable[P, R]], AgentFunction[P, R]]:
    """Make an agent of a function; it stays callable as the function.

    Args:
        function: takes one input (Message, str, dict, dataclass, pydantic model, …) and may ask for a
            `Caller` and a `CallContext` by annotation.
        name: defaults to the function's.
        role: what kind of agent it is, for people and routing.
        description: defaults to the docstring's first line.
        version: which version of it this is, shown in traces.
        model: the model it uses, if any.
        mailbox: the agent reads its own mailbox with `caller.recv()`.
        depends_on: agents that must be ready before this one starts.

    Raises:
        ConfigError: the function's signature or the name cannot be used.
    """

    def decorate(function: Callable[P, R]) -> AgentFunction[P, R]:
        given: object = function
        if isinstance(given, type) or not callable(given):
            shown = f"the class {given.__name__}" if isinstance(given, type) else repr(given)
            raise ConfigError(f"@agent takes a function, not {shown[:80]}")
        doc = inspect.getdoc(function) or ""
        return AgentFunction(
            function,
            name=check_name(name or str(getattr(function, "__name__", type(function).__name__))),
            role=role,
            description=description or doc.partition("\n")[0],
            version=version,
            model=model,
            mailbox=mailbox,
            depends_on=tuple(depends_on),
        )

    return decorate if function is None else decorate(function)
