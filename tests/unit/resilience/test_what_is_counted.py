"""What policies count for whoever shows metrics, at both seams, for calls and for streams."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from aixgo import measures
from aixgo.errors import CircuitOpen, ProviderUnavailable, QueueFull
from aixgo.measures import Labels
from aixgo.providers import ChatMessage, CompletionRequest, Model
from aixgo.resilience import CircuitBreaker, Fallback, Limiter, ResponseCache, Retry
from aixgo.testing import FakeClock
from tests.unit.resilience.seams import Asker, Hang, JumpClock, Script, ScriptedModel


def down() -> ProviderUnavailable:
    return ProviderUnavailable("down", provider="acme", code="overloaded")


class Counted:
    """What was counted since it was made."""

    def __init__(self) -> None:
        self._before = {name: dict(each.values) for name, each in measures.counters.items()}

    def __getitem__(self, name: str) -> Mapping[Labels, float]:
        before = self._before.get(name, {})
        now = measures.counters[name].values
        return {k: v - before.get(k, 0) for k, v in now.items() if v != before.get(k, 0)}


@pytest.fixture
def since() -> Counted:
    return Counted()


async def test_each_retry_counts_and_so_does_one_there_was_no_budget_for(
    asker: Asker, since: Counted
) -> None:
    policy = Retry(jitter=False, clock=JumpClock(), budget_ratio=0, budget_floor=2)
    async with asker.set_up([policy], [down(), down(), down()]):
        with pytest.raises(ProviderUnavailable):
            await asker.ask()
    assert since["aixgo.retries"] == {
        (asker.backend, "made"): 2,
        (asker.backend, "out_of_budget"): 1,
    }


async def test_a_circuit_shows_its_state_how_often_it_opened_and_what_it_refused(
    asker: Asker, since: Counted
) -> None:
    breaker = CircuitBreaker(failure_threshold=1, clock=JumpClock())
    states = measures.gauges["aixgo.breaker.state"]
    async with asker.set_up([breaker], [down()]):
        with pytest.raises(ProviderUnavailable):
            await asker.ask()
        assert states.values[asker.backend,] == 2
        for _ in range(3):
            with pytest.raises(CircuitOpen):
                await asker.ask()
    assert since["aixgo.breaker.opened"] == {(asker.backend,): 1}
    assert since["aixgo.breaker.refused"] == {(asker.backend,): 3}


async def test_who_was_asked_instead_of_whom_counts(model_asker: Asker, since: Counted) -> None:
    backup = model_asker.other(["from backup"])
    fallback = Fallback([ScriptedModel(backup, "backup")])
    async with model_asker.set_up([fallback], [down()]):
        await model_asker.ask()
    assert since["aixgo.fallbacks"] == {("acme/m", "backup/m"): 1}


async def test_waiting_for_a_limiter_counts_with_its_time_and_so_does_being_refused(
    agent_asker: Asker, since: Counted
) -> None:
    clock, hang = FakeClock(), Hang()
    limiter = Limiter(concurrency=1, max_waiting=1, clock=clock)
    calls = measures.gauges["aixgo.limiter.calls"]
    running, waiting = calls.values.get(("running",), 0), calls.values.get(("waiting",), 0)
    async with asyncio.timeout(5), agent_asker.set_up([limiter], [hang, "done"]):
        first = asyncio.create_task(agent_asker.ask())
        await hang.begun.wait()
        second = asyncio.create_task(agent_asker.ask())
        while not limiter.stats().waiting:
            await asyncio.sleep(0)
        assert calls.values[("running",)] - running == calls.values[("waiting",)] - waiting == 1
        with pytest.raises(QueueFull):
            await agent_asker.ask()
        await clock.advance(3)
        first.cancel()
        await second
    assert since["aixgo.limiter.waits"] == {("acme",): 1}
    assert since["aixgo.limiter.wait_time"] == {("acme",): 3}
    assert since["aixgo.limiter.refused"] == {("acme", "QueueFull"): 1}


@pytest.mark.parametrize("streaming", [False, True], ids=["call", "stream"])
async def test_a_cache_counts_what_came_of_each_request(streaming: bool, since: Counted) -> None:
    entries, size = (measures.gauges[f"aixgo.cache.{what}"] for what in ("entries", "size"))
    kept = entries.values.get((), 0)
    model = Model(ScriptedModel(Script(["done"])), [cache := ResponseCache()])
    for temperature in (None, None, None, 0.5):
        request = CompletionRequest(
            model="m", messages=(ChatMessage("user", "hello"),), temperature=temperature
        )
        if streaming:
            async for _ in model.stream(request):
                pass
        else:
            await model.complete(request)
    assert since["aixgo.cache.requests"] == {("miss",): 1, ("hit",): 2, ("passed",): 1}
    assert entries.values[()] - kept == cache.stats().entries == 1
    assert size.values[()] >= cache.stats().bytes
