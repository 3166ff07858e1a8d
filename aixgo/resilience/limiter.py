"""How many calls at a time, and how many requests and tokens in a minute.

One Limiter may stand in front of several models or agents: they share what it allows. What a model call may use is
reserved before it goes out, from an upper estimate, and settled when it has ended, so that a limit is kept and not
noticed afterwards.

Below: base, and `_gate`, which keeps the line. Above: whoever puts it into a chain.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import ClassVar, Self

from aixgo.context import Clock, SystemClock
from aixgo.errors import AixgoError, CircuitOpen, ConfigError, LimitExceeded, ProviderError
from aixgo.keys import Key
from aixgo.measures import Counter, Gauge, Labels
from aixgo.message import StreamChunk
from aixgo.providers import Completion, Delta, ModelCall, most_tokens
from aixgo.resilience._gate import Gate, LimiterStats, Permit
from aixgo.resilience.base import Call, Pieces, Policy, Reply, Surroundings, Watched, Whole

__all__ = ["POLICY", "Limiter", "LimiterStats"]

MAX_WAITING = 1_000  # calls in line
MAX_WAIT = 60.0  # seconds in line, within the call's own deadline

WAITS = Counter("aixgo.limiter.waits", labels=1)
WAITED = Counter("aixgo.limiter.wait_time", labels=1)
"""Seconds; both by backend."""
REFUSED = Counter("aixgo.limiter.refused", labels=2)
"""By backend and the error's class."""
CALLS: Gauge[Limiter] = Gauge(
    "aixgo.limiter.calls",
    lambda limiter: limiter._calls(),  # noqa: SLF001 - its own
    operator.add,
)


class Limiter(Policy):
    """Lets calls through as its limits allow; the others wait in line, first come, first served.

    Tokens are those of the prompt and of the answer. A call that sets no `max_tokens` is taken for the longest
    answer there is, until it has ended; so limit the answers where tokens are short. In front of agents only
    `concurrency` and `requests_per_minute` can be limited, and a call made inside one that holds a slot needs
    none of its own, or it might wait for itself.

    Args:
        concurrency: calls at a time; a stream is one until its end, or until it is closed.
        requests_per_minute: in any 60 seconds.
        tokens_per_minute: in any 60 seconds; what a call used counts from its reservation until a minute after
            its end, because nobody knows when in between the vendor counted it.
        max_waiting: calls that may wait. One more is refused with `QueueFull`.
        max_wait: seconds one may wait, if its deadline allows that. One that cannot be in time is refused at
            once with `Throttled`.
        clock: where time comes from.

    Raises:
        ConfigError: a limit is no whole number of at least 1, or nothing is limited.
    """

    summary = "how many calls at a time, and how many requests and tokens in a minute"
    place = 50
    config_keys: ClassVar[Mapping[str, Key]] = {
        "concurrency": Key("integer", "calls at a time", minimum=1),
        "requests_per_minute": Key("integer", "requests in any 60 seconds", minimum=1),
        "tokens_per_minute": Key(
            "integer", "tokens in any 60 seconds, prompts and answers; of models only", minimum=1
        ),
        "max_waiting": Key("integer", "calls that may wait", default=MAX_WAITING, minimum=0),
        "max_wait": Key("duration", "how long one may wait", default=MAX_WAIT, minimum=0),
    }

    def __init__(
        self,
        *,
        concurrency: int | None = None,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        max_waiting: int = MAX_WAITING,
        max_wait: float = MAX_WAIT,
        clock: Clock | None = None,
    ) -> None:
        limits = {
            "concurrency": concurrency,
            "requests_per_minute": requests_per_minute,
            "tokens_per_minute": tokens_per_minute,
        }
        for name, limit in limits.items():
            if limit is not None and (type(limit) is not int or limit < 1):
                raise ConfigError(
                    f"Limiter({name}={limit!r}): a limit is a whole number, at least 1"
                )
        if all(limit is None for limit in limits.values()):
            raise ConfigError(f"Limiter(): nothing is limited; give one of {', '.join(limits)}")
        if type(max_waiting) is not int or max_waiting < 0:
            raise ConfigError(f"Limiter(max_waiting={max_waiting!r}): a whole number, at least 0")
        if not 0 <= max_wait < math.inf:
            raise ConfigError(f"Limiter(max_wait={max_wait!r}): seconds, finite and not negative")
        self._in_tokens = tokens_per_minute is not None
        self._in_slots = concurrency is not None
        self._gate = Gate(
            clock or SystemClock(),
            concurrency=concurrency,
            requests=requests_per_minute,
            tokens=tokens_per_minute,
            max_waiting=max_waiting,
            max_wait=max_wait,
        )
        CALLS.watch(self)

    def stats(self) -> LimiterStats:
        """Who is in and who waits, and what is left now."""
        return self._gate.stats

    def _calls(self) -> dict[Labels, float]:
        """Unlike `stats`, for any thread."""
        return {("running",): self._gate.running, ("waiting",): self._gate.waiting}

    @classmethod
    def from_config(cls, settings: Mapping[str, object], around: Surroundings) -> Self:
        """The limiter of checked settings.

        Raises:
            ConfigError: nothing is limited, or the tokens of agents are.
        """
        if around.seam == "runtime" and settings.get("tokens_per_minute") is not None:
            raise ConfigError(NO_TOKENS)
        return super().from_config(settings, around)

    async def apply(self, call: Call) -> Reply:
        """Pass the call on once it is its turn.

        Raises:
            LimitExceeded: `CallTooLarge`, `QueueFull` or `Throttled`.
            DeadlineExceeded: its time passed in line.
            ConfigError: tokens are limited in front of an agent.
        """
        of_model = isinstance(call.request, ModelCall)
        try:
            permit = await self._gate.enter(
                self._estimate(call),
                agent=call.backend if call.context is None else call.context.agent,
                remaining=call.remaining,
                inside=not of_model and self in _passed.get(),
            )
        except AixgoError as exc:
            REFUSED.add(call.backend, type(exc).__name__)
            raise
        if permit.waited is not None:
            WAITS.add(call.backend)
            WAITED.add(call.backend, amount=permit.waited)
        holder = self if self._in_slots and permit.slot and not of_model else None
        try:
            with _inside(holder):
                reply = await call.ask()
        except BaseException as exc:
            _failed(permit, exc)
            raise
        if isinstance(reply, Whole):
            permit.end(_used(reply, permit))
            return reply
        return _HeldStream(reply, permit, holder)

    def _estimate(self, call: Call) -> int:
        """The most tokens the call can take."""
        if not self._in_tokens:
            return 0
        request = call.request
        if not isinstance(request, ModelCall):
            raise ConfigError(NO_TOKENS)
        return sum(most_tokens(request.provider, request.request))


