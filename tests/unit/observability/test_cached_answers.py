"""What is seen of an answer that a cache gives again."""

from __future__ import annotations

import pytest

from aixgo import LocalRuntime
from aixgo.agents import ChatAgent
from aixgo.observability import setup
from aixgo.resilience import ResponseCache
from aixgo.testing import ScriptedProvider
from tests.otlp import Receiver


@pytest.mark.parametrize("streaming", [False, True], ids=["call", "stream"])
async def test_an_answer_from_the_cache_is_a_span_that_says_so_and_used_nothing(
    streaming: bool,
) -> None:
    chat = ChatAgent(
        "chat", model="m", provider=ScriptedProvider(["yes"]), middleware=[ResponseCache()]
    )
    with Receiver() as receiver:
        async with setup(exporter="otlp", endpoint=receiver.http), LocalRuntime(chat) as rt:
            for _ in range(2):
                if streaming:
                    async with rt.stream("chat", "hello") as chunks:
                        assert [chunk async for chunk in chunks]
                else:
                    assert (await rt.call("chat", "hello")).text == "yes"
        asked, again = (span for span in receiver.spans if span.name == "chat m")
        served = [span for span in receiver.spans if span.kind == "server"]
    assert "aixgo.cache.hit" not in asked.attributes
    assert asked.attributes["gen_ai.usage.input_tokens"] > 0
    assert again.attributes["aixgo.cache.hit"] is True
    assert again.attributes["gen_ai.response.model"] == asked.attributes["gen_ai.response.model"]
    assert "gen_ai.usage.input_tokens" not in again.attributes
    assert (asked.kind, again.kind) == ("client", "internal")
    assert again.parent_id == max(served, key=lambda span: span.began).span_id
