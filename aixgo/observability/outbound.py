"""Spans on their way out: a bounded queue, one thread, and nothing that a run ever waits for.

A collector that is dead or slow costs spans, never time: when the queue is full, new ones are dropped and
counted. The first failure is a warning, those after it are silent until something arrives again. `close`
delivers what is left within its bound, whatever the collector does.

Below: the OpenTelemetry SDK. Above: setup.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from aixgo.observability.complaints import Complaints

__all__ = ["CLOSE_TIMEOUT", "Outbound", "bounded", "side_by_side"]

log = logging.getLogger("aixgo.observability")

CAPACITY = 8_192  # spans waiting
BATCH = 512  # spans of one export
DELAY = 1.0  # seconds a span waits for others
FIRST_PAUSE = 1.0  # seconds without an attempt after a failure; doubles up to LONGEST_PAUSE
LONGEST_PAUSE = 30.0
CLOSE_TIMEOUT = 5.0  # seconds `close` takes at most


class Outbound(SpanProcessor):
    """Hands finished spans to `exporter` from a thread of its own.

    `where` names the receiver in the one warning.
    """

    def __init__(
        self,
        exporter: SpanExporter,
        where: str,
        complaints: Complaints,
        *,
        capacity: int = CAPACITY,
        delay: float = DELAY,
    ) -> None:
        self._exporter = exporter
        self._where = where
        self._complaints = complaints
        self._capacity = capacity
        self._delay = delay
        self._queue: deque[ReadableSpan] = deque()
        self._wake = threading.Event()
        self._flushed = threading.Event()
        self._closing = False
        self._pause = 0.0
        self.exported = 0
        self.dropped = 0
        """Spans that nobody will see: the queue was full, or their export failed."""
        self._thread = threading.Thread(target=self._work, name="aixgo-spans", daemon=True)
        self._thread.start()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing happens when a span begins."""

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a finished span, if it is sampled and there is room."""
        if self._closing or not span.context.trace_flags.sampled:
            return
        if len(self._queue) >= self._capacity:
            self.dropped += 1
            return
        self._queue.append(span)
        if len(self._queue) >= BATCH and not self._pause and not self._wake.is_set():
            self._wake.set()

    def force_flush(self, timeout_millis: int = 5_000) -> bool:
        """Deliver what is queued now; False if that took longer."""
        self._flushed.clear()
        self._wake.set()
        return self._flushed.wait(timeout_millis / 1000)

    def shutdown(self) -> None:
        """Deliver what is left, within `CLOSE_TIMEOUT`. Doing it twice is fine."""
        if self._closing:
            return
        ends = time.monotonic() + CLOSE_TIMEOUT
        self._closing = True
        self._wake.set()
        self._thread.join(CLOSE_TIMEOUT - 0.5)
        bounded(self._exporter.shutdown, 0.4)  # ends an export that still waits
        self._thread.join(max(0.0, ends - time.monotonic()))
        left = len(self._queue)
        if left or self._thread.is_alive():
            self.dropped += left
            self._complain("did not take the last of them in time")

    def _work(self) -> None:
        while True:
            self._wake.wait(max(self._delay, self._pause))
            self._wake.clear()
            closing = self._closing
            while self._queue and (self._deliver() or closing):
                pass
            self._flushed.set()
            if closing:
                return

    def _deliver(self) -> bool:
        """Export one batch; whether it arrived."""
        queue = self._queue
        batch = [queue.popleft() for _ in range(min(BATCH, len(queue)))]
        try:
            arrived = self._exporter.export(batch) is SpanExportResult.SUCCESS
        except Exception as exc:  # noqa: BLE001 - an exporter may fail as it likes
            arrived = False
            self._complaints.note(f"{type(exc).__name__}: {exc}")
        if arrived:
            self.exported += len(batch)
            self._pause = 0.0
            return True
        self.dropped += len(batch)
        self._complain(self._complaints.last or "does not take them")
        self._pause = min(LONGEST_PAUSE, self._pause * 2 or FIRST_PAUSE)
        return False

    def _complain(self, why: str) -> None:
        if self._complaints.first(self._where):
            log.warning(
                "traces do not reach %s; the work goes on without them: %s", self._where, why
            )


def bounded(work: Callable[[], object], timeout: float) -> None:
    """Run `work`, which may block, and stop waiting for it after `timeout` seconds."""
    side_by_side([work], timeout)


def side_by_side(
    works: Sequence[Callable[[], object]], timeout: float = CLOSE_TIMEOUT
) -> list[object]:
    """What each of `works` gives, each in a thread of its own; None from what fails or is not done in time."""
    results: list[object] = [None] * len(works)

    def run(index: int) -> None:
        try:
            results[index] = works[index]()
        except Exception as exc:
            log.debug("closing failed", exc_info=exc)

    ends = time.monotonic() + timeout
    threads = [
        threading.Thread(target=run, args=(index,), name="aixgo-closing", daemon=True)
        for index in range(len(works))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, ends - time.monotonic()))
    return list(results)
