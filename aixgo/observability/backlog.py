"""What waits to be sent: a bounded queue, one thread, and nothing that a run ever waits for.

A receiver that is dead or slow costs what should have been sent, never time: when the queue is full, what is
new is dropped and counted. The first failure is a warning, those after it are silent until something arrives
again. Closing delivers what is left within its bound, whatever the receiver does.

Below: complaints. Above: outbound (spans), langfuse_scores (scores) and metrics.
"""

from __future__ import annotations

import logging
import operator
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar, cast

from aixgo.measures import Gauge, Labels
from aixgo.observability.complaints import Complaints

__all__ = ["CLOSE_TIMEOUT", "LAST", "Backlog", "Delivery", "bounded", "close_all"]

log = logging.getLogger("aixgo.observability")

EXPORTS: Gauge[Backlog[object]] = Gauge(
    "aixgo.exports", lambda backlog: backlog.counts(), operator.add
)

T = TypeVar("T")

FIRST_PAUSE = 1.0  # seconds without an attempt after a failure; doubles up to LONGEST_PAUSE
LONGEST_PAUSE = 30.0
CLOSE_TIMEOUT = 5.0  # seconds closing takes at most, however many backlogs are closed together
LAST = 0.5  # seconds of those kept for ending an attempt that still waits


class Backlog(Generic[T]):
    """Hands what is `put` to `deliver` in batches, from a thread of its own.

    Args:
        deliver: sends a batch and says whether it arrived; it may raise.
        end: frees what `deliver` uses, and ends an attempt that still waits.
        what: names what is sent in the one warning, such as "traces".
        where: names the receiver there; of all that is sent to one place, the first failure is told.
        complaints: knows why an attempt failed.
        capacity: how many may wait.
        batch: how many are sent together.
        delay: seconds one waits for others.
    """

    def __init__(
        self,
        deliver: Callable[[list[T]], bool],
        end: Callable[[], object],
        *,
        what: str,
        where: str,
        complaints: Complaints,
        capacity: int,
        batch: int,
        delay: float,
    ) -> None:
        self._deliver = deliver
        self._end = end
        self._what = what
        self._where = where
        self._complaints = complaints
        self._capacity = capacity
        self._batch = batch
        self._delay = delay
        self._queue: deque[T] = deque()
        self._wake = threading.Event()
        self._flushes: deque[threading.Event] = deque()
        self._closing = False
        self._closed = False
        self._pause = 0.0
        self.delivered = 0
        self.dropped = 0
        """What nobody will see: the queue was full, or sending it failed."""
        self._thread = threading.Thread(target=self._work, name=f"aixgo-{what}", daemon=True)
        self._thread.start()
        EXPORTS.watch(cast("Backlog[object]", self))

    def counts(self) -> dict[Labels, float]:
        """What was delivered and what was dropped so far."""
        return {
            (self._what, "delivered"): self.delivered,
            (self._what, "dropped"): self.dropped,
        }

    def put(self, item: T) -> None:
        """Queue `item`, if there is room and nothing is being closed; never waits."""
        if self._closing:
            return
        if len(self._queue) >= self._capacity:
            self.dropped += 1
            return
        self._queue.append(item)
        if len(self._queue) >= self._batch and not self._pause and not self._wake.is_set():
            self._wake.set()

    def flush(self, timeout: float = CLOSE_TIMEOUT) -> bool:
        """Deliver what is queued now; False if that took longer than `timeout` seconds."""
        if self._closed:
            return not self._queue
        flushed = threading.Event()
        self._flushes.append(flushed)
        self._wake.set()
        return flushed.wait(timeout)

    def begin_close(self) -> None:
        """Take nothing new and send the rest; `close` waits for that."""
        self._closing = True
        self._wake.set()

    def close(self, ends: float | None = None) -> None:
        """Deliver what is left, until `ends` (`time.monotonic`; else within `CLOSE_TIMEOUT`). Twice is fine."""
        if self._closed:
            return
        self._closed = True
        self.begin_close()
        ends = time.monotonic() + CLOSE_TIMEOUT if ends is None else ends
        self._thread.join(max(0.0, ends - LAST - time.monotonic()))
        bounded(self._end, LAST / 2)
        self._thread.join(max(0.0, ends - time.monotonic()))
        left = len(self._queue)
        if left or self._thread.is_alive():
            self.dropped += left
            self._complain("it did not take the last of them in time")

    def _work(self) -> None:
        while True:
            self._wake.wait(max(self._delay, self._pause))
            self._wake.clear()
            closing = self._closing
            asked = [self._flushes.popleft() for _ in range(len(self._flushes))]
            while self._queue and (self._send() or closing):
                pass
            for flushed in asked:
                flushed.set()
            if closing:
                return

    def _send(self) -> bool:
        """Send one batch; whether it arrived."""
        queue = self._queue
        batch = [queue.popleft() for _ in range(min(self._batch, len(queue)))]
        try:
            arrived = self._deliver(batch)
        except Exception as exc:  # noqa: BLE001 - what sends may fail as it likes
            arrived = False
            self._complaints.note(f"{type(exc).__name__}: {exc}")
        if arrived:
            self.delivered += len(batch)
            self._pause = 0.0
            return True
        self.dropped += len(batch)
        self._complain(self._complaints.last or "it does not take them")
        self._pause = min(LONGEST_PAUSE, self._pause * 2 or FIRST_PAUSE)
        return False

    def _complain(self, why: str) -> None:
        if self._complaints.first(self._where):
            log.warning(
                "%s do not reach %s; the work goes on without them: %s",
                self._what,
                self._where,
                why,
            )


class Delivery(Protocol):
    """Something that delivers what waits."""

    def flush(self, timeout: float) -> bool:
        """Deliver what waits now; False if that took longer than `timeout` seconds."""
        ...

    def begin_close(self) -> None:
        """Take nothing new and deliver the rest, without waiting for that."""
        ...

    def close(self, ends: float) -> None:
        """Wait for the rest until `ends`, and end."""
        ...


def close_all(deliveries: Iterable[Delivery]) -> None:
    """Close them together, within `CLOSE_TIMEOUT` in all."""
    ends = time.monotonic() + CLOSE_TIMEOUT
    known = list(deliveries)
    for delivery in known:
        delivery.begin_close()
    for delivery in known:
        delivery.close(ends)


def bounded(work: Callable[[], object], timeout: float) -> None:
    """Run `work`, which may block, and stop waiting for it after `timeout` seconds."""

    def run() -> None:
        try:
            work()
        except Exception as exc:
            log.debug("closing failed", exc_info=exc)

    thread = threading.Thread(target=run, name="aixgo-closing", daemon=True)
    thread.start()
    thread.join(timeout)
