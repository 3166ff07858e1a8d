"""How a run looks while it goes on: a live table on a terminal, plain lines elsewhere. On stderr only.

Below: progress, rich. Above: run.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table

from aixgo.cli.progress import Observer, Step
from aixgo.ledger import Ledger, Side, Usage

__all__ = ["costs_table", "show_costs", "show_progress"]

COLUMNS: Mapping[str, str] = {
    "calls": "calls",
    "retries": "retries",
    "prompt": "tokens_prompt",
    "cached": "tokens_cached",
    "cache write": "tokens_cache_write",
    "completion": "tokens_completion",
    "reasoning": "tokens_reasoning",
}
ALWAYS = ("calls", "tokens_prompt", "tokens_completion")
SHOWN = 30  # steps of the live table, the newest ones


@contextmanager
def show_progress(*, quiet: bool = False) -> Iterator[Observer]:
    """An observer that shows steps until the `with` ends."""
    if quiet:
        yield lambda _: None
    elif sys.stderr.isatty():
        with _live() as observe:
            yield observe
    else:
        yield _print_line


def show_costs(costs: Ledger) -> None:
    """Print what a run cost by agent and by model; nothing if it cost nothing."""
    if costs:
        print("\n".join(costs_table(costs)), file=sys.stderr)


def costs_table(costs: Ledger) -> list[str]:
    """The lines of that table; columns in which nothing was counted are left out."""
    total = costs.total
    shown = [name for name, field in COLUMNS.items() if getattr(total, field) or field in ALWAYS]
    rows = [("", *shown, "cost")]
    sides: Sequence[Side] = ("agent", "model")
    for side in sides:
        rows.append((f"by {side}", *[""] * (len(shown) + 1)))
        rows += [
            (f"  {name or 'no model'}", *_cells(usage, shown))
            for name, usage in costs.by(side).items()
        ]
    rows.append(("total", *_cells(total, shown)))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in rows
    ]


def _cells(usage: Usage, shown: Sequence[str]) -> list[str]:
    counts = [f"{getattr(usage, COLUMNS[name]):,}" for name in shown]
    return [*counts, f"{'up to ' if usage.unsettled else ''}${usage.cost_usd:.6f}"]


def _print_line(step: Step) -> None:
    print(f"  {step.key}: {_state(step)}", file=sys.stderr)


@contextmanager
def _live() -> Iterator[Callable[[Step], None]]:
    steps: dict[int, Step] = {}
    console = Console(stderr=True)

    def observe(step: Step) -> None:
        steps.setdefault(id(step), step)

    def render() -> RenderableType:
        table = Table(box=None, show_header=False, padding=(0, 2))
        for step in list(steps.values())[-SHOWN:]:
            mark = Spinner("dots") if step.running else ("✓" if step.ok else "✗")
            table.add_row(mark, step.key, _state(step))
        return table

    with Live(get_renderable=render, console=console, refresh_per_second=12):
        yield observe


def _state(step: Step) -> str:
    if step.running:
        elapsed = time.monotonic() - step.began
        return f"{elapsed:.1f} s" if elapsed >= 0.1 else "started"
    tokens = step.usage.tokens_total
    spent = f", {tokens} tokens" if tokens else ""
    if step.usage.cost_nanos:
        spent += f", ${step.usage.cost_usd:.6f}"
    outcome = "done" if step.ok else step.error
    return f"{outcome} in {step.seconds:.2f} s{spent}"
