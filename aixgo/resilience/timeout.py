"""A bound on one attempt, so that a model or an agent that hangs leaves time for another.

The call's own deadline stays what it is: it ends the call for good, while this ends an attempt, with an error
that may be retried. Below: base. Above: config.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import ClassVar, TypeVar, cast

from aixgo.context import Clock, SystemClock
from aixgo.deadlines import Guard
from aixgo.errors import AixgoError, AttemptTimeout, ConfigError, ProviderUnavailable
from aixgo.keys import Key
from aixgo.ledger import Usage
from aixgo.message import StreamChunk
from aixgo.providers import Delta, ModelCall
from aixgo.resilience.base import Call, Pieces, Policy, Reply, StreamLayer

__all__ = ["POLICY", "Timeout"]

T = TypeVar("T")


class Timeout(Policy):
    """Ends an attempt that takes too long: a model with `ProviderUnavailable`, an agent with `AttemptTimeout`.

    What is ended is cancelled, down to the model's socket. Both errors are retryable; an agent that was ended may
    have done something by then, so do not retry agents whose work must not be done twice without a key.

    Args:
        seconds: an attempt may take for its answer, or for the first piece of a stream.
        idle: seconds a stream may be silent between two pieces; as `seconds` unless given.
        clock: where time comes from.

    Raises:
        ConfigError: a time is not above 0.
    """

    summary: ClassVar[str] = "end an attempt that takes too long"
    place: ClassVar[int] = 60
    config_keys: ClassVar[Mapping[str, Key]] = {
        "seconds": Key(
            "duration",
            "for an answer, or for the first piece of a stream",
            minimum=0.001,
            required=True,
        ),
        "idle": Key("duration", "between two pieces; as `seconds` unless given", minimum=0.001),
    }

    def __init__(
        self, seconds: float, idle: float | None = None, *, clock: Clock | None = None
    ) -> None:
        self.seconds = seconds
        self.idle = seconds if idle is None else idle
        if not (0 < self.seconds < math.inf and 0 < self.idle < math.inf):
            raise ConfigError("Timeout: times are finite numbers of seconds above 0")
        self.clock = clock or SystemClock()

    async def apply(self, call: Call) -> Reply:
        """The reply, if it comes in time.

        Raises:
            ProviderUnavailable: a model did not answer in time.
            AttemptTimeout: an agent did not.
        """
        began = self.clock.monotonic()
        reply = await self.within(call, self.seconds, call.ask)
        if not call.streaming:
            return reply
        left = max(0.0, began + self.seconds - self.clock.monotonic())
        return _Timed(cast("Pieces", reply), self, call, left)

    async def within(self, call: Call, seconds: float, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` gives, if it does within `seconds`; else it is cancelled."""
        task = asyncio.current_task()
        assert task is not None
        guard = Guard(task, set())
        timer = self.clock.call_later(seconds, lambda: guard.fire(lambda: _error(call, seconds)))
        error: AixgoError | None = None
        try:
            result = await work()
        except asyncio.CancelledError:
            if guard.error is None or not guard.absorbed():
                raise
            error = guard.error()
        except BaseException:
            if guard.error is not None:
                guard.absorbed()
            raise
        else:
            if guard.error is None or not guard.absorbed():
                return result
            error = guard.error()  # whoever was cancelled kept it to himself
        finally:
            timer.cancel()
        _count(call)
        raise error


class _Timed(StreamLayer):
    """A stream each of whose steps has a bound."""

    def __init__(self, pieces: Pieces, timeout: Timeout, call: Call, first: float) -> None:
        super().__init__(pieces)
        self._timeout = timeout
        self._call = call
        self._seconds = first

    async def __anext__(self) -> Delta | StreamChunk:
        seconds, self._seconds = self._seconds, self._timeout.idle
        try:
            return await self._timeout.within(self._call, seconds, self.pieces.__anext__)
        except (AttemptTimeout, ProviderUnavailable):
            await self.pieces.aclose()
            raise


def _error(call: Call, seconds: float) -> AixgoError:
    request = call.request
    if not isinstance(request, ModelCall):
        return AttemptTimeout(call.backend, seconds)
    error = ProviderUnavailable(
        f"{request.provider.name!r} did not answer within {seconds:g} s (model {request.request.model!r})",
        provider=request.provider.name,
        code="timeout",
        model=request.request.model,
    )
    error.usage = _spent(request)
    return error


def _count(call: Call) -> None:
    """Count the model's request that was ended; with a budget its meter has charged what was reserved."""
    request, context = call.request, call.context
    if isinstance(request, ModelCall) and context is not None and context.purse is None:
        context.charge(_spent(request), request.request.model, request.provider.name)


def _spent(request: ModelCall) -> Usage:
    return Usage(calls=1, retries=int(request.attempt > 1))


POLICY = Timeout
