"""What happens, as events: an observer of the telemetry seam that writes down the work of one run.

Names, times, usage and the classes of errors are recorded; content only if somebody asked. A call is recorded
where it was made, and once more where its agent is if that is another process, which is how the fold finds
the two together. Below: telemetry, events. Above: whoever keeps the events.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable

from aixgo import telemetry
from aixgo.context import CallContext
from aixgo.errors import AixgoError, words_for_anybody
from aixgo.ledger import Usage
from aixgo.message import Message, new_id
from aixgo.sessions.events import (
    ErrorRaised,
    Event,
    MessageCompleted,
    PromptReceived,
    RunCancelled,
    RunCompleted,
    RunStarted,
    Spent,
    ToolCallCompleted,
    ToolCallFailed,
    ToolCallStarted,
    as_time,
)

__all__ = ["Recorder"]

MAX_CONTENT = 64 * 1024  # characters of one input or answer


class Recorder:
    """An observer that gives what it sees to `write`, as events of the run `run_id`.

    `spent` is what those calls and messages spent that nobody inside the run waits for.
    """

    def __init__(
        self, write: Callable[[Event], None], run_id: str, *, content: bool = False
    ) -> None:
        self.run_id = run_id
        self.spent = Usage()
        self._write = write
        self._content = content
        self._zero = time.time() - time.perf_counter()
        self._runs: dict[CallContext, str] = {}
        self._patterns: dict[CallContext, str] = {}

    def at(self, moment: float) -> float:
        """A moment of `time.perf_counter` in Unix seconds, however the machine's clock is set meanwhile."""
        return self._zero + moment

    def begin(self, work: telemetry.Work) -> telemetry.Span | None:
        """Record that some work begins."""
        if isinstance(work, telemetry.Execution):
            if work.context in self._runs and not work.posted:
                return None  # its caller is in this process, and recorded it
            return self._run(work, arrived=not work.posted, posted=work.posted)
        if isinstance(work, telemetry.Call):
            return self._run(work)
        if isinstance(work, telemetry.Orchestration):
            return _Watch(self._orchestrated)
        if isinstance(work, telemetry.ModelUse):
            return _Watch(self._answered)
        if isinstance(work, telemetry.ToolUse):
            return self._tool(work)
        return None

    def now(self) -> float:
        """Unix seconds on the same scale."""
        return self.at(time.perf_counter())

    def prompt(self, text: str, model: str) -> None:
        """Record that the input of the whole run came in."""
        self._write(
            PromptReceived(
                timestamp=as_time(self.now()),
                run_id=self.run_id,
                content=self.content(text) or "",
                model_preference=model or None,
            )
        )

    def text(self, message: Message | None) -> str | None:
        """The payload of a message as far as it may be recorded."""
        return self.content(message.text) if self._content and message is not None else None

    def content(self, text: str | None) -> str | None:
        """`text` as far as it may be recorded."""
        if not self._content or text is None:
            return None
        return text if len(text) <= MAX_CONTENT else f"{text[:MAX_CONTENT]}…"

    def ending(
        self, run_id: str, began: float, error: BaseException | None, usage: Usage | None
    ) -> RunCancelled | ErrorRaised:
        """How a run ended that did not complete."""
        now = time.perf_counter()
        took = max(0.0, now - began) * 1000
        spent = Spent.of(usage)
        if error is None or isinstance(
            error, (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit)
        ):
            reason = "its reader left" if error is None else "interrupted"
            return RunCancelled(
                timestamp=as_time(self.at(now)),
                run_id=run_id,
                duration_ms=took,
                usage=spent,
                reason=reason,
            )
        return ErrorRaised(
            timestamp=as_time(self.at(now)),
            run_id=run_id,
            error_type=type(error).__name__,
            error_message=self._words(error),
            error_id=getattr(error, "error_id", ""),
            agent=getattr(error, "agent", ""),
            duration_ms=took,
            usage=spent,
        )

    def _words(self, error: BaseException) -> str:
        """What the error may tell anybody: what its class says of its fields, unless content is recorded."""
        if not isinstance(error, AixgoError):
            return ""
        if self._content:
            return self.content(str(error)) or ""
        return words_for_anybody(error)

    # -- runs -----------------------------------------------------------------------------------------

    def _run(self, work: telemetry.Call, *, arrived: bool = False, posted: bool = False) -> _Watch:
        context = work.context
        run_id = new_id()
        parent = None if arrived or posted else CallContext.maybe_current()
        if parent is not None and parent.part_of is not None:
            parent = parent.part_of
        hop = context.hops[-1] if context.hops and not posted else None
        self._runs[context] = run_id
        self._write(
            RunStarted(
                timestamp=as_time(self.at(work.began)),
                run_id=run_id,
                session_id=context.session,
                agent=work.target,
                key=context.key,
                parent_run_id=self._runs.get(parent, "") if parent is not None else "",
                parent_agent=hop.agent if hop is not None else "",
                parent_key=hop.key if hop is not None else "",
                arrived=arrived,
                posted=posted,
                streaming=work.streaming,
                process=os.getpid(),
                content=self.text(work.message),
            )
        )
        nobody_waits = posted or (not arrived and hop is None)

        def ended(work: telemetry.Work) -> None:
            assert isinstance(work, telemetry.Call)
            self._runs.pop(context, None)
            if nobody_waits:
                self.spent.add(context.spent or Usage())
            self._write(self._ended(work, run_id))

        return _Watch(ended)

    def _ended(self, work: telemetry.Call, run_id: str) -> Event:
        pattern = self._patterns.pop(work.context, "")
        usage = work.context.spent
        if work.error is not None or work.left:
            return self.ending(run_id, work.began, work.error, usage)
        return RunCompleted(
            timestamp=as_time(self.at(work.began + work.seconds)),
            run_id=run_id,
            duration_ms=work.seconds * 1000,
            usage=Spent.of(usage),
            pattern=pattern,
            content=self.text(work.reply),
        )

    # -- what happens within one ------------------------------------------------------------------------

    def _within(self, context: CallContext | None) -> str:
        return self.run_id if context is None else self._runs.get(context, self.run_id)

    def _orchestrated(self, work: telemetry.Work) -> None:
        assert isinstance(work, telemetry.Orchestration)
        if work.context in self._runs:
            self._patterns[work.context] = work.pattern

    def _answered(self, work: telemetry.Work) -> None:
        assert isinstance(work, telemetry.ModelUse)
        completion, error = work.completion, work.error
        usage = completion.usage if completion is not None else getattr(error, "usage", None)
        self._write(
            MessageCompleted(
                timestamp=as_time(self.at(work.began + work.seconds)),
                run_id=self._within(work.context),
                model_used=completion.model if completion is not None else work.request.model,
                provider=work.provider,
                duration_ms=work.seconds * 1000,
                usage=Spent.of(usage),
                error_type=type(error).__name__ if error is not None else "",
                content=self.content(completion.text) if completion is not None else None,
            )
        )

    def _tool(self, work: telemetry.ToolUse) -> _Watch:
        run_id = self._within(work.context)
        tool_id = work.call_id or new_id()
        self._write(
            ToolCallStarted(
                timestamp=as_time(self.at(work.began)),
                run_id=run_id,
                tool_name=work.name,
                tool_id=tool_id,
                tool_input=self.content(work.arguments),
            )
        )

        def ended(work: telemetry.Work) -> None:
            assert isinstance(work, telemetry.ToolUse)
            result, error = work.result, work.error
            failed = error is not None or result is None or result.is_error
            self._write(
                (ToolCallFailed if failed else ToolCallCompleted)(
                    timestamp=as_time(self.at(work.began + work.seconds)),
                    run_id=run_id,
                    tool_name=work.name,
                    tool_id=tool_id,
                    success=not failed,
                    duration_ms=work.seconds * 1000,
                    result=self.content(result.text) if result is not None else None,
                )
            )

        return _Watch(ended)


class _Watch:
    """A part of telemetry's seam that only wants to know of the end."""

    __slots__ = ("end",)

    def __init__(self, end: Callable[[telemetry.Work], None]) -> None:
        self.end = end

    def enter(self) -> object:
        return None

    def leave(self, token: object) -> None:
        """Nothing was entered."""
