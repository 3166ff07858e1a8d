"""Traces: every piece of work as an OpenTelemetry span, children under parents over any number of processes.

What travels is the `traceparent` of the CallContext, which the call envelope carries: the caller's CLIENT span
writes its own there, the host's SERVER span takes it as its parent and writes its own for what the agent calls.
Within a process OpenTelemetry's current span is set too, so that spans of users and of other libraries find
their place. Messages are part of a span only when asked for.

Below: telemetry, conventions, the OpenTelemetry API. Above: setup, which gives it a tracer.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import TypeAlias

from opentelemetry import baggage, trace
from opentelemetry.context import Context, attach, create_key, detach, get_value, set_value
from opentelemetry.trace import (
    SpanKind,
    Status,
    StatusCode,
    set_span_in_context,
)

from aixgo.context import CallContext
from aixgo.contract import Agent
from aixgo.errors import AixgoError, words_for_anybody
from aixgo.ledger import Usage
from aixgo.observability import conventions as names
from aixgo.observability.content import Content
from aixgo.observability.headers import current_or, note, remote_parent, span_context_of
from aixgo.observability.patterns import pattern_attributes
from aixgo.observability.quality import QualityScore
from aixgo.observability.redaction import redact
from aixgo.telemetry import (
    Call,
    Execution,
    ModelUse,
    Orchestration,
    Span,
    ToolUse,
    Work,
    error_type,
)

__all__ = ["Attributes", "Tracing", "prompt_hash", "score_span"]

Value: TypeAlias = str | bool | int | float | tuple[str, ...]
Attributes: TypeAlias = dict[str, Value]
AGENT_VERSION = create_key("aixgo-agent-version")  # of the agent that is at work
MAX_ERROR = 300  # characters of an error's text in a span


class Tracing:
    """The observer that makes spans.

    Args:
        tracer: makes the spans.
        capture_content: whether messages, prompts, arguments and results become part of them.
        follows_parent: whether the sampler never samples below a span that was not sampled; then such work costs
            next to nothing.
    """

    def __init__(
        self,
        tracer: trace.Tracer,
        *,
        capture_content: bool = False,
        follows_parent: bool = False,
    ) -> None:
        self._tracer = tracer
        self._follows_parent = follows_parent
        self._content = Content(captured=capture_content)

    def begin(self, work: Work) -> Span | None:
        """Begin the span of `work`."""
        if isinstance(work, Execution):
            return self._execution(work)
        if isinstance(work, Call):
            return self._call(work)
        if isinstance(work, Orchestration):
            return self._orchestration(work)
        if isinstance(work, ModelUse):
            return self._model(work)
        if isinstance(work, ToolUse):
            return self._tool(work)
        return None

    # -- one method per kind of work ------------------------------------------------------------------------

    def _call(self, work: Call) -> Span | None:
        parent = current_or(work.context)
        if self._dropped(parent):
            note(work.context, span_context_of(parent))
            return None
        attributes = _of_call(work.context, work.target)
        span = self._start(
            f"{names.INVOKE_AGENT} {work.target}", SpanKind.CLIENT, parent, attributes
        )
        note(work.context, span.get_span_context())
        if carried := baggage.get_all(parent):
            given = {name: str(value) for name, value in carried.items()}
            work.context.baggage = {**(work.context.baggage or {}), **given}
        return _Span(self, span, parent)

    def _execution(self, work: Execution) -> Span | None:
        context = work.context
        parent = remote_parent(context)
        if self._dropped(parent):
            return _Entered(parent)
        attributes = _of_call(context, work.target)
        attributes[names.HOP] = len(context.hops) + 1
        attributes.update(_of_agent(work.agent))
        if version := attributes.get(names.AGENT_VERSION):
            parent = set_value(AGENT_VERSION, version, parent)
        kind = SpanKind.CONSUMER if work.posted else SpanKind.SERVER
        span = self._start(f"{names.INVOKE_AGENT} {work.target}", kind, parent, attributes)
        note(context, span.get_span_context())
        return _Span(self, span, parent)

    def _orchestration(self, work: Orchestration) -> Span | None:
        attributes: Attributes = {
            names.PATTERN: work.pattern,
            names.ORCHESTRATION_NAME: work.name,
            names.CALL_KEY: work.context.key,
        }
        name = f"{names.ORCHESTRATION}.{work.pattern} {work.name}"
        return self._inner(name, SpanKind.INTERNAL, work.context, attributes)

    def _model(self, work: ModelUse) -> Span | None:
        request = work.request
        attributes: Attributes = {
            names.OPERATION: names.CHAT,
            names.PROVIDER: work.provider,
            names.REQUEST_MODEL: request.model,
        }
        if work.streaming:
            attributes[names.REQUEST_STREAM] = True
        if work.cached:
            attributes[names.CACHE_HIT] = True
        given = {
            names.REQUEST_TEMPERATURE: request.temperature,
            names.REQUEST_TOP_P: request.top_p,
            names.REQUEST_MAX_TOKENS: request.max_tokens,
            names.REQUEST_SEED: request.seed,
            names.REQUEST_STOP: tuple(request.stop) or None,
            names.OUTPUT_TYPE: None if request.output_schema is None else "json",
        }
        attributes.update({name: value for name, value in given.items() if value is not None})
        kind = SpanKind.INTERNAL if work.cached else SpanKind.CLIENT
        return self._inner(f"{names.CHAT} {request.model}", kind, work.context, attributes)

    def _tool(self, work: ToolUse) -> Span | None:
        attributes: Attributes = {
            names.OPERATION: names.EXECUTE_TOOL,
            names.TOOL_NAME: work.name,
            names.TOOL_TYPE: "function",
        }
        if work.call_id:
            attributes[names.TOOL_CALL_ID] = work.call_id
        name = f"{names.EXECUTE_TOOL} {work.name}"
        return self._inner(name, SpanKind.INTERNAL, work.context, attributes)

    # -- what they share ------------------------------------------------------------------------------------

    def _inner(
        self, name: str, kind: SpanKind, context: CallContext | None, attributes: Attributes
    ) -> Span | None:
        """A span of something that happens inside a call, or outside any."""
        parent = current_or(context)
        if self._dropped(parent):
            return None
        if context is not None:
            attributes.update(_on_whose_behalf(context))
        if isinstance(version := get_value(AGENT_VERSION, parent), str):
            attributes[names.AGENT_VERSION] = version
        return _Span(self, self._start(name, kind, parent, attributes), parent)

    def _start(
        self, name: str, kind: SpanKind, parent: Context, attributes: Attributes
    ) -> trace.Span:
        return self._tracer.start_span(
            name, parent, kind, attributes, record_exception=False, set_status_on_exception=False
        )

    def _dropped(self, parent: Context) -> bool:
        """Whether nothing below `parent` is sampled."""
        if not self._follows_parent:
            return False
        found = span_context_of(parent)
        return found.is_valid and not found.trace_flags.sampled

    def finish(self, work: Work, span: trace.Span) -> None:
        """What a span says at its end."""
        if not span.is_recording():
            return
        attributes: Attributes = {}
        if isinstance(work, Call):
            _end_call(work, attributes)
        elif isinstance(work, Orchestration):
            attributes.update(pattern_attributes(work))
        elif isinstance(work, ModelUse):
            _end_model(work, attributes)
        elif isinstance(work, ToolUse) and work.result is not None and work.result.is_error:
            attributes[names.ERROR_TYPE] = names.TOOL_ERROR
            span.set_status(Status(StatusCode.ERROR))
        attributes.update(self._content.of(work))
        if work.error is not None:
            self._fail(work, work.error, span, attributes)
        span.set_attributes(attributes)

    def _fail(
        self, work: Work, error: BaseException, span: trace.Span, attributes: Attributes
    ) -> None:
        """The error of a span: its class, and what it may say; somebody's own words only with the content."""
        kind = attributes[names.ERROR_TYPE] = error_type(error, work.context)
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            span.set_status(
                Status(StatusCode.ERROR, kind if kind == names.CANCELLED else "deadline")
            )
            return
        text = ""
        if isinstance(error, AixgoError):
            own_words = self._content.captured
            words = str(error) if own_words else words_for_anybody(error)
            text = redact(words[: 2 * MAX_ERROR])[:MAX_ERROR]
        if isinstance(error, AixgoError) and error.error_id:
            attributes[names.ERROR_ID] = error.error_id
        span.set_status(Status(StatusCode.ERROR, text or type(error).__name__))


