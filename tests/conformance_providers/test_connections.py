"""Connections are shared by the calls of one loop and end with it."""

from __future__ import annotations

import asyncio
import gc

from aixgo.providers import ChatMessage, CompletionRequest
from tests.conformance_providers.dialects import Dialect
from tests.conformance_providers.wire import WireServer, as_events, as_json


def ask(dialect: Dialect) -> CompletionRequest:
    return CompletionRequest(model=dialect.model, messages=(ChatMessage("user", "hi"),))


async def talk(dialect: Dialect) -> tuple[int, int]:
    """Ask one new server thrice; how often it was asked, and over how many connections."""
    async with WireServer() as wire:
        whole = as_json(dialect.whole("yes"))
        wire.answers = [whole, as_events(*dialect.pieces("yes"), *dialect.end()), whole]
        provider = dialect.provider(wire.url)
        await provider.complete(ask(dialect))
        assert [piece async for piece in provider.stream(ask(dialect))]
        await dialect.provider(wire.url).complete(ask(dialect))
        return len(wire.asked), wire.connections


def test_calls_share_a_connection_and_a_loop_that_ends_leaves_none_open(dialect: Dialect) -> None:
    for _ in range(2):
        assert asyncio.run(talk(dialect)) == (3, 1)
    gc.collect()  # what was left open would be reported here, as an error


def test_a_provider_outlives_the_loop_it_was_first_used_on(dialect: Dialect) -> None:
    provider = dialect.provider("http://127.0.0.1:9")

    async def fail() -> str:
        try:
            await provider.complete(ask(dialect))
        except Exception as exc:
            return f"{type(exc).__name__} {getattr(exc, 'code', '')}"
        return ""

    assert [asyncio.run(fail()) for _ in range(2)] == ["ProviderUnavailable connection"] * 2
