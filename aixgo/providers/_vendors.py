"""The vendors whose models can be named: one row each, saying which adapter speaks to it and how.

A vendor that speaks OpenAI's Chat Completions is one more row here; one with an API of its own is one more
module of this folder and a row that names it.

Below: errors. Above: the adapters, `_selection`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from aixgo.errors import ConfigError

__all__ = ["EMBEDDERS", "VENDORS", "Endpoint", "Vendor", "endpoint_of", "vendor_of"]

SchemaMode: TypeAlias = Literal["json_schema", "json_object", "prompt"]


@dataclass(slots=True, frozen=True, kw_only=True)
class Vendor:
    """How one vendor's models are reached, and in what its API departs from the one its adapter is made for."""

    name: str
    adapter: str
    """The module of `aixgo.providers` that speaks its API."""
    base_url: str
    base_url_variables: tuple[str, ...] = ()
    key_variables: tuple[str, ...] = ()
    """Where its key is looked for, in this order."""
    needs_key: bool = True
    names: str = ""
    """A pattern of the model names that mean this vendor when none is written."""
    examples: tuple[str, ...] = ()
    """Models it has, for lists; any other name may be used as well."""
    max_tokens_field: str = "max_tokens"
    schemas: SchemaMode = "json_schema"
    """How it is held to a schema: by itself, to any JSON object plus a sentence in the prompt, or by the sentence."""
    thinking_returns: bool = False
    """Its `reasoning_content` is sent back with the turn it came in."""
    names_cost: bool = False
    """Its `usage` says what the call cost, in dollars."""

    @property
    def package(self) -> str:
        """The SDK it is reached with, which is also the extra of aixgo that installs it."""
        return "anthropic" if self.adapter == "anthropic" else "openai"

    @property
    def headers_variable(self) -> str:
        """Where its SDK looks for headers to send with each request."""
        return f"{self.package.upper()}_CUSTOM_HEADERS"

    @property
    def key_variable(self) -> str:
        """The variable to name when there is no key."""
        return self.key_variables[0] if self.key_variables else ""

    def address(self) -> str:
        """Where it is: the environment's address, else its own."""
        url = _first(self.base_url_variables) or self.base_url
        bare = "://" not in url and "OLLAMA_HOST" in self.base_url_variables
        return _ollama_url(url) if bare else url

    def key(self) -> str:
        """Its key from the environment, or ""."""
        return _first(self.key_variables)

    def variable(self) -> str:
        """The variable its key is in, or would be looked for first."""
        held = (name for name in self.key_variables if os.environ.get(name, "").strip())
        return next(held, self.key_variable)


@dataclass(slots=True, frozen=True)
class Endpoint:
    """Where a vendor is reached and with which key; the key is in no `repr`."""

    base_url: str
    key: str
    variable: str = ""
    """The environment variable the key is from, or would be; empty if it was given."""

    def __repr__(self) -> str:
        return f"Endpoint({self.base_url!r})"

    def elsewhere(self, vendor: Vendor) -> str:
        """Host and port, when that is not where the vendor is found; never what may be a password."""
        if self.base_url == vendor.base_url:
            return ""
        return urlsplit(self.base_url).netloc.rpartition("@")[2]