class _Span:
    """A span that was begun, and the context it makes current."""

    __slots__ = ("_context", "_span", "_tracing")

    def __init__(self, tracing: Tracing, span: trace.Span, parent: Context) -> None:
        self._tracing = tracing
        self._span = span
        self._context = set_span_in_context(span, parent)

    def enter(self) -> object:
        return attach(self._context)

    def leave(self, token: object) -> None:
        detach(token)  # type: ignore[arg-type]  # what `enter` gave

    def end(self, work: Work) -> None:
        try:
            self._tracing.finish(work, self._span)
        finally:
            self._span.end()


class _Entered:
    """A span that is not sampled: only what is made below it needs to know."""

    __slots__ = ("_context",)

    def __init__(self, context: Context) -> None:
        self._context = context

    def enter(self) -> object:
        return attach(self._context)

    def leave(self, token: object) -> None:
        detach(token)  # type: ignore[arg-type]  # what `enter` gave

    def end(self, work: Work) -> None:
        pass


def score_span(given: QualityScore) -> None:
    """The quality sink that makes a score part of the current span."""
    trace.get_current_span().set_attribute(f"{names.QUALITY_PREFIX}{given.dimension}", given.score)


# -- attributes ---------------------------------------------------------------------------------------------


def _of_call(context: CallContext, target: str) -> Attributes:
    attributes: Attributes = {
        names.OPERATION: names.INVOKE_AGENT,
        names.AGENT_NAME: target,
        names.CALL_KEY: context.key,
    }
    attributes.update(_on_whose_behalf(context))
    return attributes


