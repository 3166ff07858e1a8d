"""A mailbox in this process's memory: bounded, first in first out, gone with the process."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from aixgo.errors import DeadlineExceeded, MailboxFull, RuntimeClosed
from aixgo.mailboxes.base import Posted

__all__ = ["MemoryMailbox"]


class MemoryMailbox:
    """`Mailbox` over a deque. Belongs to one event loop."""

    def __init__(self, name: str, capacity: int) -> None:
        self.name = name
        self.capacity = capacity
        self._items: deque[Posted] = deque()
        self._getters: deque[asyncio.Future[None]] = deque()
        self._putters: deque[asyncio.Future[None]] = deque()
        self._closed = False

    def __len__(self) -> int:
        return len(self._items)

    async def put(self, posted: Posted, timeout: float) -> None:
        """Add `posted`, waiting up to `timeout` seconds for room."""
        # Whoever waits already goes first, or a sender could overtake another.
        if len(self._items) >= self.capacity or self._putters:
            try:
                async with asyncio.timeout(timeout):
                    await self._wait(self._putters, lambda: len(self._items) < self.capacity)
            except TimeoutError:
                raise MailboxFull(self.name, self.capacity) from None
        self._check_open()
        self._items.append(posted)
        _wake_next(self._getters)

    async def get(self, timeout: float | None = None) -> Posted:
        """Take the oldest entry, waiting up to `timeout` seconds for one."""
        if not self._items or self._getters:
            try:
                async with asyncio.timeout(timeout):
                    await self._wait(self._getters, lambda: bool(self._items))
            except TimeoutError:
                raise DeadlineExceeded(self.name) from None
        if not self._items:
            self._check_open()
        item = self._items.popleft()
        _wake_next(self._putters)
        return item

    def close(self) -> list[Posted]:
        """Wake all who wait, refuse from now on; gives what nobody took."""
        self._closed = True
        left = list(self._items)
        self._items.clear()
        for waiters in (self._getters, self._putters):
            while waiters:
                _wake_next(waiters)
        return left

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeClosed("stopped")

    async def _wait(
        self, waiters: deque[asyncio.Future[None]], possible: Callable[[], bool]
    ) -> None:
        self._check_open()
        while True:
            waiter = asyncio.get_running_loop().create_future()
            waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter in waiters:
                    waiters.remove(waiter)
                elif not self._closed and possible():
                    _wake_next(waiters)  # this one was woken and leaves: the turn is the next one's
                raise
            self._check_open()
            if possible():
                return


def _wake_next(waiters: deque[asyncio.Future[None]]) -> None:
    while waiters:
        waiter = waiters.popleft()
        if not waiter.done():
            waiter.set_result(None)
            return
