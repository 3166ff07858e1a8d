"""OpenAI's Responses as data: our requests in its words, its answers and their pieces in ours.

Nothing here touches a network. Below: base, `_chat`, `_schemas`. Above: `openai_responses`.
"""

from __future__ import annotations

from typing import cast

from aixgo.errors import ProviderError, ProviderUnavailable, RateLimited, RequestRejected
from aixgo.ledger import Usage
from aixgo.message import JSONValue
from aixgo.providers import _sdk as sdk
from aixgo.providers._chat import image_url, plain_images_only, reasons, usage_of
from aixgo.providers._schemas import cleaned, in_words, strict
from aixgo.providers.base import (
    ChatMessage,
    Completion,
    CompletionRequest,
    Delta,
    StopReason,
    ToolCall,
)

__all__ = ["body_of", "completion_of", "delta_of", "failure_of"]

Body = dict[str, JSONValue]


def body_of(request: CompletionRequest, provider: str) -> Body:
    """The request's JSON.

    Raises:
        RequestRejected: it holds what this API cannot carry.
    """
    items = [item for turn in request.messages for item in _items(turn, provider)]
    body: Body = {"model": request.model, "input": items, "store": False}
    instructions = request.instructions
    schema = request.output_schema
    if schema is not None and schema.get("type") == "object":
        guaranteed = strict(schema)
        form: Body = {
            "type": "json_schema",
            "name": "answer",
            "schema": guaranteed if guaranteed is not None else cleaned(schema),
            "strict": guaranteed is not None,
        }
        body["text"] = {"format": form}
    elif schema is not None:
        instructions = f"{instructions}\n\n{in_words(schema)}".strip()
    if instructions:
        body["instructions"] = instructions
    if request.max_tokens is not None:
        body["max_output_tokens"] = request.max_tokens
    if reasons(provider, request.model):
        body["include"] = ["reasoning.encrypted_content"]
    else:
        for name, value in (("temperature", request.temperature), ("top_p", request.top_p)):
            if value is not None:
                body[name] = value
    if request.reasoning_effort:
        body["reasoning"] = {"effort": request.reasoning_effort}
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": dict(tool.parameters),
                "strict": False,
            }
            for tool in request.tools
        ]
        known = request.tool_choice in ("auto", "none", "required")
        named: Body = {"type": "function", "name": request.tool_choice}
        body["tool_choice"] = request.tool_choice if known else named
    return {**body, **request.extra}


def _items(turn: ChatMessage, provider: str) -> list[JSONValue]:
    """A turn as the items it was: reasoning, text, calls."""
    if turn.role == "tool":
        plain_images_only(turn, provider)
        return [
            {
                "type": "function_call_output",
                "call_id": turn.tool_call_id,
                "output": turn.content,
            }
        ]
    found: list[JSONValue] = [dict(b) for b in turn.thinking if b.get("type") == "reasoning"]
    if turn.images:
        parts: list[JSONValue] = (
            [{"type": "input_text", "text": turn.content}] if turn.content else []
        )
        parts += [{"type": "input_image", "image_url": image_url(i)} for i in turn.images]
        found.append({"role": turn.role, "content": parts})
    elif turn.content or not turn.tool_calls:
        found.append({"role": turn.role, "content": turn.content})
    found += [
        {
            "type": "function_call",
            "call_id": call.id,
            "name": call.name,
            "arguments": call.arguments or "{}",
        }
        for call in turn.tool_calls
    ]
    return found


def delta_of(event: object) -> Delta | None:
    """What of a stream's event can be shown, or None."""
    match getattr(event, "type", ""):
        case "response.output_text.delta" | "response.refusal.delta":
            return Delta(str(getattr(event, "delta", "") or ""))
        case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
            return Delta(thinking=str(getattr(event, "delta", "") or ""))
        case "response.output_item.done":
            call = _call(getattr(event, "item", None))
            return Delta(tool_call=call) if call is not None else None
    return None


def completion_of(reply: object, provider: str, model: str) -> Completion:
    """The whole answer.

    Raises:
        ProviderError: the reply says that it failed, or is none.
    """
    output = getattr(reply, "output", None)
    if getattr(reply, "status", None) == "failed":
        raise failure_of(reply, provider, model)
    if not isinstance(output, list):
        raise sdk.malformed(provider, "an answer without output")
    texts: list[str] = []
    calls: list[ToolCall] = []
    thinking: list[Body] = []
    refused = False
    for item in output:
        if (call := _call(item)) is not None:
            calls.append(call)
        elif item.type == "reasoning":
            thinking.append(cast("Body", item.to_dict(mode="json")))
        elif item.type == "message":
            for part in item.content or ():
                refused = refused or part.type == "refusal"
                texts.append(str(getattr(part, "text", None) or getattr(part, "refusal", "") or ""))
    return Completion(
        text="".join(texts),
        model=str(getattr(reply, "model", None) or model),
        provider=provider,
        usage=_usage(getattr(reply, "usage", None)),
        stop_reason="filtered" if refused else _stop(reply, calls),
        tool_calls=tuple(calls),
        thinking=tuple(thinking),
    )


def _call(item: object) -> ToolCall | None:
    if getattr(item, "type", "") != "function_call":
        return None
    name, given = getattr(item, "name", ""), getattr(item, "arguments", "")
    return ToolCall(str(getattr(item, "call_id", "")), str(name), str(given or "{}"))


def _stop(reply: object, calls: list[ToolCall]) -> StopReason:
    details = getattr(reply, "incomplete_details", None)
    if getattr(details, "reason", None) == "content_filter":
        return "filtered"
    if getattr(reply, "status", None) == "incomplete":
        return "max_tokens"
    return "tool_calls" if calls else "end"


def _usage(found: object) -> Usage:
    read = getattr(found, "input_tokens_details", None)
    wrote = getattr(found, "output_tokens_details", None)
    return usage_of(
        getattr(found, "input_tokens", None),
        getattr(found, "output_tokens", None),
        cached=getattr(read, "cached_tokens", None),
        reasoning=getattr(wrote, "reasoning_tokens", None),
    )


def failure_of(reply: object, provider: str, model: str) -> ProviderError:
    """The error that a failed response, or a stream's event, reports; its text stays with the vendor."""
    code = str(getattr(getattr(reply, "error", reply), "code", None) or "")
    if "rate_limit" in code:
        return RateLimited(provider=provider, code="rate_limit", model=model)
    if "insufficient_quota" in code:
        return RequestRejected(provider=provider, code="quota", model=model)
    if code.startswith("invalid") or "image" in code:
        return RequestRejected(provider=provider, code="invalid_request", model=model)
    return ProviderUnavailable(provider=provider, code="overloaded", model=model)
