"""Finished spans on their way out: what of them is sent, and to whom; backlog says how.

Below: the OpenTelemetry SDK, backlog. Above: setup.
"""

from __future__ import annotations

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from aixgo.observability.backlog import Backlog
from aixgo.observability.complaints import Complaints

__all__ = ["Outbound"]

CAPACITY = 8_192  # spans waiting
BATCH = 512  # spans of one export
DELAY = 1.0  # seconds a span waits for others


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
        self.backlog: Backlog[ReadableSpan] = Backlog(
            lambda spans: exporter.export(spans) is SpanExportResult.SUCCESS,
            exporter.shutdown,
            what="traces",
            where=where,
            complaints=complaints,
            capacity=capacity,
            batch=BATCH,
            delay=delay,
        )

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing happens when a span begins."""

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a finished span, if it is sampled."""
        if span.context.trace_flags.sampled:
            self.backlog.put(span)

    def force_flush(self, timeout_millis: int = 5_000) -> bool:
        """Deliver what is queued now; False if that took longer."""
        return self.backlog.flush(timeout_millis / 1000)

    def shutdown(self) -> None:
        """Deliver what is left, within five seconds. Doing it twice is fine."""
        self.backlog.close()
