"""What the command line shows of the log, and the tracebacks it keeps until they are asked for.

A failure inside an agent is logged with an error id, which its caller gets too. Its traceback is of
interest only if the run fails by it, so it is kept, here and from child processes, and shown by id.

Below: errors. Above: run, serve, fleet.
"""

from __future__ import annotations

import logging
import re
import sys
from collections import OrderedDict

__all__ = ["ERROR_ID", "LINE_HEAD", "LogFormatter", "Tracebacks", "log_to_stderr"]

KEPT = 100  # tracebacks, the newest ones
KEPT_CHARACTERS = 64 * 1024  # of one traceback

ERROR_ID = re.compile(r"\[error id ([0-9a-f]+)\]")
LINE_HEAD = re.compile(r"(debug|info|warning|error|critical) [\w.]+: ")
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
        super().__init__("%(levelname)s %(name)s: %(message)s")
        self._keep = keep

    def format(self, record: logging.LogRecord) -> str:
        head = f"{record.levelname.lower()} {record.name}: {record.getMessage()}"
        traceback = self.formatException(record.exc_info) if record.exc_info else ""
        if self._keep is not None and ERROR_ID.search(head):
            self._keep.keep(head, traceback)
            return head
        return f"{head}\n{traceback}" if traceback else head


def log_to_stderr(keep: Tracebacks | None = None) -> None:
    """Show aixgo's log from INFO on, and everybody else's warnings; tracebacks go to `keep` if given."""
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(LogFormatter(keep))
    logging.basicConfig(level=logging.WARNING, handlers=[output], force=True)
    logging.getLogger("aixgo").setLevel(logging.INFO)
