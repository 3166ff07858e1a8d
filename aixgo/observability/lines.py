"""The lines of the log: text for people, or one JSON object each. No line holds a secret, whatever was logged.

A record that is made inside a call is told which: `CallFields` adds the call's agent, path and trace to it, for our
formatters and for anybody's own format string. What agents say to each other is never among it.

Below: context, redaction, logging. Above: logs, and handlers of users.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime

from aixgo.context import CallContext
from aixgo.errors import AixgoError
from aixgo.loading import shown_module
from aixgo.observability.redaction import REDACTED, names_secret, redact

__all__ = [
    "CallFields",
    "JsonFormatter",
    "TextFormatter",
    "error_id_of",
    "shown_message",
    "shown_traceback",
]

LONGEST_MESSAGE = 16 * 1024  # characters
LONGEST_TRACEBACK = 64 * 1024
MARGIN = (
    4096  # characters beyond that in which secrets are looked for: half of one is none to look at
)

ERROR_ID = re.compile(r"error id ([0-9a-f]+)")
TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_PLAIN = logging.Formatter()
FIELDS = ("agent", "path", "call", "trace_id", "span_id", "principal", "tenant")


class CallFields(logging.Filter):
    """Gives each record `agent`, `path`, `call`, `trace_id`, `span_id`, `principal` and `tenant`, empty outside a call.

    `path` has the agents from the outermost to this one, `call` is the call's key in `aixgo trace`. Add it to a
    handler, or to a logger, that works in the task or thread that logs; it lets every record pass.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        context = CallContext.maybe_current()
        trace_id, span_id = _trace(context)
        found: dict[str, object] = {"trace_id": trace_id, "span_id": span_id}
        if context is None:
            found |= {"agent": "", "path": [], "call": "", "principal": "", "tenant": ""}
        else:
            found["agent"] = context.agent
            found["path"] = [hop.agent for hop in context.hops]
            found["call"] = context.key
            found["principal"], found["tenant"] = context.principal, context.tenant
        for name, value in found.items():
            if value or not hasattr(record, name):
                setattr(record, name, value)
        return True


class TextFormatter(logging.Formatter):
    """`level logger: message`, and a traceback below it."""

    def format(self, record: logging.LogRecord) -> str:
        head = (
            f"{record.levelname.lower()} {shown_module(str(record.name))}: {shown_message(record)}"
        )
        traceback = shown_traceback(record)
        return f"{head}\n{traceback}" if traceback else head


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `time level logger message`, and what applies of the rest.

    In a call `agent path call trace_id span_id`; of a failure `error_id` and `exception`; what was logged with
    `extra=` under `extra`. With `include_identity` also `principal` and `tenant`.
    """

    def __init__(self, *, include_identity: bool = False) -> None:
        super().__init__()
        self._include_identity = include_identity
        self._fields = CallFields()

    def format(self, record: logging.LogRecord) -> str:
        if not hasattr(record, "trace_id"):
            self._fields.filter(record)
        message = shown_message(record)
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {
            "time": when.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": shown_module(str(record.name)),
            "message": message,
        }
        for name in FIELDS if self._include_identity else FIELDS[:-2]:
            if value := getattr(record, name, None):
                line[name] = value
        if error_id := error_id_of(record, message):
            line["error_id"] = error_id
        if traceback := shown_traceback(record):
            line["exception"] = traceback
        if extra := _extra(record):
            line["extra"] = extra
        text = json.dumps(line, ensure_ascii=False, separators=(",", ":"), default=str)
        return text.encode(errors="backslashreplace").decode()


def shown_message(record: logging.LogRecord) -> str:
    """What the record says, without secrets and cut when long."""
    try:
        text = record.getMessage()
    except Exception:  # noqa: BLE001 - arguments that do not fit must not cost the line
        text = f"{record.msg} (its arguments do not fit)"
    return redact(text[: LONGEST_MESSAGE + MARGIN])[:LONGEST_MESSAGE]


def shown_traceback(record: logging.LogRecord) -> str:
    """The record's traceback without secrets, its end when it is long, or ""."""
    if record.exc_info and record.exc_info[0] is not None:
        text = _PLAIN.formatException(record.exc_info)
        return redact(text[-LONGEST_TRACEBACK - MARGIN :])[-LONGEST_TRACEBACK:]
    return ""


def error_id_of(record: logging.LogRecord, message: str) -> str:
    """The id under which a caller knows the failure that is logged, or ""."""
    if found := ERROR_ID.search(message):
        return found[1]
    error = record.exc_info[1] if record.exc_info else None
    return error.error_id if isinstance(error, AixgoError) else ""


def _trace(context: CallContext | None) -> tuple[str, str]:
    """The ids of the span the code runs in: OpenTelemetry's, else the one the call came with, traced here or not."""
    api = sys.modules.get("opentelemetry.trace")
    if api is not None:
        span = api.get_current_span().get_span_context()
        if span.is_valid:
            return f"{span.trace_id:032x}", f"{span.span_id:016x}"
    found = TRACEPARENT.match(context.traceparent) if context is not None else None
    return (found[1], found[2]) if found is not None else ("", "")


def _extra(record: logging.LogRecord) -> dict[str, object]:
    """What whoever logged gave as `extra=`: plain values, texts without secrets."""
    return {
        name: _plain(name, value)
        for name, value in vars(record).items()
        if name not in STANDARD
        and name not in FIELDS
        and isinstance(value, (str, int, float, bool))
    }


def _plain(name: str, value: float | str) -> object:
    if isinstance(value, (bool, int)):
        return value
    return REDACTED if isinstance(value, str) and names_secret(name) else redact(str(value))
