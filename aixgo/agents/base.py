"""What the built-in agents share: the model they use, and how their YAML entry is read.

Below: providers. Above: one module per role.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, Self, TypedDict, cast

from aixgo.contract import Agent
from aixgo.errors import ConfigError
from aixgo.keys import Key, check_given, read_keys
from aixgo.message import JSONValue
from aixgo.providers import (
    ChatMessage,
    CompletionRequest,
    Model,
    ModelMiddleware,
    Provider,
    choose_model,
    resolve_model,
)

__all__ = [
    "MODEL_KEYS",
    "ConfiguredAgent",
    "ModelOptions",
    "ModelParts",
    "ModelUse",
    "check_all",
    "model_options",
    "own_keys",
]

MODEL_KEYS: Mapping[str, Key] = {
    "description": Key("text", "what the agent is for, shown to people and routers"),
    "model": Key("text", "provider:model, or offline"),
    "api_key": Key(
        "text", "the model's key, as ${NAME}; else the vendor's own variable", secret=True
    ),
    "prompt": Key("text", "the agent's instructions"),
    "temperature": Key("number", "how freely the model answers", minimum=0, maximum=2),
    "max_tokens": Key("integer", "tokens one answer may have", minimum=1),
}


class ConfiguredAgent(Agent, Protocol):
    """The class of a role, as the configuration reader sees it."""

    config_keys: Mapping[str, Key]

    @classmethod
    def from_config(cls, name: str, entry: Mapping[str, object]) -> Self:
        """The agent of one YAML entry; keys that are not the role's own are passed over."""
        ...


def own_keys(keys: Mapping[str, Key], entry: Mapping[str, object], where: str) -> dict[str, object]:
    """The settings of `entry` among `keys`, checked."""
    return read_keys(keys, {name: value for name, value in entry.items() if name in keys}, where)


@dataclass(slots=True, frozen=True)
class ModelParts:
    """What the configuration made of an entry's `resilience` and of its model service's."""

    provider: Provider | None = None
    middleware: Sequence[ModelMiddleware] = ()


class ModelOptions(TypedDict):
    """The keywords every agent with a model takes."""

    provider: Provider | None
    middleware: Sequence[ModelMiddleware]


def model_options(entry: Mapping[str, object]) -> ModelOptions:
    """The keywords for what the configuration made of a YAML entry's policies."""
    parts = entry.get("resilience")
    if not isinstance(parts, ModelParts):
        parts = ModelParts()
    return {"provider": parts.provider, "middleware": parts.middleware}


@dataclass(slots=True)
class ModelUse:
    """The model an agent uses: chosen by name, opened on first use."""

    model: str = ""
    temperature: float | None = None
    max_tokens: int | None = None
    given: Provider | None = None
    """Used instead of the provider the name stands for."""
    api_key: str = field(default="", repr=False)
    """The key, if not the one in the vendor's variable."""
    base_url: str = ""
    middleware: Sequence[ModelMiddleware] = ()
    """Around every call of the model, first outermost."""
    owner: str = ""
    """The agent whose model it is, for errors."""
    _opened: tuple[Model, str] | None = None

    def __post_init__(self) -> None:
        check_given(
            MODEL_KEYS,
            f"agent {self.owner!r}",
            temperature=self.temperature,
            max_tokens=self.max_tokens,
        )
        if self.given is not None and (self.api_key or self.base_url):
            raise ConfigError("a provider given as an object has its own api_key and base_url")

    @property
    def name(self) -> str:
        """The model's name by the rule of `aixgo.providers.choose_model`."""
        if self.given is not None:
            return self.model or self.given.name
        return choose_model(self.model)

    @property
    def backend(self) -> str:
        """The provider, as far as it is known before it answered."""
        return self.given.name if self.given is not None else self.name.partition(":")[0]

    def open(self) -> Model:
        """The model, ready to be asked.

        Raises:
            ConfigError: this version has no such model.
        """
        if self._opened is None:
            name = self.name
            provider = self.given
            if provider is None:
                provider, name = resolve_model(name, api_key=self.api_key, base_url=self.base_url)
            bare = isinstance(provider, Model) and not self.middleware
            model = cast("Model", provider) if bare else Model(provider, self.middleware)
            self._opened = (model, name)
        return self._opened[0]

    def request(
        self, text: str, instructions: str, output_schema: Mapping[str, JSONValue] | None = None
    ) -> CompletionRequest:
        """A request about `text`."""
        return self.conversation((ChatMessage("user", text),), instructions, output_schema)

    def conversation(
        self,
        messages: Sequence[ChatMessage],
        instructions: str,
        output_schema: Mapping[str, JSONValue] | None = None,
    ) -> CompletionRequest:
        """A request to go on with a conversation."""
        self.open()
        assert self._opened is not None
        return CompletionRequest(
            model=self._opened[1],
            messages=tuple(messages),
            instructions=instructions,
            output_schema=output_schema,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
        )

    def with_max_tokens(self, max_tokens: int) -> ModelUse:
        """The same model with another bound on its answers."""
        return replace(self, max_tokens=max_tokens)


def check_all(where: str, what: str, given: Iterable[object], wanted: type) -> None:
    """Refuse a list in which something is no `wanted`.

    Raises:
        ConfigError: it is; the text says which and what it is instead.
    """
    for place, item in enumerate(given):
        if not isinstance(item, wanted):
            raise ConfigError(
                f"{where}: {what}[{place}] is a {type(item).__name__}; give {wanted.__name__}(…)"
            )
