"""Envelopes that fit into no frame, cut into pieces: one side sends as the other allows.

The receiver allows nothing at first. It grants to transfers in the order in which they began, as long as
what they announced fits into one budget per connection, and to each only a window ahead of what came. So
what a connection holds is bounded, whatever its peer announces.

Below: frames. Above: conduit.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from aixgo.context import Clock, TimerHandle
from aixgo.errors import InvalidMessage, LimitExceeded, MessageTooLarge
from aixgo.rpc.frames import frame_of
from aixgo.rpc.options import MAX_WIRE_BYTES

__all__ = ["PIECE_BYTES", "Incoming", "Outgoing", "Pool", "announcement", "piece"]

PIECE_BYTES = 63 * 1024  # of data; with what is around it, it fits into the smallest frame allowed
WINDOW = 4 * PIECE_BYTES  # what a transfer may be ahead of its receiver
MAX_ASSEMBLING = 2 * MAX_WIRE_BYTES  # announced bytes one connection grants to at a time
CRUMB = 1024  # bytes; pieces that are less together are kept as one
STALL = 10.0  # seconds without a piece after which a transfer has failed; twice that at most


def announcement(call: int, total: int) -> bytes:
    """The first piece of a transfer of `total` bytes."""
    frame, envelope = frame_of(call)
    envelope.piece.total_bytes = total
    return frame.SerializeToString()


def piece(call: int, data: bytes) -> bytes:
    frame, envelope = frame_of(call)
    envelope.piece.data = data
    return frame.SerializeToString()


class Outgoing:
    """What the peer allows a transfer of ours to send, and whether it is still wanted."""

    __slots__ = ("_waiter", "allowed", "complete", "stopped")

    def __init__(self) -> None:
        self.allowed = 0
        self.complete = False
        """True once all of it may have left."""
        self.stopped = False
        self._waiter: asyncio.Future[None] | None = None

    def grant(self, size: int) -> None:
        self.allowed += size
        self._wake()

    def stop(self) -> None:
        """The call has ended: nobody waits for the rest."""
        self.stopped = True
        self._wake()

    async def changed(self) -> None:
        """Return when more is allowed, or nothing is wanted any more."""
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Pool:
    """The bytes that the transfers of several connections may announce together; first come, first served."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._size = size
        self._waiting: OrderedDict[Incoming, None] = OrderedDict()
        self._waking = False

    @property
    def reserved(self) -> int:
        return self._size - self._free

    def reserve(self, size: int, incoming: Incoming) -> bool:
        """Take `size`; else False, and `incoming` is asked to `admit` when it is its turn.

        Whoever waits is first: a large one would wait for ever for small ones that come later.
        """
        first = next(iter(self._waiting), incoming)
        if size > self._free or first is not incoming:
            self._waiting.setdefault(incoming, None)
            return False
        self._free -= size
        return True

    def give_back(self, size: int) -> None:
        self._free += size
        self._wake()

    def forget(self, incoming: Incoming) -> None:
        """`incoming` waits for nothing more here."""
        if incoming in self._waiting:
            del self._waiting[incoming]
            self._wake()

    def _wake(self) -> None:
        """Let those who wait take what they need, until one finds too little."""
        if self._waking:
            return
        self._waking = True
        try:
            while self._waiting:
                first = next(iter(self._waiting))
                first.admit()
                if first in self._waiting:
                    return
        finally:
            self._waking = False


class _Transfer:
    """An envelope of which a part has come."""

    __slots__ = ("came", "granted", "parts", "seen", "total", "wanted")

    def __init__(self, total: int) -> None:
        self.total = total
        self.wanted = True
        """False once its reader has left: what it was granted may come, and it gets no more."""
        self.parts: list[bytes] = []
        self.came = 0
        self.granted = 0
        self.seen = -1
        """What had come when it was last looked at."""


