"""MapReduce."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from aixgo import Budget, CallContext, Message, Usage, agent
from aixgo.errors import (
    AgentFailed,
    AgentRefused,
    BudgetExceeded,
    ConfigError,
    LimitExceeded,
    ProviderUnavailable,
)
from aixgo.message import JSONValue
from aixgo.orchestration import ErrorStrategy, Limits, MapReduce
from aixgo.runtime.local import LocalRuntime
from aixgo.testing import RecordingAgent


@agent
async def upper(text: str) -> str:
    return text.upper()


@agent
async def size(text: str) -> int:
    return len(text)


@agent
async def no_b(text: str) -> str:
    if text == "b":
        raise AgentRefused("no b")
    return text


async def answer(pattern: MapReduce, given: object) -> Message:
    async with LocalRuntime(pattern) as rt, asyncio.timeout(5):
        return await rt.call(pattern.name, given)  # type: ignore[arg-type]  # any payload


@pytest.mark.parametrize(
    ("split", "units", "given", "chunks"),
    [
        ("lines", None, "a\n\nb \r\nc", ["a", "b ", "c"]),
        ("lines", 2, "a\nb\nc", ["a\nb", "c"]),
        ("paragraphs", None, "a\nb\n\n \n\nc\n", ["a\nb", "c"]),
        ("paragraphs", 2, "a\r\n\r\nb\n\nc", ["a\n\nb", "c"]),
        ("words", 2, "a  b\nc", ["a b", "c"]),
        ("characters", 2, "abcde", ["ab", "cd", "e"]),
        ("items", None, [1, [2], "c"], [1, [2], "c"]),
        ("items", 2, [1, 2, 3], [[1, 2], [3]]),
    ],
)
async def test_a_message_is_split_as_asked(
    split: str, units: int | None, given: object, chunks: list[object]
) -> None:
    mapper = RecordingAgent("mapper")
    pattern = MapReduce("p", mapper, split=split, size=units, max_parallel=1)  # type: ignore[arg-type]
    reply = await answer(pattern, given)
    assert reply.payload == chunks
    assert [message.payload for message in mapper.messages] == chunks


async def test_a_chunk_knows_its_number_and_keeps_the_metadata() -> None:
    mapper = RecordingAgent("mapper")
    await answer(MapReduce("p", mapper, max_parallel=1), Message("a\nb", metadata={"user": "eve"}))
    assert [message.metadata for message in mapper.messages] == [
        {"user": "eve", "chunk": 0, "chunk_count": 2},
        {"user": "eve", "chunk": 1, "chunk_count": 2},
    ]


async def test_answers_come_in_the_order_of_the_chunks_whoever_ends_first() -> None:
    last = asyncio.Event()

    @agent
    async def backwards(text: str) -> str:
        if text == "a":
            await last.wait()
        else:
            last.set()
        return text

    reply = await answer(MapReduce("p", backwards, reduce="concat"), "a\nb")
    assert reply.text == "a\nb"


async def test_no_more_chunks_are_at_work_than_may_be_and_all_of_those_are() -> None:
    mapper, most = RecordingAgent("mapper", gated=True), 0
    async with LocalRuntime(MapReduce("p", mapper, max_parallel=3)) as rt, asyncio.timeout(5):
        call = asyncio.create_task(rt.call("p", "\n".join("abcdefgh")))
        while mapper.running < 3:
            await asyncio.sleep(0)
        for _ in range(50):
            await asyncio.sleep(0)
            most = max(most, mapper.running)
        mapper.release()
        await call
    assert most == 3
    assert len(mapper.messages) == 8


@pytest.mark.parametrize(
    ("replies", "total"),
    [
        ([1, 2.5], 3.5),
        ([{"a": 1, "n": {"x": 1}}, {"b": 2, "n": {"x": 2}}], {"a": 1, "b": 2, "n": {"x": 3}}),
    ],
)
async def test_numbers_and_objects_of_numbers_are_summed(
    replies: list[JSONValue], total: JSONValue
) -> None:
    mapper = RecordingAgent("mapper", replies)
    reply = await answer(MapReduce("p", mapper, reduce="sum", max_parallel=1), "a\nb")
    assert reply.payload == total


@pytest.mark.parametrize("replies", [["one", 2], [1, {"a": 1}], [{"a": 1}, 2], [True, 1]])
async def test_what_cannot_be_summed_is_refused(replies: list[JSONValue]) -> None:
    mapper = RecordingAgent("mapper", replies)
    with pytest.raises(AgentRefused, match="'p' sums numbers, or objects of numbers"):
        await answer(MapReduce("p", mapper, reduce="sum", max_parallel=1), "a\nb")


@pytest.mark.parametrize(("reduce", "empty"), [("list", []), ("concat", ""), ("sum", 0)])
async def test_nothing_to_split_gives_an_empty_result_and_asks_nobody(
    reduce: str, empty: JSONValue
) -> None:
    mapper = RecordingAgent("mapper")
    reply = await answer(MapReduce("p", mapper, reduce=reduce), " \n ")  # type: ignore[arg-type]
    assert (reply.payload, reply.metadata["chunk_count"]) == (empty, 0)
    assert mapper.messages == []


async def test_a_failing_chunk_fails_the_run_and_stops_the_others() -> None:
    stuck = RecordingAgent("stuck", gated=True)

    @agent
    async def fails(_: str) -> str:
        await stuck.started.wait()
        raise AgentRefused("no")

    with pytest.raises(AgentRefused, match="no"):
        await answer(MapReduce("p", [stuck, fails]), "a\nb")
    assert stuck.cancelled == 1


async def test_no_chunk_is_begun_after_one_failed_even_by_who_ignores_being_stopped() -> None:
    began: list[str] = []
    both = asyncio.Event()

    @agent
    async def stubborn(text: str) -> str:
        began.append(text)
        if len(began) == 2:
            both.set()
        try:
            await both.wait()
            if text == "a":
                raise AgentRefused("no a")
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return text
        return text

    async with asyncio.timeout(5):
        with pytest.raises(AgentRefused, match="no a"):
            await answer(MapReduce("p", stubborn, max_parallel=2), "a\nb\nc\nd")
    assert began == ["a", "b"]


@pytest.mark.parametrize(
    ("on_error", "payload"), [("drop", ["a", "c"]), ("keep", ["a", None, "c"])]
)
async def test_a_failing_chunk_is_left_out_or_leaves_its_place(
    on_error: str, payload: JSONValue
) -> None:
    reply = await answer(MapReduce("p", no_b, on_error=on_error), "a\nb\nc")  # type: ignore[arg-type]
    assert reply.payload == payload
    assert reply.metadata["success_count"] == 2
    assert reply.metadata["errors"] == {"1": {"class": "AgentRefused", "text": "no b"}}


async def test_the_reducer_gets_a_place_for_each_chunk_when_failed_ones_are_kept() -> None:
    reducer = RecordingAgent("reducer")
    await answer(MapReduce("p", no_b, reducer=reducer, on_error="keep"), "a\nb")
    assert reducer.messages[0].payload == ["a", None]


@pytest.mark.parametrize("on_error", ["drop", "keep"])
async def test_a_run_of_which_every_chunk_fails_fails(on_error: str) -> None:
    with pytest.raises(AgentRefused, match="all 2 chunks of 'p' failed, chunk 0 with AgentRefused"):
        await answer(MapReduce("p", no_b, on_error=on_error), "b\nb")  # type: ignore[arg-type]


async def test_with_continue_the_run_goes_on_and_says_who_is_missing() -> None:
    reply = await answer(MapReduce("p", no_b, error_strategy="continue"), "a\nb")
    assert reply.payload == ["a"]
    assert reply.metadata["degraded"] is True


async def test_with_retry_a_chunk_is_asked_again() -> None:
    down = ProviderUnavailable("down", provider="acme")
    mapper = RecordingAgent("mapper", [down, "b"])
    strategy = ErrorStrategy("retry", retry_delay=0)
    reply = await answer(MapReduce("p", mapper, error_strategy=strategy), "a")
    assert (reply.payload, reply.metadata["retries"]) == (["b"], 1)


async def test_a_limit_ends_the_run_although_failures_are_dropped() -> None:
    pattern = MapReduce("p", upper, on_error="drop", limits=Limits(max_depth=0))
    with pytest.raises(LimitExceeded):
        await answer(pattern, "a\nb")


async def test_every_chunk_gets_an_equal_part_of_the_budget() -> None:
    lent: list[int | None] = []

    @agent
    async def looks(_: str, context: CallContext) -> str:
        assert context.budget is not None
        assert context.budget.calls is not None
        lent.append(context.budget.calls)
        context.charge(Usage(calls=context.budget.calls))
        return ""

    pattern = MapReduce("p", looks, limits=Limits(budget=Budget(calls=6)))
    await answer(pattern, "a\nb\nc")
    assert lent == [2, 2, 2]


async def test_a_budget_that_is_exceeded_ends_the_run() -> None:
    @agent
    async def costly(text: str, context: CallContext) -> str:
        assert context.purse is not None
        await context.purse.reserve((0, 0, 2), "costly")
        return text

    pattern = MapReduce("p", costly, on_error="drop", limits=Limits(budget=Budget(calls=1)))
    with pytest.raises(BudgetExceeded):
        await answer(pattern, "a\nb")


@pytest.mark.parametrize("given", [{"a": 1}, 7, b"\x00"])
async def test_what_is_no_text_is_not_split_into_lines(given: object) -> None:
    with pytest.raises(AgentRefused, match="'p' splits text into lines, and got"):
        await answer(MapReduce("p", upper), given)


async def test_what_is_no_list_is_not_split_into_items() -> None:
    with pytest.raises(AgentRefused, match="'p' splits a list into its items, and got str"):
        await answer(MapReduce("p", upper, split="items"), "a")


async def test_a_splitter_that_gives_no_list_is_named() -> None:
    with pytest.raises(AgentRefused, match="the splitter 'upper' of 'p' gave str, not a list"):
        await answer(MapReduce("p", size, splitter=upper), "a")


async def test_more_chunks_than_allowed_are_refused_before_any_is_asked() -> None:
    mapper = RecordingAgent("mapper")
    with pytest.raises(AgentRefused, match="takes at most 2 chunks, and there are 3"):
        await answer(MapReduce("p", mapper, max_chunks=2), "a\nb\nc")
    assert mapper.messages == []


async def test_an_agent_that_breaks_on_one_chunk_is_an_agent_that_failed() -> None:
    @agent
    async def breaks(text: str) -> float:
        return 1 / int(text)

    with pytest.raises(AgentFailed):
        await answer(MapReduce("p", breaks), "1\n0")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: MapReduce("p", []), "mapreduce 'p' needs a mapper"),
        (lambda: MapReduce("p", upper, split="tokens"), "split is 'tokens', not one of lines, "),
        (lambda: MapReduce("p", upper, reduce="max"), "reduce is 'max', not one of list, "),
        (lambda: MapReduce("p", upper, on_error="skip"), "on_error is 'skip', not one of raise, "),
        (lambda: MapReduce("p", upper, size=0), "size is 0; it must be at least 1"),
        (lambda: MapReduce("p", upper, max_parallel=0), "max_parallel is 0"),
        (lambda: MapReduce("p", upper, split="lines", splitter=size), "split and splitter are"),
        (lambda: MapReduce("p", upper, reduce="sum", reducer=size), "reduce and reducer are both"),
        (lambda: MapReduce("p", upper, size=2, splitter=size), "the splitter decides on sizes"),
        (lambda: MapReduce("p", upper, reduce="sum", on_error="keep"), "a sum has no place for a"),
        (
            lambda: MapReduce("p", upper, on_error="drop", error_strategy="continue"),
            "error_strategy and on_error both say",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(make: Callable[[], MapReduce], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        make()
