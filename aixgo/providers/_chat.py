"""Chat Completions as data: our requests in its words, its answers and their pieces in ours.

Nothing here touches a network. Below: base, `_schemas`, `_vendors`. Above: `openai`.
"""

from __future__ import annotations

import base64
import re
from typing import Protocol

from aixgo.errors import RequestRejected
from aixgo.ledger import NANOS_PER_USD, Usage
from aixgo.message import JSONValue
from aixgo.providers._schemas import cleaned, in_words, strict
from aixgo.providers._vendors import Vendor
from aixgo.providers.base import (
    ChatMessage,
    Completion,
    CompletionRequest,
    Image,
    StopReason,
    ToolCall,
)

__all__ = [
    "Draft",
    "body_of",
    "chat_usage",
    "image_url",
    "native",
    "plain_images_only",
    "reasons",
    "usage_of",
]

REASONING = re.compile(r"o\d|gpt-(?:[5-9]|\d\d)(?!.*chat)")
"""OpenAI's models that think first and refuse to be told a temperature."""
STOPS: dict[str, StopReason] = {
    "length": "max_tokens",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "filtered",
}
THINKING_FIELDS = ("reasoning_content", "reasoning")

Body = dict[str, JSONValue]


def reasons(vendor: str, model: str) -> bool:
    """True for a model of OpenAI's own that takes no temperature."""
    return vendor.startswith("openai") and REASONING.match(model) is not None


def body_of(request: CompletionRequest, vendor: Vendor, *, stream: bool) -> Body:
    """The request's JSON, but for its model and messages' place in the SDK's call.

    Raises:
        RequestRejected: it holds what this API cannot carry.
    """
    body: Body = {"model": request.model, "messages": _messages(request, vendor)}
    if stream:
        body["stream_options"] = {"include_usage": True}
    if not reasons(vendor.name, request.model):
        _put(body, temperature=request.temperature, top_p=request.top_p)
    _put(body, seed=request.seed, reasoning_effort=request.reasoning_effort or None)
    _put(body, **{vendor.max_tokens_field: request.max_tokens})
    if request.stop:
        body["stop"] = list(request.stop)
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": dict(tool.parameters),
                },
            }
            for tool in request.tools
        ]
        known = request.tool_choice in ("auto", "none", "required")
        named: Body = {"type": "function", "function": {"name": request.tool_choice}}
        body["tool_choice"] = request.tool_choice if known else named
    _put(body, response_format=_format(request, vendor))
    return {**body, **request.extra}


def _put(body: Body, **fields: JSONValue) -> None:
    """Add the fields that are set; 0 is."""
    body.update({name: value for name, value in fields.items() if value is not None})


def _format(request: CompletionRequest, vendor: Vendor) -> Body | None:
    schema = request.output_schema
    if schema is None or vendor.schemas == "prompt":
        return None
    if not native(request, vendor):
        return {"type": "json_object"} if schema.get("type") == "object" else None
    guaranteed = strict(schema)
    described: Body = {
        "name": "answer",
        "schema": guaranteed if guaranteed is not None else cleaned(schema),
        "strict": guaranteed is not None,
    }
    return {"type": "json_schema", "json_schema": described}


def native(request: CompletionRequest, vendor: Vendor) -> bool:
    """True if the vendor itself can be held to the schema; it takes only objects."""
    schema = request.output_schema
    return vendor.schemas == "json_schema" and schema is not None and schema.get("type") == "object"


def _messages(request: CompletionRequest, vendor: Vendor) -> list[JSONValue]:
    instructions = request.instructions
    if request.output_schema is not None and not native(request, vendor):
        instructions = f"{instructions}\n\n{in_words(request.output_schema)}".strip()
    found: list[JSONValue] = []
    if instructions:
        found.append({"role": "system", "content": instructions})
    found.extend(_turn(turn, vendor) for turn in request.messages)
    return found


def _turn(turn: ChatMessage, vendor: Vendor) -> Body:
    if turn.role == "tool":
        plain_images_only(turn, vendor.name)
        return {"role": "tool", "tool_call_id": turn.tool_call_id, "content": turn.content}
    if turn.images:
        parts: list[JSONValue] = [{"type": "text", "text": turn.content}] if turn.content else []
        parts += [
            {"type": "image_url", "image_url": {"url": image_url(image)}} for image in turn.images
        ]
        return {"role": turn.role, "content": parts}
    said: Body = {"role": turn.role, "content": turn.content}
    if turn.tool_calls:
        said["content"] = turn.content or None
        said["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments or "{}"},
            }
            for call in turn.tool_calls
        ]
    if vendor.thinking_returns:
        for block in turn.thinking:
            said.update(block)
    return said


