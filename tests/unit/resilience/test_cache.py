"""A cache in front of a model, over calls and streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace

import pytest

from aixgo import Budget, LocalRuntime, agent
from aixgo.context import CallContext
from aixgo.errors import BudgetExceeded, ConfigError, ProviderUnavailable
from aixgo.ledger import Usage
from aixgo.providers import (
    ChatMessage,
    Completion,
    CompletionRequest,
    Delta,
    Model,
    ToolCall,
    ToolSpec,
)
from aixgo.resilience import Fallback, Limiter, ResponseCache
from aixgo.testing import FakeClock, ScriptedProvider

BOUND = 5.0  # seconds after which a wait that should end counts as a hang
both = pytest.mark.parametrize("streaming", [False, True], ids=["call", "stream"])

REQUEST = CompletionRequest(
    model="m",
    messages=(ChatMessage("user", "hello"),),
    output_schema={"type": "object", "properties": {"a": {}, "b": {}}},
)


async def use(
    model: Model, streaming: bool = False, request: CompletionRequest = REQUEST
) -> Completion:
    if not streaming:
        return await model.complete(request)
    items = [item async for item in model.stream(request)]
    final = items[-1]
    assert isinstance(final, Completion)
    assert "".join(item.content for item in items if isinstance(item, Delta)) == final.text
    return final


def numbered() -> ScriptedProvider:
    """Answers that differ."""
    return ScriptedProvider([f"answer {number}" for number in range(50)])


class Held:
    """A provider whose answers wait for `go`, and are then of `stop`, or `error`."""

    name = "held"

    def __init__(self, error: Exception | None = None, stop: str = "end") -> None:
        self.go = asyncio.Event()
        self.asked = 0
        self.error = error
        self.stop = stop

    async def complete(self, request: CompletionRequest) -> Completion:
        self.asked += 1
        await self.go.wait()
        if self.error is not None:
            raise self.error
        usage = Usage(tokens_prompt=3, calls=1)
        return Completion(
            text="x",
            model="m",
            provider="held",
            usage=usage,
            stop_reason=self.stop,  # type: ignore[arg-type]
        )

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


async def together(
    model: Model, held: Held, streaming: bool, count: int = 3
) -> list[Completion | BaseException]:
    """Equal calls at the same time, answered once all wait."""
    tasks = [asyncio.ensure_future(use(model, streaming)) for _ in range(count)]
    await turns()
    held.go.set()
    async with asyncio.timeout(BOUND):
        return await asyncio.gather(*tasks, return_exceptions=True)


@both
@pytest.mark.parametrize("first", [False, True], ids=["after-a-call", "after-a-stream"])
async def test_an_equal_request_gets_the_same_answer_at_no_cost(
    streaming: bool, first: bool
) -> None:
    provider, cache = numbered(), ResponseCache()
    model = Model(provider, [cache])
    asked = await use(model, first)
    known = await use(model, streaming)
    assert known.text == asked.text == "answer 0"
    assert len(provider.requests) == 1
    assert not known.usage
    assert known.facts() == {
        "model": "m",
        "provider": "scripted",
        "cached": True,
        "saved_tokens": 15,
        "saved_usd": 0.0,
    }
    assert "cached" not in asked.facts()
    assert (cache.stats().hits, cache.stats().misses) == (1, 1)
    assert cache.stats().saved.tokens_total == 15


@both
async def test_what_a_reader_does_to_its_usage_does_not_change_what_was_saved(
    streaming: bool,
) -> None:
    model = Model(numbered(), [ResponseCache()])
    for _ in range(2):
        (await use(model, streaming)).usage.add(Usage(tokens_prompt=1_000, calls=1))
    known = await use(model, streaming)
    assert known.notes["saved_tokens"] == 15
    assert not known.usage


@pytest.mark.parametrize(
    "other",
    [
        replace(REQUEST, model="n"),
        replace(REQUEST, messages=(ChatMessage("user", "hello "),)),
        replace(REQUEST, instructions="be short"),
        replace(REQUEST, temperature=0),
        replace(REQUEST, max_tokens=5),
        replace(REQUEST, seed=1),
        replace(REQUEST, extra={"user": "x"}),
        replace(REQUEST, tools=(ToolSpec(name="t"),)),
        replace(REQUEST, output_schema={"type": "object", "properties": {"b": {}, "a": {}}}),
    ],
    ids=lambda request: next(
        name
        for name in request.__dataclass_fields__
        if getattr(request, name) != getattr(REQUEST, name) or name == "output_schema"
    ),
)
async def test_a_request_that_differs_anywhere_is_asked(other: CompletionRequest) -> None:
    model = Model(numbered(), [ResponseCache()])
    await use(model)
    assert (await use(model, request=other)).text == "answer 1"


async def test_providers_that_share_a_cache_do_not_share_answers() -> None:
    cache = ResponseCache()
    await use(Model(ScriptedProvider(["here"]), [cache]))
    assert (await use(Model(ScriptedProvider(["there"]), [cache]))).text == "there"


@pytest.mark.parametrize("whose", ["tenant", "principal"])
async def test_nobody_gets_the_answer_to_somebody_else(whose: str) -> None:
    model = Model(numbered(), [ResponseCache()])
    texts: list[str] = []

    @agent
    async def asks(text: str) -> str:
        setattr(CallContext.current(), whose, text)
        texts.append((await use(model)).text)
        return text

    async with LocalRuntime(asks) as rt:
        for name in ("ann", "bob", "ann"):
            await rt.call("asks", name)
    assert texts == ["answer 0", "answer 1", "answer 0"]


@both
async def test_a_temperature_is_asked_each_time_unless_the_cache_is_told_otherwise(
    streaming: bool,
) -> None:
    request = replace(REQUEST, temperature=0.7)
    cache = ResponseCache()
    model = Model(numbered(), [cache])
    await use(model, streaming, request)
    assert (await use(model, streaming, request)).text == "answer 1"
    assert (cache.stats().passed, cache.stats().misses) == (2, 0)
    model = Model(numbered(), [ResponseCache(sampled=True)])
    await use(model, streaming, request)
    assert (await use(model, streaming, request)).text == "answer 0"


@both
async def test_an_answer_holds_from_when_it_was_written_however_often_it_is_used(
    streaming: bool,
) -> None:
    clock = FakeClock()
    cache = ResponseCache(ttl=10, clock=clock)
    model = Model(numbered(), [cache])
    await use(model, streaming)
    await clock.advance(9)
    assert (await use(model, streaming)).text == "answer 0"
    await clock.advance(1)
    assert (await use(model, streaming)).text == "answer 1"
    assert (cache.stats().expired, cache.stats().entries) == (1, 1)


async def test_the_answer_that_was_used_longest_ago_makes_room() -> None:
    cache = ResponseCache(max_entries=2)
    model = Model(numbered(), [cache])
    one, two, three = (replace(REQUEST, instructions=text) for text in "123")
    for request in (one, two, one, three):
        await use(model, request=request)
    assert (await use(model, request=one)).text == "answer 0"
    assert (await use(model, request=two)).text == "answer 3"
    assert cache.stats().evictions == 2


@both
async def test_answers_take_no_more_room_than_they_may(streaming: bool) -> None:
    long = "x" * 10_000
    cache = ResponseCache(max_bytes=25_000)
    model = Model(ScriptedProvider([long], cycle=True), [cache])
    for text in "123":
        await use(model, streaming, replace(REQUEST, instructions=text))
    assert cache.stats().entries == 2
    assert 20_000 < cache.stats().bytes <= 25_000


@both
async def test_an_answer_larger_than_the_cache_pushes_nothing_out(streaming: bool) -> None:
    cache = ResponseCache(max_bytes=5_000)
    model = Model(ScriptedProvider(["short", "x" * 10_000]), [cache])
    await use(model, streaming)
    await use(model, streaming, replace(REQUEST, instructions="long"))
    assert (cache.stats().entries, cache.stats().evictions) == (1, 0)


@both
async def test_an_error_is_not_kept(streaming: bool) -> None:
    model = Model(ScriptedProvider([ProviderUnavailable("down"), "up"]), [ResponseCache()])
    with pytest.raises(ProviderUnavailable):
        await use(model, streaming)
    assert (await use(model, streaming)).text == "up"


@both
async def test_an_answer_that_calls_a_tool_is_not_kept(streaming: bool) -> None:
    provider = ScriptedProvider([ToolCall("1", "t"), "done"])
    model = Model(provider, [ResponseCache()])
    await use(model, streaming)
    assert (await use(model, streaming)).text == "done"


@both
@pytest.mark.parametrize("stop", ["max_tokens", "filtered"])
async def test_an_answer_that_was_cut_off_is_not_kept(streaming: bool, stop: str) -> None:
    held = Held(stop=stop)
    held.go.set()
    model = Model(held, [ResponseCache()])
    await use(model, streaming)
    await use(model, streaming)
    assert held.asked == 2


async def test_a_stream_that_was_left_is_not_kept() -> None:
    model = Model(numbered(), [ResponseCache()])
    pieces = model.stream(REQUEST)
    await anext(pieces)
    await pieces.aclose()  # type: ignore[attr-defined]
    assert (await use(model)).text == "answer 1"


@both
async def test_the_answer_of_a_stand_in_is_not_kept(streaming: bool) -> None:
    first = ScriptedProvider([ProviderUnavailable("down"), "the real one"])
    model = Model(first, [ResponseCache(), Fallback([ScriptedProvider(["a stand-in"])])])
    assert (await use(model, streaming)).text == "a stand-in"
    assert (await use(model, streaming)).text == "the real one"


@both
async def test_equal_requests_at_the_same_time_are_one(streaming: bool) -> None:
    held, cache = Held(), ResponseCache()
    replies = await together(Model(held, [cache]), held, streaming)
    assert held.asked == 1
    assert sorted(r.usage.calls for r in replies if isinstance(r, Completion)) == [0, 0, 1]
    assert (cache.stats().joined, cache.stats().hits, cache.stats().misses) == (2, 2, 1)


@both
async def test_the_error_of_the_one_that_asked_is_everybodys_and_charged_once(
    streaming: bool,
) -> None:
    error = ProviderUnavailable("down", provider="held", code="overloaded")
    error.usage = Usage(tokens_prompt=3, calls=1)
    held = Held(error)
    replies = await together(Model(held, [ResponseCache()]), held, streaming)
    assert held.asked == 1
    assert [str(reply) for reply in replies] == ["down"] * 3
    assert [getattr(reply, "code", "") for reply in replies] == ["overloaded"] * 3
    assert len([reply for reply in replies if reply.usage]) == 1  # type: ignore[union-attr]


@both
async def test_an_answer_that_cannot_be_kept_sends_those_who_waited_to_ask_at_once(
    streaming: bool,
) -> None:
    held = Held(stop="max_tokens")
    await together(Model(held, [ResponseCache()]), held, streaming)
    assert held.asked == 3


@both
async def test_when_the_one_that_asked_is_cancelled_the_next_asks_for_all(streaming: bool) -> None:
    held, cache = Held(), ResponseCache()
    model = Model(held, [cache])
    first = asyncio.ensure_future(use(model, streaming))
    await turns()
    others = asyncio.gather(together(model, held, streaming), _cancel(first))
    replies = (await others)[0]
    assert held.asked == 2
    assert [reply.text for reply in replies if isinstance(reply, Completion)] == ["x"] * 3


async def _cancel(task: asyncio.Future[Completion]) -> None:
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel()


@both
async def test_when_all_are_cancelled_at_once_the_next_request_waits_for_nobody(
    streaming: bool,
) -> None:
    held = Held()
    model = Model(held, [ResponseCache()])
    tasks = [asyncio.ensure_future(use(model, streaming)) for _ in range(3)]
    await turns()
    tasks[0].cancel()
    for _ in range(3):  # the others are cancelled as they come to lead
        await asyncio.sleep(0)
        tasks[1].cancel()
        tasks[2].cancel()
    await asyncio.wait(tasks, timeout=BOUND)
    held.go.set()
    assert (await asyncio.wait_for(use(model, streaming), BOUND)).text == "x"


async def test_whoever_waits_for_a_stream_nobody_reads_asks_in_the_end() -> None:
    clock = FakeClock()
    provider = numbered()
    model = Model(provider, [ResponseCache(max_wait=5, clock=clock)])
    pieces = model.stream(REQUEST)
    await anext(pieces)
    waiting = asyncio.ensure_future(use(model))
    await turns()
    assert len(provider.requests) == 1
    await clock.advance(5)
    assert (await asyncio.wait_for(waiting, BOUND)).text == "answer 1"
    assert len(provider.requests) == 2
    await pieces.aclose()  # type: ignore[attr-defined]


async def in_a_call(work: Callable[[], Awaitable[object]], budget: Budget) -> Usage:
    @agent
    async def asks(text: str) -> str:
        await work()
        return text

    async with LocalRuntime(asks) as rt:
        return (await rt.call("asks", "x", budget=budget)).usage


@both
async def test_a_known_answer_needs_no_budget(streaming: bool) -> None:
    model = Model(numbered(), [ResponseCache()])
    with pytest.raises(BudgetExceeded):
        await in_a_call(lambda: use(model, streaming), Budget(calls=0))
    await use(model, streaming)
    assert not await in_a_call(lambda: use(model, streaming), Budget(calls=0))


@both
async def test_a_known_answer_takes_nothing_of_a_limit(streaming: bool) -> None:
    limiter = Limiter(requests_per_minute=1)
    model = Model(numbered(), [ResponseCache(), limiter])
    for _ in range(3):
        await use(model, streaming)
    assert limiter.stats().admitted == 1


async def test_a_replayed_stream_has_the_thinking_too() -> None:
    class Thinks(ScriptedProvider):
        async def stream(self, request: CompletionRequest) -> AsyncIterator[Delta | Completion]:
            yield Delta(thinking="hm")
            async for piece in super().stream(request):
                yield piece

    model = Model(Thinks(["yes"]), [ResponseCache()])
    await use(model, streaming=True)
    pieces = [item async for item in model.stream(REQUEST) if isinstance(item, Delta)]
    assert pieces == [Delta(thinking="hm"), Delta("yes")]


async def test_what_no_text_can_stand_for_is_asked_each_time() -> None:
    cache = ResponseCache()
    request = replace(REQUEST, extra={"x": object()})  # type: ignore[dict-item]
    await use(Model(numbered(), [cache]), request=request)
    assert cache.stats().passed == 1


async def test_a_cache_in_front_of_agents_says_where_it_belongs() -> None:
    @agent
    async def echo(text: str) -> str:
        return text

    async with LocalRuntime(echo, middleware=[ResponseCache()]) as rt:
        with pytest.raises(ConfigError, match="give it to the model"):
            await rt.call("echo", "x")


@pytest.mark.parametrize(
    "wrong",
    [
        {"ttl": 0},
        {"ttl": float("nan")},
        {"max_entries": 0},
        {"max_entries": True},
        {"max_bytes": 1.5},
        {"max_wait": -1},
    ],
    ids=str,
)
def test_a_setting_out_of_bounds_is_named(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        ResponseCache(**wrong)  # type: ignore[arg-type]
