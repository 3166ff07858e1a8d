"""A streamed reply from another process, as its reader holds it, whichever transport brings its pieces.

Below: message. Above: `streams` and `wirestream`, one for each transport.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self

from aixgo.message import Message, StreamChunk

__all__ = ["RemoteStream"]


class RemoteStream:
    """A reply in pieces; implements `ReplyStream`. Leaving it, in whatever way, stops the callee.

    Args:
        leave: stops the callee and gives back what the stream held; called once.
    """

    def __init__(self, leave: Callable[[], None]) -> None:
        self._leave = leave
        self._ended = False
        self._final: Message | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def final(self) -> Message | None:
        """The whole reply, once the iteration ended."""
        return self._final

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamChunk:
        if self._ended:
            raise StopAsyncIteration
        try:
            chunk = await self._next()
        except BaseException:
            self._end()
            raise
        if chunk is None:
            self._end()
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        """Stop the callee, if it has not ended. Harmless at any time."""
        self._end()

    def __del__(self) -> None:
        # The callee would work for nobody until its deadline. May run in any thread.
        if not self._ended and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._leave)

    async def _next(self) -> StreamChunk | None:
        """The next piece; None once `_final` is there."""
        raise NotImplementedError

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._leave()
