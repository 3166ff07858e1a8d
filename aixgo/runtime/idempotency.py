"""Once per key: calls with an idempotency key take effect once at the host that first saw it.

An entry is (peer, principal, target, key). Duplicates in flight join the first run; a reply or a
non-retryable error is a result and is replayed; a retryable error frees the key. The run belongs to the
table, not to a caller: it goes on while anybody waits for it, and a run that everybody left is
cancelled and leaves the key with an unknown outcome.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aixgo.context import CallContext, Clock
from aixgo.errors import (
    AixgoError,
    KeyConflict,
    LimitExceeded,
    Unavailable,
    partial_bytes,
    rebuild_error,
)
from aixgo.message import Message

__all__ = ["OncePerKey"]

WINDOW = 600.0  # seconds a finished key is remembered
MAX_KEYS = 10_000
CANCEL_TIMEOUT = 1.0  # seconds a cancelled run is waited for
MAX_BYTES = 64 * 1024 * 1024  # of replies kept for replay

Run = Callable[[], Awaitable[Message]]
_Key: TypeAlias = tuple[str, str, str, str]  # who calls, on whose behalf, whom, under which key


class _Entry:
    __slots__ = ("context", "digest", "error", "finished", "reply", "size", "task", "waiting")

    def __init__(self, digest: bytes, context: CallContext) -> None:
        self.digest = digest
        self.context = context
        self.task: asyncio.Task[Message] | None = None
        self.waiting = 0
        self.reply: Message | None = None
        self.error: AixgoError | None = None
        self.finished = 0.0  # monotonic seconds; 0 while running
        self.size = 0


class OncePerKey:
    """The idempotency table of one host."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: OrderedDict[_Key, _Entry] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    async def run(self, message: Message, context: CallContext, run: Run) -> Message:
        """The result of `run` for this call's key: by running it, joining it, or from the table.

        Raises:
            KeyConflict: the key was used with another payload.
            Unavailable: the earlier run was abandoned and its outcome is unknown.
            LimitExceeded: too many keys are in flight.
        """
        key = (context.peer, context.principal, context.agent, context.idempotency_key)
        digest = _digest(message)
        self._forget_old()
        entry = self._entries.get(key)
        if entry is None:
            entry = self._begin(key, digest, context, run)
        elif entry.digest != digest:
            raise KeyConflict(context.agent)
        elif entry.task is not None:
            entry.context.deadline = max(entry.context.deadline, context.deadline)
        if entry.task is not None:
            await self._join(entry, entry.task)
        if entry.error is not None:
            raise _again(entry.error)
        if entry.reply is None:
            raise Unavailable(
                context.agent, "an earlier call with this key was cancelled", "unknown"
            )
        if entry.context is context:
            return entry.reply.handle()
        return entry.reply.delivered(entry.reply.source)  # who joins or comes later spends nothing

    async def close(self) -> None:
        """Cancel what still runs and await it, unless it ignores that."""
        tasks = [entry.task for entry in self._entries.values() if entry.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CANCEL_TIMEOUT)
        self._entries.clear()

    def _begin(self, key: _Key, digest: bytes, context: CallContext, run: Run) -> _Entry:
        if len(self._entries) >= MAX_KEYS and not self._drop_oldest_finished():
            raise LimitExceeded("idempotency keys in flight", MAX_KEYS, context.agent)
        entry = self._entries[key] = _Entry(digest, context)
        entry.task = asyncio.create_task(
            self._execute(key, entry, run), name=f"aixgo-once-{context.agent}"
        )
        return entry

    async def _execute(self, key: _Key, entry: _Entry, run: Run) -> Message:
        try:
            reply = await run()
        except AixgoError as exc:
            entry.error = _again(exc)  # without the frames of this run
            entry.size = len(partial_bytes(exc.partial))
            if exc.retryable:
                self._entries.pop(key, None)
            else:
                self._bytes += entry.size
            raise
        else:
            entry.reply = reply
            entry.size = reply.size
            self._bytes += entry.size
            return reply
        finally:
            entry.task = None
            entry.finished = self._clock.monotonic()
            while self._bytes > MAX_BYTES and self._drop_oldest_finished():
                pass

    async def _join(self, entry: _Entry, task: asyncio.Task[Message]) -> None:
        entry.waiting += 1
        try:
            await asyncio.wait(
                (task,)
            )  # unlike awaiting it, this leaves the run alone when we are cancelled
        except asyncio.CancelledError:
            if entry.waiting == 1 and not task.done():
                task.cancel()
                await asyncio.wait((task,), timeout=CANCEL_TIMEOUT)
            raise
        finally:
            entry.waiting -= 1
        if not task.cancelled():
            task.exception()  # retrieved: the entry carries it

    def _forget_old(self) -> None:
        horizon = self._clock.monotonic() - WINDOW
        while self._entries:
            key, entry = next(iter(self._entries.items()))
            if entry.task is not None or entry.finished > horizon:
                return
            self._drop(key, entry)

    def _drop_oldest_finished(self) -> bool:
        for key, entry in self._entries.items():
            if entry.task is None:
                self._drop(key, entry)
                return True
        return False

    def _drop(self, key: _Key, entry: _Entry) -> None:
        del self._entries[key]
        self._bytes -= entry.size


def _again(error: AixgoError) -> AixgoError:
    """The same error as an object of its own: raising one object again and again makes it grow."""
    kind, fields = type(error).__name__, error.wire_fields()
    return rebuild_error(
        kind, fields, agent=error.agent, error_id=error.error_id, partial=error.partial
    )


def _digest(message: Message) -> bytes:
    digest = hashlib.sha256(message.encoded)
    digest.update(f"\n{message.type}\n{message.content_type}".encode())
    return digest.digest()
