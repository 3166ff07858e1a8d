"""A provider of one's own may forget the call itself; a budget of calls does not."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from aixgo import Budget, LocalRuntime, Message, agent
from aixgo.agents import ChatAgent
from aixgo.contract import Caller
from aixgo.errors import AixgoError, BudgetExceeded, ProviderUnavailable
from aixgo.ledger import Usage
from aixgo.providers import Completion, CompletionRequest, Delta, as_provider


class Forgetful:
    """Answers, and reports tokens only; asked to fail, it reports those too."""

    name = "offline"  # it costs nothing
    asked = 0

    def __init__(self, calls: int = 0) -> None:
        self._usage = Usage(tokens_prompt=1, tokens_completion=1, calls=calls)

    async def complete(self, request: CompletionRequest) -> Completion:
        self.asked += 1
        if request.text == "fail":
            error = ProviderUnavailable("busy", provider=self.name)
            error.usage = self._usage
            raise error
        return Completion(text="yes", model="m", provider=self.name, usage=self._usage)

    async def stream(self, request: CompletionRequest) -> AsyncIterator[Delta | Completion]:
        whole = await self.complete(request)
        yield Delta(whole.text)
        yield whole


@agent
async def greedy(text: str, caller: Caller) -> None:
    for _ in range(10):
        try:
            await caller.call("chat", text)
        except BudgetExceeded:
            raise
        except AixgoError:
            pass


@agent
async def reader(text: str, caller: Caller) -> None:
    for _ in range(10):
        async with caller.stream("chat", text, share=1) as chunks:
            async for _ in chunks:
                pass


@pytest.mark.parametrize(
    ("boss", "text"),
    [(greedy, "hi"), (greedy, "fail"), (reader, "hi")],
    ids=["call", "failed", "stream"],
)
async def test_each_completion_takes_a_call_of_the_budget(boss: object, text: str) -> None:
    vendor = Forgetful()
    async with LocalRuntime(ChatAgent("chat", provider=as_provider(vendor)), boss) as rt:  # type: ignore[arg-type]
        with pytest.raises(BudgetExceeded) as caught:
            await rt.call(boss.name, Message(text), budget=Budget(calls=3))  # type: ignore[attr-defined]
    assert caught.value.limit == "model calls"
    assert vendor.asked == 3


async def test_a_provider_that_needed_several_calls_is_believed() -> None:
    chat = ChatAgent("chat", provider=as_provider(Forgetful(calls=4)))
    async with LocalRuntime(chat) as rt:
        reply = await rt.call("chat", "hi")
    assert reply.usage.calls == 4


async def test_nobody_gets_calls_back_from_a_provider_that_reports_less_than_none() -> None:
    chat = ChatAgent("chat", provider=as_provider(Forgetful(calls=-4)))
    async with LocalRuntime(chat) as rt:
        reply = await rt.call("chat", "hi")
    assert reply.usage.calls == 1
