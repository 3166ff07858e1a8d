"""Run what a model asks for: whatever happens, a model gets a result it can go on with.

Arguments that do not parse or fit, a tool nobody has, an exception, a timeout, a result that is too long:
each is a result that says so. Only cancelling passes through. The text of an exception goes to the model,
which needs it, and to the log, never to a caller in another process.

Below: base. Above: agents.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import msgspec

from aixgo import telemetry
from aixgo.context import CallContext
from aixgo.domain import JSONValue
from aixgo.errors import ConfigError, nearest
from aixgo.message import NOT_JSON, Message
from aixgo.tools.base import ArgumentsInvalid, Tool, as_tool

__all__ = ["MAX_RESULT", "ToolResult", "Toolbox"]

MAX_RESULT = 50_000  # characters of a result a model is shown
MAX_ERROR = 2_000  # characters of an exception's text a model is shown

log = logging.getLogger("aixgo.tools")


@dataclass(slots=True, frozen=True)
class ToolResult:
    """What a model is told about one run."""

    text: str
    is_error: bool = False


class Toolbox:
    """The tools one agent has, by name, in the order given.

    Args:
        tools: tools, or functions to make tools of.
        max_result: characters of a result a model is shown; what is longer is cut and says so.

    Raises:
        ConfigError: two tools have one name, or one cannot be used.
    """

    def __init__(
        self, tools: Iterable[Tool | Callable[..., object]] = (), *, max_result: int = MAX_RESULT
    ) -> None:
        self._tools: dict[str, Tool] = {}
        self._max_result = max_result
        for given in tools:
            made = as_tool(given)
            if made.name in self._tools:
                raise ConfigError(f"two tools are called {made.name!r}")
            self._tools[made.name] = made

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    async def run(self, name: str, arguments: str, *, call_id: str = "") -> ToolResult:
        """Run the tool `name` with `arguments`, the JSON text a model wrote. Never raises an exception.

        `call_id` is the model's name for this call, for whoever watches.
        """
        if not telemetry.on:
            return await self._run(name, arguments)
        shown = name if name in self._tools else "unknown"  # what a model invents names no span
        work = telemetry.ToolUse(shown, arguments, call_id, CallContext.maybe_current())
        with telemetry.watch(work):
            work.result = await self._run(name, arguments)
        return work.result

    async def _run(self, name: str, arguments: str) -> ToolResult:
        found = self._tools.get(name)
        if found is None:
            near = nearest(name, self._tools)
            hint = f"Did you mean {near!r}? " if near else ""
            listed = ", ".join(self._tools) or "none"
            return _failed(f"there is no tool {name[:64]!r}. {hint}There are: {listed}")
        parsed = _parse(arguments)
        if isinstance(parsed, str):
            return _failed(parsed)
        bound = asyncio.timeout(found.timeout)
        try:
            async with bound:
                result = await found.run(parsed)
        except ArgumentsInvalid as exc:
            return _failed(f"the arguments do not fit: {str(exc)[:MAX_ERROR]}")
        except TimeoutError as exc:
            if bound.expired():
                return _failed(f"{name!r} did not finish within {found.timeout:g} seconds")
            return _raised(name, exc)
        except asyncio.CancelledError as exc:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return _raised(name, exc)  # nobody cancelled us: the tool raised it itself
        except (Exception, SystemExit) as exc:  # noqa: BLE001 - the model decides what follows from it
            return _raised(name, exc)
        return self._shown(name, result)

    def _shown(self, name: str, result: object) -> ToolResult:
        """A result as text of a bounded length."""
        try:
            text = _as_text(result)
        except (
            ValueError,
            RecursionError,
        ) as exc:  # pydantic's serialization error is a ValueError
            log.warning("tool %r returned %s, which is no JSON", name, type(result).__name__)
            return _failed(f"{name!r} returned a {type(result).__name__}, which is no JSON: {exc}")
        if len(text) <= self._max_result:
            return ToolResult(text)
        note = f"\n[cut: the first {self._max_result:,} of {len(text):,} characters]"
        return ToolResult(text[: self._max_result] + note)


def _parse(arguments: str) -> Mapping[str, JSONValue] | str:
    """The arguments as an object, or what is wrong with them."""
    try:
        parsed = cast("object", msgspec.json.decode(arguments.strip() or "{}"))
    except UnicodeError:
        return "the arguments are not valid Unicode; write one JSON object"
    except NOT_JSON as exc:
        return f"the arguments are not JSON ({exc}); write one JSON object"
    if not isinstance(parsed, dict):
        return "the arguments must be a JSON object"
    return cast("dict[str, JSONValue]", parsed)


def _as_text(result: object) -> str:
    if isinstance(result, str):
        return result
    if isinstance(result, Message):
        return result.text
    if isinstance(result, (bytes, bytearray)):
        try:
            return bytes(result).decode()
        except UnicodeDecodeError:
            return f"[{len(result):,} bytes that are no text]"
    from pydantic_core import to_json  # pydantic, which nobody loads without a tool

    return to_json(result).decode()


def _failed(text: str) -> ToolResult:
    return ToolResult(f"error: {text}", is_error=True)


def _raised(name: str, exc: BaseException) -> ToolResult:
    log.warning("tool %r raised %s", name, type(exc).__name__, exc_info=exc)
    return _failed(f"{type(exc).__name__}: {exc}"[:MAX_ERROR])
