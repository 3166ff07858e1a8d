"""Answers of a model that are given again to exactly the same request.

Exactly the same is: all of the request, asked of the same provider object, for the same tenant and principal. A
schema counts in the order it is written in, since a model reads it in that order. What is kept are whole answers in
text; errors, calls of tools, and what was cut off or left are not.

It stands outermost, so that an answer from here reserves no budget and takes no slot of a limiter.

Below: base, and `_flight`, where equal requests wait for one. Above: whoever puts it into a chain.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import operator
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, TypeAlias, cast

import msgspec

from aixgo.context import Clock, SystemClock
from aixgo.errors import ConfigError, ProviderError
from aixgo.keys import Key
from aixgo.ledger import Usage
from aixgo.measures import Counter, Gauge
from aixgo.message import StreamChunk
from aixgo.providers import Completion, Delta, ModelCall, Provider
from aixgo.resilience._flight import Flight
from aixgo.resilience.base import Call, Pieces, Policy, Reply, Seam, Whole

__all__ = ["POLICY", "CacheStats", "ResponseCache"]

TTL = 3600.0  # seconds from when an answer was written
MAX_ENTRIES = 1_000
MAX_BYTES = 64 * 1024 * 1024
MAX_WAIT = 60.0  # seconds for an equal request that is out, within the call's own deadline
ENTRY_BYTES = 1_024  # about what an entry takes besides its texts

REQUESTS = Counter("aixgo.cache.requests", labels=1)
"""By what came of it: `hit`, `joined` (a hit that waited for an equal request), `miss`, `passed`."""
SAVED = Counter("aixgo.cache.saved_usd", labels=0)
KEPT: Gauge[ResponseCache] = Gauge(
    "aixgo.cache.entries", lambda cache: {(): cache.stats().entries}, operator.add
)
SIZE: Gauge[ResponseCache] = Gauge(
    "aixgo.cache.size", lambda cache: {(): cache.stats().bytes}, operator.add
)

WHOLE = frozenset({"end", "stop_sequence"})  # stop reasons of an answer nothing is missing from

_Slot: TypeAlias = tuple[int, bytes]  # the provider's identity and a digest of the rest


@dataclass(slots=True, frozen=True, kw_only=True)
class CacheStats:
    """A cache at one moment, and what it did since it was made."""

    hits: int
    """Calls answered without asking, those that joined an equal one among them."""
    joined: int
    """Of the hits, those that waited for an equal request that was out."""
    misses: int
    """Calls that asked and could have been hits."""
    passed: int
    """Calls that were none of its business, such as those with a temperature."""
    evictions: int
    """Answers dropped for room."""
    expired: int
    """Answers dropped for age."""
    entries: int
    bytes: int
    saved: Usage
    """What the hits would have spent."""


@dataclass(slots=True, frozen=True)
class _Answer:
    """An answer that can be given again. `provider` is kept so that its identity stays its own."""

    completion: Completion
    thinking: str
    provider: Provider
    size: int
    written: float


class ResponseCache(Policy):
    """Answers an exactly equal request with the answer given before, at no cost.

    Such an answer says `cached`, and in `saved_tokens` and `saved_usd` what it would have spent; as a stream it
    comes in one piece. Equal requests that are out at the same time are one: the others wait for its answer,
    and get its error if the provider fails.

    A request that sets a temperature above 0 wants to be asked each time and passes, unless `sampled`. An answer
    that `Fallback` got elsewhere is not kept.

    Args:
        ttl: seconds an answer is given again, from when it was written.
        max_entries: answers it holds; the one that was used longest ago goes first.
        max_bytes: about the memory they may take. A larger answer is not kept.
        max_wait: seconds to wait for an equal request that is out, before asking all the same.
        sampled: keep also what was asked with a temperature above 0.
        clock: where time comes from.

    Raises:
        ConfigError: a setting is out of its bounds.
    """

    summary: ClassVar[str] = "answer an equal request with the answer given before"
    place: ClassVar[int] = 5
    seams: ClassVar[tuple[Seam, ...]] = (
        "model",
    )  # what an agent does besides answering is unknown
    config_keys: ClassVar[Mapping[str, Key]] = {
        "ttl": Key("duration", "how long an answer holds", default=TTL, minimum=0.001),
        "max_entries": Key("integer", "answers it holds", default=MAX_ENTRIES, minimum=1),
        "max_bytes": Key("integer", "about their size together", default=MAX_BYTES, minimum=1),
        "max_wait": Key(
            "duration", "for an equal request that is out", default=MAX_WAIT, minimum=0
        ),
        "sampled": Key(
            "boolean", "keep also what was asked with a temperature above 0", default=False
        ),
    }

    def __init__(
        self,
        *,
        ttl: float = TTL,
        max_entries: int = MAX_ENTRIES,
        max_bytes: int = MAX_BYTES,
        max_wait: float = MAX_WAIT,
        sampled: bool = False,
        clock: Clock | None = None,
    ) -> None:
        for name, limit in (("max_entries", max_entries), ("max_bytes", max_bytes)):
            if type(limit) is not int or limit < 1:
                raise ConfigError(f"ResponseCache({name}={limit!r}): a whole number, at least 1")
        if not 0 < ttl < math.inf:
            raise ConfigError(f"ResponseCache(ttl={ttl!r}): seconds, finite and above 0")
        if not 0 <= max_wait < math.inf:
            raise ConfigError(
                f"ResponseCache(max_wait={max_wait!r}): seconds, finite and not negative"
            )
        self._ttl = ttl
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._max_wait = max_wait
        self._sampled = sampled
        self._clock = clock or SystemClock()
        self._answers: OrderedDict[_Slot, _Answer] = OrderedDict()
        self._flights: dict[_Slot, Flight[_Answer]] = {}
        self._bytes = self._hits = self._joined = self._misses = 0
        self._passed = self._evictions = self._expired = 0
        self._saved = Usage()
        KEPT.watch(self)
        SIZE.watch(self)

    def stats(self) -> CacheStats:
        """What it holds now, and what it did."""
        return CacheStats(
            hits=self._hits,
            joined=self._joined,
            misses=self._misses,
            passed=self._passed,
            evictions=self._evictions,
            expired=self._expired,
            entries=len(self._answers),
            bytes=self._bytes,
            saved=replace(self._saved),
        )

    def clear(self) -> None:
        """Forget all answers; what is out goes on, and is kept when it comes."""
        self._answers.clear()
        self._bytes = 0

    async def apply(self, call: Call) -> Reply:
        """The answer that is known, or of an equal request that is out, or of what is below.

        Raises:
            ConfigError: it stands in front of agents.
            ProviderError: the model did not answer this request, or an equal one that was waited for.
        """
        request = call.request
        if not isinstance(request, ModelCall):
            raise ConfigError(
                "ResponseCache keeps answers of models, and this one stands in front of agents: give it to the model"
            )
        slot = self._slot(call, request)
        if slot is None:
            self._passed += 1
            REQUESTS.add("passed")
            return await call.ask()
        known = self._known(slot)
        if known is not None:
            REQUESTS.add("hit")
            return self._again(call, known)
        flight = self._flights.get(slot)
        if flight is not None and not self._overdue(flight):
            if flight.full:
                return await self._ask(call, request, slot, None)
            try:
                found = await flight.join(min(self._max_wait, max(0.0, call.remaining)))
            finally:
                if not flight.led:  # this one was to lead, and is cancelled
                    self._end(slot, flight)
            if isinstance(found, _Answer):
                self._joined += 1
                REQUESTS.add("joined")
                return self._again(call, found)
            if isinstance(found, ProviderError):
                raise _twin(found)
            return await self._ask(call, request, slot, flight if found == "lead" else None)
        flight = self._flights[slot] = Flight(self._clock)
        return await self._ask(call, request, slot, flight)

    def _slot(self, call: Call, asked: ModelCall) -> _Slot | None:
        """Where the answer to `call` is kept; None if it is to be asked each time."""
        request = asked.request
        if request.temperature and not self._sampled:
            return None
        whose = ("", "") if call.context is None else (call.context.tenant, call.context.principal)
        try:
            text = msgspec.json.encode((whose, request), enc_hook=_plain)
        except (TypeError, ValueError, RecursionError):  # holds what no text can stand for
            return None
        return id(asked.provider), hashlib.blake2b(text, digest_size=32).digest()

    def _overdue(self, flight: Flight[_Answer]) -> bool:
        """Whether a flight is out for so long that nobody waits for it any more."""
        return self._clock.monotonic() - flight.since >= self._max_wait

    def _known(self, slot: _Slot) -> _Answer | None:
        found = self._answers.get(slot)
        if found is None:
            return None
        if self._clock.monotonic() - found.written >= self._ttl:
            self._drop(slot)
            self._expired += 1
            return None
        self._answers.move_to_end(slot)
        return found

    def _again(self, call: Call, known: _Answer) -> Reply:
        """A reply of `known` that costs nothing."""
        spent = known.completion.usage
        self._hits += 1
        self._saved.add(spent)
        SAVED.add(amount=spent.cost_usd)
        notes = {"cached": True, "saved_tokens": spent.tokens_total, "saved_usd": spent.cost_usd}
        completion = replace(known.completion, usage=Usage(), notes=notes)
        return _Replay(completion, known.thinking) if call.streaming else completion

    async def _ask(
        self, call: Call, request: ModelCall, slot: _Slot, flight: Flight[_Answer] | None
    ) -> Reply:
        """Ask, and keep the answer; with `flight`, as the one the others wait for."""
        self._misses += 1
        REQUESTS.add("miss")
        lead = _Lead(self, slot, request.provider, flight)
        try:
            reply = await call.ask()
        except BaseException as exc:
            lead.failed(exc, share=True)
            raise
        if call.streaming:
            return _Kept(cast("Pieces", reply), lead)
        lead.answered(cast("Completion", reply), "")
        return reply

    def _keep(self, slot: _Slot, answer: _Answer) -> None:
        """Keep `answer`, and drop what was used longest ago until there is room."""
        if answer.size > self._max_bytes:
            return
        self._drop(slot)
        self._answers[slot] = answer
        self._bytes += answer.size
        while len(self._answers) > self._max_entries or self._bytes > self._max_bytes:
            self._drop(next(iter(self._answers)))
            self._evictions += 1

    def _drop(self, slot: _Slot) -> None:
        dropped = self._answers.pop(slot, None)
        if dropped is not None:
            self._bytes -= dropped.size

    def _end(self, slot: _Slot, flight: Flight[_Answer]) -> None:
        if self._flights.get(slot) is flight:
            del self._flights[slot]


class _Lead:
    """A request that went out: what comes of it is kept, and told to those who wait."""

    def __init__(
        self,
        cache: ResponseCache,
        slot: _Slot,
        provider: Provider,
        flight: Flight[_Answer] | None,
    ) -> None:
        self._cache = cache
        self._slot = slot
        self._provider = provider
        self._flight = flight

    def answered(self, completion: Completion | None, thinking: str) -> None:
        """Keep a whole answer; for any other, those who wait ask for themselves."""
        answer: _Answer | None = None
        if completion is not None and _whole(completion):
            texts = msgspec.json.encode((completion.text, completion.thinking, thinking))
            answer = _Answer(
                replace(completion, usage=replace(completion.usage)),  # its reader may add to it
                thinking,
                self._provider,
                len(texts) + ENTRY_BYTES,
                self._cache._clock.monotonic(),  # noqa: SLF001 - its other half
            )
            self._cache._keep(self._slot, answer)  # noqa: SLF001
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

    def _finish(self) -> Flight[_Answer] | None:
        flight, self._flight = self._flight, None
        if flight is not None:
            self._cache._end(self._slot, flight)  # noqa: SLF001
        return flight


class _Kept:
    """A stream whose answer is kept if it comes to its end."""

    def __init__(self, pieces: Pieces, lead: _Lead) -> None:
        self._pieces = pieces
        self._lead: _Lead | None = lead
        self._thinking: list[str] = []
        self._begun = False

    @property
    def final(self) -> Whole | None:
        return self._pieces.final

    def __aiter__(self) -> _Kept:
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


class _Replay:
    """A known answer as a stream: its thinking, then its text."""

    def __init__(self, completion: Completion, thinking: str) -> None:
        pieces = [Delta(thinking=thinking)] if thinking else []
        self._pieces = iter([*pieces, Delta(completion.text)])
        self._completion = completion
        self.final: Completion | None = None

    def __aiter__(self) -> _Replay:
        return self

    async def __anext__(self) -> Delta:
        piece = next(self._pieces, None)
        if piece is None:
            self.final = self._completion
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        self._pieces = iter(())


def _whole(completion: Completion) -> bool:
    """Whether an answer may be given again."""
    return (
        bool(completion.text)
        and completion.stop_reason in WHOLE
        and not completion.tool_calls
        and "served_by" not in completion.notes
    )


def _twin(error: ProviderError) -> ProviderError:
    """`error` for another caller, who spent nothing; without its constructor, which may take anything."""
    twin = type(error).__new__(type(error), *error.args)
    twin.__dict__.update(error.__dict__)
    twin.usage = None
    return twin


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


POLICY = ResponseCache
