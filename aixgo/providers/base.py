"""The contract of a model provider: requests in, completions out.

A provider says what a completion used; what that costs, whom it is charged to and whether the budget allows
it is decided by `Model`, which is what agents call. The text a request is about is its last user message;
`instructions` say what to do with it, so that a provider can tell them apart without reading either.

Below: context, message, middleware. Above: agents. Each other module of this folder is one provider and holds
`PROVIDER`, a function or class that makes one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

import msgspec

from aixgo.errors import OutputInvalid
from aixgo.ledger import Usage
from aixgo.message import NOT_JSON, JSONValue

__all__ = [
    "ChatMessage",
    "Completion",
    "CompletionRequest",
    "Delta",
    "Embedder",
    "Embeddings",
    "Image",
    "Provider",
    "Role",
    "StopReason",
    "ToolCall",
    "ToolSpec",
]

Role: TypeAlias = Literal["user", "assistant", "tool", "system"]
StopReason: TypeAlias = Literal["end", "max_tokens", "filtered", "tool_calls", "stop_sequence"]


@dataclass(slots=True, frozen=True)
class Image:
    """A picture in a message: its bytes, or a URL the vendor fetches."""

    data: bytes = b""
    media_type: str = "image/png"
    url: str = ""


@dataclass(slots=True, frozen=True)
class ToolCall:
    """A model asks for a tool. `arguments` is the JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str = "{}"

    def parsed(self) -> dict[str, JSONValue]:
        """The arguments as an object.

        Raises:
            OutputInvalid: the model wrote something else.
        """
        try:
            return msgspec.json.decode(self.arguments or "{}", type=dict[str, JSONValue])
        except NOT_JSON as exc:
            raise OutputInvalid(f"the arguments of {self.name!r} are not a JSON object") from exc


@dataclass(slots=True, frozen=True, kw_only=True)
class ToolSpec:
    """A tool as a model sees it; `parameters` is the JSON Schema of its arguments, an object."""

    name: str
    description: str = ""
    parameters: Mapping[str, JSONValue] = field(default_factory=lambda: {"type": "object"})


@dataclass(slots=True, frozen=True)
class ChatMessage:
    """One turn of a conversation.

    An assistant's may ask for tools; each result is a message of its own with the role "tool" and the id of
    what it answers. `thinking` holds a vendor's reasoning blocks as it gave them, to be sent back unchanged.
    """

    role: Role
    content: str = ""
    images: tuple[Image, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    thinking: tuple[Mapping[str, JSONValue], ...] = ()


@dataclass(slots=True, frozen=True, kw_only=True)
class CompletionRequest:
    """What a model is asked.

    With `output_schema`, a JSON Schema, the completion's text is JSON of that shape. A schema may say more
    about the options of an `enum` under `x-options`: option → `description`, `keywords`, `examples`. `x-offline` is
    the value a provider without a model answers with, for shapes that cannot be read off a text. Vendors see neither.
    """

    model: str
    messages: Sequence[ChatMessage]
    instructions: str = ""
    output_schema: Mapping[str, JSONValue] | None = None
    tools: Sequence[ToolSpec] = ()
    tool_choice: str = "auto"
    """"auto", "none", "required", or the name of the tool that must be called."""
    temperature: float | None = None
    """None leaves it to the model; 0 is sent."""
    top_p: float | None = None
    max_tokens: int | None = None
    """Of the answer."""
    stop: Sequence[str] = ()
    """Texts at which the model stops."""
    seed: int | None = None
    reasoning_effort: str = ""
    """"low", "medium" or "high", for models that think; empty leaves it to the model."""
    extra: Mapping[str, JSONValue] = field(default_factory=dict)
    """Fields of the vendor's own request, sent as they are."""

    @property
    def text(self) -> str:
        """The text the request is about: the last user message."""
        return next((turn.content for turn in reversed(self.messages) if turn.role == "user"), "")


@dataclass(slots=True, frozen=True)
class Delta:
    """A piece of a completion: text, thinking, or one whole tool call. The texts joined are its text."""

    content: str = ""
    thinking: str = ""
    tool_call: ToolCall | None = None


@dataclass(slots=True, frozen=True, kw_only=True)
class Completion:
    """What a model answered. `offline` marks an answer no model gave."""

    text: str
    model: str
    provider: str
    usage: Usage
    """Tokens and one call; the provider leaves `cost_nanos` at 0 unless the vendor named the price."""
    stop_reason: StopReason = "end"
    tool_calls: tuple[ToolCall, ...] = ()
    thinking: tuple[Mapping[str, JSONValue], ...] = ()
    """Reasoning blocks of the vendor, for `ChatMessage.thinking`."""
    offline: bool = False
    notes: Mapping[str, JSONValue] = field(default_factory=dict)
    """What middleware has to say about how the answer came about, such as `retries`."""

    def facts(self) -> dict[str, JSONValue]:
        """The metadata a result made from this completion carries."""
        found: dict[str, JSONValue] = {"model": self.model, "provider": self.provider}
        if self.stop_reason != "end":
            found["stop_reason"] = self.stop_reason
        if self.offline:
            found["offline"] = True
        return {**found, **self.notes}

    def as_message(self) -> ChatMessage:
        """The turn to keep in the history."""
        return ChatMessage(
            "assistant", self.text, tool_calls=self.tool_calls, thinking=self.thinking
        )


class Provider(Protocol):
    """A source of completions. Write one with a single method, `complete`: see `as_provider`."""

    @property
    def name(self) -> str: ...

    async def complete(self, request: CompletionRequest) -> Completion:
        """The answer as a whole.

        Raises:
            ProviderError: the one that says whether trying again helps. Its `usage` is what was spent.
        """
        ...

    def stream(self, request: CompletionRequest) -> AsyncIterator[Delta | Completion]:
        """The answer in pieces; the last item is the whole. Closing the iterator stops the model."""
        ...

    def count_tokens(self, text: str) -> int:
        """About how many tokens `text` is for this provider's models."""
        ...

    def models(self) -> Sequence[str]:
        """The models it knows of; empty if any name may do."""
        ...


class Embeddings(Protocol):
    """A vendor's models that turn texts into vectors; `Embedder` is one of them, metered."""

    @property
    def name(self) -> str: ...

    async def embed(self, model: str, texts: Sequence[str]) -> tuple[list[list[float]], Usage]:
        """A vector for each of `texts`, in their order, and what that used.

        Raises:
            ProviderError: the one that says whether trying again helps.
        """
        ...


class Embedder(Protocol):
    """What turns texts into vectors that are near each other when the texts are alike."""

    @property
    def name(self) -> str:
        """What made a vector: vectors of different names cannot be compared."""
        ...

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """A vector for each of `texts`, in their order.

        Raises:
            ProviderError: the model behind it did not answer.
            BudgetExceeded: the current call cannot pay for it; nothing was asked.
        """
        ...
