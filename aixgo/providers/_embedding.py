"""Embeddings as they are used: a vendor's model by its name, asked in batches, paid before and charged after.

Below: base, pricing. Above: retrieval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from aixgo import pricing
from aixgo.context import CallContext
from aixgo.errors import ConfigError, MissingExtra, ProviderError
from aixgo.ledger import Usage
from aixgo.loading import load
from aixgo.providers._selection import without_password, written_address
from aixgo.providers.base import Embedder, Embeddings

__all__ = ["VendorEmbedder", "resolve_embedder"]

BATCH = 128  # texts of one request
PROMPT_MARGIN = 1.25  # about how many more tokens a vendor may count than we


class VendorEmbedder:
    """One model of a vendor's embeddings."""

    def __init__(self, embeddings: Embeddings, model: str) -> None:
        self.name = f"{embeddings.name}:{model}"
        self._embeddings = embeddings
        self._model = model

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """A vector for each of `texts`, in their order; each request is charged to the current call.

        Raises:
            ProviderError: the model did not answer.
            BudgetExceeded: the current call cannot pay for it; nothing was asked.
        """
        found: list[list[float]] = []
        for begin in range(0, len(texts), BATCH):
            found += await self._paid(texts[begin : begin + BATCH])
        return found

    async def _paid(self, texts: Sequence[str]) -> list[list[float]]:
        """Ask for one batch; what it may cost at most is held meanwhile."""
        provider = self._embeddings.name
        await pricing.prepare(provider)
        context = CallContext.maybe_current()
        purse = None if context is None else context.purse
        in_money = purse is not None and purse.in_money
        pricing.check_priced(self._model, provider, in_money=in_money)
        if context is None or purse is None:
            return await self._charged(texts, context)
        size = sum(len(text.encode("utf-8", "replace")) for text in texts)
        most = Usage(tokens_prompt=math.ceil(size / 4 * PROMPT_MARGIN) + len(texts), calls=1)
        most = replace(most, cost_nanos=pricing.cost_of(most, self._model, provider) or 0)
        amounts = (most.cost_nanos, most.tokens_total, most.calls)
        await purse.reserve(amounts, context.where)
        held = purse.hold(amounts)
        try:
            return await self._charged(texts, context)
        except BaseException as exc:
            if not isinstance(exc, ProviderError):  # left in the middle: nobody says what it used
                context.charge(replace(most, unsettled=True), self._model, provider)
            raise
        finally:
            purse.release(held)

    async def _charged(
        self, texts: Sequence[str], context: CallContext | None
    ) -> list[list[float]]:
        """Ask for one batch, and charge what it used, also when it failed."""
        usage = None
        try:
            vectors, usage = await self._embeddings.embed(self._model, texts)
        except ProviderError as exc:
            usage = exc.usage
            raise
        finally:
            if usage is not None and context is not None:
                priced = pricing.priced(usage, self._model, self._embeddings.name)
                context.charge(priced, self._model, self._embeddings.name)
        return vectors


def resolve_embedder(
    model: str, *, api_key: str = "", base_url: str = "", dimensions: int = 0
) -> Embedder:
    """The embeddings `vendor:name` or `vendor:name@URL` stands for, without any network.

    Args:
        model: the name.
        api_key: the vendor's key, by default the one in its variable.
        base_url: where its API is reached, by default where its variable says, or its own address.
        dimensions: how many numbers to ask for in each vector, of models that can be asked; by default the model's.

    Raises:
        ConfigError: there is no such vendor, it has no embeddings we can ask for, or there is no key for it.
        MissingExtra: its SDK is not installed.
    """
    vendor, url = written_address(model)
    name = model.removesuffix(f"@{url}").partition(":")[2]
    if vendor is None or not name:
        raise ConfigError(
            f"the embedding model {without_password(model)!r} does not tell its vendor and name; "
            "write for example 'openai:text-embedding-3-small', or 'hashing'"
        )
    try:
        adapter = getattr(load("providers", vendor.adapter), "EMBEDDINGS", None)
    except MissingExtra:
        raise MissingExtra(
            f"the embedding model {without_password(model)!r}", vendor.package
        ) from None
    if adapter is None:
        raise ConfigError(
            f"the embedding model {without_password(model)!r}: {vendor.name!r} has no embeddings"
        )
    try:
        made = adapter(vendor, base_url=url or base_url, api_key=api_key, dimensions=dimensions)
    except ConfigError as exc:
        raise ConfigError(f"the embedding model {without_password(model)!r}: {exc}") from exc
    return VendorEmbedder(cast("Embeddings", made), name)
