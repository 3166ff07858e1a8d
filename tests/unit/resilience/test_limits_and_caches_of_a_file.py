"""Limits and caches in YAML: one of each per model service, whoever names it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aixgo.config import load_config, open_runtime
from aixgo.contract import Caller
from aixgo.errors import ConfigError, Throttled
from aixgo.message import Message
from tests.conformance_providers.dialects import Chat
from tests.conformance_providers.wire import WireServer, as_json


@pytest.fixture
async def wire() -> AsyncIterator[WireServer]:
    async with WireServer() as running:
        running.answers = [as_json(Chat().whole("first")), as_json(Chat().whole("second"))]
        yield running


def written(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text)
    return path


def two_agents(wire: WireServer, *, service: str = "{}", agent: str = "{}") -> str:
    """Agents `a` and `b` of one service, with those `resilience:` blocks."""
    entry = f"role: chat, model: main, prompt: be short, resilience: {agent}"
    return (
        "model_services:\n"
        f"  - {{name: main, provider: vllm, model: m, address: {wire.url}/v1, resilience: {service}}}\n"
        f"agents:\n  - {{name: a, {entry}}}\n  - {{name: b, {entry}}}\n"
    )


async def reply_of(rt: Caller, name: str, *, streaming: bool) -> Message:
    if not streaming:
        return await rt.call(name, "hi")
    async with rt.stream(name, "hi") as chunks:
        async for _ in chunks:
            pass
    assert chunks.final is not None
    return chunks.final


async def test_agents_of_a_service_share_its_limit(tmp_path: Path, wire: WireServer) -> None:
    text = two_agents(wire, service="{limiter: {requests_per_minute: 1, max_wait: 0}}")
    async with open_runtime(load_config(written(tmp_path, text))) as rt:
        await rt.call("a", "hi")
        with pytest.raises(Throttled):
            await rt.call("b", "hi")
    assert len(wire.asked) == 1


async def test_a_limit_of_an_agent_is_its_own(tmp_path: Path, wire: WireServer) -> None:
    text = two_agents(wire, agent="{limiter: {requests_per_minute: 1, max_wait: 0}}")
    async with open_runtime(load_config(written(tmp_path, text))) as rt:
        await rt.call("a", "hi")
        await rt.call("b", "hi")
        with pytest.raises(Throttled):
            await rt.call("a", "hi")
    assert len(wire.asked) == 2


@pytest.mark.parametrize("streaming", [False, True], ids=["call", "stream"])
async def test_agents_of_a_service_share_its_answers(
    tmp_path: Path, wire: WireServer, streaming: bool
) -> None:
    text = two_agents(wire, service="{cache: {ttl: 10m}}")
    async with open_runtime(load_config(written(tmp_path, text))) as rt:
        first = await rt.call("a", "hi")
        known = await reply_of(rt, "b", streaming=streaming)
    assert known.text == first.text == "first"
    assert known.metadata["cached"] is True
    assert known.metadata["saved_tokens"] == first.usage.tokens_total > 0
    assert not known.usage
    assert len(wire.asked) == 1


async def test_answers_an_agent_keeps_are_its_own(tmp_path: Path, wire: WireServer) -> None:
    text = two_agents(wire, agent="{cache: {}}")
    async with open_runtime(load_config(written(tmp_path, text))) as rt:
        texts = [(await rt.call(name, "hi")).text for name in ("a", "b", "a", "b")]
    assert texts == ["first", "second", "first", "second"]


async def test_a_known_answer_stands_before_the_limit_in_whichever_order_they_are_written(
    tmp_path: Path, wire: WireServer
) -> None:
    block = "{limiter: {requests_per_minute: 1, max_wait: 0}, cache: {}}"
    text = two_agents(wire, service=block)
    async with open_runtime(load_config(written(tmp_path, text))) as rt:
        for name in ("a", "b", "a"):
            assert (await rt.call(name, "hi")).text == "first"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("resilience: {cache: {}}", "resilience.cache: there is no such key here"),
        ("resilience: {limiter: {concurrency: 0}}", "concurrency is 0; it must be at least 1"),
    ],
)
def test_what_a_file_gets_wrong_is_named(tmp_path: Path, text: str, told: str) -> None:
    whole = f"{text}\nagents: [{{name: a, role: logger}}]\n"
    with pytest.raises(ConfigError, match=told):
        load_config(written(tmp_path, whole))
