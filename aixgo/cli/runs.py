"""`aixgo runs`: the runs that are recorded here, newest first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from aixgo.cli.answer import print_json
from aixgo.cli.tables import dollars, print_table, printable, took
from aixgo.ledger import NANOS_PER_USD
from aixgo.message import JSONValue
from aixgo.sessions.events import as_time
from aixgo.sessions.runs import KEPT, SHORT, RunFolder, Summary

__all__ = ["command"]

LONGEST_NAME = 40  # columns of a file's name


def command(
    limit: Annotated[
        int, typer.Option("-n", "--limit", min=1, max=KEPT, help="Runs to list.")
    ] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """List runs."""
    folder = RunFolder()
    found = folder.summaries(limit)
    if as_json:
        print_json({"runs": [_object(summary) for summary in found]})
    elif found:
        head = ("RUN", "WHEN", "STATUS", "TIME", "COST", "ENTRY", "CONFIG")
        print_table([head, *(_row(summary) for summary in found)])
    else:
        print(f"no run is recorded in {folder.path}; `aixgo run` records one")
    return 0


def _row(summary: Summary) -> tuple[str, ...]:
    when = as_time(summary.began).astimezone() if summary.began else None
    return (
        summary.run_id[-SHORT:],
        when.strftime("%Y-%m-%d %H:%M:%S") if when is not None else "",
        f"{summary.status}: {printable(summary.error)}" if summary.error else summary.status,
        took(summary.duration_ms / 1000) if summary.duration_ms is not None else "",
        dollars(summary.cost_nanos),
        _cut(printable(summary.entry)),
        _cut(printable(summary.config)),
    )


def _cut(text: str) -> str:
    """The end of a long name, which tells more than its beginning."""
    return text if len(text) <= LONGEST_NAME else f"…{text[1 - LONGEST_NAME :]}"


def _object(summary: Summary) -> dict[str, JSONValue]:
    began = datetime.fromtimestamp(summary.began, UTC).isoformat() if summary.began else None
    return {
        "run_id": summary.run_id,
        "file": str(summary.path),
        "began": began,
        "config": summary.config,
        "entry": summary.entry,
        "status": summary.status,
        "error": summary.error,
        "duration_s": None if summary.duration_ms is None else round(summary.duration_ms / 1000, 6),
        "cost_usd": summary.cost_nanos / NANOS_PER_USD,
        "tokens_total": summary.tokens,
    }
