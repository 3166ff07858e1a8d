"""What every vendor has to do, in the fewest tokens that show it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from aixgo import Budget, LocalRuntime, Message, tool
from aixgo.agents import ChatAgent
from aixgo.errors import RequestRejected
from tests.live.conftest import ANSWER, TOKENS, Asked

pytestmark = pytest.mark.timeout(120)  # vendors are slow at times

BUDGET = Budget(tokens=TOKENS, calls=3)
CAPITAL = "What is the capital of France? Answer in a sentence."
WEATHER = (
    "What is the weather in two cities, Rome and Oslo? Look up each, then say which is warmer."
)
CITY = "Name a city as JSON."


@tool
async def weather(city: str) -> str:
    """Today's weather in a city."""
    return "20 °C" if "rome" in city.lower() else "10 °C"


@dataclass
class City:
    city: str


def agent(vendor: Asked, **more: object) -> ChatAgent:
    return ChatAgent("chat", model=vendor.model, max_tokens=ANSWER, **more)  # type: ignore[arg-type]


async def ask(agent: ChatAgent, text: str) -> Message:
    async with LocalRuntime(agent) as rt:
        return await rt.call("chat", text, timeout=100, budget=BUDGET)


async def test_a_question_is_answered_and_its_tokens_are_counted(vendor: Asked) -> None:
    reply = await ask(agent(vendor), CAPITAL)
    assert "Paris" in reply.text
    assert reply.metadata["provider"] == vendor.vendor.name
    assert reply.usage.calls == 1
    assert min(reply.usage.tokens_prompt, reply.usage.tokens_completion) > 0


async def test_a_stream_has_the_shape_of_the_whole(vendor: Asked) -> None:
    whole = await ask(agent(vendor), CAPITAL)
    async with (
        LocalRuntime(agent(vendor)) as rt,
        rt.stream("chat", CAPITAL, timeout=100, budget=BUDGET, share=1) as chunks,
    ):
        pieces = [chunk async for chunk in chunks if chunk.type == "content"]
        final = chunks.final
    assert final is not None
    assert len(pieces) > 1
    assert "".join(piece.content for piece in pieces) == final.text
    assert "Paris" in final.text
    assert set(final.metadata) == set(whole.metadata)
    assert final.metadata["model"] == whole.metadata["model"]
    assert min(final.usage.tokens_prompt, final.usage.tokens_completion) > 0


async def test_the_models_tools_are_called_and_their_results_used(vendor: Asked) -> None:
    reply = await ask(agent(vendor, tools=[weather]), WEATHER)
    assert reply.metadata["tool_calls"] == ["weather", "weather"]  # in one round or in two
    assert "Rome" in reply.text


async def test_an_answer_has_the_shape_that_was_asked_for(vendor: Asked) -> None:
    reply = await ask(agent(vendor, output=City), CITY)
    assert isinstance(reply.payload, dict)
    assert isinstance(reply.payload["city"], str)
    assert reply.payload["city"]


async def test_a_model_that_does_not_exist_is_an_error_that_says_so(vendor: Asked) -> None:
    wrong = ChatAgent("chat", model=f"{vendor.vendor.name}:no-such-model", max_tokens=ANSWER)
    with pytest.raises(RequestRejected) as caught:
        await ask(wrong, CAPITAL)
    assert caught.value.code == "model_not_found"
    key = vendor.vendor.key()
    assert not key or key not in str(caught.value)
