"""What exporters complain about: kept, and told once.

OpenTelemetry's exporters log every attempt that fails. While one of ours is at work their log goes here and
nowhere else, so that a dead collector is one warning with a reason and not a page of them.

Below: logging, redaction. Above: backlog.
"""

from __future__ import annotations

import logging
import threading

from aixgo.observability.redaction import REDACTED, redact

__all__ = ["Complaints"]

LOGGERS = ("opentelemetry.exporter",)
LONGEST = 300  # characters of a reason
ENDS = ("max retries or shutdown", "Shutdown in progress")
"""Of messages that say that it is given up, after one that says why."""


class Complaints(logging.Handler):
    """Takes over the exporters' loggers from `open` to `close`."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._reasons = threading.local()
        self._hidden: tuple[str, ...] = ()
        self._told: set[str] = set()
        self._guard = threading.Lock()
        self._before: dict[str, bool] = {}

    def open(self) -> None:
        for name in LOGGERS:
            logger = logging.getLogger(name)
            self._before[name] = logger.propagate
            logger.propagate = False
            logger.addHandler(self)

    def close(self) -> None:
        """Give the loggers back. Doing it twice is fine."""
        for name, propagated in self._before.items():
            logger = logging.getLogger(name)
            logger.removeHandler(self)
            logger.propagate = propagated
        self._before = {}
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        if not (self.last and any(words in str(record.msg) for words in ENDS)):
            self.note(record.getMessage())
        for known in logging.getLogger(record.name).filters:  # it holds back what it heard last,
            getattr(known, "__dict__", {}).pop("last_log", None)  # and another may fail by the same

    @property
    def last(self) -> str:
        """What was complained about last in this thread: each exporter works in one of its own."""
        return getattr(self._reasons, "last", "")

    def hide(self, *secrets: str) -> None:
        """Never show any of `secrets`, whatever a receiver answers."""
        self._hidden += secrets

    def note(self, text: str) -> None:
        """Remember a reason, without secrets."""
        for secret in self._hidden:
            text = text.replace(secret, REDACTED)
        self._reasons.last = redact(text)[:LONGEST]

    def first(self, where: str) -> bool:
        """True the first time it is asked about `where`."""
        with self._guard:
            known = where in self._told
            self._told.add(where)
            return not known
