"""Money, tokens and model calls: what a call used, where, and what it may use.

Money is counted in integer nano-dollars, so that sums are exact in any order. A `Usage` is a sum; its `ledger` says
what it is the sum of. Below: errors. Above: messages carry `Usage`, contexts carry `Budget`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Literal, NamedTuple, TypeAlias

from aixgo.errors import ConfigError, nearest

__all__ = [
    "COUNTS",
    "NANOS_PER_USD",
    "OTHERS",
    "Budget",
    "Ledger",
    "Line",
    "Side",
    "Usage",
    "whole",
]

NANOS_PER_USD = 1_000_000_000

LINES_OF_A_CALL = 256  # the most a call's ledger tells apart; the rest is one line, `OTHERS`


@dataclass(slots=True)
class Usage:
    """What a call spent: its own model calls plus everything its callees reported."""

    cost_nanos: int = 0
    """Nano-dollars."""
    tokens_prompt: int = 0
    tokens_completion: int = 0
    tokens_cached: int = 0
    """The part of `tokens_prompt` the provider served from its cache."""
    tokens_reasoning: int = 0
    """The part of `tokens_completion` spent on reasoning."""
    calls: int = 0
    """Model calls, retries included."""
    unsettled: bool = False
    """Part of it is what somebody was lent and did not account for, so that less may have been spent."""
    tokens_cache_write: int = 0
    """The part of `tokens_prompt` the provider put into its cache, which some sell at a higher price."""
    retries: int = 0
    """The part of `calls` that repeated one that had failed."""
    ledger: Ledger | None = field(default=None, compare=False, repr=False)
    """What it is the sum of; None where nobody kept it apart."""

    @property
    def cost_usd(self) -> float:
        return self.cost_nanos / NANOS_PER_USD

    @property
    def tokens_total(self) -> int:
        return self.tokens_prompt + self.tokens_completion

    def by(self, side: Side) -> dict[str, Usage]:
        """Its parts by one side of the ledger, such as "agent" or "model"; empty where nobody kept them apart.

        Raises:
            ConfigError: there is no such side.
        """
        return (self.ledger or Ledger()).by(side)

    def add(self, other: Usage) -> None:
        """Add what another call spent to this one, in place; ledgers are left alone."""
        self.cost_nanos += other.cost_nanos
        self.tokens_prompt += other.tokens_prompt
        self.tokens_completion += other.tokens_completion
        self.tokens_cached += other.tokens_cached
        self.tokens_reasoning += other.tokens_reasoning
        self.calls += other.calls
        self.tokens_cache_write += other.tokens_cache_write
        self.retries += other.retries
        self.unsettled = self.unsettled or other.unsettled

    def repeated(self) -> None:
        """Count all of its calls as retries, in its ledger too: they repeat what failed before."""
        self.retries = self.calls
        for _, usage in self.ledger or ():
            usage.retries = usage.calls

    def check(self) -> None:
        """Return if every count is a whole number that is not negative.

        Raises:
            ConfigError: one is not.
        """
        for name in COUNTS:
            value = getattr(self, name)
            if not isinstance(value, int) or value < 0:
                raise ConfigError(f"Usage({name}={value!r}): a count is a whole number from 0 up")

    def counted(self) -> Usage:
        """The same where no count is negative or broken; one that is counts as nothing, or as its whole part.

        It never raises: what somebody reports must not keep an answer from its reader, and cannot give a
        budget back what others spent.
        """
        counts = {name: whole(getattr(self, name)) for name in COUNTS}
        return Usage(unsettled=self.unsettled, ledger=self.ledger, **counts)

    def __bool__(self) -> bool:
        """True when anything was spent."""
        return bool(
            self.calls
            or self.cost_nanos
            or self.tokens_prompt
            or self.tokens_completion
            or self.tokens_cached
            or self.tokens_reasoning
            or self.tokens_cache_write
            or self.retries
            or self.unsettled
        )

    def as_metadata(self) -> dict[str, int | float]:
        """The keys a result's metadata shows."""
        shown: dict[str, int | float] = {
            "cost_usd": self.cost_usd,
            "tokens_total": self.tokens_total,
            "tokens_prompt": self.tokens_prompt,
            "tokens_completion": self.tokens_completion,
        }
        if self.unsettled:
            shown["unsettled"] = True
        return shown

    def as_row(self) -> dict[str, int | float]:
        """All of it, as a row of a table of costs shows it."""
        shown: dict[str, int | float] = {"cost_usd": self.cost_usd}
        shown |= {name: int(getattr(self, name)) for name in ROW}
        if self.unsettled:
            shown["unsettled"] = True
        return shown


COUNTS = tuple(each.name for each in fields(Usage) if each.name not in ("unsettled", "ledger"))
"""The fields of a usage that are added up."""

MOST = 2**63 - 1  # that a count of the wire holds


def whole(value: float) -> int:
    """`value`, which an agent may have set to anything, as a count: from 0 up, and not more than the wire holds."""
    try:
        return max(0, min(int(value), MOST))
    except (TypeError, ValueError, OverflowError):
        return 0


