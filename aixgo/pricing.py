"""What a model's tokens cost: dated prices, in integer nano-dollars.

A price is looked for in this order: what the user said, our own overrides, and the package `genai-prices`, which
comes with the extras of the vendors. Without that package the first two still hold. Providers that run on
one's own machine cost nothing, and say so here; any other model without a price is *unpriced*, which is never
taken for free: see `OnUnpriced`.

The prices in force belong to the process (`install`), since they are facts about vendors and not about an agent.

Below: errors, ledger. Above: providers, which price every attempt, and config, which reads users' prices.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from aixgo.errors import ConfigError, RequestRejected
from aixgo.ledger import NANOS_PER_USD, Usage

if TYPE_CHECKING:
    from genai_prices.types import PriceCalculation

__all__ = [
    "OnUnpriced",
    "Price",
    "Prices",
    "check_priced",
    "cost_of",
    "install",
    "price_of",
    "prepare",
    "priced",
    "prices",
]

log = logging.getLogger("aixgo.providers")

MILLION = 1_000_000  # tokens a price is for

OnUnpriced: TypeAlias = Literal["error", "allow", "estimate"]
"""What becomes of a call of a model without a price: it is refused; it is made and counted without money, with
one warning per model; or it is charged like the dearest models there are."""

FREE = frozenset({"offline", "ollama", "vllm", "lmstudio", "huggingface_tei"})
"""Providers whose models run on one's own machine."""

LIBRARY = {
    "openai": "openai",
    "anthropic": "anthropic",
    "xai": "x-ai",
    "gemini": "google",
    "deepseek": "deepseek",
    "moonshot": "moonshotai",
    "mistral": "mistral",
    "openrouter": "openrouter",
}
"""Our provider → what genai-prices calls it."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Price:
    """Nano-dollars per million tokens.

    Prompt tokens read from the vendor's cache cost `cached`, those put into it `cache_write`, instead of `prompt`
    and not besides it.

    Raises:
        ConfigError: a price is negative.
    """

    prompt: int
    completion: int
    cached: int | None = None
    """None: like any other prompt token."""
    cache_write: int | None = None
    """None: like any other prompt token."""
    since: str = ""
    """The day the price was noted, for people."""

    def __post_init__(self) -> None:
        for name in ("prompt", "completion", "cached", "cache_write"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ConfigError(f"Price({name}={value}): a price is not negative")

    @classmethod
    def usd(
        cls,
        prompt: float,
        completion: float,
        cached: float | None = None,
        since: str = "",
        cache_write: float | None = None,
    ) -> Price:
        """A price in dollars per million tokens, as vendors print it."""
        return cls(
            prompt=round(prompt * NANOS_PER_USD),
            completion=round(completion * NANOS_PER_USD),
            cached=None if cached is None else round(cached * NANOS_PER_USD),
            cache_write=None if cache_write is None else round(cache_write * NANOS_PER_USD),
            since=since,
        )

    def cost(self, usage: Usage) -> int:
        """Nano-dollars for those tokens, rounded up. Reasoning is part of the completion and paid once."""
        cached, written = _cache_parts(usage)
        total = (
            (usage.tokens_prompt - cached - written) * self.prompt
            + cached * (self.prompt if self.cached is None else self.cached)
            + written * (self.prompt if self.cache_write is None else self.cache_write)
            + usage.tokens_completion * self.completion
        )
        return -(-total // MILLION)


def _cache_parts(usage: Usage) -> tuple[int, int]:
    """The prompt's tokens read from the cache and put into it, together no more than the prompt has."""
    cached = min(usage.tokens_cached, usage.tokens_prompt)
    return cached, min(usage.tokens_cache_write, usage.tokens_prompt - cached)


OVERRIDES: Mapping[str, Price] = {
    "xai:grok-beta": Price.usd(5, 15, since="2024-11-04"),
    "deepseek:deepseek-coder": Price.usd(0.14, 0.28, cached=0.014, since="2024-08-02"),
}
"""Models that genai-prices does not know, by `provider:model`."""

DEAREST = Price.usd(30, 120)
"""What `on_unpriced="estimate"` charges: above the list price of nearly all models there are."""

NOTHING = Price(prompt=0, completion=0)


@dataclass(slots=True, frozen=True, kw_only=True)
class Prices:
    """The prices in force in a process, beside those the package knows.

    `own` maps `provider:model`, or `provider:*` for all of its models, to a price and goes before everything else.
    `on_unpriced` None means "allow", but refuses unpriced models to calls that have a budget in money.
    """

    own: Mapping[str, Price] = field(default_factory=dict)
    on_unpriced: OnUnpriced | None = None

    def __post_init__(self) -> None:
        if self.on_unpriced is not None and self.on_unpriced not in get_args(OnUnpriced):
            raise ConfigError(
                f"on_unpriced is {self.on_unpriced!r}, not one of {', '.join(get_args(OnUnpriced))}"
            )


