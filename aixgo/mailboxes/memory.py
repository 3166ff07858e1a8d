"""A mailbox in this process's memory: bounded, first in first out, gone with the process."""

from __future__ import annotations

import asyncio
from collections import deque

from aixgo.errors import DeadlineExceeded, MailboxFull, RuntimeClosed
from aixgo.mailboxes.base import Posted

__all__ = ["MemoryMailbox"]


class MemoryMailbox:
    """`Mailbox` over a deque. Belongs to one event loop."""

    def __init__(self, name: str, capacity: int) -> None:
        self.name = name
        self.capacity = capacity
        self._items: deque[Posted] = deque()
        self._readers = _Line()
        self._senders = _Line()
        self._closed = False

    def __len__(self) -> int:
        return len(self._items)

    async def put(self, posted: Posted, timeout: float) -> None:
        """Add `posted`, waiting up to `timeout` seconds for room."""
        self._check_open()
        if len(self._items) + self._senders.promised >= self.capacity:
            try:
                async with asyncio.timeout(timeout):
                    await self._senders.wait()
            except TimeoutError:
                raise MailboxFull(self.name, self.capacity) from None
            self._check_open()
        self._items.append(posted)
        self._readers.promise()

    async def get(self, timeout: float | None = None) -> Posted:
        """Take the oldest entry, waiting up to `timeout` seconds for one."""
        self._check_open()
        if len(self._items) <= self._readers.promised:
            try:
                async with asyncio.timeout(timeout):
                    await self._readers.wait()
            except TimeoutError:
                raise DeadlineExceeded(self.name) from None
            self._check_open()
        item = self._items.popleft()
        self._senders.promise()
        return item

    def close(self) -> list[Posted]:
        """Wake all who wait, refuse from now on; gives what nobody took."""
        self._closed = True
        left = list(self._items)
        self._items.clear()
        self._readers.dismiss()
        self._senders.dismiss()
        return left

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeClosed("stopped")


class _Line:
    """Who waits for messages, or for room: each is promised one when its turn comes.

    What is promised is not to be had by others, so nobody overtakes between the promise and the moment
    the one it was made to runs.
    """

    __slots__ = ("_waiting", "promised")

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.promised = 0

    async def wait(self) -> None:
        """Return when it is our turn. A turn that comes together with a cancellation goes to the next."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self.promised -= 1
                self.promise()
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise
        self.promised -= 1

    def promise(self) -> None:
        """Give whoever waits longest its turn, if anybody waits."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # cancelled, and not yet run to notice
                turn.set_result(None)
                self.promised += 1
                return

    def dismiss(self) -> None:
        """Give everybody their turn: there is nothing left to wait for."""
        while self._waiting:
            self.promise()