def image_url(image: Image) -> str:
    """The URL of a picture; its bytes become one."""
    if image.url:
        return image.url
    return f"data:{image.media_type};base64,{base64.b64encode(image.data).decode()}"


def plain_images_only(turn: ChatMessage, provider: str) -> None:
    """Refuse a tool's result that holds pictures.

    Raises:
        RequestRejected: it does.
    """
    if turn.images:
        raise RequestRejected(
            f"{provider!r} takes no pictures in a tool's result; send them as the user's",
            provider=provider,
            code="tool_images",
        )


def usage_of(prompt: object, completion: object, **parts: object) -> Usage:
    """One call's usage from a vendor's numbers, of which any may be missing."""
    return Usage(
        tokens_prompt=_count(prompt),
        tokens_completion=_count(completion),
        tokens_cached=_count(parts.get("cached")),
        tokens_reasoning=_count(parts.get("reasoning")),
        tokens_cache_write=_count(parts.get("written")),
        calls=1,
    )


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


class _Numbers(Protocol):
    """The `usage` object of an answer, as far as all vendors have it."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


def chat_usage(found: _Numbers, vendor: Vendor) -> Usage:
    """The usage of one answer, in our terms."""
    prompt, completion = _count(found.prompt_tokens), _count(found.completion_tokens)
    # xAI and Gemini leave thinking out of the completion's tokens; the total has it.
    completion = max(completion, _count(found.total_tokens) - prompt)
    read = getattr(found, "prompt_tokens_details", None)
    wrote = getattr(found, "completion_tokens_details", None)
    cached = getattr(read, "cached_tokens", None) or getattr(found, "prompt_cache_hit_tokens", None)
    usage = usage_of(
        prompt, completion, cached=cached, reasoning=getattr(wrote, "reasoning_tokens", None)
    )
    cost = getattr(found, "cost", None)
    if vendor.names_cost and isinstance(cost, int | float):
        usage.cost_nanos = round(cost * NANOS_PER_USD)
    return usage


class _Call:
    """A tool call of which the pieces come one by one."""

    __slots__ = ("arguments", "id", "name")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []


class Draft:
    """An answer in the making. Feed it messages or deltas, then read `completion`."""

    def __init__(self, vendor: Vendor, model: str) -> None:
        self._vendor = vendor
        self._model = model
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._thinking_field = ""
        self._calls: dict[object, _Call] = {}
        self._slots: dict[object, object] = {}
        self._refused = False
        self.finish = ""
        """Why the model stopped, in the vendor's word; empty until it did."""

    def add(self, part: object) -> tuple[str, str]:
        """Take in a message or a delta; its text and its thinking, for who listens."""
        refusal = getattr(part, "refusal", None)
        self._refused = self._refused or bool(refusal)
        text = getattr(part, "content", None) or refusal or ""
        thinking = ""
        for field in THINKING_FIELDS:
            if isinstance(value := getattr(part, field, None), str) and value:
                self._thinking_field, thinking = field, value
                break
        if text:
            self._text.append(text)
        if thinking:
            self._thinking.append(thinking)
        for place, piece in enumerate(getattr(part, "tool_calls", None) or ()):
            self._add_call(place, piece)
        return text, thinking

    def _add_call(self, place: int, piece: object) -> None:
        """Take in a piece of a tool call. Gemini gives each call the same index, so a new id is a new call."""
        index = getattr(piece, "index", None)
        slot: object = place if index is None else index
        given = getattr(piece, "id", None) or ""
        held = self._calls.get(self._slots.get(slot))
        if held is None or (given and held.id and held.id != given):
            self._slots[slot] = len(self._calls)
            held = self._calls[len(self._calls)] = _Call()
        function = getattr(piece, "function", None)
        held.id = held.id or given
        held.name = held.name or getattr(function, "name", None) or ""
        held.arguments.append(getattr(function, "arguments", None) or "")

    def calls(self) -> tuple[ToolCall, ...]:
        """The tools asked for, in order."""
        return tuple(
            ToolCall(call.id or f"call_{place}", call.name, "".join(call.arguments) or "{}")
            for place, call in enumerate(self._calls.values())
        )

    def completion(self, model: str, usage: Usage) -> Completion:
        """The whole answer."""
        stop: StopReason = STOPS.get(self.finish, "end")
        if self._calls and stop == "end":
            stop = "tool_calls"  # some say "stop" and mean it
        field = self._thinking_field
        return Completion(
            text="".join(self._text),
            model=model or self._model,
            provider=self._vendor.name,
            usage=usage,
            stop_reason="filtered" if self._refused else stop,
            tool_calls=self.calls(),
            thinking=({field: "".join(self._thinking)},) if field else (),
        )
