"""The seam between what happens and whoever watches: one boolean, and a span per piece of work.

The code that does something says so here, as a `Work`: a call as its caller sees it, a call as its agent's
host sees it, a pattern's run, a model's completion, a tool. Observers are told when it begins and when it
ended; tracing, metrics and the record of a run are observers. While nobody watches, `on` is False and that is
all the hot path looks at. An observer that fails is reported once and never disturbs the work.

Below: context, message. Above: runtime, orchestration, providers and tools report; observability watches.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Mapping
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Protocol, TypeVar

from aixgo.context import CallContext
from aixgo.errors import DeadlineExceeded

if TYPE_CHECKING:
    from aixgo.contract import Agent
    from aixgo.message import JSONValue, Message
    from aixgo.providers.base import Completion, CompletionRequest
    from aixgo.tools.executor import ToolResult

__all__ = [
    "Call",
    "Entered",
    "Execution",
    "ModelUse",
    "Observer",
    "Orchestration",
    "Span",
    "ToolUse",
    "Work",
    "add_observer",
    "begin",
    "end",
    "enter",
    "error_type",
    "leave",
    "observe",
    "remove_observer",
    "watch",
]

log = logging.getLogger("aixgo.telemetry")

CANCELLED = "cancelled"
"""What `error_type` calls a cancel."""

T_Work = TypeVar("T_Work", bound="Work")

on = False
"""Whether anybody watches. Read it as `telemetry.on`; only observers coming and going change it."""


class Span(Protocol):
    """An observer's part in one piece of work."""

    def enter(self) -> object:
        """Make what the current task begins part of this work; gives what `leave` takes."""
        ...

    def leave(self, token: object) -> None:
        """Undo `enter`, in the same task."""
        ...

    def end(self, work: Work) -> None:
        """The work has ended: `work` says how."""
        ...


class Observer(Protocol):
    """Somebody who watches."""

    def begin(self, work: Work) -> Span | None:
        """Some work begins; None if it does not matter to this observer."""
        ...


class Work:
    """Something that takes time. `error` says how it failed, `left` that its reader did not wait for the end."""

    __slots__ = ("began", "context", "error", "left", "seconds", "spans", "streaming")

    def __init__(self, context: CallContext | None, *, streaming: bool = False) -> None:
        self.context = context
        self.streaming = streaming
        """Whether somebody reads it as it is made, who may leave before its end."""
        self.began = time.perf_counter()
        self.seconds = 0.0
        """How long it took, once it ended."""
        self.error: BaseException | None = None
        self.left = False
        self.spans: list[Span] = []


class Call(Work):
    """A call as its caller sees it; `reply` is what came back, over a stream what came last."""

    __slots__ = ("chunks", "first_chunk", "message", "reply", "target")

    context: CallContext

    def __init__(
        self, target: str, message: Message, context: CallContext, *, streaming: bool = False
    ) -> None:
        super().__init__(context, streaming=streaming)
        self.target = target
        self.message = message
        self.reply: Message | None = None
        self.chunks = 0
        self.first_chunk = 0.0
        """Seconds until the first chunk came."""

    def chunk(self) -> None:
        """Count a chunk."""
        if not self.chunks:
            self.first_chunk = time.perf_counter() - self.began
        self.chunks += 1


class Execution(Call):
    """A call as the host of its agent sees it, whoever made it; `posted` if it came from a mailbox."""

    __slots__ = ("agent", "posted")

    def __init__(
        self,
        agent: Agent,
        name: str,
        message: Message,
        context: CallContext,
        *,
        streaming: bool = False,
        posted: bool = False,
    ) -> None:
        super().__init__(name, message, context, streaming=streaming)
        self.agent = agent
        self.posted = posted


class Orchestration(Work):
    """One run of a pattern."""

    __slots__ = ("calls", "facts", "name", "pattern", "result")

    context: CallContext

    def __init__(
        self, pattern: str, name: str, context: CallContext, *, streaming: bool = False
    ) -> None:
        super().__init__(context, streaming=streaming)
        self.pattern = pattern
        self.name = name
        self.result: Message | None = None
        self.facts: Mapping[str, JSONValue] = {}
        """What it says of itself, and nothing of what patterns inside it say: those have runs of their own."""
        self.calls: list[Call] = []
        """The calls it made, in the order they began."""


class ModelUse(Work):
    """One request to a model; a retry is another. `completion` has what it used and cost.

    A `cached` one was answered with an answer given before: nobody was asked, and nothing used.
    """

    __slots__ = ("cached", "completion", "first_delta", "provider", "request")

    def __init__(
        self,
        provider: str,
        request: CompletionRequest,
        context: CallContext | None,
        *,
        streaming: bool = False,
        cached: bool = False,
    ) -> None:
        super().__init__(context, streaming=streaming)
        self.provider = provider
        self.request = request
        self.cached = cached
        self.completion: Completion | None = None
        self.first_delta = 0.0
        """Seconds until the first delta came; 0 before."""

    def delta(self) -> None:
        """Note that a delta came."""
        self.first_delta = self.first_delta or time.perf_counter() - self.began


