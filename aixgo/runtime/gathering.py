"""Sent messages an agent gathers: the newest of each source, until all are there or the time is up.

Below: mailboxes, contract. Above: consuming.
"""

from __future__ import annotations

from collections.abc import Callable

from aixgo.context import Clock, TimerHandle
from aixgo.contract import Gathers
from aixgo.mailboxes.base import Posted

__all__ = ["MOST", "Gathering"]

MOST = 1_000  # messages gathered at once; with more, those there are go first


class Gathering:
    """What was gathered so far. `due` is called when the time is up since the first of them came."""

    def __init__(self, wanted: Gathers, clock: Clock, due: Callable[[], None]) -> None:
        self._wanted = wanted
        self._clock = clock
        self._due = due
        self._timer: TimerHandle | None = None
        self._found: dict[str | int, Posted] = {}

    def __len__(self) -> int:
        return len(self._found)

    def add(self, posted: Posted) -> bool:
        """Take `posted` in, in place of an older one of its source; whether nothing more has to be waited for.

        Messages that name no source are all kept.
        """
        source = posted.message.source or len(self._found)
        self._found.pop(source, None)  # the newest comes last
        self._found[source] = posted
        if self._timer is None:
            self._timer = self._clock.call_later(self._wanted.seconds, self._due)
        is_whole = bool(self._wanted.sources) and self._found.keys() >= set(self._wanted.sources)
        return is_whole or len(self._found) >= MOST

    def take(self) -> list[Posted]:
        """All there is, in order of arrival; what comes next is gathered anew."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        taken = list(self._found.values())
        self._found.clear()
        return taken
