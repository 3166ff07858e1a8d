"""Answers of a model that are given again to exactly the same request.

Exactly the same is: all of the request, asked of the same provider object, for the same tenant and principal. A
schema counts in the order it is written in, since a model reads it in that order. What is kept are whole answers in
text; errors, calls of tools, and what was cut off or left are not.

It stands outermost, so that an answer from here reserves no budget and takes no slot of a limiter.

Below: base; `_answers`, which keeps them; `_flight`, where equal requests wait for one; `_lead`, which is that one.
Above: whoever puts it into a chain.
"""

from __future__ import annotations

import hashlib
import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, cast

import msgspec

from aixgo import telemetry
from aixgo.context import Clock, SystemClock
from aixgo.errors import ConfigError, ProviderError
from aixgo.keys import Key
from aixgo.ledger import Usage
from aixgo.measures import Counter, Gauge
from aixgo.providers import Completion, Delta, ModelCall
from aixgo.resilience._answers import Answer, Answers, Slot
from aixgo.resilience._flight import Flight, Flights
from aixgo.resilience._lead import Kept, Lead
from aixgo.resilience.base import Call, Pieces, Policy, Reply, Seam

__all__ = ["POLICY", "CacheStats", "ResponseCache"]

TTL = 3600.0  # seconds from when an answer was written
MAX_ENTRIES = 1_000
MAX_BYTES = 64 * 1024 * 1024
MAX_WAIT = 60.0  # seconds for an equal request that is out, within the call's own deadline

REQUESTS = Counter("aixgo.cache.requests", labels=1)
"""By what came of it: `hit`, `joined` (a hit that waited for an equal request), `miss`, `passed`."""
SAVED = Counter("aixgo.cache.saved_usd", labels=0)
KEPT: Gauge[ResponseCache] = Gauge(
    "aixgo.cache.entries", lambda cache: {(): cache.stats().entries}, operator.add
)
SIZE: Gauge[ResponseCache] = Gauge(
    "aixgo.cache.size", lambda cache: {(): cache.stats().bytes}, operator.add
)


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
        self._max_wait = max_wait
        self._sampled = sampled
        self._clock = clock or SystemClock()
        self._answers = Answers(
            ttl=ttl, max_entries=max_entries, max_bytes=max_bytes, clock=self._clock
        )
        self._flights: Flights[Slot, Answer] = Flights(self._clock)
        self._hits = self._joined = self._misses = self._passed = 0
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
            evictions=self._answers.evictions,
            expired=self._answers.expired,
            entries=len(self._answers),
            bytes=self._answers.bytes,
            saved=replace(self._saved),
        )

    def clear(self) -> None:
        """Forget all answers; what is out goes on, and is kept when it comes."""
        self._answers.clear()

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
        known = self._answers.find(slot)
        if known is not None:
            REQUESTS.add("hit")
            return self._again(call, request, known)
        flight = self._flights.find(slot)
        if flight is not None and not self._overdue(flight):
            if flight.full:
                return await self._ask(call, request, slot, None)
            try:
                found = await flight.join(min(self._max_wait, max(0.0, call.remaining)))
            finally:
                if not flight.led:  # this one was to lead, and is cancelled
                    self._flights.end(slot, flight)
            if isinstance(found, Answer):
                self._joined += 1
                REQUESTS.add("joined")
                return self._again(call, request, found)
            if isinstance(found, ProviderError):
                raise _twin(found)
            return await self._ask(call, request, slot, flight if found == "lead" else None)
        return await self._ask(call, request, slot, self._flights.begin(slot))

    def _slot(self, call: Call, asked: ModelCall) -> Slot | None:
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

    def _overdue(self, flight: Flight[Answer]) -> bool:
        """Whether a flight is out for so long that nobody waits for it any more."""
        return self._clock.monotonic() - flight.since >= self._max_wait

    def _again(self, call: Call, asked: ModelCall, known: Answer) -> Reply:
        """A reply of `known` that costs nothing."""
        spent = known.completion.usage
        self._hits += 1
        self._saved.add(spent)
        SAVED.add(amount=spent.cost_usd)
        notes = {"cached": True, "saved_tokens": spent.tokens_total, "saved_usd": spent.cost_usd}
        completion = replace(known.completion, usage=Usage(), notes=notes)
        if telemetry.on:
            _tell(call, asked, completion)
        return _Replay(completion, known.thinking) if call.streaming else completion

    async def _ask(
        self, call: Call, request: ModelCall, slot: Slot, flight: Flight[Answer] | None
    ) -> Reply:
        """Ask, and keep the answer; with `flight`, as the one the others wait for."""
        self._misses += 1
        REQUESTS.add("miss")
        lead = Lead(self._answers, self._flights, slot, request.provider, flight)
        try:
            reply = await call.ask()
        except BaseException as exc:
            lead.failed(exc, share=True)
            raise
        if call.streaming:
            return Kept(cast("Pieces", reply), lead)
        lead.answered(cast("Completion", reply), "")
        return reply


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


def _tell(call: Call, asked: ModelCall, completion: Completion) -> None:
    """Tell whoever watches of an answer that nobody below hears of."""
    work = telemetry.ModelUse(
        asked.provider.name, asked.request, call.context, streaming=call.streaming, cached=True
    )
    with telemetry.watch(work):
        work.completion = completion


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