def _on_whose_behalf(context: CallContext) -> Attributes:
    """The session, the user and the tenant of a call, which every span below it has too."""
    attributes: Attributes = {}
    if context.session:
        attributes[names.CONVERSATION] = context.session
    if context.principal:
        attributes[names.USER] = context.principal
    if context.tenant:
        attributes[names.TENANT] = context.tenant
    return attributes


def _of_agent(agent: Agent) -> Attributes:
    attributes: Attributes = {names.AGENT_ROLE: agent.role}
    for name, attribute in (
        (names.AGENT_DESCRIPTION, "description"),
        (names.AGENT_VERSION, "version"),
    ):
        if isinstance(value := getattr(agent, attribute, ""), str) and value:
            attributes[name] = value
    if isinstance(prompt := getattr(agent, "prompt", ""), str) and prompt:
        attributes[names.PROMPT_HASH] = prompt_hash(prompt)
    return attributes


def prompt_hash(prompt: str) -> str:
    """What tells one prompt from another without showing it."""
    return hashlib.sha256(prompt.encode(errors="surrogatepass")).hexdigest()[:16]


def _end_call(work: Call, attributes: Attributes) -> None:
    usage = work.reply.usage if work.reply is not None else work.context.spent
    if (
        usage
    ):  # of everything below: under names of its own, so that nobody adds it to what models report
        attributes[names.TREE_INPUT] = usage.tokens_prompt
        attributes[names.TREE_OUTPUT] = usage.tokens_completion
        attributes[names.TREE_COST] = usage.cost_usd
        attributes[names.TREE_CALLS] = usage.calls
    if work.streaming:
        attributes[names.CHUNKS] = work.chunks
        if work.chunks:
            attributes[names.FIRST_CHUNK] = work.first_chunk
        if work.left:
            attributes[names.LEFT] = True


def _end_model(work: ModelUse, attributes: Attributes) -> None:
    if work.left:
        attributes[names.LEFT] = True
    if work.first_delta:
        attributes[names.FIRST_CHUNK] = work.first_delta
    completion = work.completion
    if completion is None:
        _use(getattr(work.error, "usage", None), attributes)
        return
    attributes[names.RESPONSE_MODEL] = completion.model
    attributes[names.FINISH_REASONS] = (completion.stop_reason,)
    _use(completion.usage, attributes)


def _use(usage: Usage | None, attributes: Attributes) -> None:
    if not usage:
        return
    attributes[names.INPUT_TOKENS] = usage.tokens_prompt
    attributes[names.OUTPUT_TOKENS] = usage.tokens_completion
    if usage.tokens_cached:
        attributes[names.CACHED_TOKENS] = usage.tokens_cached
    if usage.tokens_cache_write:
        attributes[names.CACHE_WRITE_TOKENS] = usage.tokens_cache_write
    if usage.tokens_reasoning:
        attributes[names.REASONING_TOKENS] = usage.tokens_reasoning
    attributes[names.COST] = usage.cost_usd