_in_force = Prices()


def install(given: Prices) -> None:
    """Put `given` into force in this process; what was in force before is gone."""
    global _in_force  # noqa: PLW0603 - one table per process, see above
    _in_force = given


def prices() -> Prices:
    """What is in force."""
    return _in_force


async def prepare(provider: str) -> None:
    """Load what `cost_of` needs for the models of `provider`, off the loop's thread: it takes half a second once."""
    if provider in LIBRARY and not _library.cache_info().currsize:
        await asyncio.to_thread(_library)


def price_of(model: str, provider: str) -> Price | None:
    """The price of a model's first tokens, or None when it has none. `models` shows it."""
    listed = _listed(model, provider)
    if listed is not None:
        return listed
    prompt = _library_cost(Usage(tokens_prompt=1_000), model, provider)
    if prompt is None:
        return None
    completion = _library_cost(Usage(tokens_completion=1_000), model, provider) or 0
    read = Usage(tokens_prompt=1_000, tokens_cached=1_000)
    written = Usage(tokens_prompt=1_000, tokens_cache_write=1_000)
    return Price(
        prompt=prompt * 1_000,
        completion=completion * 1_000,
        cached=(_library_cost(read, model, provider) or 0) * 1_000,
        cache_write=(_library_cost(written, model, provider) or 0) * 1_000,
    )


def cost_of(usage: Usage, model: str, provider: str) -> int | None:
    """Nano-dollars for the tokens of one model call, or None when the model is unpriced.

    Prices that rise with the length of a prompt, or change with the hour, are those of this call.
    """
    listed = _listed(model, provider)
    if listed is not None:
        return listed.cost(usage)
    cost = _library_cost(usage, model, provider)
    if cost is None and _in_force.on_unpriced == "estimate":
        return DEAREST.cost(usage)
    return cost


def check_priced(model: str, provider: str, *, in_money: bool) -> None:
    """Refuse a model without a price where that was chosen; `in_money` says that a budget in money is in force.

    Raises:
        RequestRejected: nothing was asked; the text says what to do.
    """
    chosen = _in_force.on_unpriced
    if chosen in ("allow", "estimate") or (chosen is None and not in_money):
        return
    if cost_of(Usage(tokens_prompt=1), model, provider) is None:
        why = "on_unpriced is 'error'" if chosen else "the call has a budget in money"
        raise RequestRejected(
            f"{provider}:{model} has no price, and {why}; give it one under 'prices:', or choose "
            "on_unpriced: allow or estimate",
            provider=provider,
            code="unpriced",
            model=model,
        )


def priced(usage: Usage, model: str, provider: str, asked: str = "") -> Usage:
    """`usage` with its cost, unless its provider named one already.

    Args:
        usage: what one model call used.
        model: the model that answered.
        provider: whose it is.
        asked: the model that was asked for, which has the price when the one that answered has none.
    """
    if usage.cost_nanos or not usage.tokens_total:
        return usage
    cost = _known(usage, model, provider)
    if cost is None and asked and asked != model:
        cost = _known(usage, asked, provider)
    if cost is None:
        cost = cost_of(usage, model, provider)
    if cost is None:
        _warn_unpriced(model, provider)
    return replace(usage, cost_nanos=cost) if cost else usage


def _known(usage: Usage, model: str, provider: str) -> int | None:
    listed = _listed(model, provider)
    return listed.cost(usage) if listed is not None else _library_cost(usage, model, provider)


def _listed(model: str, provider: str) -> Price | None:
    """The price a user or we have given."""
    name = f"{provider}:{model}"
    own = _in_force.own
    found = own.get(name) or own.get(f"{provider}:*") or OVERRIDES.get(name)
    return NOTHING if found is None and provider in FREE else found


def _library_cost(usage: Usage, model: str, provider: str) -> int | None:
    library, known = _library(), LIBRARY.get(provider)
    if library is None or known is None:
        return None
    from genai_prices import Usage as LibraryUsage

    cached, written = _cache_parts(usage)
    counted = LibraryUsage(
        input_tokens=usage.tokens_prompt,
        output_tokens=usage.tokens_completion,
        cache_read_tokens=cached,
        cache_write_tokens=written,
    )
    try:
        total = library(counted, model, provider_id=known).total_price
    except (LookupError, ValueError):  # a model it does not know, or one not sold by the token
        return None
    return math.ceil(total * NANOS_PER_USD)


@cache
def _library() -> Callable[..., PriceCalculation] | None:
    """What computes a price from the package's table, or None without the package."""
    try:
        from genai_prices import calc_price
    except ImportError:
        return None
    return calc_price


@cache
def _warn_unpriced(model: str, provider: str) -> None:
    """Say once per process and model that its cost is not counted."""
    log.warning(
        "%s:%s has no price, so its calls count tokens and no money; give it one under 'prices:'",
        provider,
        model,
    )
