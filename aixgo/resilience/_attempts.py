"""What policies share that ask more than once: what the attempts came to, and streams that begin again.

Below: base. Above: retry, fallback.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol, cast

from aixgo.errors import AixgoError
from aixgo.ledger import Usage
from aixgo.message import JSONValue, Message, StreamChunk
from aixgo.providers import Delta
from aixgo.resilience.base import Call, Pieces, Reply, StreamLayer, Whole

__all__ = ["Attempts", "Restartable", "Tally"]


class Attempts(Protocol):
    """How a stream that failed before its first piece is begun again."""

    tally: Tally

    async def again(self, error: AixgoError) -> Reply:
        """The stream of another attempt; raises `error`, or what that attempt failed with."""
        ...

    def told(self, whole: Whole) -> Whole:
        """The whole reply at the end, with what is to be said about its attempts."""
        ...


class Restartable(StreamLayer):
    """A stream that is begun again when it fails before its first piece; afterwards errors pass as they are."""

    def __init__(self, pieces: Pieces, attempts: Attempts) -> None:
        super().__init__(pieces)
        self._attempts = attempts
        self._begun = False
        self._final: Whole | None = None

    @property
    def final(self) -> Whole | None:
        """The whole reply, once the iteration ended."""
        return self._final

    async def __anext__(self) -> Delta | StreamChunk:
        while True:
            try:
                piece = await self.pieces.__anext__()
            except StopAsyncIteration:
                whole = self.pieces.final
                failed = self._attempts.tally.failed
                self._final = self._attempts.told(whole) if whole is not None and failed else whole
                raise
            except AixgoError as exc:
                await self.pieces.aclose()
                if self._begun:
                    self._attempts.tally.add(exc)
                    self._attempts.tally.last(exc)
                    raise
                self.pieces = cast("Pieces", await self._attempts.again(exc))
                continue
            self._begun = True
            return piece


class Tally:
    """The attempts of one call that failed, and what they spent, to be told with its end."""

    __slots__ = ("_usage", "failed")

    def __init__(self) -> None:
        self.failed = 0
        self._usage: Usage | None = None

    def add(self, error: AixgoError) -> None:
        """Count a failed attempt."""
        self.failed += 1
        if error.usage is not None:
            if self._usage is None:
                self._usage = Usage()
            self._usage.add(error.usage)

    def last(self, error: AixgoError) -> AixgoError:
        """`error`, which was added and ends the call, with what all attempts spent."""
        if self._usage is not None:
            error.usage = self._usage
        return error

    def answered(self, call: Call, whole: Whole, notes: Mapping[str, JSONValue]) -> Whole:
        """The reply to `call` with `notes`, and with what the failed attempts spent besides."""
        if isinstance(whole, Message):
            spent = None if call.context is None else call.context.spent
            return whole.with_metadata(**notes).delivered(whole.source, spent)
        usage = whole.usage
        if self._usage is not None:
            usage = replace(usage)
            usage.add(self._usage)
        return replace(whole, usage=usage, notes={**whole.notes, **notes})