class ToolUse(Work):
    """One run of a tool that a model asked for; a failure is a `result` that says so."""

    __slots__ = ("arguments", "call_id", "name", "result")

    def __init__(
        self, name: str, arguments: str, call_id: str, context: CallContext | None
    ) -> None:
        super().__init__(context)
        self.name = name
        self.arguments = arguments
        self.call_id = call_id
        self.result: ToolResult | None = None


def error_type(error: BaseException, context: CallContext | None) -> str:
    """`error` in a word: its class, or for a cancel whether the deadline was the reason."""
    if not isinstance(error, asyncio.CancelledError | GeneratorExit):
        return type(error).__name__
    late = context is not None and context.remaining <= 0
    return DeadlineExceeded.__name__ if late else CANCELLED


# -- observers ------------------------------------------------------------------------------------------

_observers: tuple[Observer, ...] = ()
_reported: set[str] = set()
_pattern: ContextVar[Orchestration | None] = ContextVar("aixgo_pattern", default=None)


def add_observer(observer: Observer) -> None:
    """Tell `observer` of all work that begins from now on."""
    _set((*_observers, observer))


def remove_observer(observer: Observer) -> None:
    """Tell `observer` nothing new; harmless when it is none. What it saw begin, it sees end."""
    _set(tuple(known for known in _observers if known is not observer))


def _set(observers: tuple[Observer, ...]) -> None:
    global _observers, on  # noqa: PLW0603 - the one boolean the hot path reads
    _observers = observers
    on = bool(observers)


# -- the life of a piece of work ------------------------------------------------------------------------


def begin(work: T_Work) -> T_Work:
    """Tell all observers that `work` begins. Whoever calls this calls `end` once."""
    spans: list[Span] = work.spans
    pattern = _pattern.get()
    if pattern is not None and isinstance(work, Call) and not isinstance(work, Execution):
        pattern.calls.append(work)
    for observer in _observers:
        try:
            span = observer.begin(work)
        except Exception as exc:  # noqa: BLE001 - whoever watches must not disturb
            _report(exc)
        else:
            if span is not None:
                spans.append(span)
    return work


def end(work: Work) -> None:
    """Tell who watched `work` that it has ended. Doing it twice is fine."""
    if work.seconds:
        return
    if work.streaming and _was_left(work):
        work.error, work.left = None, True
    spans, work.spans = work.spans, []
    work.seconds = time.perf_counter() - work.began
    for span in reversed(spans):
        try:
            span.end(work)
        except Exception as exc:  # noqa: BLE001 - whoever watches must not disturb
            _report(exc)


def _was_left(work: Work) -> bool:
    """Whether a stream was cancelled in time: that is how a reader leaves when it is elsewhere."""
    late = work.context is not None and work.context.remaining <= 0
    return isinstance(work.error, asyncio.CancelledError) and not late


class Entered:
    """What `enter` did; `leave` undoes it."""

    __slots__ = ("pattern", "spans")

    def __init__(self) -> None:
        self.spans: list[tuple[Span, object]] = []
        self.pattern: Token[Orchestration | None] | None = None


def enter(work: Work) -> Entered:
    """Make what the current task begins part of `work`, until `leave` with what this gives."""
    entered = Entered()
    if isinstance(work, Orchestration):
        entered.pattern = _pattern.set(work)
    elif isinstance(work, Execution):
        entered.pattern = _pattern.set(None)  # what this agent calls is not the pattern's own doing
    for span in work.spans:
        try:
            entered.spans.append((span, span.enter()))
        except Exception as exc:  # noqa: BLE001 - whoever watches must not disturb
            _report(exc)
    return entered


def leave(entered: Entered) -> None:
    """Undo `enter`, in the same task."""
    for span, token in reversed(entered.spans):
        try:
            span.leave(token)
        except Exception as exc:  # noqa: BLE001 - whoever watches must not disturb
            _report(exc)
    if entered.pattern is not None:
        _pattern.reset(entered.pattern)


async def observe(work: Call, result: Awaitable[Message]) -> Message:
    """What `result` gives, as the reply of `work`, which begins and ends with it."""
    begin(work)
    entered = enter(work)
    try:
        work.reply = await result
    except BaseException as exc:
        work.error = exc
        raise
    finally:
        leave(entered)
        end(work)
    return work.reply


class watch:  # noqa: N801 - used like a function: `with watch(work):`
    """`with watch(work):` begins it and ends it, with the error that leaves the block if one does."""

    __slots__ = ("_entered", "_work")

    def __init__(self, work: Work) -> None:
        self._work = work

    def __enter__(self) -> None:
        begin(self._work)
        self._entered = enter(self._work)

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        leave(self._entered)
        self._work.error = error
        end(self._work)


def _report(exc: Exception) -> None:
    """Log a failure of an observer, each kind once per process."""
    kind = type(exc).__name__
    if kind not in _reported:
        _reported.add(kind)
        log.error("an observer failed; what it shows may be incomplete", exc_info=exc)
