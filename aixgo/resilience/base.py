"""The contract of a policy: middleware that is written once and holds at both seams.

A policy is a `Policy` with one method, `apply(call)`. The `Call` it gets is the same whether a runtime calls an
agent or an agent calls a model: what is asked, until when, and `ask()`, which goes on down the chain and may be
used more than once. What comes back is a whole reply, or with `call.streaming` its pieces; a policy that must
know how a stream ends wraps it (`StreamLayer`, `Watched`).

Time comes from a `Clock` and chance from a `random.Random`, both given to the policy. In YAML a `resilience:`
block names policies by their module; `build_policies` puts them in the order of their `place`, whatever the
order of the block.

Below: providers, middleware, context. Above: one module per policy; config builds them.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import ClassVar, Generic, Literal, Self, TypeAlias, TypeVar, cast

from aixgo import middleware
from aixgo.context import CallContext, Clock
from aixgo.errors import ConfigError
from aixgo.keys import Key, read_keys
from aixgo.loading import kinds, load
from aixgo.message import Message, StreamChunk
from aixgo.middleware import CallNext, Request
from aixgo.providers import (
    Completion,
    CompletionRequest,
    Delta,
    Model,
    ModelCall,
    Provider,
    resolve_model,
)

__all__ = [
    "Asked",
    "Backends",
    "Call",
    "Pieces",
    "Policy",
    "Reply",
    "Seam",
    "StreamLayer",
    "Surroundings",
    "Watched",
    "Whole",
    "backend_of",
    "build_policies",
    "pause",
    "policy_class",
    "policy_keys",
]

MAX_BACKENDS = 1_000  # one policy keeps apart; the one that was asked longest ago is forgotten

Seam: TypeAlias = Literal["model", "runtime"]
"""Where a policy stands: around the calls of a model, or around calls between agents."""
Asked: TypeAlias = ModelCall | Request
Whole: TypeAlias = Completion | Message

AskedT = TypeVar("AskedT", ModelCall, Request)
ReplyT = TypeVar("ReplyT")
T = TypeVar("T")


Pieces: TypeAlias = middleware.Pieces[Delta | StreamChunk, Whole]
"""A reply in pieces at either seam; `final` is the whole once the iteration ended."""
Reply: TypeAlias = Whole | Pieces


class Call:
    """One call on its way to a model or an agent, as a policy sees it."""

    __slots__ = ("_before", "_next", "_used", "context", "request", "streaming")

    def __init__(self, request: Asked, call_next: CallNext[Asked, Reply]) -> None:
        self.request = request
        """What is asked; which class it is tells the seam."""
        self.streaming = request.streaming
        """Whether the reply is to come in pieces."""
        self.context = (
            request.context if isinstance(request, Request) else CallContext.maybe_current()
        )
        """The call between agents: the one that passes, or the one a model is called in, if any."""
        self._next = call_next
        self._used = 0
        self._before = (
            (request.message, request.context.bounds) if isinstance(request, Request) else None
        )

    @property
    def seam(self) -> Seam:
        return "runtime" if isinstance(self.request, Request) else "model"

    @property
    def backend(self) -> str:
        """What answers; see `backend_of`."""
        return backend_of(self.request)

    @property
    def remaining(self) -> float:
        """Seconds until the deadline; infinite for a model that is asked outside any call."""
        return math.inf if self.context is None else self.context.remaining

    async def ask(self) -> Reply:
        """The reply of what is below. Each use is an attempt of its own, charged to the same call."""
        request = self.request
        if self._used:
            request = self.another()
        self._used += 1
        return await self._next(request)

    async def ask_instead(self, request: Asked) -> Reply:
        """The reply of what is below to another request, made with `another`."""
        self._used += 1
        return await self._next(request)

    def another(self, target: str = "", provider: Provider | None = None, model: str = "") -> Asked:
        """The request once more: the same, or to another agent, or to another provider and model."""
        request = self.request
        if isinstance(request, Request):
            assert self._before is not None
            message, bounds = self._before
            context = request.context.again(bounds, target)
            return Request(target or request.target, message, context, streaming=self.streaming)
        wanted: CompletionRequest = request.request
        if model:
            wanted = replace(wanted, model=model)
        attempt = request.attempt if provider else request.attempt + self._used
        return ModelCall(
            provider or request.provider, wanted, streaming=self.streaming, attempt=attempt
        )


def backend_of(request: Asked) -> str:
    """What answers a request: an agent's name, or `provider/model`, with the host if it is not the vendor's own.

    It may be shown to callers elsewhere.
    """
    if isinstance(request, Request):
        return request.target
    provider, model = request.provider, request.request.model
    while isinstance(provider, Model):
        model = provider.model or model
        provider = provider.provider
    elsewhere = getattr(provider, "elsewhere", "")
    return f"{provider.name}/{model}@{elsewhere}" if elsewhere else f"{provider.name}/{model}"


@dataclass(slots=True, frozen=True, kw_only=True)
class Surroundings:
    """What a policy made from YAML may need to know."""

    seam: Seam
    where: str
    """The place in the file, for errors."""
    resolve: Callable[[str], tuple[Provider, str]] = resolve_model
    """The provider and the model's name there, of a name as `model:` takes it."""


