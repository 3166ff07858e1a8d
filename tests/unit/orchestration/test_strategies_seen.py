"""What those who watch see of attempts: each is a call of the pattern, and its facts say how many there were."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aixgo import Budget, LocalRuntime, telemetry
from aixgo.message import JSONValue
from aixgo.observability.patterns import pattern_attributes
from aixgo.orchestration import Classification, Debate, ErrorStrategy, Router, Sequential
from aixgo.sessions.events import Event, RunStarted
from aixgo.sessions.recorder import Recorder
from aixgo.testing import RecordingAgent
from tests.unit.orchestration.failing import Fails, answer, down


class Watch:
    """An observer that keeps what patterns did."""

    def __init__(self) -> None:
        self.ended: list[telemetry.Orchestration] = []

    def begin(self, work: telemetry.Work) -> telemetry.Span | None:
        return _Ending(self.ended) if isinstance(work, telemetry.Orchestration) else None


class _Ending:
    def __init__(self, ended: list[telemetry.Orchestration]) -> None:
        self._ended = ended

    def enter(self) -> object:
        return None

    def leave(self, token: object) -> None:
        """Nothing was entered."""

    def end(self, work: telemetry.Work) -> None:
        assert isinstance(work, telemetry.Orchestration)
        self._ended.append(work)


@pytest.fixture
def watch() -> Iterator[Watch]:
    made = Watch()
    telemetry.add_observer(made)
    yield made
    telemetry.remove_observer(made)


@pytest.fixture
def events() -> Iterator[list[Event]]:
    written: list[Event] = []
    recorder = Recorder(written.append, "run")
    telemetry.add_observer(recorder)
    yield written
    telemetry.remove_observer(recorder)


STRATEGY = ErrorStrategy("retry", 1, 0, fallbacks={"flaky": ["spare"]})
ONCE_MORE = ErrorStrategy("retry", 1, 0)


@pytest.mark.parametrize("streaming", [False, True], ids=["call", "stream"])
async def test_the_span_of_a_pattern_counts_attempts_and_retries(
    watch: Watch, streaming: bool
) -> None:
    flow = Sequential("p", [Fails("flaky", [down()] * 2)], error_strategy=STRATEGY)
    async with LocalRuntime(flow, Fails("spare")) as rt:
        await answer(rt, "p", "x", streaming=streaming)
    (work,) = watch.ended
    assert [call.context.key for call in work.calls] == ["p/flaky", "p/flaky#2", "p/flaky#spare"]
    found = pattern_attributes(work)
    assert found["aixgo.orchestration.retries"] == 1
    assert (found["aixgo.orchestration.succeeded"], found["aixgo.orchestration.failed"]) == (1, 2)


async def test_a_run_that_went_on_is_marked_as_degraded(watch: Watch) -> None:
    flow = Sequential("p", [Fails("a"), Fails("b", [down()])], error_strategy="continue")
    async with LocalRuntime(flow) as rt:
        await answer(rt, "p", "x")
    assert pattern_attributes(watch.ended[0])["aixgo.orchestration.degraded"] is True


async def test_a_routers_times_are_those_of_its_steps_with_all_attempts(watch: Watch) -> None:
    kind = Fails("kind", [down()])
    flow = Router("p", kind, {"kind of x": Fails("a")}, error_strategy=ONCE_MORE)
    async with LocalRuntime(flow) as rt:
        await answer(rt, "p", "x")
    (work,) = watch.ended
    first, again, route = (call.seconds for call in work.calls)
    found = pattern_attributes(work)
    assert found["aixgo.orchestration.classify_seconds"] == first + again
    assert found["aixgo.orchestration.route_seconds"] == route


async def test_a_classification_is_timed_like_a_router_by_the_slowest_of_its_agents(
    watch: Watch,
) -> None:
    labels: JSONValue = ["a", "b"]
    kind = RecordingAgent("kind", [labels])
    routes = {name: Fails(name) for name in ("a", "b")}
    async with LocalRuntime(Classification("p", kind, routes, multi_label=True)) as rt:
        await answer(rt, "p", "x")
    (work,) = watch.ended
    first, *others = (call.seconds for call in work.calls)
    found = pattern_attributes(work)
    assert found["aixgo.orchestration.classify_seconds"] == first
    assert found["aixgo.orchestration.route_seconds"] == max(others)


async def test_a_span_has_a_patterns_facts_and_not_what_somebody_said(watch: Watch) -> None:
    judge = RecordingAgent("judge", [{"winner": "a", "reason": "the secret"}])
    talk = Debate("p", [Fails("a"), Fails("b")], judge=judge, rounds=1)
    async with LocalRuntime(talk) as rt:
        reply = await answer(rt, "p", "x")
    assert reply.metadata["reason"] == "the secret"
    found = pattern_attributes(watch.ended[0])
    assert found["aixgo.orchestration.winner"] == "a"
    assert "the secret" not in found.values()


@pytest.mark.parametrize("budget", [None, Budget(calls=9)], ids=["free", "budget"])
async def test_a_record_has_each_attempt_below_the_pattern(
    events: list[Event], budget: Budget | None
) -> None:
    flow = Sequential("p", [Fails("flaky", [down()])], error_strategy=STRATEGY)
    async with LocalRuntime(flow, Fails("spare")) as rt:
        await answer(rt, "p", "x", budget=budget)
    root, *attempts = [event for event in events if isinstance(event, RunStarted)]
    assert [event.key for event in attempts] == ["p/flaky", "p/flaky#2"]
    assert {event.parent_run_id for event in attempts} == {root.run_id}
