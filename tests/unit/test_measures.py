"""Plain counters and gauges: what they add up, what they forget, and where they stop telling things apart."""

import gc
from collections.abc import Iterator, Mapping

import pytest

from aixgo import measures
from aixgo.measures import MAX_SERIES, OTHER, Counter, Gauge, Labels, Runtimes, tally


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    """What a test makes is in no registry afterwards."""
    counters, gauges = dict(measures.counters), dict(measures.gauges)
    yield
    for kept, now in ((counters, measures.counters), (gauges, measures.gauges)):
        now.clear()
        now.update(kept)  # type: ignore[arg-type]  # the one it was copied from


class Thing:
    def __init__(self, **values: float) -> None:
        self.values: Mapping[Labels, float] = {(name,): value for name, value in values.items()}


class Counted:
    def __init__(self, **metrics: object) -> None:
        self.told: Mapping[str, object] = metrics

    def metrics(self) -> Mapping[str, object]:
        return self.told


def read(thing: Thing) -> Mapping[Labels, float]:
    return thing.values


def test_a_counter_adds_up_by_label() -> None:
    counter = Counter("test.counter", 1)
    counter.add("a")
    counter.add("b", amount=2.5)
    counter.add("a")
    assert measures.counters["test.counter"].values == {("a",): 2, ("b",): 2.5}


def test_a_counter_tells_no_more_than_so_many_labels_apart_and_loses_no_count() -> None:
    counter = Counter("test.counter", 2)
    for number in range(MAX_SERIES + 10):
        counter.add("x", str(number))
    assert len(counter.values) == MAX_SERIES + 1
    assert counter.values[OTHER, OTHER] == 10


def test_a_tally_is_bounded_too() -> None:
    counts: dict[str, int] = {}
    for number in range(MAX_SERIES + 3):
        tally(counts, f"Error{number}")
    assert (len(counts), counts[OTHER]) == (MAX_SERIES + 1, 3)


def test_a_gauge_reads_all_that_live_and_merges_what_they_say() -> None:
    gauge = Gauge("test.gauge", read, max)
    one, two = Thing(a=1, b=5), Thing(a=3)
    gauge.watch(one)
    gauge.watch(two)
    assert gauge.values == {("a",): 3, ("b",): 5}


def test_a_gauge_forgets_what_is_gone() -> None:
    gauge = Gauge("test.gauge", read, max)
    thing = Thing(a=1)
    gauge.watch(thing)
    del thing
    gc.collect()
    assert gauge.values == {}


def test_what_a_runtime_counted_stays_when_it_ends() -> None:
    known = Runtimes()
    for runtime in (Counted(calls=2, wire={"frames": 3}), Counted(calls=1, wire={"frames": 1})):
        known.add(runtime)
        known.end(runtime)
        known.end(runtime)
    running = Counted(calls=7)
    known.add(running)
    assert known.now() == [{"calls": 7}]
    assert known.ended() == {"calls": 3, "wire": {"frames": 4}}
