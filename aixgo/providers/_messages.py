"""Anthropic's Messages as data: our requests in its words, its answers and their pieces in ours.

Nothing here touches a network. Below: base, `_schemas`. Above: `anthropic`.
"""

from __future__ import annotations

import base64
import re
from typing import cast

import anthropic
import msgspec

from aixgo.errors import OutputInvalid
from aixgo.ledger import Usage
from aixgo.message import JSONValue
from aixgo.providers._chat import usage_of
from aixgo.providers._schemas import cleaned, in_words
from aixgo.providers.base import (
    ChatMessage,
    Completion,
    CompletionRequest,
    Delta,
    Image,
    StopReason,
    ToolCall,
)

__all__ = ["Draft", "body_of"]

MAX_TOKENS = 8192  # of an answer nobody limited: the API wants a number
OLD_MAX_TOKENS = 4096  # what Claude 3 can give
OLD = re.compile(r"claude-3")
"""Models that cannot be held to a schema."""
BUDGETED = re.compile(r"claude-(3|(opus|sonnet|haiku)-4-([015]|\d{8})(\D|$))")
"""Models whose thinking is asked for by a number of tokens; later ones take the effort."""
THINKING_TOKENS = {"low": 1024, "medium": 4096, "high": 16384}
STOPS: dict[str, StopReason] = {
    "max_tokens": "max_tokens",
    "model_context_window_exceeded": "max_tokens",
    "tool_use": "tool_calls",
    "refusal": "filtered",
    "stop_sequence": "stop_sequence",
}
CHOICES = {"auto": "auto", "none": "none", "required": "any"}

Body = dict[str, JSONValue]


def body_of(request: CompletionRequest, provider: str) -> Body:
    """The request's JSON.

    Raises:
        OutputInvalid: a tool call in the history has arguments that are no JSON object.
    """
    limit = OLD_MAX_TOKENS if OLD.match(request.model) else MAX_TOKENS
    body: Body = {
        "model": request.model,
        "max_tokens": limit if request.max_tokens is None else request.max_tokens,
        "messages": _turns(request, provider),
    }
    system = [request.instructions, *(t.content for t in request.messages if t.role == "system")]
    config: Body = {}
    if request.output_schema is not None:
        form = None if OLD.match(request.model) else _format(cleaned(request.output_schema))
        if form is None:
            system.append(in_words(request.output_schema))
        else:
            config["format"] = form
    if text := "\n\n".join(part for part in system if part):
        body["system"] = text
    if request.reasoning_effort:
        _think(request, body, config)
    if config:
        body["output_config"] = config
    for name, value in (("temperature", request.temperature), ("top_p", request.top_p)):
        if value is not None:
            body[name] = value
    if request.stop:
        body["stop_sequences"] = list(request.stop)
    if request.tools:
        body["tools"] = [
            {
                "name": tool.name,
                "description": tool.description,
                "input_schema": dict(tool.parameters),
            }
            for tool in request.tools
        ]
        kind = CHOICES.get(request.tool_choice)
        body["tool_choice"] = (
            {"type": kind} if kind else {"type": "tool", "name": request.tool_choice}
        )
    return {**body, **request.extra}


def _format(schema: Body) -> Body | None:
    """The native form of a schema, or None if there is none without changing its meaning."""
    try:
        return {"type": "json_schema", "schema": anthropic.transform_schema(schema)}
    except ValueError:  # a part of it has no type
        return None


def _think(request: CompletionRequest, body: Body, config: Body) -> None:
    if not BUDGETED.match(request.model):
        body["thinking"] = {"type": "adaptive"}
        config["effort"] = request.reasoning_effort
        return
    tokens = THINKING_TOKENS.get(request.reasoning_effort, THINKING_TOKENS["medium"])
    body["thinking"] = {"type": "enabled", "budget_tokens": tokens}
    # The limit counts thinking too; ours is of the answer.
    body["max_tokens"] = cast("int", body["max_tokens"]) + tokens


def _turns(request: CompletionRequest, provider: str) -> list[JSONValue]:
    """The conversation. Results of tools are the user's, all of one round in one turn."""
    found: list[JSONValue] = []
    results: list[JSONValue] = []
    for turn in request.messages:
        if turn.role == "tool":
            if not results:
                found.append({"role": "user", "content": results})
            results.append(
                {
                    "type": "tool_result",
                    "tool_use_id": turn.tool_call_id,
                    "content": _said(turn),
                }
            )
            continue
        if turn.role != "system":
            results = []
            role = turn.role
            content = _answered(turn, provider) if role == "assistant" else _said(turn)
            if content:
                found.append({"role": role, "content": content})
    return found


def _said(turn: ChatMessage) -> JSONValue:
    """The content of a turn without tools."""
    if not turn.images:
        return turn.content
    parts: list[JSONValue] = [{"type": "image", "source": _source(image)} for image in turn.images]
    if turn.content:
        parts.append({"type": "text", "text": turn.content})
    return parts


