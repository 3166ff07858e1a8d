"""Things are compared by turns in one run, A B C A B C, and the ratio of each round counts.

A shared machine changes its mind from minute to minute; all sides of one round meet the same mood. The
ratio shown is the median over the rounds, with the middle half beside it.
"""

import statistics
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

T = TypeVar("T")

Round = Callable[[], float]  # seconds for one call, or one run


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How long to measure."""

    rounds: int = 5
    seconds: float = 0.25  # of one round of calls


@dataclass(frozen=True)
class Ratio:
    """How two sides of the same rounds compare: the median, and the middle half."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, over: Sequence[float], under: Sequence[float]) -> "Ratio":
        """Over / under, round by round."""
        ratios = [a / b for a, b in zip(over, under, strict=True)]
        if len(ratios) == 1:
            return cls(ratios[0], ratios[0], ratios[0])
        low, median, high = statistics.quantiles(ratios, n=4)
        return cls(median, low, high)

    def __str__(self) -> str:
        return f"{self.median:.2f}× ({self.low:.2f}–{self.high:.2f})"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the page's first table; ``note`` is a remark, or says why there are no figures."""

    work: str
    against: str
    goal: str
    ours: float = 0.0  # seconds, median
    theirs: float = 0.0  # seconds, median
    ratio: Ratio | None = None
    note: str = ""

    def noting(self, note: str) -> "Row":
        """The same row with a remark beside its ratio."""
        return replace(self, note=note)

    def markdown(self) -> str:
        if self.ratio is None:
            return f"| {self.work} | {self.against} | {self.note} | {self.goal} | – | – |"
        figures = f"{self.note}, {self.ratio}" if self.note else str(self.ratio)
        times = f"{shown(self.ours)} | {shown(self.theirs)}"
        return f"| {self.work} | {self.against} | {figures} | {self.goal} | {times} |"


@dataclass(frozen=True)
class Table:
    """A table of its own, below the first one."""

    title: str
    head: Sequence[str]
    text: str
    """What the columns mean, as Markdown."""
    lines: list[Sequence[str]] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        self.lines.append(cells)

    def markdown(self) -> str:
        rule = ["---"] * len(self.head)
        table = "\n".join(map(_line, (self.head, rule, *self.lines)))
        text = textwrap.fill(self.text, 115, break_on_hyphens=False, break_long_words=False)
        return f"## {self.title}\n\n{text}\n\n{table}\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def shown(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} µs" if seconds < 1e-3 else f"{seconds * 1e3:.1f} ms"


def by_turns(runs: Sequence[Callable[[], T]], rounds: int) -> list[list[T]]:
    """What each run gave, round by round: A B C A B C."""
    taken = [[run() for run in runs] for _ in range(rounds)]
    return [list(column) for column in zip(*taken, strict=True)]


def row_of(
    work: str,
    ours: Sequence[float],
    against: str,
    theirs: Sequence[float],
    *,
    goal: str,
    faster: bool,
) -> Row:
    """A row from the seconds of the same rounds: ours / theirs, or theirs / ours when ``faster``."""
    return Row(
        work=work,
        against=against,
        goal=goal,
        ours=statistics.median(ours),
        theirs=statistics.median(theirs),
        ratio=Ratio.of(theirs, ours) if faster else Ratio.of(ours, theirs),
    )


def compare(
    work: str, ours: Round, against: str, theirs: Round, *, goal: str, rounds: int, faster: bool
) -> Row:
    """Measure both by turns, after a first round that warms caches and connections and is not counted."""
    ours(), theirs()
    taken = by_turns((ours, theirs), rounds)
    return row_of(work, taken[0], against, taken[1], goal=goal, faster=faster)
