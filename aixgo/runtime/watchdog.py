"""Names the agent that blocks the event loop.

A thread asks the loop to wake it; when the loop does not answer in time, the loop's thread is running
synchronous code, and the innermost host frame on its stack says for which agent.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from types import CodeType, FrameType

__all__ = ["LoopWatch"]

log = logging.getLogger("aixgo.runtime")

INTERVAL = 0.25  # seconds between questions to the loop
PATIENCE = 0.5  # seconds without an answer before the loop counts as blocked


class LoopWatch:
    """Watches one event loop from a thread until `stop`.

    `hosts` are the code objects whose frames hold, as `self`, something with the `name` of the agent it
    runs.
    """

    def __init__(self, hosts: frozenset[CodeType]) -> None:
        self._hosts = hosts
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="aixgo-loop-watch", daemon=True)
        self.blocked_count = 0
        """How often the loop was found blocked."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; the thread ends within one interval."""
        self._stopped.set()

    def _watch(self) -> None:
        while not self._stopped.wait(INTERVAL):
            answered = threading.Event()
            try:
                self._loop.call_soon_threadsafe(answered.set)
            except RuntimeError:  # the loop is closed
                return
            if answered.wait(PATIENCE):
                continue
            self._report()
            while not answered.wait(INTERVAL):
                if self._stopped.is_set():
                    return

    def _report(self) -> None:
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001 - the documented way
        self.blocked_count += 1
        who, where = self._culprit(frame)
        log.warning(
            "%s has blocked the event loop for over %.1f s at %s; use 'await', or make the agent a plain 'def'",
            f"agent {who!r}" if who else "code outside any agent",
            PATIENCE,
            where,
        )

    def _culprit(self, frame: FrameType | None) -> tuple[str, str]:
        where = f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else "unknown"
        while frame is not None:
            if frame.f_code in self._hosts:
                return str(getattr(frame.f_locals.get("self"), "name", "")), where
            frame = frame.f_back
        return "", where
