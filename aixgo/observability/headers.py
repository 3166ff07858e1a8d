"""The W3C headers that travel with a call, and the spans they stand for.

Foreign callers may send anything: what is no header is left out, without an error and without a line of the log.

Below: context, the OpenTelemetry API. Above: tracing.
"""

from __future__ import annotations

import re

from opentelemetry import baggage, trace
from opentelemetry.context import Context, get_current
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from aixgo.context import CallContext

__all__ = [
    "current_or",
    "note",
    "parse_traceparent",
    "remote_parent",
    "span_context_of",
    "traceparent",
]

STATES = 32  # members of a `tracestate`
STATE = re.compile(  # one of them, as W3C Trace Context writes it
    r"(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)


def traceparent(context: SpanContext) -> str:
    """`context` as the W3C header that travels with a call."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def note(call: CallContext, context: SpanContext) -> None:
    """Have what `call` calls be part of the span of `context`."""
    call.traceparent = traceparent(context)
    if call.tracestate or context.trace_state:
        call.tracestate = context.trace_state.to_header()


def parse_traceparent(header: str, state: str = "") -> SpanContext | None:
    """The span the W3C headers name; None if they name none, as foreign callers may send anything."""
    parts = header.split("-")
    if len(parts) < 4 or [len(part) for part in parts[:4]] != [2, 32, 16, 2] or parts[0] == "ff":
        return None
    try:
        found = SpanContext(
            int(parts[1], 16),
            int(parts[2], 16),
            is_remote=True,
            trace_flags=TraceFlags(int(parts[3], 16)),
            trace_state=_state(state) if state else None,
        )
    except ValueError:
        return None
    return found if found.is_valid else None


def _state(header: str) -> TraceState | None:
    """What a `tracestate` says, None if it is none; OpenTelemetry would write a warning for each."""
    listed = [item for member in header.split(",") if (item := member.strip(" \t"))]
    pairs = [member.partition("=")[::2] for member in listed if STATE.fullmatch(member)]
    if not len(listed) == len(pairs) == len(dict(pairs)) <= STATES:
        return None
    return TraceState(pairs)


def span_context_of(context: Context) -> SpanContext:
    return trace.get_current_span(context).get_span_context()


def current_or(call: CallContext | None) -> Context:
    """OpenTelemetry's current context, or one that continues what `call` came with when no span is current."""
    current = get_current()
    if call is None or not call.traceparent or span_context_of(current).is_valid:
        return current
    found = parse_traceparent(call.traceparent, call.tracestate)
    return current if found is None else set_span_in_context(NonRecordingSpan(found), current)


def remote_parent(call: CallContext) -> Context:
    """The context a call arrived with, whatever is current where its host runs."""
    context = Context()
    for name, value in (call.baggage or {}).items():
        context = baggage.set_baggage(name, value, context)
    found = parse_traceparent(call.traceparent, call.tracestate) if call.traceparent else None
    return context if found is None else set_span_in_context(NonRecordingSpan(found), context)
