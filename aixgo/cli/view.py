"""How a run looks while it goes on: a live table on a terminal, plain lines elsewhere. On stderr only.

Below: progress, rich. Above: run.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table

from aixgo.cli.progress import Observer, Step

__all__ = ["show_progress"]

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
