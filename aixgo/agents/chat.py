"""ChatAgent: a model and a prompt."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import ClassVar, Self, cast

from aixgo.agents.base import MODEL_KEYS, ModelUse, own_keys
from aixgo.contract import Caller
from aixgo.keys import Key
from aixgo.message import JSONValue, Message, StreamChunk
from aixgo.names import check_name
from aixgo.providers import Completion, Delta, Provider, complete_structured

__all__ = ["AGENT", "ChatAgent"]


class ChatAgent:
    """Answers each message with a completion of its model, and streams it as it comes.

    With `output_schema`, a JSON Schema, the reply's payload is a JSON value of that shape. Metadata says which
    `model` and `provider` answered, and `offline: true` when no model did.
    """

    role = "chat"
    config_keys: ClassVar[Mapping[str, Key]] = {
        **MODEL_KEYS,
        "output_schema": Key("mapping", "JSON Schema of the answer"),
    }

    def __init__(
        self,
        name: str,
        *,
        model: str = "",
        prompt: str = "",
        temperature: float | None = None,
        max_tokens: int | None = None,
        output_schema: Mapping[str, JSONValue] | None = None,
        description: str = "",
        provider: Provider | None = None,
    ) -> None:
        self.name = check_name(name)
        self.prompt = prompt
        self.description = description
        self.output_schema = output_schema
        self._use = ModelUse(model, temperature, max_tokens, provider)

    @classmethod
    def from_config(cls, name: str, entry: Mapping[str, object]) -> Self:
        """The agent of a YAML entry."""
        settings = own_keys(cls.config_keys, entry, f"agent {name!r}")
        return cls(name, **cast("dict[str, str]", settings))  # type: ignore[arg-type]

    @property
    def model(self) -> str:
        """The model that answers."""
        return self._use.name

    async def start(self, caller: Caller) -> None:  # noqa: ARG002 - the contract's signature
        """Find the model's provider, so that a wrong model fails the start and not the first call."""
        self._use.open()

    async def execute(self, message: Message) -> Message:
        """Answer `message`.

        Raises:
            ProviderError: the model did not answer, or not in the wanted shape.
        """
        request = self._use.request(message.text, self.prompt, self.output_schema)
        if self.output_schema is None:
            completion = await self._use.open().complete(request)
            return message.reply(completion.text, metadata=completion.facts())
        value, completion = await complete_structured(self._use.open(), request, self._check)
        return message.reply(value, metadata=completion.facts())

    async def stream(self, message: Message) -> AsyncIterator[StreamChunk | Message]:
        """Answer `message` piece by piece; an answer with a schema comes as one piece, once it is checked."""
        if self.output_schema is not None:
            reply = await self.execute(message)
            yield StreamChunk(content=reply.text)
            yield reply
            return
        request = self._use.request(message.text, self.prompt)
        pieces = cast("AsyncGenerator[Delta | Completion, None]", self._use.open().stream(request))
        async with aclosing(
            pieces
        ):  # whoever leaves stops the model now, not at the next collection
            async for piece in pieces:
                if isinstance(piece, Delta):
                    yield StreamChunk(content=piece.content)
                else:
                    yield message.reply(piece.text, metadata=piece.facts())

    def _check(self, value: JSONValue) -> JSONValue:
        """What a model most often gets wrong: the outermost type, and missing properties."""
        schema = self.output_schema or {}
        if "properties" in schema or schema.get("type") == "object":
            if not isinstance(value, dict):
                raise ValueError("it must be a JSON object")
            required = schema.get("required")
            missing = (
                [key for key in required if key not in value] if isinstance(required, list) else []
            )
            if missing:
                raise ValueError(f"it lacks {', '.join(map(str, missing))}")
        elif schema.get("type") == "array" and not isinstance(value, list):
            raise ValueError("it must be a JSON array")
        return value


AGENT = ChatAgent
