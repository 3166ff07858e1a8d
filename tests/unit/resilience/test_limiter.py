"""A limiter in front of a model and of agents, over calls and streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from aixgo import Caller, LocalRuntime, agent
from aixgo.errors import CallTooLarge, ConfigError, ProviderUnavailable, QueueFull
from aixgo.ledger import Usage
from aixgo.providers import ChatMessage, Completion, CompletionRequest, Delta, Model
from aixgo.resilience.limiter import Limiter
from aixgo.testing import FakeClock, ScriptedProvider

BOUND = 5.0  # seconds after which a wait that should end counts as a hang
both = pytest.mark.parametrize("streaming", [False, True], ids=["call", "stream"])


def asked(max_tokens: int | None = 10) -> CompletionRequest:
    return CompletionRequest(
        model="m", messages=(ChatMessage("user", "hello"),), max_tokens=max_tokens
    )


async def use(model: Model, streaming: bool, request: CompletionRequest | None = None) -> None:
    request = request or asked()
    if streaming:
        async for _ in model.stream(request):
            pass
    else:
        await model.complete(request)


class Held:
    """A provider whose answers wait for `go`."""

    name = "held"

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.running = 0

    async def complete(self, request: CompletionRequest) -> Completion:
        self.running += 1
        try:
            await self.go.wait()
        finally:
            self.running -= 1
        return Completion(text="x", model="m", provider="held", usage=Usage(calls=1))

    async def stream(self, request: CompletionRequest) -> AsyncIterator[Delta | Completion]:
        completion = await self.complete(request)
        yield Delta("x")
        yield completion

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def models(self) -> Sequence[str]:
        return ()


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@both
async def test_only_so_many_calls_of_a_model_run_at_a_time(streaming: bool) -> None:
    provider, limiter = Held(), Limiter(concurrency=2)
    model = Model(provider, [limiter])
    async with asyncio.timeout(BOUND), asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(use(model, streaming))
        await turns()
        assert provider.running == 2
        assert limiter.stats().waiting == 3
        provider.go.set()
    assert limiter.stats().running == 0


@both
async def test_a_request_too_many_goes_out_when_a_minute_has_passed(streaming: bool) -> None:
    clock = FakeClock()
    provider = ScriptedProvider(["x"], cycle=True)
    model = Model(provider, [Limiter(requests_per_minute=1, clock=clock)])
    await use(model, streaming)
    async with asyncio.timeout(BOUND), asyncio.TaskGroup() as group:
        group.create_task(use(model, streaming))
        await turns()
        await clock.advance(59)
        await turns()
        assert len(provider.requests) == 1
        await clock.advance(1)
    assert len(provider.requests) == 2


@both
async def test_what_an_answer_did_not_use_of_its_estimate_is_free_at_once(streaming: bool) -> None:
    limiter = Limiter(tokens_per_minute=1_000)
    usage = Usage(tokens_prompt=10, tokens_completion=5, calls=1)
    await use(Model(ScriptedProvider(["x"], usage=usage), [limiter]), streaming, asked(500))
    assert limiter.stats().tokens_left == 985


@both
async def test_a_call_that_never_fits_is_refused_before_anything_is_asked(streaming: bool) -> None:
    provider = ScriptedProvider(["x"])
    with pytest.raises(CallTooLarge, match="max_tokens"):
        await use(Model(provider, [Limiter(tokens_per_minute=100)]), streaming, asked(500))
    assert not provider.requests


@both
async def test_a_failed_call_gives_back_its_slot_and_its_tokens(streaming: bool) -> None:
    limiter = Limiter(concurrency=1, tokens_per_minute=100)
    with pytest.raises(ProviderUnavailable):
        await use(Model(ScriptedProvider([ProviderUnavailable()]), [limiter]), streaming)
    assert limiter.stats().running == 0
    assert limiter.stats().tokens_left == 100


@both
async def test_a_cancelled_call_gives_back_its_slot_in_line_and_running(streaming: bool) -> None:
    provider, limiter = Held(), Limiter(concurrency=1)
    tasks = [asyncio.ensure_future(use(Model(provider, [limiter]), streaming)) for _ in range(2)]
    await turns()
    for task in reversed(tasks):
        task.cancel()
    await asyncio.wait(tasks, timeout=BOUND)
    assert (limiter.stats().running, limiter.stats().waiting) == (0, 0)


@both
async def test_a_full_line_turns_calls_away(streaming: bool) -> None:
    provider = Held()
    model = Model(provider, [Limiter(concurrency=1, max_waiting=0)])
    first = asyncio.ensure_future(use(model, streaming))
    await turns()
    with pytest.raises(QueueFull):
        await use(model, streaming)
    provider.go.set()
    await asyncio.wait_for(first, BOUND)


async def test_a_stream_that_is_left_gives_back_its_slot() -> None:
    limiter = Limiter(concurrency=1)
    pieces = Model(ScriptedProvider(["x"]), [limiter]).stream(asked())
    await anext(aiter(pieces))
    assert limiter.stats().running == 1
    await pieces.aclose()  # type: ignore[attr-defined]
    assert limiter.stats().running == 0


@agent
async def echo(text: str) -> str:
    return text


@agent
async def asks(text: str, caller: Caller) -> str:
    return (await caller.call("echo", text)).text


@both
async def test_a_call_made_inside_one_that_holds_a_slot_does_not_wait_for_itself(
    streaming: bool,
) -> None:
    limiter = Limiter(concurrency=1)
    async with asyncio.timeout(BOUND), LocalRuntime(echo, asks, middleware=[limiter]) as rt:
        if streaming:
            async with rt.stream("asks", "x") as chunks:
                assert [chunk.content async for chunk in chunks] == ["x"]
        else:
            assert (await rt.call("asks", "x")).text == "x"
    assert limiter.stats().running == 0


async def test_tokens_cannot_be_limited_in_front_of_agents() -> None:
    async with LocalRuntime(echo, middleware=[Limiter(tokens_per_minute=100)]) as rt:
        with pytest.raises(ConfigError, match="give it to the model"):
            await rt.call("echo", "x")


@pytest.mark.parametrize(
    "wrong",
    [{}, {"concurrency": 0}, {"requests_per_minute": 1.5}, {"concurrency": 1, "max_waiting": -1}],
)
def test_a_wrong_limit_is_named(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="Limiter"):
        Limiter(**wrong)