def _source(image: Image) -> Body:
    if image.url:
        return {"type": "url", "url": image.url}
    data = base64.b64encode(image.data).decode()
    return {"type": "base64", "media_type": image.media_type, "data": data}


def _answered(turn: ChatMessage, provider: str) -> JSONValue:
    """What the model said: its thinking as it came, its text, and the tools it asked for."""
    if not (turn.thinking or turn.tool_calls):
        return turn.content
    parts: list[JSONValue] = [dict(block) for block in turn.thinking if "type" in block]
    if turn.content:
        parts.append({"type": "text", "text": turn.content})
    for call in turn.tool_calls:
        try:
            given = call.parsed()
        except OutputInvalid as exc:
            exc.provider = provider
            raise
        parts.append({"type": "tool_use", "id": call.id, "name": call.name, "input": given})
    return parts


class Draft:
    """An answer in the making: its blocks by index, then read `completion`."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._model = ""
        self._blocks: dict[int, Body] = {}
        self._inputs: dict[int, list[str]] = {}
        self._stop: StopReason = "end"
        self.stopped = False
        """True once the model said why it stopped."""
        self.usage = Usage(calls=1)

    def begin(self, message: object) -> None:
        """Take in the head of an answer."""
        self._model = str(getattr(message, "model", None) or "")
        self.count(getattr(message, "usage", None))

    def count(self, found: object) -> None:
        """Take in the tokens so far; a number that is missing keeps its last value."""
        if found is None:
            return
        read = getattr(found, "cache_read_input_tokens", None) or 0
        written = getattr(found, "cache_creation_input_tokens", None) or 0
        fresh = getattr(found, "input_tokens", None)
        details = getattr(found, "output_tokens_details", None)
        usage = usage_of(
            0 if fresh is None else fresh + read + written,
            getattr(found, "output_tokens", None),
            cached=read,
            written=written,
            reasoning=getattr(details, "thinking_tokens", None),
        )
        last = self.usage
        usage.tokens_prompt = usage.tokens_prompt or last.tokens_prompt
        usage.tokens_cached = usage.tokens_cached or last.tokens_cached
        usage.tokens_cache_write = usage.tokens_cache_write or last.tokens_cache_write
        usage.tokens_completion = usage.tokens_completion or last.tokens_completion
        usage.tokens_reasoning = usage.tokens_reasoning or last.tokens_reasoning
        self.usage = usage

    def open(self, index: int, block: object) -> Delta | None:
        """Take in a block, or the start of one; what of it can be shown."""
        kind = getattr(block, "type", "")
        held: Body = {"type": kind}
        for name in ("text", "thinking", "signature", "data", "id", "name"):
            if isinstance(value := getattr(block, name, None), str):
                held[name] = value
        self._blocks[index] = held
        given = getattr(block, "input", None)
        if kind == "tool_use" and given:
            self._inputs[index] = [msgspec.json.encode(given).decode()]
        return _shown(held)

    def add(self, index: int, delta: object) -> Delta | None:
        """Take in a piece of a block; what of it can be shown."""
        held = self._blocks[index]
        piece: Body = {"type": held["type"]}
        for name in ("text", "thinking", "signature"):
            if isinstance(value := getattr(delta, name, None), str):
                held[name] = f"{held.get(name) or ''}{value}"
                piece[name] = value
        if isinstance(part := getattr(delta, "partial_json", None), str):
            self._inputs.setdefault(index, []).append(part)
        return _shown(piece)

    def call(self, index: int) -> ToolCall | None:
        """The tool call that the block at `index` is, or None."""
        held = self._blocks.get(index, {})
        if held.get("type") != "tool_use":
            return None
        given = "".join(self._inputs.get(index, ())) or "{}"
        return ToolCall(str(held.get("id", "")), str(held.get("name", "")), given)

    def stop(self, reason: str | None) -> None:
        """Take in why the model stopped; None says nothing."""
        if reason:
            self.stopped = True
            self._stop = STOPS.get(reason, "end")

    def completion(self, model: str) -> Completion:
        """The whole answer."""
        blocks = self._blocks.values()
        calls = (self.call(index) for index in self._blocks)
        return Completion(
            text="".join(str(block["text"]) for block in blocks if block["type"] == "text"),
            model=self._model or model,
            provider=self._provider,
            usage=self.usage,
            stop_reason=self._stop,
            tool_calls=tuple(call for call in calls if call is not None),
            thinking=tuple(b for b in blocks if b["type"] in ("thinking", "redacted_thinking")),
        )


def _shown(piece: Body) -> Delta | None:
    text, thinking = piece.get("text"), piece.get("thinking")
    if not (text or thinking):
        return None
    return Delta(str(text or ""), str(thinking or ""))
