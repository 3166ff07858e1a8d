"""A circuit breaker: what keeps failing is left alone for a while, and callers are told at once.

A circuit is closed, open or half open. Failures in a row open it; while it is open nothing is asked. After a
time a few trial calls are let in, and how they end decides. It stands inside retries, so that each attempt
counts and an open circuit is not retried before it says so.

Below: base. Above: config.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import ClassVar, Literal, TypeAlias, cast

from aixgo.context import Clock, SystemClock
from aixgo.errors import AixgoError, CircuitOpen, ConfigError
from aixgo.keys import Key
from aixgo.measures import Counter, Gauge
from aixgo.resilience.base import Backends, Call, Pieces, Policy, Reply, Watched

__all__ = ["POLICY", "Circuit", "CircuitBreaker", "CircuitState", "Permit"]

FAILURE_THRESHOLD = 5
RECOVERY_TIMEOUT = 60.0  # seconds
HALF_OPEN_ATTEMPTS = 3
BACKEND_FAULTS = frozenset({"UNAVAILABLE", "INTERNAL", "UNKNOWN", "DATA_LOSS"})
"""Statuses of errors that are the backend's fault; the others are the caller's, or nobody's."""

CircuitState: TypeAlias = Literal["closed", "open", "half_open"]

log = logging.getLogger("aixgo.resilience")

SEVERITY: Mapping[CircuitState, int] = {"closed": 0, "half_open": 1, "open": 2}
STATES: Gauge[CircuitBreaker] = Gauge(
    "aixgo.breaker.state",
    lambda breaker: {(backend,): SEVERITY[state] for backend, state in breaker.states.items()},
    max,
)
"""By backend; of several circuits of one backend, the worst."""
OPENED = Counter("aixgo.breaker.opened", labels=1)
REFUSED = Counter("aixgo.breaker.refused", labels=1)


class Circuit:
    """The state of one backend. Each call that is let in gets a `Permit` and ends it once."""

    __slots__ = (
        "_breaker",
        "_failures",
        "_opened_at",
        "_successes",
        "_trials",
        "round",
        "state",
    )

    def __init__(self, breaker: CircuitBreaker) -> None:
        self._breaker = breaker
        self.state: CircuitState = "closed"
        self.round = 0
        """Grows with every change of state: a call of an earlier round decides nothing any more."""
        self._failures = 0
        self._opened_at = 0.0
        self._trials = 0
        self._successes = 0

    def admit(self, backend: str) -> Permit:
        """Let a call in.

        Raises:
            CircuitOpen: it is not to be made.
        """
        if self.state == "open":
            left = self._opened_at + self._breaker.recovery_timeout - self._breaker.now()
            if left > 0:
                REFUSED.add(backend)
                raise CircuitOpen(backend, left)
            self._become("half_open")
        if self.state == "half_open":
            if self._trials >= self._breaker.half_open_attempts:
                REFUSED.add(backend)
                raise CircuitOpen(backend)
            self._trials += 1
        return Permit(self, backend)

    def succeeded(self) -> None:
        self._failures = 0
        if self.state == "half_open":
            self._successes += 1
            if self._successes >= self._breaker.half_open_attempts:
                self._become("closed")

    def failed(self, backend: str) -> None:
        self._failures += 1
        if self.state == "half_open" or self._failures >= self._breaker.failure_threshold:
            self._become("open")
            OPENED.add(backend)
            self._opened_at = self._breaker.now()
            seconds = self._breaker.recovery_timeout
            log.warning("%s keeps failing: not asked for %g s", backend, seconds)

    def undecided(self) -> None:
        """A call ended and says nothing about the backend: a trial may be made again."""
        self._trials = max(0, self._trials - 1)

    def _become(self, state: CircuitState) -> None:
        self.state = state
        self.round += 1
        self._failures = self._trials = self._successes = 0


class Permit:
    """A call that was let in."""

    __slots__ = ("_backend", "_circuit", "_round")

    def __init__(self, circuit: Circuit, backend: str) -> None:
        self._circuit = circuit
        self._backend = backend
        self._round = circuit.round

    def ended(self, how: BaseException | None) -> None:
        """Count how the call ended: None for a reply."""
        circuit = self._circuit
        if circuit.round != self._round:
            return
        if how is None:
            circuit.succeeded()
        elif _is_backend_fault(how):
            circuit.failed(self._backend)
        else:
            circuit.undecided()


class CircuitBreaker(Policy):
    """Leaves a model or an agent alone that fails `failure_threshold` times in a row.

    It keeps a circuit for each backend: each agent, or each model of a provider. What counts is a backend that
    is unreachable, overloaded, failed on its side or exceeded a `Timeout`. A refusal of the request, a rate limit and a
    call that was cancelled or ran out of its own deadline say nothing about it. A stream counts when it ends.

    Args:
        failure_threshold: failures in a row that open a circuit.
        recovery_timeout: seconds it stays open.
        half_open_attempts: trial calls then let in; it closes when all succeed and opens when one fails.
        clock: where time comes from.

    Raises:
        ConfigError: a number is out of bounds.
    """

    summary: ClassVar[str] = "leave alone what keeps failing"
    place: ClassVar[int] = 40
    config_keys: ClassVar[Mapping[str, Key]] = {
        "failure_threshold": Key(
            "integer", "failures in a row that open it", default=FAILURE_THRESHOLD, minimum=1
        ),
        "recovery_timeout": Key(
            "duration", "how long nothing is asked", default=RECOVERY_TIMEOUT, minimum=0.001
        ),
        "half_open_attempts": Key(
            "integer", "trial calls that then decide", default=HALF_OPEN_ATTEMPTS, minimum=1
        ),
    }

    def __init__(
        self,
        failure_threshold: int = FAILURE_THRESHOLD,
        recovery_timeout: float = RECOVERY_TIMEOUT,
        half_open_attempts: int = HALF_OPEN_ATTEMPTS,
        *,
        clock: Clock | None = None,
    ) -> None:
        if failure_threshold < 1 or half_open_attempts < 1 or not 0 < recovery_timeout < math.inf:
            raise ConfigError(
                "CircuitBreaker: failure_threshold and half_open_attempts are at least 1, recovery_timeout is a "
                "finite number of seconds above 0"
            )
        self.failure_threshold = failure_threshold
        self.recovery_timeout = recovery_timeout
        self.half_open_attempts = half_open_attempts
        self.now = (clock or SystemClock()).monotonic
        self._circuits = Backends(lambda: Circuit(self))
        STATES.watch(self)

    @property
    def states(self) -> dict[str, CircuitState]:
        """The state of each circuit, by what it is of: see `aixgo.resilience.base.backend_of`."""
        return {backend: circuit.state for backend, circuit in self._circuits.items()}

    async def apply(self, call: Call) -> Reply:
        """The reply of a backend that is not left alone.

        Raises:
            CircuitOpen: it is; `retry_after` says for how long.
        """
        backend = call.backend
        permit = self._circuits.get(backend).admit(backend)
        try:
            reply = await call.ask()
        except BaseException as exc:
            permit.ended(exc)
            raise
        if call.streaming:
            return Watched(cast("Pieces", reply), permit.ended)
        permit.ended(None)
        return reply


def _is_backend_fault(error: BaseException) -> bool:
    """Whether `error` says that the backend is in trouble."""
    if isinstance(error, AixgoError):
        return error.status in BACKEND_FAULTS and not isinstance(error, CircuitOpen)
    return isinstance(error, Exception)


POLICY = CircuitBreaker
