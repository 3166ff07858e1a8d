"""How each API writes an answer: what the vendors' documents show, cut down to what a test looks at."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

from aixgo.providers import Provider
from aixgo.providers._vendors import VENDORS
from aixgo.providers.anthropic import AnthropicProvider
from aixgo.providers.openai import OpenAIProvider
from aixgo.providers.openai_responses import OpenAIResponsesProvider

KEY = "sk-canary-0123456789abcdefghijklmnop"


class Dialect(Protocol):
    """One adapter and its API."""

    name: str
    model: str

    def provider(self, url: str) -> Provider: ...

    def whole(self, text: str) -> dict[str, Any]: ...

    def pieces(self, *texts: str) -> list[bytes]:
        """A stream without its end: events up to the last text."""
        ...

    def end(self) -> list[bytes]: ...

    def thought(self) -> list[bytes]:
        """A stream that thinks "hm" and answers "yes"."""
        ...

    def error(self, kind: str, message: str) -> dict[str, Any]: ...


def event(value: object, name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()


class Chat:
    """OpenAI's Chat Completions."""

    name = "openai"
    model = "gpt-4o"
    usage: ClassVar = {
        "prompt_tokens": 12,
        "completion_tokens": 5,
        "total_tokens": 17,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }

    def provider(self, url: str) -> Provider:
        return OpenAIProvider(base_url=f"{url}/v1", api_key=KEY)

    def whole(self, text: str) -> dict[str, Any]:
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {"id": "c", "model": self.model, "choices": [choice], "usage": self.usage}

    def chunk(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return event({"id": "c", "model": self.model, "choices": [choice], "usage": None})

    def pieces(self, *texts: str) -> list[bytes]:
        return [self.chunk({"role": "assistant"}), *(self.chunk({"content": t}) for t in texts)]

    def end(self) -> list[bytes]:
        last = event({"id": "c", "model": self.model, "choices": [], "usage": self.usage})
        return [self.chunk({}, "stop"), last, b"data: [DONE]\n\n"]

    def thought(self) -> list[bytes]:
        return [self.chunk({"reasoning_content": "hm"}), *self.pieces("yes"), *self.end()]

    def error(self, kind: str, message: str) -> dict[str, Any]:
        return {"error": {"message": message, "type": kind, "code": kind, "param": None}}


class Responses:
    """OpenAI's Responses."""

    name = "openai_responses"
    model = "gpt-4o"
    usage: ClassVar = {
        "input_tokens": 12,
        "output_tokens": 5,
        "total_tokens": 17,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens_details": {"reasoning_tokens": 2},
    }

    def __init__(self) -> None:
        self._said: list[str] = []
        self._thought: list[dict[str, Any]] = []

    def provider(self, url: str) -> Provider:
        return OpenAIResponsesProvider(base_url=f"{url}/v1", api_key=KEY)

    def whole(self, text: str) -> dict[str, Any]:
        part = {"type": "output_text", "text": text, "annotations": []}
        message = {"type": "message", "id": "m", "role": "assistant", "content": [part]}
        return {
            "id": "r",
            "object": "response",
            "model": self.model,
            "status": "completed",
            "output": [*self._thought, message],
            "usage": self.usage,
        }

    def pieces(self, *texts: str) -> list[bytes]:
        self._said += texts
        kind = "response.output_text.delta"
        return [event({"type": kind, "delta": text, "item_id": "m"}, kind) for text in texts]

    def end(self) -> list[bytes]:
        kind = "response.completed"
        return [event({"type": kind, "response": self.whole("".join(self._said))}, kind)]

    def thought(self) -> list[bytes]:
        kind = "response.reasoning_summary_text.delta"
        summary = [{"type": "summary_text", "text": "hm"}]
        self._thought = [
            {"type": "reasoning", "id": "t", "summary": summary, "encrypted_content": "x"}
        ]
        return [event({"type": kind, "delta": "hm"}, kind), *self.pieces("yes"), *self.end()]

    def error(self, kind: str, message: str) -> dict[str, Any]:
        return {"error": {"message": message, "type": kind, "code": kind, "param": None}}


class Messages:
    """Anthropic's Messages."""

    name = "anthropic"
    model = "claude-opus-5"

    def provider(self, url: str) -> Provider:
        return AnthropicProvider(base_url=url, api_key=KEY)

    def head(self, tokens: int) -> dict[str, Any]:
        usage = {
            "input_tokens": 5,
            "cache_read_input_tokens": 4,
            "cache_creation_input_tokens": 3,
            "output_tokens": tokens,
            "output_tokens_details": {"thinking_tokens": 2},
        }
        return {
            "id": "m",
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": [],
            "stop_reason": None,
            "usage": usage,
        }

    def whole(self, text: str) -> dict[str, Any]:
        content = [{"type": "text", "text": text}]
        return {**self.head(5), "content": content, "stop_reason": "end_turn"}

    def block(
        self, index: int, start: dict[str, Any], deltas: Sequence[dict[str, Any]]
    ) -> list[bytes]:
        begin = {"type": "content_block_start", "index": index, "content_block": start}
        return [
            event(begin, "content_block_start"),
            *(
                event(
                    {"type": "content_block_delta", "index": index, "delta": delta},
                    "content_block_delta",
                )
                for delta in deltas
            ),
        ]

    def pieces(self, *texts: str, index: int = 0) -> list[bytes]:
        begin = event({"type": "message_start", "message": self.head(1)}, "message_start")
        deltas = [{"type": "text_delta", "text": text} for text in texts]
        text_block = self.block(index, {"type": "text", "text": ""}, deltas)
        return ([] if index else [begin]) + text_block

    def end(self, index: int = 0) -> list[bytes]:
        last = {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {"output_tokens": 5},
        }
        return [
            event({"type": "content_block_stop", "index": index}, "content_block_stop"),
            event(last, "message_delta"),
            event({"type": "message_stop"}, "message_stop"),
        ]

    def thought(self) -> list[bytes]:
        begin = event({"type": "message_start", "message": self.head(1)}, "message_start")
        deltas = [
            {"type": "thinking_delta", "thinking": "hm"},
            {"type": "signature_delta", "signature": "s"},
        ]
        block = self.block(0, {"type": "thinking", "thinking": "", "signature": ""}, deltas)
        stop = event({"type": "content_block_stop", "index": 0}, "content_block_stop")
        return [begin, *block, stop, *self.pieces("yes", index=1), *self.end(1)]

    def error(self, kind: str, message: str) -> dict[str, Any]:
        return {"type": "error", "error": {"type": kind, "message": message}}


DIALECTS: dict[str, Callable[[], Dialect]] = {
    "openai": Chat,
    "openai_responses": Responses,
    "anthropic": Messages,
}
ROWS = [row for row in VENDORS.values() if row.name not in DIALECTS]
