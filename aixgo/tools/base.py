"""The contract of a tool, and `@tool`: a plain function as one.

What a model is told about a function comes from its signature and docstring. The arguments a model writes
are converted to the annotations; parameters annotated `Caller` or `CallContext` are filled in and hidden
from it. An `async def` runs on the loop, a `def` in the tool's own bounded threads. The decorated function
stays callable as itself.

Below: contract, schemas. Above: executor, agents, users.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import (
    TYPE_CHECKING,
    Generic,
    ParamSpec,
    Protocol,
    TypeVar,
    cast,
    overload,
    runtime_checkable,
)

from aixgo.domain import JSONValue
from aixgo.errors import ConfigError
from aixgo.schemas import check_schema, problems
from aixgo.threads import DaemonThreads, run_in

if TYPE_CHECKING:
    from aixgo.tools._signature import Signature

__all__ = ["TIMEOUT", "ArgumentsInvalid", "FunctionTool", "Tool", "as_tool", "check_tool", "tool"]

P = ParamSpec("P")
R = TypeVar("R")

TIMEOUT = 30.0  # seconds a tool has unless it says otherwise
SYNC_THREADS = 8  # threads one synchronous tool may use at a time
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # what every vendor takes


class ArgumentsInvalid(ValueError):
    """The arguments do not fit the tool; the text tells the model what to mend."""


@runtime_checkable
class Tool(Protocol):
    """Something a model may call."""

    @property
    def name(self) -> str:
        """1 to 64 letters, digits, `_` or `-`."""
        ...

    @property
    def description(self) -> str:
        """What it does and when to use it, for the model."""
        ...

    @property
    def parameters(self) -> Mapping[str, JSONValue]:
        """JSON Schema of the arguments, an object."""
        ...

    @property
    def timeout(self) -> float:
        """Seconds one run may take."""
        ...

    async def run(self, arguments: Mapping[str, JSONValue]) -> object:
        """Do it. The result is text, or anything that JSON can hold; an exception is told to the model.

        Raises:
            ArgumentsInvalid: the arguments do not fit.
        """
        ...


class FunctionTool(Generic[P, R]):
    """A tool made from a function by `@tool`. Call it to call the function itself."""

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str,
        description: str,
        timeout: float,
        parameters: Mapping[str, JSONValue] | None = None,
    ) -> None:
        from aixgo.tools._signature import Signature  # pydantic, which nobody loads without a tool

        functools.update_wrapper(self, function)
        self.function = function
        self.name = name
        self.description = description
        self.timeout = timeout
        self._signature: Signature = Signature(function, f"@tool {name!r}")
        self.given_parameters = parameters
        self.parameters = self._signature.schema if parameters is None else parameters
        self._threads: DaemonThreads | None = None
        check_tool(self)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<tool {self.name!r}>"

    async def run(self, arguments: Mapping[str, JSONValue]) -> object:
        """Call the function with `arguments`, converted."""
        given = self.given_parameters
        if given is not None and (wrong := problems(dict(arguments), given)):
            raise ArgumentsInvalid("; ".join(wrong))
        bound = self._signature.bind(arguments)
        call = cast("Callable[..., object]", self.function)
        if self._signature.is_async:
            return await cast("Awaitable[object]", call(**bound))
        if self._threads is None:
            self._threads = DaemonThreads(SYNC_THREADS, f"aixgo-tool-{self.name}")
        return await run_in(self._threads, functools.partial(call, **bound))


@overload
def tool(function: Callable[P, R], /) -> FunctionTool[P, R]: ...


@overload
def tool(
    *,
    name: str = ...,
    description: str = ...,
    timeout: float = ...,
    parameters: Mapping[str, JSONValue] | None = ...,
) -> Callable[[Callable[P, R]], FunctionTool[P, R]]: ...


def tool(
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str = "",
    description: str = "",
    timeout: float = TIMEOUT,
    parameters: Mapping[str, JSONValue] | None = None,
) -> FunctionTool[P, R] | Callable[[Callable[P, R]], FunctionTool[P, R]]:
    """Make a tool of a function; it stays callable as the function.

    A parameter is described by `Annotated[int, Field(description="…")]` or by its line under `Args:` in the
    docstring; one without an annotation may be anything. A synchronous function that runs over its time
    cannot be stopped: the model is told at once, its thread ends when the function does.

    Args:
        function: what to run; it may ask for a `Caller` and a `CallContext` by annotation.
        name: defaults to the function's.
        description: defaults to the docstring up to its first section.
        timeout: seconds one run may take.
        parameters: JSON Schema of the arguments, instead of the one made from the signature.

    Raises:
        ConfigError: the signature, the name, the timeout or the schema cannot be used.
    """

    def decorate(function: Callable[P, R]) -> FunctionTool[P, R]:
        doc = inspect.getdoc(function) or ""
        return FunctionTool(
            function,
            name=name or getattr(function, "__name__", ""),
            description=description or _summary(doc),
            timeout=timeout,
            parameters=parameters,
        )

    return decorate if function is None else decorate(function)


def as_tool(given: Tool | Callable[..., object]) -> Tool:
    """`given` if it is a tool, else a tool made of it, which must be a function.

    Raises:
        ConfigError: it is neither.
    """
    if isinstance(given, Tool) and not isinstance(given, type):
        check_tool(given)
        return given
    if isinstance(given, type) or not callable(given):
        raise ConfigError(f"{given!r} is no tool: give a function or something made by @tool")
    return tool(given)


def check_tool(given: Tool) -> None:
    """Refuse a tool that no model could be offered.

    Raises:
        ConfigError: what is wrong with its name, timeout or schema.
    """
    if not NAME.fullmatch(str(given.name)):
        raise ConfigError(
            f"tool {given.name!r}: a name is 1 to 64 letters, digits, '_' or '-' of ASCII"
        )
    where = f"tool {given.name!r}"
    if isinstance(given.timeout, bool) or not 0 < given.timeout < float("inf"):
        raise ConfigError(f"{where}: the timeout is a positive number of seconds")
    check_schema(given.parameters, f"{where}: parameters")
    if given.parameters.get("type") != "object":
        raise ConfigError(f"{where}: parameters must be the schema of an object")


def _summary(doc: str) -> str:
    """A docstring up to its first section, such as `Args:`."""
    return re.split(
        r"^\s*(?:Args|Arguments|Parameters|Returns|Raises|Yields|Examples?):\s*$",
        doc,
        flags=re.MULTILINE,
    )[0].strip()
