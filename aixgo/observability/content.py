"""What messages, prompts and tools say, for spans: only if asked for, without secrets, and cut when long.

Below: telemetry, redaction. Above: tracing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from aixgo.message import JSONValue, Message
from aixgo.observability import conventions as names
from aixgo.observability.redaction import redact
from aixgo.providers.base import ChatMessage, Completion
from aixgo.telemetry import Call, ModelUse, Orchestration, ToolUse, Work

__all__ = ["MAX_CONTENT", "Content"]

MAX_CONTENT = 32_768  # characters of one attribute


class Content:
    """The content of pieces of work; with `captured` False there is none."""

    def __init__(self, *, captured: bool) -> None:
        self.captured = captured

    def of(self, work: Work) -> dict[str, str]:
        """The content attributes of a piece of work that has ended."""
        if not self.captured:
            return {}
        if isinstance(work, Call):
            return _said(self.input(work), self.output(work))
        if isinstance(work, ModelUse):
            found = _said(self.input(work), self.output(work))
            if work.request.instructions:
                found[names.INSTRUCTIONS] = _json([_text(work.request.instructions)])
            return found
        if isinstance(work, ToolUse):
            found = {names.TOOL_ARGUMENTS: _shown(work.arguments)}
            if work.result is not None:
                found[names.TOOL_RESULT] = _shown(work.result.text)
            return found
        return {}

    def input(self, work: Work) -> list[JSONValue]:
        """What went in, in the conventions' form; nothing when content is not captured."""
        if self.captured and isinstance(work, Call):
            return [_turn("user", [_text(_readable(work.message))])]
        if self.captured and isinstance(work, ModelUse):
            return [_chat(turn) for turn in work.request.messages]
        return []

    def output(self, work: Work) -> list[JSONValue]:
        """What came out, in the conventions' form; nothing when content is not captured."""
        if not self.captured:
            return []
        if isinstance(work, Call) and work.reply is not None:
            return [_turn("assistant", [_text(_readable(work.reply))])]
        if isinstance(work, Orchestration) and work.result is not None:
            return [_turn("assistant", [_text(_readable(work.result))])]
        if isinstance(work, ModelUse) and work.completion is not None:
            return [_answered(work.completion)]
        return []


def _said(given: Sequence[JSONValue], answered: Sequence[JSONValue]) -> dict[str, str]:
    found = {names.INPUT_MESSAGES: _json(given)} if given else {}
    if answered:
        found[names.OUTPUT_MESSAGES] = _json(answered)
    return found


def _readable(message: Message) -> str:
    payload = message.payload
    if isinstance(payload, bytes) and not message.content_type.startswith("text/"):
        return f"[{len(payload):,} bytes of {message.content_type}]"
    return message.text


def _chat(turn: ChatMessage) -> JSONValue:
    if turn.role == "tool":
        answer: JSONValue = {
            "type": "tool_call_response",
            "id": turn.tool_call_id,
            "response": turn.content,
        }
        return _turn("tool", [answer])
    parts: list[JSONValue] = [_text(turn.content)] if turn.content else []
    parts += [{"type": "image", "media_type": image.media_type} for image in turn.images]
    parts += [
        {"type": "tool_call", "id": call.id, "name": call.name, "arguments": call.arguments}
        for call in turn.tool_calls
    ]
    return _turn(turn.role, parts)


def _answered(completion: Completion) -> JSONValue:
    turn = _chat(completion.as_message())
    assert isinstance(turn, dict)
    return {**turn, "finish_reason": completion.stop_reason}


def _turn(role: str, parts: Sequence[JSONValue]) -> dict[str, JSONValue]:
    return {"role": role, "parts": list(parts)}


def _text(content: str) -> dict[str, JSONValue]:
    return {"type": "text", "content": content}


def _json(value: Sequence[JSONValue] | Mapping[str, JSONValue]) -> str:
    return _shown(msgspec.json.encode(value).decode())


def _shown(text: str) -> str:
    text = redact(text)
    return text if len(text) <= MAX_CONTENT else f"{text[:MAX_CONTENT]}…"
