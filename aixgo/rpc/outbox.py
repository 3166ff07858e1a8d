"""What one side of a connection has to write, until its writer takes it.

Three queues, taken in this order: control (credits, cancels, answers to pings), the envelopes of calls in
the order in which they were put, and pieces of large ones. So a large payload takes what is left of a frame,
and a small call behind it is not late.

Below: gate. Above: conduit.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from aixgo.errors import AixgoError
from aixgo.rpc.gate import Gate

__all__ = ["Outbox", "Parcel"]

MAX_ENVELOPES = 4_096
MAX_BYTES = 4 * 1024 * 1024
PIECES_PER_FRAME = 2
BUNCH = 32  # envelopes of calls a frame takes before it is worth a second one


class Parcel:
    """An encoded envelope on its way out."""

    __slots__ = ("body", "taken")

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.taken = False
        """True once it may have left."""


class _Piece:
    """A piece, and who waits for it to leave."""

    __slots__ = ("body", "left")

    def __init__(self, body: bytes, left: asyncio.Future[None]) -> None:
        self.body = body
        self.left = left


class Outbox:
    """The bounded queues of one writer. Belongs to one event loop.

    `room` is the gate to `put`; what is put without waiting at it, is put all the same.

    Args:
        place: what else there must be for `room` to be open.
        stalled: told whenever somebody has to wait for it.
    """

    def __init__(self, place: Callable[[], bool], stalled: Callable[[], None]) -> None:
        self.bytes = 0
        """Of the envelopes of calls that wait."""
        self.room = Gate(lambda: self.has_room and place(), stalled)
        self._control: deque[bytes] = deque()
        self._calls: deque[Parcel] = deque()
        self._pieces: deque[_Piece] = deque()
        self._idle: asyncio.Future[None] | None = None
        self._closed: AixgoError | None = None
        self._finished = False

    def __len__(self) -> int:
        return len(self._control) + len(self._calls) + len(self._pieces)

    @property
    def has_room(self) -> bool:
        return self.bytes < MAX_BYTES and len(self._calls) < MAX_ENVELOPES

    @property
    def overfull(self) -> bool:
        """Whether so much waits that nothing should be taken on that adds to it."""
        return self.bytes > 2 * MAX_BYTES or len(self) > 2 * MAX_ENVELOPES

    def put(self, body: bytes) -> Parcel:
        """Queue an envelope of a call."""
        parcel = Parcel(body)
        self._calls.append(parcel)
        self.bytes += len(body)
        if self._idle is not None:
            self._wake()
        return parcel

    def put_control(self, body: bytes) -> None:
        """Queue an envelope that goes before all others, except those of its kind."""
        self._control.append(body)
        if self._idle is not None:
            self._wake()

    async def pass_piece(self, body: bytes) -> None:
        """Queue a piece and return when it was taken.

        Raises:
            AixgoError: the outbox is closed.
        """
        if self._closed is not None:
            raise self._closed
        piece = _Piece(body, asyncio.get_running_loop().create_future())
        self._pieces.append(piece)
        if self._idle is not None:
            self._wake()
        try:
            await piece.left
        except asyncio.CancelledError:
            if piece in self._pieces:
                self._pieces.remove(piece)
            raise

    def withdraw(self, parcel: Parcel) -> bool:
        """Take `parcel` back; False if it may have left."""
        if parcel.taken:
            return False
        self.bytes -= len(parcel.body)
        parcel.body = b""
        parcel.taken = True
        return True

    def finish(self) -> None:
        """Nothing more will be put: `filled` returns when all is taken."""
        self._finished = True
        self._wake()

    async def filled(self) -> bool:
        """Return when there is something to take, or False when all is done. For the one writer."""
        while not (self._control or self._calls or self._pieces):
            if self._finished:
                return False
            self._idle = asyncio.get_running_loop().create_future()
            try:
                await self._idle
            finally:
                self._idle = None
        return True

    def take(self, max_envelopes: int, max_bytes: int) -> tuple[bytes, int]:
        """The next frame and how many envelopes it has.

        All that is there if it is little, else a quarter: while the peer works on it the next one is made, where a
        frame of everything would leave one side idle in turn.
        """
        bunch = min(max_envelopes, max(BUNCH, len(self._calls) // 4))
        parts: list[bytes] = []
        size = 0
        control, calls = self._control, self._calls
        while control and len(parts) < max_envelopes and size + len(control[0]) <= max_bytes:
            size += len(control[0])
            parts.append(control.popleft())
        before = size
        while calls and len(parts) < bunch:
            body = calls[0].body
            if size + len(body) > max_bytes:
                break
            calls.popleft().taken = True
            if body:
                size += len(body)
                parts.append(body)
        self.bytes -= size - before
        for _ in range(min(PIECES_PER_FRAME, len(self._pieces))):
            if len(parts) >= max_envelopes or size + len(self._pieces[0].body) > max_bytes:
                break
            piece = self._pieces.popleft()
            size += len(piece.body)
            parts.append(piece.body)
            if not piece.left.done():
                piece.left.set_result(None)
        self.room.knock()
        return parts[0] if len(parts) == 1 else b"".join(parts), len(parts)

    def close(self, error: AixgoError) -> None:
        """Drop what waits, and turn away everybody who waits for room or for a piece to leave."""
        self._closed = error
        self.room.close(lambda: error)
        for piece in self._pieces:
            if not piece.left.done():
                piece.left.set_result(None)
        for queue in (self._control, self._calls, self._pieces):
            queue.clear()
        self.finish()

    def _wake(self) -> None:
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)