class Incoming:
    """The transfers one connection receives.

    Args:
        grant: tells the peer how many bytes more a call may send.
        stalled: a transfer brought nothing for `STALL` seconds though it may; drop it and end its call.
        clock: for that.
        pool: what all connections of this side may hold; a pool of its own by default.
    """

    def __init__(
        self,
        grant: Callable[[int, int], None],
        stalled: Callable[[int], None],
        clock: Clock,
        pool: Pool | None = None,
    ) -> None:
        self._grant = grant
        self._stalled = stalled
        self._clock = clock
        self._pool = pool or Pool(MAX_ASSEMBLING)
        self._active: dict[int, _Transfer] = {}
        self._waiting: OrderedDict[int, _Transfer] = OrderedDict()
        self._held: dict[int, _Transfer] = {}
        """Those whose reader is behind: they get nothing until `resume`."""
        self._reserved = 0
        self._timer: TimerHandle | None = None

    def __contains__(self, call: int) -> bool:
        return call in self._active or call in self._waiting or call in self._held

    def begin(self, call: int, total: int, *, held: bool = False) -> None:
        """Take note of an announcement.

        Raises:
            MessageTooLarge: nothing that large is taken.
            InvalidMessage: a transfer of that call is going on.
        """
        if total > MAX_WIRE_BYTES:
            raise MessageTooLarge(total, MAX_WIRE_BYTES)
        if call in self:
            raise InvalidMessage(path="piece", expected="one transfer of a call at a time")
        (self._held if held else self._waiting)[call] = _Transfer(total)
        self.admit()

    def add(self, call: int, data: bytes) -> list[bytes] | None:
        """Take a piece; the envelope, in parts, when it was the last.

        Raises:
            InvalidMessage: no transfer of that call is going on, or the piece is empty.
            LimitExceeded: more than was allowed, or announced.
        """
        transfer = self._active.get(call) or self._waiting.get(call) or self._held.get(call)
        if transfer is None or not data:
            raise InvalidMessage(path="piece", expected="a part of a transfer that was announced")
        transfer.came += len(data)
        if transfer.came > transfer.granted:
            raise LimitExceeded("bytes granted to a transfer", transfer.granted, "Connect")
        parts = transfer.parts
        if parts and len(parts[-1]) + len(data) <= CRUMB:  # else each costs more than it brings
            parts[-1] += data
        else:
            parts.append(data)
        if transfer.came == transfer.total:
            self.drop(call)
            return parts
        if transfer.wanted and transfer.granted - transfer.came <= WINDOW // 2:
            self._allow(call, transfer)
        return None

    def resume(self, call: int) -> None:
        """The reader of `call` has caught up."""
        transfer = self._held.pop(call, None)
        if transfer is not None:
            self._waiting[call] = transfer
            self.admit()

    def stop(self, call: int) -> None:
        """The reader of `call` has left: grant no more.

        What was granted may be under way, be the last of it, and be the end of its call.
        """
        transfer = self._active.get(call)
        if transfer is not None:
            transfer.wanted = False
        else:
            self.drop(call)

    def drop(self, call: int) -> None:
        """Forget the transfer of `call`, if there is one."""
        transfer = self._active.pop(call, None)
        if transfer is not None:
            self._reserved -= transfer.total
            self._pool.give_back(transfer.total)
        elif self._held.pop(call, None) is None:
            self._waiting.pop(call, None)
        self.admit()

    def close(self) -> None:
        """Forget all transfers."""
        self._waiting.clear()
        self._held.clear()
        for call in tuple(self._active):
            self.drop(call)
        self._pool.forget(self)
        if self._timer is not None:
            self._timer.cancel()

    def admit(self) -> None:
        """Let those send whose announced bytes fit, first come first."""
        while self._waiting:
            call, transfer = next(iter(self._waiting.items()))
            if self._reserved + transfer.total > MAX_ASSEMBLING:
                break  # one of our own has to end first
            if not self._pool.reserve(transfer.total, self):
                return
            del self._waiting[call]
            self._active[call] = transfer
            self._reserved += transfer.total
            self._allow(call, transfer)
            if self._timer is None:
                self._timer = self._clock.call_later(STALL, self._look)
        self._pool.forget(self)

    def _allow(self, call: int, transfer: _Transfer) -> None:
        more = min(transfer.total, transfer.came + WINDOW) - transfer.granted
        if more > 0:
            transfer.granted += more
            self._grant(call, more)

    def _look(self) -> None:
        """Drop the transfers that brought nothing since they were last looked at."""
        self._timer = None
        for call, transfer in tuple(self._active.items()):
            if transfer.came == transfer.seen:
                self.drop(call)
                self._stalled(call)
            transfer.seen = transfer.came
        if self._active and self._timer is None:
            self._timer = self._clock.call_later(STALL, self._look)
