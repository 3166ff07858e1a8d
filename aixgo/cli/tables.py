"""What verbs print in columns: cells that line up, numbers people read, text that is safe on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

__all__ = ["dollars", "fitted", "print_table", "printable", "took"]


def print_table(lines: Sequence[tuple[str, ...]]) -> None:
    """Print rows of equally many cells below each other."""
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (set_cell_size(cell, width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())


def fitted(text: str, width: int) -> str:
    """`text` in exactly `width` columns, cut with an ellipsis if it is longer."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, max(0, width - 1)) + ("…" if width > 0 else "")


def printable(text: str) -> str:
    """`text` in one line, with nothing in it that a terminal would obey."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def took(seconds: float) -> str:
    """A duration with about three digits."""
    if seconds < 0.01:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 100:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02} min"
    return f"{minutes // 60}:{minutes % 60:02} h"


def dollars(nanos: int) -> str:
    """An amount of nano-dollars, exact to a hundredth of a cent; "" for nothing."""
    return f"${nanos / 1_000_000_000:,.4f}" if nanos else ""
