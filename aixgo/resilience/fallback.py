"""Somebody else answers: another model for a model, another agent for an agent.

Those who stand in are named by whoever writes the agent or the file, and the answer says who gave it and instead
of whom. It stands outside retries, so that it begins where they end. Below: base. Above: orchestration, which asks
`others_may_answer` for its own strategies; config.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Self, TypeAlias, cast

from aixgo.errors import (
    AgentFailed,
    AixgoError,
    ConfigError,
    DeadlineExceeded,
    ProviderError,
    Unavailable,
)
from aixgo.keys import Key
from aixgo.measures import Counter
from aixgo.message import JSONValue
from aixgo.middleware import Request
from aixgo.providers import Provider, resolve_model
from aixgo.resilience._attempts import Restartable, Tally
from aixgo.resilience.base import (
    Call,
    Pieces,
    Policy,
    Reply,
    Seam,
    Surroundings,
    Whole,
    backend_of,
)

__all__ = ["POLICY", "Fallback", "others_may_answer"]

OTHERS_MAY = frozenset({"authentication", "quota", "model_not_found", "context_length"})
"""Why a provider refuses a request that another may take: the rest is the request's own fault."""

Resolve: TypeAlias = Callable[[str], tuple[Provider, str]]
Stand: TypeAlias = tuple[str, Provider | None, str]  # an agent, or a provider and its model

log = logging.getLogger("aixgo.resilience")

FALLBACKS = Counter("aixgo.fallbacks", labels=2)
"""By who failed and who was asked instead."""


class Fallback(Policy):
    """Asks others, in order, when a model or an agent fails in a way they may not.

    The reply says `served_by`, `fallback_for` and `fallback_error`. When all fail, the first error is raised. Of a
    stream others take over only before the first piece.

    Args:
        models: what answers when a model fails: names as `model:` takes them, or providers. What stands below
            this policy holds for them too; a `Model` has its own middleware besides.
        agents: who answers when an agent fails: its name, and theirs.
        resolve: finds the provider of a model's name.

    Raises:
        ConfigError: nobody is named, or a model that does not exist.
    """

    summary: ClassVar[str] = "ask another model when one fails"
    place: ClassVar[int] = 10
    seams: ClassVar[tuple[Seam, ...]] = (
        "model",
    )  # who stands in for an agent is said in its entry
    config_keys: ClassVar[Mapping[str, Key]] = {
        "models": Key(
            "texts", "models or model services that are asked instead, in order", required=True
        ),
    }

    def __init__(
        self,
        models: Sequence[str | Provider] = (),
        *,
        agents: Mapping[str, Sequence[str] | str] | None = None,
        resolve: Resolve = resolve_model,
    ) -> None:
        if isinstance(models, str):
            models = (models,)
        if not models and not agents:
            raise ConfigError("Fallback: name the models or the agents that are asked instead")
        self._models: list[Stand] = []
        for model in models:
            provider, name = resolve(model) if isinstance(model, str) else (model, "")
            self._models.append(("", provider, name))
        self._agents: dict[str, list[Stand]] = {}
        for agent, others in (agents or {}).items():
            names = (others,) if isinstance(others, str) else others
            if agent in names or not names:
                raise ConfigError(f"Fallback: others than {agent!r} have to stand in for it")
            self._agents[agent] = [(name, None, "") for name in names]

    @classmethod
    def from_config(cls, settings: Mapping[str, object], around: Surroundings) -> Self:
        """The policy of a block around a model.

        Raises:
            ConfigError: a model does not exist.
        """
        return cls(cast("list[str]", settings["models"]), resolve=around.resolve)

    async def apply(self, call: Call) -> Reply:
        """The reply of the first who gives one.

        Raises:
            AixgoError: what the one that was asked failed with.
        """
        request = call.request
        others = (
            self._agents.get(request.target, []) if isinstance(request, Request) else self._models
        )
        if not others:
            return await call.ask()
        stand_ins = _StandIns(call, others)
        try:
            reply = await call.ask()
        except AixgoError as exc:
            reply = await stand_ins.again(exc)
        if call.streaming:
            return Restartable(cast("Pieces", reply), stand_ins)
        return stand_ins.told(cast("Whole", reply)) if stand_ins.tally.failed else reply


class _StandIns:
    """Those who may answer one call, and what came of those who were asked."""

    __slots__ = ("_call", "_first", "_others", "_served_by", "tally")

    def __init__(self, call: Call, others: Sequence[Stand]) -> None:
        self._call = call
        self._others = iter(others)
        self._first: AixgoError | None = None
        self._served_by = ""
        self.tally = Tally()

    async def again(self, error: AixgoError) -> Reply:
        """The reply of the next; the first error, when `error` is nothing others can help with."""
        while True:
            self.tally.add(error)
            first = self._first = self._first or error
            if not self._may_help(error) or (other := next(self._others, None)) is None:
                raise self.tally.last(first)
            agent, provider, model = other
            request = self._call.another(agent, provider, model)
            self._served_by = backend_of(request)
            FALLBACKS.add(self._call.backend, self._served_by)
            log.warning(
                "%s: %s; asking %s", self._call.backend, type(error).__name__, self._served_by
            )
            try:
                return await self._call.ask_instead(request)
            except AixgoError as exc:
                first.add_note(f"{self._served_by}, asked instead: {exc}")
                error = exc

    def told(self, whole: Whole) -> Whole:
        """The reply, saying who gave it."""
        notes: dict[str, JSONValue] = {
            "served_by": self._served_by,
            "fallback_for": self._call.backend,
            "fallback_error": type(self._first).__name__,
        }
        return self.tally.answered(self._call, whole, notes)

    def _may_help(self, error: AixgoError) -> bool:
        if self._call.remaining <= 0:
            return False
        if self._call.seam == "model":
            return error.retryable or getattr(error, "code", "") in OTHERS_MAY
        return others_may_answer(error)


def others_may_answer(error: AixgoError) -> bool:
    """Whether an agent failed in a way that another, asked instead, may not."""
    if isinstance(error, Unavailable):
        return error.retryable  # else the agent may have done it
    return error.retryable or isinstance(error, (AgentFailed, ProviderError, DeadlineExceeded))


POLICY = Fallback