_ROWS = (
    Vendor(
        name="openai",
        adapter="openai",
        base_url="https://api.openai.com/v1",
        base_url_variables=("OPENAI_BASE_URL",),
        key_variables=("OPENAI_API_KEY",),
        names=r"gpt-|chatgpt-|o\d(-|$)|text-(davinci|curie)",
        examples=("gpt-5.4", "gpt-5.4-mini", "gpt-4.1", "gpt-4o", "gpt-4o-mini", "o3", "o4-mini"),
        max_tokens_field="max_completion_tokens",
    ),
    Vendor(
        name="openai_responses",
        adapter="openai_responses",
        base_url="https://api.openai.com/v1",
        base_url_variables=("OPENAI_BASE_URL",),
        key_variables=("OPENAI_API_KEY",),
    ),
    Vendor(
        name="anthropic",
        adapter="anthropic",
        base_url="https://api.anthropic.com",
        base_url_variables=("ANTHROPIC_BASE_URL",),
        key_variables=("ANTHROPIC_API_KEY",),
        names="claude",
        examples=("claude-opus-5", "claude-sonnet-5", "claude-haiku-4-5"),
    ),
    Vendor(
        name="gemini",
        adapter="openai",
        base_url="https://generativelanguage.googleapis.com/v1beta/openai/",
        base_url_variables=("GEMINI_BASE_URL",),
        key_variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        names="gemini",
        examples=("gemini-2.5-pro", "gemini-2.5-flash"),
    ),
    Vendor(
        name="xai",
        adapter="openai",
        base_url="https://api.x.ai/v1",
        base_url_variables=("XAI_BASE_URL",),
        key_variables=("XAI_API_KEY",),
        names="grok",
        examples=("grok-4", "grok-3-mini"),
    ),
    Vendor(
        name="deepseek",
        adapter="openai",
        base_url="https://api.deepseek.com",
        base_url_variables=("DEEPSEEK_BASE_URL",),
        key_variables=("DEEPSEEK_API_KEY",),
        names="deepseek",
        examples=("deepseek-chat", "deepseek-reasoner"),
        schemas="json_object",
        thinking_returns=True,
    ),
    Vendor(
        name="mistral",
        adapter="openai",
        base_url="https://api.mistral.ai/v1",
        base_url_variables=("MISTRAL_BASE_URL",),
        key_variables=("MISTRAL_API_KEY",),
        names=r"(open-)?(mi[sx]tral|ministral|magistral|codestral|devstral|pixtral)",
        examples=("mistral-large-latest", "mistral-small-latest"),
    ),
    Vendor(
        name="moonshot",
        adapter="openai",
        base_url="https://api.moonshot.ai/v1",
        base_url_variables=("MOONSHOT_BASE_URL",),
        key_variables=("MOONSHOT_API_KEY",),
        names=r"kimi|moonshot",
        examples=("kimi-k2-0905-preview",),
        schemas="json_object",
        thinking_returns=True,
    ),
    Vendor(
        name="huggingface",
        adapter="openai",
        base_url="https://router.huggingface.co/v1",
        base_url_variables=("HF_BASE_URL",),
        key_variables=("HF_TOKEN", "HUGGINGFACE_API_KEY"),
    ),
    Vendor(
        name="openrouter",
        adapter="openai",
        base_url="https://openrouter.ai/api/v1",
        base_url_variables=("OPENROUTER_BASE_URL",),
        key_variables=("OPENROUTER_API_KEY",),
        names_cost=True,
    ),
    Vendor(
        name="ollama",
        adapter="openai",
        base_url="http://127.0.0.1:11434/v1",
        base_url_variables=("OLLAMA_BASE_URL", "OLLAMA_HOST"),
        key_variables=("OLLAMA_API_KEY",),
        needs_key=False,
    ),
    Vendor(
        name="vllm",
        adapter="openai",
        base_url="http://127.0.0.1:8000/v1",
        base_url_variables=("VLLM_BASE_URL",),
        key_variables=("VLLM_API_KEY",),
        needs_key=False,
    ),
    Vendor(
        name="lmstudio",
        adapter="openai",
        base_url="http://127.0.0.1:1234/v1",
        base_url_variables=("LMSTUDIO_BASE_URL",),
        key_variables=("LMSTUDIO_API_KEY",),
        needs_key=False,
    ),
)
VENDORS: Mapping[str, Vendor] = {row.name: row for row in _ROWS}

EMBEDDERS: Mapping[str, Vendor] = {
    "huggingface_tei": Vendor(  # text-embeddings-inference, whose /v1/embeddings is OpenAI's
        name="huggingface_tei",
        adapter="openai",
        base_url="http://127.0.0.1:8080/v1",
        base_url_variables=("TEI_BASE_URL",),
        needs_key=False,
    ),
}
"""Those that have embeddings, and no model to talk to."""


def vendor_of(model: str) -> Vendor | None:
    """The vendor a model's name stands for by itself, such as Anthropic for `claude-…`.

    A name with a slash has its maker in front, which need not be who serves it.
    """
    if "/" in model:
        return None
    return next((row for row in _ROWS if row.names and re.match(row.names, model)), None)


def endpoint_of(vendor: Vendor, base_url: str = "", api_key: str = "") -> Endpoint:
    """Where to reach the vendor: what is given, else the environment's, else its own address.

    Raises:
        ConfigError: there is no key and it wants one, or key or address is none.
    """
    url = base_url or vendor.address()
    if not re.match(r"https?://[^/\s]+", url):
        raise ConfigError(f"the address of {vendor.name!r} has to be an http(s) URL")
    key = api_key.strip() or vendor.key()
    if not key and vendor.needs_key:
        raise ConfigError(f"{vendor.name!r} needs a key: set {vendor.key_variable}")
    if not (key.isascii() and key.isprintable()):  # no header can hold it
        raise ConfigError(f"the key of {vendor.name!r} holds a character that no key has")
    given = bool(api_key.strip())
    return Endpoint(url, key or "none", "" if given else vendor.variable())


def _ollama_url(host: str) -> str:
    """The URL that `OLLAMA_HOST`, a host with or without a port, means; 0.0.0.0 is how its server says "all"."""
    name, _, port = host.strip("/").rpartition(":") if ":" in host else (host, "", "11434")
    return f"http://{'127.0.0.1' if name in ('0.0.0.0', '') else name}:{port}/v1"  # noqa: S104 - read, not bound


def _first(variables: tuple[str, ...]) -> str:
    return next((found for name in variables if (found := os.environ.get(name, "").strip())), "")
