"""What the command line shows of the log, and the tracebacks it keeps until they are asked for.

A failure inside an agent is logged with an error id, which its caller gets too. Its traceback is of
interest only if the run fails by it, so it is kept, here and from child processes, and shown by id. In JSON every
line on standard error is one object, what the command itself has to say and what children write included; there
a traceback stands in its line.

Below: observability. Above: run, serve, dev, fleet.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections import OrderedDict
from datetime import UTC, datetime

from aixgo.loading import shown_module
from aixgo.observability import JsonFormatter, LogSettings
from aixgo.observability.lines import shown_message, shown_traceback
from aixgo.observability.logs import Logs

__all__ = [
    "ERROR_ID",
    "LINE_HEAD",
    "LogFormatter",
    "Tracebacks",
    "from_process",
    "in_json",
    "log_to_stderr",
    "read_json",
    "say",
]

log = logging.getLogger("aixgo.cli")

KEPT = 100  # tracebacks, the newest ones
KEPT_CHARACTERS = 64 * 1024  # of one traceback

ERROR_ID = re.compile(r"\[error id ([0-9a-f]+)\]")
LINE_HEAD = re.compile(r"(debug|info|warning|error|critical) \S+: ")
"""How the first line of a record begins; what follows without it belongs to the record above."""


class Tracebacks:
    """Tracebacks by error id; the oldest are forgotten."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, str] = OrderedDict()

    def keep(self, head: str, traceback: str) -> None:
        """Keep a record's traceback under the error id its first line names, if it names one."""
        found = ERROR_ID.search(head)
        if found is None or not traceback:
            return
        self._kept[found[1]] = traceback[:KEPT_CHARACTERS]
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def find(self, error_id: str) -> str:
        """The traceback of that error, or ""."""
        return self._kept.get(error_id, "")


class LogFormatter(logging.Formatter):
    """`level logger: message`, with the traceback below it or kept aside."""

    def __init__(self, keep: Tracebacks | None = None) -> None:
        super().__init__()
        self._keep = keep

    def format(self, record: logging.LogRecord) -> str:
        head = (
            f"{record.levelname.lower()} {shown_module(str(record.name))}: {shown_message(record)}"
        )
        traceback = shown_traceback(record)
        if self._keep is not None and ERROR_ID.search(head):
            self._keep.keep(head, traceback)
            return head
        return f"{head}\n{traceback}" if traceback else head


def log_to_stderr(keep: Tracebacks | None = None, settings: LogSettings | None = None) -> None:
    """Show the log as `settings` say, else aixgo's from INFO on and everybody else's warnings.

    As text, tracebacks go to `keep` if given. What was set up before is over.
    """
    chosen = settings or LogSettings()
    text = LogFormatter(keep) if chosen.format == "text" else None
    Logs(chosen).open(formatter=text, force=True)


def in_json() -> bool:
    """Whether standard error holds JSON lines."""
    return any(isinstance(h.formatter, JsonFormatter) for h in logging.getLogger().handlers)


def say(text: str, level: int = logging.INFO) -> None:
    """Tell whoever started the command: a line on standard error, in JSON one of the log."""
    if in_json():
        log.log(level, "%s", text)
        return
    head = "" if level == logging.INFO else f"{logging.getLevelName(level).lower()}: "
    print(f"{head}{text}", file=sys.stderr, flush=True)


def read_json(line: str) -> dict[str, object] | None:
    """The line of another process's log, if it is one in JSON."""
    if not line.startswith("{"):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if {"time", "level", "logger", "message"} <= found.keys() else None


def from_process(line: str, name: str) -> str:
    """What another process wrote, as a JSON line that names it."""
    found = read_json(line)
    if found is None:
        when = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        found = {"time": when, "level": "info", "logger": "aixgo.cli", "message": line.rstrip("\n")}
    return json.dumps({**found, "process": name}, ensure_ascii=False, separators=(",", ":"))
