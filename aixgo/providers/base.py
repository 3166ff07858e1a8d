"""The contract of a model provider: requests in, completions out, every token charged.

The text a request is about is its last user message; `instructions` say what to do with it. They are
distinct, so that a provider can tell them apart without reading either. Below: context, message. Above:
agents. Each other module of this folder is one provider and holds `PROVIDER`, its class.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from aixgo.context import CallContext
from aixgo.ledger import Usage
from aixgo.message import JSONValue

__all__ = [
    "ChatMessage",
    "Completion",
    "CompletionRequest",
    "Delta",
    "Provider",
    "StopReason",
    "charge",
]

StopReason: TypeAlias = Literal["end", "max_tokens", "filtered"]


@dataclass(slots=True, frozen=True)
class ChatMessage:
    """One turn of a conversation."""

    role: Literal["user", "assistant"]
    content: str


@dataclass(slots=True, frozen=True, kw_only=True)
class CompletionRequest:
    """What a model is asked.

    With `output_schema`, a JSON Schema, the completion's text is JSON of that shape. A schema may say more
    about the options of an `enum` under `x-options`: option → `description`, `keywords`, `examples`.
    """

    model: str
    messages: Sequence[ChatMessage]
    instructions: str = ""
    output_schema: Mapping[str, JSONValue] | None = None
    temperature: float | None = None
    """None leaves it to the model; 0 is sent."""
    max_tokens: int | None = None

    @property
    def text(self) -> str:
        """The text the request is about: the last user message."""
        return next((turn.content for turn in reversed(self.messages) if turn.role == "user"), "")


@dataclass(slots=True, frozen=True)
class Delta:
    """A piece of a completion; the pieces joined are its text."""

    content: str


@dataclass(slots=True, frozen=True, kw_only=True)
class Completion:
    """What a model answered. `offline` marks an answer no model gave."""

    text: str
    model: str
    provider: str
    usage: Usage
    stop_reason: StopReason = "end"
    offline: bool = False

    def facts(self) -> dict[str, JSONValue]:
        """The metadata a result made from this completion carries."""
        found: dict[str, JSONValue] = {"model": self.model, "provider": self.provider}
        if self.stop_reason != "end":
            found["stop_reason"] = self.stop_reason
        if self.offline:
            found["offline"] = True
        return found


class Provider(Protocol):
    """A source of completions. It charges the current call for what it spends, failures included."""

    @property
    def name(self) -> str: ...

    async def complete(self, request: CompletionRequest) -> Completion:
        """The answer as a whole.

        Raises:
            ProviderError: the one that says whether trying again helps.
        """
        ...

    def stream(self, request: CompletionRequest) -> AsyncIterator[Delta | Completion]:
        """The answer in pieces; the last item is the whole. Closing the iterator stops the model."""
        ...

    def count_tokens(self, text: str) -> int:
        """About how many tokens `text` is for this provider's models."""
        ...

    def models(self) -> Sequence[str]:
        """The models it knows of."""
        ...


def charge(usage: Usage) -> None:
    """Count `usage` on the call this code runs in, if it runs in one."""
    context = CallContext.maybe_current()
    if context is not None:
        context.charge(usage)
