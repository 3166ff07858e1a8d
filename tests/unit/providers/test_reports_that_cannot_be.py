"""A provider of one's own that reports less than nothing, or parts of a token, gives no budget anything back."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from aixgo import Budget, LocalRuntime, Message, agent
from aixgo.agents import ChatAgent
from aixgo.context import CallContext
from aixgo.contract import Caller
from aixgo.errors import ConfigError, OutputInvalid, ProviderUnavailable
from aixgo.ledger import Usage
from aixgo.providers import ChatMessage, Completion, CompletionRequest, Delta, Model, as_provider

ALL = 1_000


class Wrong:
    """Reports `usage`, with its answer or, asked to, with its failure."""

    name = "offline"  # it costs nothing

    def __init__(self, usage: Usage) -> None:
        self._usage = usage

    async def complete(self, request: CompletionRequest) -> Completion:
        if request.text == "fail":
            error = ProviderUnavailable("busy", provider=self.name)
            error.usage = self._usage
            raise error
        return Completion(text="yes", model="m", provider=self.name, usage=self._usage)

    async def stream(self, request: CompletionRequest) -> AsyncIterator[Delta | Completion]:
        whole = await self.complete(request)
        yield Delta(whole.text)
        yield whole


WRONG = [
    ("tokens_prompt", -5),
    ("tokens_completion", -1),
    ("cost_nanos", -1_000_000),
    ("tokens_prompt", 0.5),
]


@pytest.mark.parametrize(("count", "value"), WRONG)
@pytest.mark.parametrize("text", ["hi", "fail"])
async def test_the_error_names_the_provider_and_the_count(
    count: str, value: int, text: str
) -> None:
    model = Model(as_provider(Wrong(Usage(**{count: value}))))
    with pytest.raises(OutputInvalid) as caught:
        await model.complete(CompletionRequest(model="m", messages=[ChatMessage("user", text)]))
    assert f"the provider 'offline' reported Usage({count}={value})" in str(caught.value)
    assert "a whole number from 0 up" in str(caught.value)


async def test_a_caller_is_told_whose_report_it_was() -> None:
    chat = ChatAgent("chat", provider=as_provider(Wrong(Usage(tokens_prompt=-5))))
    async with LocalRuntime(chat) as rt:
        with pytest.raises(OutputInvalid) as caught:
            await rt.call("chat", "hi")
    assert (caught.value.provider, caught.value.code) == ("offline", "usage_malformed")


async def test_a_stream_says_the_same_at_its_end() -> None:
    chat = ChatAgent("chat", provider=as_provider(Wrong(Usage(tokens_prompt=-5))))
    async with LocalRuntime(chat) as rt, rt.stream("chat", "hi") as chunks:
        pieces = aiter(chunks)
        assert (await anext(pieces)).content == "yes"
        with pytest.raises(OutputInvalid, match="reported a usage that cannot be"):
            await anext(pieces)


async def _call(caller: Caller, text: str) -> None:
    await caller.call("chat", text)


async def _read(caller: Caller, text: str) -> None:
    async with caller.stream("chat", text) as chunks:
        async for _ in chunks:
            pass


@pytest.mark.parametrize("text", ["hi", "fail"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_the_budget_pays_for_the_call_all_the_same(text: str, streamed: bool) -> None:
    left: list[int | None] = []

    @agent
    async def boss(message: Message, caller: Caller, context: CallContext) -> None:
        with pytest.raises(OutputInvalid):
            await (_read if streamed else _call)(caller, message.text)
        assert context.budget is not None
        left.append(context.budget.tokens)

    chat = ChatAgent("chat", provider=as_provider(Wrong(Usage(tokens_prompt=-5))))
    async with LocalRuntime(chat, boss) as rt:
        reply = await rt.call("boss", text, budget=Budget(tokens=ALL))
    assert left[0] is not None
    assert left[0] < ALL
    assert reply.usage.unsettled


async def test_an_agent_cannot_pay_itself_either() -> None:
    @agent
    async def thief(context: CallContext) -> None:
        with pytest.raises(ConfigError, match=r"Usage\(tokens_prompt=-5\): a count is"):
            context.charge(Usage(tokens_prompt=-5))

    async with LocalRuntime(thief) as rt:
        reply = await rt.call("thief", "hi", budget=Budget(tokens=ALL))
    assert not reply.usage