NO_TOKENS = (
    "tokens_per_minute limits a model, and this limiter stands in front of agents: give it to the model, or limit "
    "concurrency and requests_per_minute here"
)


class _HeldStream(Watched):
    """A stream that holds what its call was let in with, to its end."""

    def __init__(self, pieces: Pieces, permit: Permit, holder: Limiter | None) -> None:
        super().__init__(pieces, self._leave)
        self._permit = permit
        self._holder = holder

    async def __anext__(self) -> Delta | StreamChunk:
        with _inside(self._holder):
            return await super().__anext__()

    def _leave(self, how: BaseException | None) -> None:
        if how is None:
            self._permit.end(_used(self.final, self._permit))
        else:
            _failed(self._permit, how)


def _used(reply: Whole | None, permit: Permit) -> int:
    """What a call that was answered used; the estimate, if the provider does not say."""
    if not isinstance(reply, Completion):
        return permit.tokens
    return reply.usage.tokens_total or (permit.tokens if reply.usage.calls else 0)


def _failed(permit: Permit, how: BaseException) -> None:
    """End the permit of a call that failed, was cancelled or left."""
    if isinstance(how, (LimitExceeded, CircuitOpen)):  # refused further down: nothing went out
        permit.end(0, asked=False)
    elif isinstance(how, ProviderError):
        permit.end(0 if how.usage is None else how.usage.tokens_total)
    else:  # cut off: nobody knows what the vendor counted
        permit.end(permit.tokens)


_passed: ContextVar[frozenset[Limiter]] = ContextVar("aixgo_limiters", default=frozenset())
"""The limiters in which a call between agents that this code is part of holds a slot."""


@contextmanager
def _inside(holder: Limiter | None) -> Iterator[None]:
    """Run what is inside as part of a call that holds a slot of `holder`."""
    if holder is None:
        yield
        return
    token = _passed.set(_passed.get() | {holder})
    try:
        yield
    finally:
        _passed.reset(token)


POLICY = Limiter
