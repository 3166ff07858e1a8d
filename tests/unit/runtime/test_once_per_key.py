"""Idempotency keys: once per key, for how long, and in how much memory."""

from __future__ import annotations

import asyncio

import pytest

from aixgo import AgentRefused, LocalRuntime, Message, agent
from aixgo.context import CallContext
from aixgo.errors import AgentNotReady, KeyConflict, LimitExceeded, Unavailable
from aixgo.runtime import idempotency
from aixgo.runtime.idempotency import OncePerKey
from aixgo.testing import FakeClock


class Work:
    """Counts its runs, and holds them at a gate."""

    def __init__(self, reply: Message | None = None, error: Exception | None = None) -> None:
        self.runs = 0
        self.inside, self.gate = asyncio.Event(), asyncio.Event()
        self._reply = reply or Message("done")
        self._error = error

    async def __call__(self) -> Message:
        self.runs += 1
        self.inside.set()
        await self.gate.wait()
        if self._error is not None:
            raise self._error
        return self._reply


def released(work: Work) -> Work:
    work.gate.set()
    return work


class Table:
    """The table of one host, asked as `principal` with a key."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.once = OncePerKey(self.clock)

    async def run(
        self, key: str, work: Work, *, payload: str = "x", principal: str = "", agent: str = "payer"
    ) -> Message:
        context = CallContext(
            agent,
            deadline=self.clock.monotonic() + 60,
            clock=self.clock,
            idempotency_key=key,
            principal=principal,
        )
        async with asyncio.timeout(5):
            return await self.once.run(Message(payload), context, work)


async def test_a_reply_is_replayed_within_ten_minutes_and_the_key_is_free_after() -> None:
    table, work = Table(), released(Work())
    first = await table.run("k", work)
    await table.clock.advance(599)
    again = await table.run("k", work)
    assert (work.runs, again) == (1, first)
    assert again is not first
    await table.clock.advance(2)
    await table.run("k", work)
    assert work.runs == 2


@pytest.mark.parametrize(
    "other", [{"key": "other"}, {"principal": "other"}, {"agent": "other"}], ids=str
)
async def test_another_key_principal_or_target_is_another_call(other: dict[str, str]) -> None:
    table, work = Table(), released(Work())
    await table.run("k", work)
    await table.run(**{"key": "k", **other}, work=work)  # type: ignore[arg-type]
    assert work.runs == 2


async def test_duplicates_in_flight_join_the_first_run() -> None:
    table, work = Table(), Work()
    calls = [asyncio.create_task(table.run("k", work)) for _ in range(3)]
    await work.inside.wait()
    work.gate.set()
    replies = await asyncio.gather(*calls)
    assert work.runs == 1
    assert [reply.text for reply in replies] == ["done"] * 3


async def test_another_payload_under_the_same_key_is_a_conflict_also_in_flight() -> None:
    table, work = Table(), Work()
    first = asyncio.create_task(table.run("k", work))
    await work.inside.wait()
    with pytest.raises(KeyConflict, match="'payer'"):
        await table.run("k", work, payload="y")
    work.gate.set()
    await first
    with pytest.raises(KeyConflict):
        await table.run("k", work, payload="y")
    assert work.runs == 1


async def test_a_final_error_is_a_result_and_is_replayed() -> None:
    table, work = Table(), released(Work(error=AgentRefused("no")))
    for _ in range(2):
        with pytest.raises(AgentRefused, match=r"^no$"):
            await table.run("k", work)
    assert work.runs == 1


async def test_a_retryable_error_frees_the_key() -> None:
    table, work = Table(), released(Work(error=AgentNotReady("payer")))
    for _ in range(2):
        with pytest.raises(AgentNotReady):
            await table.run("k", work)
    assert work.runs == 2
    assert len(table.once) == 0


async def test_a_cancelled_caller_leaves_the_run_to_those_who_joined() -> None:
    table, work = Table(), Work()
    first = asyncio.create_task(table.run("k", work))
    await work.inside.wait()
    joined = asyncio.create_task(table.run("k", work))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait((first,))
    work.gate.set()
    assert (await joined).text == "done"
    assert (first.cancelled(), work.runs) == (True, 1)


async def test_a_run_everybody_left_is_stopped_and_its_key_answers_that_nobody_knows() -> None:
    table, work = Table(), Work()
    calls = [asyncio.create_task(table.run("k", work)) for _ in range(2)]
    await work.inside.wait()
    for call in calls:
        call.cancel()
        await asyncio.wait((call,))
    with pytest.raises(Unavailable) as caught:
        await table.run("k", work)
    assert (caught.value.outcome, caught.value.retryable, work.runs) == ("unknown", False, 1)


async def test_the_replies_kept_are_bounded_in_bytes_and_the_oldest_go_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(idempotency, "MAX_BYTES", 100)
    table = Table()
    work = released(Work(Message("x" * 40)))
    for key in "abc":
        await table.run(key, work)
    assert len(table.once) == 2
    await table.run("c", work)
    await table.run("b", work)
    assert work.runs == 3
    await table.run("a", work)
    assert work.runs == 4


async def test_a_reply_larger_than_all_that_is_kept_still_reaches_its_caller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(idempotency, "MAX_BYTES", 10)
    table = Table()
    assert (await table.run("k", released(Work(Message("x" * 40))))).text == "x" * 40
    assert len(table.once) == 0


async def test_the_keys_kept_are_bounded_and_those_in_flight_are_never_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(idempotency, "MAX_KEYS", 2)
    table, held = Table(), [Work(), Work()]
    await table.run("old", released(Work()))
    calls = []
    for key, work in zip("ab", held, strict=True):
        calls.append(asyncio.create_task(table.run(key, work)))
        await work.inside.wait()
    with pytest.raises(LimitExceeded, match="idempotency keys in flight of 2"):
        await table.run("c", released(Work()))
    for work in held:
        work.gate.set()
    await asyncio.gather(*calls)
    await table.run("c", released(Work()))


async def test_closing_ends_the_runs_in_flight() -> None:
    table, work = Table(), Work()
    call = asyncio.create_task(table.run("k", work))
    await work.inside.wait()
    await table.once.close()
    with pytest.raises(Unavailable):
        await call
    assert len(table.once) == 0


async def test_through_a_runtime_a_key_takes_effect_once_and_is_charged_once() -> None:
    charged: list[str] = []

    @agent
    async def payer(text: str) -> str:
        charged.append(text)
        return f"paid {text}"

    async with LocalRuntime(payer) as rt:
        first = await rt.call("payer", "10", idempotency_key="order-1")
        again = await rt.call("payer", "10", idempotency_key="order-1")
        assert (first.payload, again.payload, charged) == ("paid 10", "paid 10", ["10"])
        async with rt.stream("payer", "10", idempotency_key="order-1") as chunks:
            assert [
                chunk async for chunk in chunks
            ] == []  # a duplicate gets the final message only
        assert chunks.final is not None
        assert chunks.final.payload == "paid 10"
        with pytest.raises(KeyConflict):
            await rt.call("payer", "20", idempotency_key="order-1")
    assert charged == ["10"]
