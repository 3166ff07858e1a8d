"""`aixgo trace`: a recorded run as a tree of calls, with time, tokens, cost and errors."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from aixgo.cli.answer import print_json
from aixgo.cli.tables import dollars, printable, took
from aixgo.cli.waterfall import Glyphs, waterfall
from aixgo.message import JSONValue
from aixgo.sessions.events import as_time
from aixgo.sessions.files import Recorded, read_events
from aixgo.sessions.fold import Node, Tree, fold
from aixgo.sessions.runs import SHORT, RunFolder

__all__ = ["command"]


def command(
    run: Annotated[
        str, typer.Argument(help="A run's id or the end of it, a file of events, or last.")
    ] = "last",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    width: Annotated[
        int | None, typer.Option(min=24, help="Columns to use, if not those of the terminal.")
    ] = None,
) -> int:
    """Show a run."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # what a terminal cannot show is no failure
    recorded = read_events(RunFolder().find(run))
    tree = fold(recorded.events, recorded.header.run_id)
    if as_json:
        print_json(_object(recorded, tree))
    else:
        _print(recorded, tree, width)
    return 0


def _print(recorded: Recorded, tree: Tree, width: int | None) -> None:
    console = Console(highlight=False)
    root = tree.root
    total = root.total
    facts = [
        f"run {recorded.header.run_id[-SHORT:]}",
        tree.config,
        _state(recorded, root),
        took(root.seconds) + (f" ({took(tree.startup)} to start)" if tree.startup > 0.1 else ""),
        f"{total.tokens_total:,} tokens" if total.tokens_total else "",
        dollars(total.cost_nanos),
    ]
    _say(console, printable(GAP.join(fact for fact in facts if fact)))
    for line in waterfall(tree, width or console.width, Glyphs.of(sys.stdout.encoding)):
        _say(console, line.text, "red" if line.failed else "bold" if line.critical else "")
    if len(tree.critical_path) > 1:
        _say(console, "* the critical path: what the time of the whole run depended on")
    for note in _notes(recorded, tree):
        _say(console, f"note: {printable(note)}")


GAP = "  "


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(Text(text, style), soft_wrap=True)


def _state(recorded: Recorded, root: Node) -> str:
    """`ok`, `failed`, `cancelled`, `running`, or `killed`: nobody writes it any more, and it has no end."""
    if root.status != "running":
        return root.status
    return "running" if recorded.running else "killed"


def _notes(recorded: Recorded, tree: Tree) -> list[str]:
    notes = list(recorded.notes)
    if tree.dropped:
        notes.append(f"{tree.dropped} events were not written")
    return notes


def _object(recorded: Recorded, tree: Tree) -> dict[str, JSONValue]:
    """What `--json` prints: the run, and its calls each after the one that made it."""
    root = tree.root
    nodes = list(root.walk())
    number = {node: place for place, node in enumerate(nodes)}
    return {
        "run_id": recorded.header.run_id,
        "file": str(recorded.path),
        "config": tree.config,
        "entry": root.name,
        "distributed": tree.distributed,
        "status": _state(recorded, root),
        "began": as_time(root.began).isoformat(),
        "startup_s": round(tree.startup, 6),
        "duration_s": round(root.seconds, 6),
        **root.total.as_metadata(),
        "calls": [
            {
                "kind": node.kind,
                "name": node.name,
                "key": node.key,
                "parent": None if node.parent is None else number[node.parent],
                "start_s": round(node.began - tree.ready, 6),
                "duration_s": round(node.seconds, 6),
                "status": _state(recorded, root) if node is root else node.status,
                "pattern": node.pattern,
                "process": node.process or None,
                "critical": node.critical,
                "error": None
                if not node.error
                else {"class": node.error, "text": node.error_text, "error_id": node.error_id},
                **node.total.as_metadata(),
                "own": {**node.own.as_metadata()},
            }
            for node in nodes
        ],
        "prompt": tree.prompt or None,
        "answer": tree.answer,
        "notes": [*_notes(recorded, tree)],
    }
