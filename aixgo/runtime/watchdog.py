"""Names the agent that blocks the event loop.

A thread asks the loop to answer it. While the loop does not, the thread looks at the stack of the loop's
thread: one step of the loop that stays there is synchronous code that holds everybody up, and the innermost
host frame above it says for which agent. A loop that is merely busy takes as long over many steps, and nobody
is to blame for that.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from types import CodeType, FrameType

__all__ = ["LoopWatch"]

log = logging.getLogger("aixgo.runtime")

INTERVAL = 0.25  # seconds between questions to the loop
PATIENCE = 0.5  # seconds one step may take before the loop counts as blocked
GLANCE = 0.02  # seconds between two looks at a loop that does not answer


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
        self._runs_steps = _caller_of_steps()
        """The code whose frames the loop's steps are called from, as last seen."""
        self.blocked_count = 0
        """How often a step was found to block the loop."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; the thread ends within one interval."""
        self._stopped.set()

    def _watch(self) -> None:
        while not self._stopped.wait(INTERVAL):
            answered = threading.Event()
            try:
                self._loop.call_soon_threadsafe(self._answer, answered)
            except RuntimeError:  # the loop is closed
                return
            self._look_on(answered)

    def _answer(self, answered: threading.Event) -> None:
        """Runs as a step of the loop."""
        self._runs_steps = sys._getframe(1).f_code  # noqa: SLF001 - the documented way
        answered.set()

    def _look_on(self, answered: threading.Event) -> None:
        """Report each step that takes too long, until the loop answers.

        The step is kept, not its `id`: a frame's memory is used again by the next one.
        """
        step: FrameType | None = None
        since = 0.0
        reported = False
        while not (answered.wait(GLANCE) or self._stopped.is_set()):
            top = sys._current_frames().get(self._loop_thread)  # noqa: SLF001 - the documented way
            found = self._step_of(top)
            now = time.monotonic()
            if found is None or found is not step:
                step, since, reported = found, now, False
            elif now - since >= PATIENCE and not reported:
                self._report(top)
                reported = True

    def _step_of(self, frame: FrameType | None) -> FrameType | None:
        """The first frame of the step that `frame` is a part of.

        asyncio calls each step from a frame of its own, uvloop all from the one that runs the loop; the frame
        next to it is another for another step of either. (A task of uvloop's has one frame for all its steps,
        but no more than two of them before an answer.)
        """
        above: FrameType | None = None
        step: FrameType | None = None
        while frame is not None:
            if frame.f_code is self._runs_steps:
                step = above
            above, frame = frame, frame.f_back
        return step

    def _report(self, frame: FrameType | None) -> None:
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


def _caller_of_steps() -> CodeType | None:
    """What called the step this runs in, if that is a step of a task."""
    task = asyncio.current_task()
    frame = getattr(task.get_coro(), "cr_frame", None) if task is not None else None
    return frame.f_back.f_code if frame is not None and frame.f_back is not None else None
