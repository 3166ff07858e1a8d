"""What is counted all the time, in plain numbers, for whoever wants to show them.

Counting costs an addition and asks nobody. A `Counter` counts for this process, whoever caused it; a `Gauge` reads
what is alive now, such as the state of every circuit; `runtimes` are those whose own `metrics()` are shown. What
shows them, on OpenTelemetry or elsewhere, only reads, from a thread of its own.

Labels are names from code and configuration: agents, models, backends. Never an id, a session or a text.

Below: nothing of ours. Above: runtime and resilience count; observability reads.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Generic, Protocol, TypeAlias, TypeVar

__all__ = [
    "MAX_SERIES",
    "OTHER",
    "Counter",
    "Gauge",
    "Labels",
    "Measured",
    "Runtimes",
    "counters",
    "gauges",
    "runtimes",
    "tally",
]

T = TypeVar("T")

Labels: TypeAlias = tuple[str, ...]
"""The values of an instrument's labels, in its order."""

MAX_SERIES = 1_000  # combinations of labels of one instrument; what comes after counts as OTHER
OTHER = "(other)"


def tally(counts: dict[str, int], what: str) -> None:
    """Add one to what is counted as `what`, or, where too much is told apart already, as OTHER."""
    if what not in counts and len(counts) >= MAX_SERIES:
        what = OTHER
    counts[what] = counts.get(what, 0) + 1


class Counter:
    """A count that only grows, for the whole process."""

    __slots__ = ("_many", "values")

    def __init__(self, name: str, labels: int) -> None:
        self.values: dict[Labels, float] = {}
        self._many: Labels = (OTHER,) * labels
        counters[name] = self

    def add(self, *labels: str, amount: float = 1) -> None:
        """Count `amount` more under `labels`."""
        if labels not in self.values and len(self.values) >= MAX_SERIES:
            labels = self._many
        self.values[labels] = self.values.get(labels, 0) + amount


counters: dict[str, Counter] = {}
"""By the name of the instrument that shows them; a policy's are here once its module is loaded."""


class _Living(Generic[T]):
    """Objects as long as something else keeps them; may be read from any thread."""

    __slots__ = ("_refs",)

    def __init__(self) -> None:
        self._refs: dict[int, weakref.ref[T]] = {}

    def add(self, item: T) -> None:
        key = id(item)
        refs = self._refs

        def forget(ref: weakref.ref[T]) -> None:
            if refs.get(key) is ref:
                del refs[key]

        refs[key] = weakref.ref(item, forget)

    def remove(self, item: T) -> bool:
        """Whether it was there."""
        return self._refs.pop(id(item), None) is not None

    def all(self) -> list[T]:
        found = (ref() for ref in tuple(self._refs.values()))
        return [item for item in found if item is not None]


class Gauge(Generic[T]):
    """What all living objects of a kind have to say now; `merge` joins what several say under the same labels."""

    __slots__ = ("_living", "_merge", "_read")

    def __init__(
        self,
        name: str,
        read: Callable[[T], Mapping[Labels, float]],
        merge: Callable[[float, float], float],
    ) -> None:
        self._living: _Living[T] = _Living()
        self._read = read
        self._merge = merge
        gauges[name] = self

    def watch(self, item: T) -> None:
        """Read `item` too, as long as it lives."""
        self._living.add(item)

    @property
    def values(self) -> dict[Labels, float]:
        """Read from all of them now."""
        found: dict[Labels, float] = {}
        for item in self._living.all():
            for labels, value in self._read(item).items():
                found[labels] = self._merge(found[labels], value) if labels in found else value
        return found


class _Readable(Protocol):
    @property
    def values(self) -> Mapping[Labels, float]: ...


gauges: dict[str, _Readable] = {}
"""By the name of the instrument that shows them."""


class Measured(Protocol):
    """A runtime, as far as its numbers go."""

    def metrics(self) -> Mapping[str, object]:
        """Numbers, and mappings of numbers."""
        ...


class Runtimes:
    """The runtimes of this process that run, and what those that ended had counted."""

    def __init__(self) -> None:
        self._living: _Living[Measured] = _Living()
        self._ended: dict[str, object] = {}

    def add(self, runtime: Measured) -> None:
        self._living.add(runtime)

    def end(self, runtime: Measured) -> None:
        """Keep what `runtime` counted. Doing it twice is fine."""
        if self._living.remove(runtime):
            self._ended = _sum(self._ended, runtime.metrics())

    def now(self) -> list[Mapping[str, object]]:
        """The metrics of each that runs."""
        return [runtime.metrics() for runtime in self._living.all()]

    def ended(self) -> Mapping[str, object]:
        """The sum of those that ended; only what counts up means anything there."""
        return self._ended


runtimes = Runtimes()


def _sum(ours: Mapping[str, object], theirs: Mapping[str, object]) -> dict[str, object]:
    """Both, number by number."""
    found = dict(ours)
    for name, value in theirs.items():
        known = found.get(name)
        if isinstance(value, Mapping):
            found[name] = _sum(known if isinstance(known, Mapping) else {}, value)
        elif isinstance(value, int | float):
            found[name] = value + (known if isinstance(known, int | float) else 0)
    return found
