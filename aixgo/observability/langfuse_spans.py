"""Spans as Langfuse shows them: generations with model, usage and cost, agents, tools, sessions, users, versions.

What is on a span under the conventions' names is said once more under Langfuse's, in a copy that goes to Langfuse
alone and is made by the thread that sends it. What spans of others carry stays as it is. The names are those that
Langfuse's own SDK, version 5, gives its spans.

Below: langfuse, conventions, the OpenTelemetry SDK and its exporter. Above: setup.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias, cast

import msgspec
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, StatusCode

from aixgo.message import NOT_JSON, JSONValue
from aixgo.observability import conventions as names
from aixgo.observability.exporters import only_these_headers
from aixgo.observability.langfuse import LangfuseAccess

__all__ = ["LangfuseSpans", "langfuse_exporter"]

Values: TypeAlias = "Mapping[str, object]"
Turn: TypeAlias = "dict[str, JSONValue]"

PATH = "/api/public/otel/v1/traces"
INGESTION_VERSION = "4"  # how Langfuse reads them: at once, an observation each

TYPE: Final = "langfuse.observation.type"
INPUT: Final = "langfuse.observation.input"
OUTPUT: Final = "langfuse.observation.output"
LEVEL: Final = "langfuse.observation.level"
STATUS: Final = "langfuse.observation.status_message"
MODEL: Final = "langfuse.observation.model.name"
PARAMETERS: Final = "langfuse.observation.model.parameters"
USAGE: Final = "langfuse.observation.usage_details"
COST: Final = "langfuse.observation.cost_details"
FIRST: Final = "langfuse.observation.completion_start_time"
SESSION: Final = "session.id"
VERSION: Final = "langfuse.version"
ENVIRONMENT: Final = "langfuse.environment"
RELEASE: Final = "langfuse.release"
TAGS: Final = "langfuse.trace.tags"

SAID = (
    names.INSTRUCTIONS,
    names.INPUT_MESSAGES,
    names.OUTPUT_MESSAGES,
    names.TOOL_ARGUMENTS,
    names.TOOL_RESULT,
)
"""Content, which the copy has as input and output."""
ASKED = {
    "temperature": names.REQUEST_TEMPERATURE,
    "top_p": names.REQUEST_TOP_P,
    "max_tokens": names.REQUEST_MAX_TOKENS,
    "seed": names.REQUEST_SEED,
    "stop": names.REQUEST_STOP,
}


def langfuse_exporter(access: LangfuseAccess, timeout: float) -> SpanExporter:
    """What sends spans to Langfuse; `timeout` is for one export."""
    headers = {
        "authorization": f"Basic {access.credential}",
        "x-langfuse-ingestion-version": INGESTION_VERSION,
    }
    over_http = OTLPSpanExporter(
        endpoint=access.host + PATH,
        headers=headers,
        timeout=timeout,
        compression=Compression.Gzip,
        session=only_these_headers(headers),
    )
    return LangfuseSpans(over_http, access)


class LangfuseSpans(SpanExporter):
    """Gives `exporter` every span with what Langfuse reads on it."""

    def __init__(self, exporter: SpanExporter, access: LangfuseAccess) -> None:
        self._exporter = exporter
        self._everywhere: dict[str, object] = {}
        if access.environment:
            self._everywhere[ENVIRONMENT] = access.environment
        if access.release:
            self._everywhere[RELEASE] = access.release
        if access.tags:
            self._everywhere[TAGS] = access.tags

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([self._translated(span) for span in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def _translated(self, span: ReadableSpan) -> ReadableSpan:
        known = span.attributes or {}
        read = dict(_observation(span, known))
        said_again = SAID if TYPE in read else ()
        kept = {name: value for name, value in known.items() if name not in said_again}
        # What somebody put on a span of theirs under Langfuse's own names is what they want there.
        attributes = cast("dict[str, str]", {**self._everywhere, **read, **kept})
        return ReadableSpan(
            name=span.name,
            context=span.context,
            parent=span.parent,
            resource=span.resource,
            attributes=attributes,
            events=span.events,
            links=span.links,
            kind=span.kind,
            status=span.status,
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )


def _observation(span: ReadableSpan, known: Values) -> Iterator[tuple[str, object]]:
    """What Langfuse reads on a span; on one of others, only what it says by the same conventions."""
    if names.CONVERSATION in known:
        yield SESSION, known[names.CONVERSATION]
    if names.AGENT_VERSION in known:
        yield VERSION, known[names.AGENT_VERSION]
    if span.status.status_code is StatusCode.ERROR:
        cancelled = known.get(names.ERROR_TYPE) == names.CANCELLED
        yield LEVEL, "WARNING" if cancelled else "ERROR"
        yield STATUS, span.status.description or str(known.get(names.ERROR_TYPE, "error"))
    operation = known.get(names.OPERATION)
    if operation == names.CHAT:
        yield TYPE, "generation"
        yield from _generation(span, known)
    elif operation == names.INVOKE_AGENT:
        yield TYPE, "span" if span.kind is SpanKind.CLIENT else "agent"
        yield from _spoken(known, whole=False)
    elif operation == names.EXECUTE_TOOL:
        yield TYPE, "tool"
        for name, attribute in ((INPUT, names.TOOL_ARGUMENTS), (OUTPUT, names.TOOL_RESULT)):
            if attribute in known:
                yield name, known[attribute]
    elif names.PATTERN in known:
        yield TYPE, "chain"


def _generation(span: ReadableSpan, known: Values) -> Iterator[tuple[str, object]]:
    if model := known.get(names.RESPONSE_MODEL) or known.get(names.REQUEST_MODEL):
        yield MODEL, model
    if asked := {name: known[attribute] for name, attribute in ASKED.items() if attribute in known}:
        yield PARAMETERS, _json(asked)
    if names.INPUT_TOKENS in known:
        yield USAGE, _json(_usage(known))
    if names.COST in known:
        yield COST, _json({"total": known[names.COST]})
    waited = known.get(names.FIRST_CHUNK)
    if isinstance(waited, float) and span.start_time is not None:
        first = datetime.fromtimestamp(span.start_time / 1e9, UTC) + timedelta(seconds=waited)
        yield FIRST, _json(first.isoformat().replace("+00:00", "Z"))
    yield from _spoken(known, whole=True)


def _usage(known: Values) -> dict[str, int]:
    """Tokens by kind: the kinds add up to the total, so that none is counted, or priced, twice."""

    def count(name: str) -> int:
        value = known.get(name)
        return value if isinstance(value, int) else 0

    given, made = count(names.INPUT_TOKENS), count(names.OUTPUT_TOKENS)
    cached, written = count(names.CACHED_TOKENS), count(names.CACHE_WRITE_TOKENS)
    thought = count(names.REASONING_TOKENS)
    found = {"input": max(0, given - cached - written), "output": max(0, made - thought)}
    parts = {
        "input_cached_tokens": cached,
        "input_cache_creation": written,
        "output_reasoning_tokens": thought,
    }
    found.update({name: part for name, part in parts.items() if part})
    return {**found, "total": given + made}


# -- content, on a span only when it was asked for ----------------------------------------------------------


def _spoken(known: Values, *, whole: bool) -> Iterator[tuple[str, object]]:
    """Input and output: a chat where `whole`, else the text of what went in and of what came out."""
    if names.INPUT_MESSAGES in known:
        said = _turns(known[names.INPUT_MESSAGES], known.get(names.INSTRUCTIONS))
        yield INPUT, _shown(said, whole)
    if names.OUTPUT_MESSAGES in known:
        said = _turns(known[names.OUTPUT_MESSAGES], None)
        yield OUTPUT, _shown(said[0] if whole and len(said) == 1 else said, whole)


def _turns(said: object, instructions: object) -> list[Turn] | str:
    """The conventions' messages as Langfuse shows a chat; the text as it is where it was cut."""
    try:
        turns = [_turn(turn) for turn in msgspec.json.decode(str(said), type=list[_Turn])]
        if instructions is not None:
            parts = msgspec.json.decode(str(instructions), type=list[_Part])
            turns.insert(0, _turn(_Turn("system", parts)))
    except NOT_JSON:
        return str(said)
    return turns


def _shown(said: list[Turn] | Turn | str, whole: bool) -> str:
    if isinstance(said, list) and len(said) == 1 and not whole:
        return str(said[0]["content"])
    return said if isinstance(said, str) else _json(said)


class _Part(msgspec.Struct):
    type: str
    content: str = ""
    media_type: str = ""
    id: str = ""
    name: str = ""
    arguments: str = ""
    response: str = ""


class _Turn(msgspec.Struct):
    role: str
    parts: list[_Part]


def _turn(turn: _Turn) -> Turn:
    texts = [part.content for part in turn.parts if part.type == "text"]
    texts += [f"[{part.media_type}]" for part in turn.parts if part.type == "image"]
    found: Turn = {"role": turn.role, "content": "\n".join(texts)}
    calls: list[JSONValue] = [
        {
            "id": part.id,
            "type": "function",
            "function": {"name": part.name, "arguments": part.arguments},
        }
        for part in turn.parts
        if part.type == "tool_call"
    ]
    if calls:
        found["tool_calls"] = calls
    for part in turn.parts:
        if part.type == "tool_call_response":
            found["tool_call_id"], found["content"] = part.id, part.response
    return found


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
