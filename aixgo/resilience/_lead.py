"""A request that went out: what comes of it is kept, and told to those who wait.

Below: `_answers`, `_flight`. Above: cache.
"""

from __future__ import annotations

import asyncio
from typing import cast

from aixgo.errors import ProviderError
from aixgo.message import StreamChunk
from aixgo.providers import Completion, Delta, Provider
from aixgo.resilience._answers import Answer, Answers, Slot
from aixgo.resilience._flight import Flight, Flights
from aixgo.resilience.base import Pieces, Whole

__all__ = ["Kept", "Lead"]

WHOLE = frozenset({"end", "stop_sequence"})  # stop reasons of an answer nothing is missing from


class Lead:
    """A request that went out, with `flight` as the one the others wait for."""

    def __init__(
        self,
        answers: Answers,
        flights: Flights[Slot, Answer],
        slot: Slot,
        provider: Provider,
        flight: Flight[Answer] | None,
    ) -> None:
        self._answers = answers
        self._flights = flights
        self._slot = slot
        self._provider = provider
        self._flight = flight

    def answered(self, completion: Completion | None, thinking: str) -> None:
        """Keep a whole answer; for any other, those who wait ask for themselves."""
        answer: Answer | None = None
        if completion is not None and _whole(completion):
            answer = self._answers.keep(self._slot, completion, thinking, self._provider)
        flight = self._finish()
        if flight is not None:
            flight.land("ask" if answer is None else answer)

    def failed(self, error: BaseException, *, share: bool) -> None:
        """Share the provider's error; what is the caller's own, such as a cancel, hands the lead over."""
        flight = self._flight
        if flight is None:
            return
        if share and isinstance(error, ProviderError):
            self._finish()
            flight.land(error)
        elif flight.hand_over():
            self._flight = None
        else:
            self._finish()

    def _finish(self) -> Flight[Answer] | None:
        flight, self._flight = self._flight, None
        if flight is not None:
            self._flights.end(self._slot, flight)
        return flight


class Kept:
    """A stream whose answer is kept if it comes to its end."""

    def __init__(self, pieces: Pieces, lead: Lead) -> None:
        self._pieces = pieces
        self._lead: Lead | None = lead
        self._thinking: list[str] = []
        self._begun = False

    @property
    def final(self) -> Whole | None:
        return self._pieces.final

    def __aiter__(self) -> Kept:
        return self

    async def __anext__(self) -> Delta | StreamChunk:
        try:
            piece = await self._pieces.__anext__()
        except StopAsyncIteration:
            lead, self._lead = self._lead, None
            if lead is not None:
                lead.answered(
                    cast("Completion | None", self._pieces.final), "".join(self._thinking)
                )
            raise
        except BaseException as exc:
            self._failed(exc)
            raise
        self._begun = True
        if isinstance(piece, Delta) and piece.thinking:
            self._thinking.append(piece.thinking)
        return piece

    async def aclose(self) -> None:
        try:
            await self._pieces.aclose()
        finally:
            self._failed(asyncio.CancelledError())

    def _failed(self, error: BaseException) -> None:
        lead, self._lead = self._lead, None
        if lead is not None:
            lead.failed(error, share=not self._begun)


def _whole(completion: Completion) -> bool:
    """Whether an answer may be given again."""
    return (
        bool(completion.text)
        and completion.stop_reason in WHOLE
        and not completion.tool_calls
        and "served_by" not in completion.notes
    )
