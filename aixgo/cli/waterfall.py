"""A run as a waterfall: a line per call, indented below its caller, with a bar where it was on the way.

It fits the width it is given: what is least needed goes first, the bar, then the cost and the tokens. Below:
tables, fold. Above: trace.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from aixgo.cli.tables import dollars, fitted, printable, took
from aixgo.sessions.fold import Node, Tree

__all__ = ["Glyphs", "Line", "waterfall"]

NARROWEST = 24  # columns
BAR_FROM = 10  # columns a bar needs to say something
LONGEST_BAR = 60
GAP = "  "
LONGEST_ERROR = 500  # characters


@dataclass(slots=True, frozen=True)
class Glyphs:
    """The signs a waterfall is drawn with."""

    branch: str = "├─ "
    last: str = "└─ "
    line: str = "│  "
    bar: str = "█"
    side: str = "▒"

    @classmethod
    def of(cls, encoding: str | None) -> Glyphs:
        """Those an encoding has."""
        try:
            "├└│█▒…".encode(encoding or "ascii")
        except (UnicodeEncodeError, LookupError):
            return cls("|- ", "`- ", "|  ", "#", "-")
        return cls()


@dataclass(slots=True, frozen=True)
class Line:
    """One line to print, and what it is about."""

    text: str
    critical: bool = False
    failed: bool = False


@dataclass(slots=True, frozen=True)
class _Columns:
    name: int
    start: int
    time: int
    tokens: int
    cost: int
    bar: int


def waterfall(tree: Tree, width: int, glyphs: Glyphs) -> Iterator[Line]:
    """The lines of a run, none wider than `width`, which is at least 24."""
    width = max(NARROWEST, width)
    rows = list(_rows(tree.root, glyphs))
    columns = _columns(tree, rows, width)
    yield Line(_cells(columns, "", "start", "time", "tokens", "cost", ""))
    for node, guide, below in rows:
        yield Line(_node(tree, node, guide, columns, glyphs), node.critical, bool(node.error))
        if node.status not in ("ok", "running") and not _is_passed_on(node):
            yield Line(fitted("  " + below + _outcome(node), width).rstrip(), failed=True)


def _rows(root: Node, glyphs: Glyphs) -> Iterator[tuple[Node, str, str]]:
    """Each node, what stands before its name, and what stands before lines that belong to it."""
    waiting = [(root, "", "")]
    while waiting:
        node, guide, below = waiting.pop()
        yield node, guide, below + (glyphs.line if node.children else "   ")
        last = len(node.children) - 1
        for number, child in reversed(list(enumerate(node.children))):
            is_last = number == last
            waiting.append(
                (
                    child,
                    below + (glyphs.last if is_last else glyphs.branch),
                    below + ("   " if is_last else glyphs.line),
                )
            )


def _columns(tree: Tree, rows: list[tuple[Node, str, str]], width: int) -> _Columns:
    """How wide each column is; 0 leaves it out."""
    wanted = 2 + max(len(guide) + len(_name(node)) for node, guide, _ in rows)
    start = time = 8
    tokens = 9 if tree.root.total.tokens_total else 0
    cost = 10 if tree.root.total.cost_nanos else 0
    name = min(wanted, max(16, width * 2 // 5))

    def left() -> int:
        return width - name - sum(len(GAP) + used for used in (start, time, tokens, cost) if used)

    if left() < 0:
        cost = 0
    if left() < 0:
        tokens = 0
    if left() < 0:
        start = 0
    name = max(8, name + min(0, left()))
    bar = min(LONGEST_BAR, left() - len(GAP))
    if bar < BAR_FROM:
        bar = 0
        name += max(0, min(left(), wanted - name))
    return _Columns(name, start, time, tokens, cost, bar)


def _node(tree: Tree, node: Node, guide: str, columns: _Columns, glyphs: Glyphs) -> str:
    name = f"{'*' if node.critical else ' '} {guide}{_name(node)}"
    spent = node.total.tokens_total
    return _cells(
        columns,
        name,
        _offset(node.began - tree.ready),
        took(node.seconds) + ("…" if node.status == "running" else ""),
        f"{spent:,}" if spent else "",
        dollars(node.total.cost_nanos),
        _bar(tree, node, columns.bar, glyphs),
    )


def _cells(columns: _Columns, name: str, *rest: str) -> str:
    widths = (columns.start, columns.time, columns.tokens, columns.cost)
    text = fitted(name, columns.name)
    for cell, width in zip(rest, widths, strict=False):
        if width:
            text += f"{GAP}{cell[-width:]:>{width}}"
    if columns.bar:
        text += GAP + rest[-1]
    return text.rstrip()


def _offset(seconds: float) -> str:
    return f"+{took(seconds)}" if seconds >= 0 else f"-{took(-seconds)}"


def _bar(tree: Tree, node: Node, width: int, glyphs: Glyphs) -> str:
    """Where in the whole run the node was under way; at least one sign, and never outside."""
    whole = tree.root.ended - tree.ready
    if not width or whole <= 0:
        return ""
    first = min(width - 1, max(0, int((node.began - tree.ready) / whole * width)))
    last = min(width, max(first + 1, round((node.ended - tree.ready) / whole * width)))
    return " " * first + (glyphs.bar if node.critical else glyphs.side) * (last - first)


def _name(node: Node) -> str:
    name = printable(node.name) or "?"
    if node.kind == "run":
        return "the run"
    return name if node.kind == "call" else f"{node.kind} {name}"


def _is_passed_on(node: Node) -> bool:
    """Whether it ended with what a call of its own ended with, which says so already."""
    end = (node.status, node.error, node.error_id)
    return any(
        (child.status, child.error, child.error_id) == end or (child.status, child.error, "") == end
        for child in node.children
    )


def _outcome(node: Node) -> str:
    """How a node ended that is not well."""
    if node.status == "cancelled":
        return "cancelled"
    parts = [printable(node.error) or node.status]
    if node.error_id:
        parts.append(f"error id {printable(node.error_id)}")
    text = printable(node.error_text[:LONGEST_ERROR])
    says_id = bool(node.error_id) and node.error_id in node.error_text
    return ", ".join(parts) + (f": {text}" if text and not says_id else "")