ROW = (
    "calls",
    "retries",
    "tokens_total",
    "tokens_prompt",
    "tokens_cached",
    "tokens_cache_write",
    "tokens_completion",
    "tokens_reasoning",
)

Side: TypeAlias = Literal["agent", "model", "path", "pattern", "provider", "session", "principal"]
"""What costs can be told apart by."""


class Line(NamedTuple):
    """Who asked which model, on whose behalf."""

    path: tuple[str, ...] = ()
    """The agents from the root of the call down to the one that asked."""
    model: str = ""
    """Empty where money was spent on something else."""
    provider: str = ""
    pattern: str = ""
    """The kind of the innermost orchestration above the agent, or its own if it is one; empty without any."""
    session: str = ""
    principal: str = ""

    @property
    def agent(self) -> str:
        """The agent that asked."""
        return self.path[-1] if self.path else ""


OTHERS = Line(("(others)",))
"""Where a ledger that is full puts what it has no line for."""


class Ledger:
    """What was spent, by line: the lines of a call, or of all that a runtime saw.

    At most `lines` are kept apart. What comes after that goes to `OTHERS`; with `rolling`, the line that nothing was
    added to for longest does.

    Raises:
        ConfigError: `lines` is below 2.
    """

    __slots__ = ("_lines", "_most", "_rolling")

    def __init__(self, lines: int = LINES_OF_A_CALL, *, rolling: bool = False) -> None:
        if lines < 2:
            raise ConfigError(f"Ledger({lines}): a ledger has room for two lines, one is the rest")
        self._lines: dict[Line, Usage] = {}
        self._most = lines
        self._rolling = rolling

    def __iter__(self) -> Iterator[tuple[Line, Usage]]:
        """The lines, in the order they came up; rolling, in that of their last change."""
        return iter(self._lines.items())

    def __len__(self) -> int:
        return len(self._lines)

    def __bool__(self) -> bool:
        return bool(self._lines)

    @property
    def total(self) -> Usage:
        """The sum of all lines."""
        found = Usage()
        for usage in self._lines.values():
            found.add(usage)
        return found

    def by(self, side: Side) -> dict[str, Usage]:
        """The sum for each agent, model, …, the dearest first; what has none is under "".

        Models are written `provider:model` and paths `flow → analyse`.

        Raises:
            ConfigError: there is no such side.
        """
        name = NAMES.get(side)
        if name is None:
            near = nearest(side, NAMES)
            hint = f"; did you mean {near!r}?" if near else ""
            raise ConfigError(f"a ledger has no side {side!r}, only {', '.join(NAMES)}{hint}")
        found: dict[str, Usage] = {}
        for line, usage in self._lines.items():
            found.setdefault(name(line), Usage()).add(usage)
        return dict(
            sorted(found.items(), key=lambda e: (-e[1].cost_nanos, -e[1].tokens_total, e[0]))
        )

    def note(self, line: Line, usage: Usage) -> None:
        """Count `usage` on `line`."""
        lines = self._lines
        held = lines.pop(line, None) if self._rolling else lines.get(line)
        if held is not None:
            if self._rolling:
                lines[line] = held
        elif len(lines) < self._most or line == OTHERS:
            held = lines[line] = Usage()
        elif self._rolling:
            self._drop_oldest()
            held = lines[line] = Usage()
        else:
            held = lines.setdefault(OTHERS, Usage())
        held.add(usage)

    def add(self, other: Ledger, pattern: str = "") -> None:
        """Count every line of `other`; those below no pattern yet are from now on below `pattern`."""
        for line, usage in other:
            if pattern and not line.pattern and line != OTHERS:
                line = line._replace(pattern=pattern)
            self.note(line, usage)

    def _drop_oldest(self) -> None:
        oldest = next(line for line in self._lines if line != OTHERS)
        usage = self._lines.pop(oldest)
        self._lines.setdefault(OTHERS, Usage()).add(usage)


NAMES: Mapping[str, Callable[[Line], str]] = {
    "agent": lambda line: line.agent,
    "model": lambda line: f"{line.provider}:{line.model}" if line.model else "",
    "path": lambda line: " → ".join(line.path),
    "pattern": lambda line: line.pattern,
    "provider": lambda line: line.provider,
    "session": lambda line: line.session,
    "principal": lambda line: line.principal,
}


@dataclass(slots=True, frozen=True)
class Budget:
    """What a call and everything below it may spend; `None` leaves that side open.

    Raises:
        ConfigError: a limit is negative or not finite.
    """

    usd: float | None = None
    tokens: int | None = None
    calls: int | None = None
    """Model calls."""

    def __post_init__(self) -> None:
        for side in fields(self):
            value = getattr(self, side.name)
            if value is None:
                continue
            if not isinstance(value, (int, float)) or not 0 <= value < math.inf:
                raise ConfigError(
                    f"Budget({side.name}={value!r}): a budget is finite and not negative"
                )

    @property
    def nanos(self) -> int | None:
        """The money side in nano-dollars."""
        return None if self.usd is None else round(self.usd * NANOS_PER_USD)