class Policy:
    """Middleware for both seams; give it to a `Model` or a runtime as `middleware=[…]`.

    One object may stand in several places: what it counts, it then counts for all of them.
    """

    summary: ClassVar[str]
    """What it does, in a line, for the tables of keys."""
    place: ClassVar[int]
    """Where it stands among the others of a `resilience:` block; the lowest is outermost."""
    seams: ClassVar[tuple[Seam, ...]] = ("model", "runtime")
    """Where a `resilience:` block may name it."""
    config_keys: ClassVar[Mapping[str, Key]]

    @classmethod
    def from_config(cls, settings: Mapping[str, object], around: Surroundings) -> Self:  # noqa: ARG003 - few need it
        """The policy of checked settings.

        Raises:
            ConfigError: they do not fit each other, or the seam.
        """
        return cls(**settings)

    async def __call__(self, call_next: CallNext[AskedT, ReplyT], request: AskedT) -> ReplyT:
        """Let `request` through as middleware does."""
        call = Call(request, cast("CallNext[Asked, Reply]", call_next))
        return cast("ReplyT", await self.apply(call))

    async def apply(self, call: Call) -> Reply:
        """The reply to `call`: a stream if it is streaming, else a whole."""
        raise NotImplementedError


StreamLayer: TypeAlias = middleware.StreamLayer[Delta | StreamChunk, Whole]
"""A stream around a stream of either seam, which it passes on as it is."""
Watched: TypeAlias = middleware.WatchedStream[Delta | StreamChunk, Whole]
"""A stream of either seam that says once how it ended."""


class Backends(Generic[T]):
    """What a policy keeps for each backend it sees, bounded."""

    __slots__ = ("_found", "_make")

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._found: OrderedDict[str, T] = OrderedDict()

    def get(self, backend: str) -> T:
        """What is kept for `backend`, made when it is new."""
        found = self._found.get(backend)
        if found is None:
            found = self._found[backend] = self._make()
            if len(self._found) > MAX_BACKENDS:
                self._found.popitem(last=False)
        else:
            self._found.move_to_end(backend)
        return found

    def items(self) -> Iterator[tuple[str, T]]:
        """What is kept, by backend, as it is now."""
        return iter(tuple(self._found.items()))  # whoever shows metrics reads in a thread


async def pause(clock: Clock, seconds: float) -> None:
    """Return after `seconds` of `clock`; a cancelled wait leaves no timer."""
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def wake() -> None:
        if not waiter.done():
            waiter.set_result(None)

    timer = clock.call_later(seconds, wake)
    try:
        await waiter
    finally:
        timer.cancel()


# -- YAML ---------------------------------------------------------------------------------------------


def policy_class(kind: str) -> type[Policy]:
    """The policy of that kind.

    Raises:
        ConfigError: there is none; the text names those that exist.
    """
    return cast("type[Policy]", load("resilience", kind).POLICY)


def policy_keys(seam: Seam) -> dict[str, Key]:
    """The keys of a `resilience:` block at `seam`, outermost policy first."""
    found = {kind: policy_class(kind) for kind in kinds("resilience")}
    return {
        kind: Key("mapping", cls.summary, fields=cls.config_keys)
        for kind, cls in sorted(found.items(), key=lambda item: item[1].place)
        if seam in cls.seams
    }


def build_policies(block: Mapping[str, object], around: Surroundings) -> tuple[Policy, ...]:
    """The policies of a `resilience:` block, outermost first.

    Raises:
        ConfigError: there is no such policy at this seam, or a setting is wrong.
    """
    made: list[Policy] = []
    for kind, settings in block.items():
        cls = policy_class(kind)
        where = f"{around.where}.{kind}"
        if around.seam not in cls.seams:
            raise ConfigError(f"{where}: a policy for {' and '.join(_SEAMS[s] for s in cls.seams)}")
        if not isinstance(settings, Mapping):
            raise ConfigError(f"{where} must be a mapping; {{}} takes every default")
        with _named(where):
            made.append(cls.from_config(read_keys(cls.config_keys, settings, where), around))
    return tuple(sorted(made, key=lambda policy: policy.place))


_SEAMS: Mapping[Seam, str] = {"model": "models", "runtime": "calls between agents"}


@contextmanager
def _named(where: str) -> Iterator[None]:
    """Have an error of a policy's constructor say which entry it is about."""
    try:
        yield
    except ConfigError as exc:
        if str(exc).startswith(where):
            raise
        raise ConfigError(f"{where}: {exc}") from exc
