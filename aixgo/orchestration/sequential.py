"""Sequential: the output of each agent is the input of the next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import ClassVar, Literal, Self, cast

from aixgo.context import CallContext
from aixgo.contract import Caller
from aixgo.errors import AixgoError, ConfigError
from aixgo.keys import Key, check_given
from aixgo.message import JSONValue, Message
from aixgo.orchestration.base import (
    END,
    START,
    STEP_TIMEOUT,
    Edge,
    ErrorStrategy,
    Fact,
    Limits,
    OnFailure,
    Orchestrator,
    Place,
    Slot,
    check_alone,
    ends_run,
    list_of,
    slot_name,
)

__all__ = ["PATTERN", "Sequential"]


class Sequential(Orchestrator):
    """Agents in a row. An agent may appear more than once.

    With `on_error="continue"` a failed step is skipped and the next one gets its input; the run still fails
    when no step succeeds, when the time is up, and when a limit or budget is reached. The result is the last reply. An
    `error_strategy` takes the place of `on_error`.
    """

    pattern = "sequential"
    config_keys: ClassVar[Mapping[str, Key]] = {
        "on_error": Key("text", "what a failed step does to the run", choices=("stop", "continue")),
        "step_timeout": STEP_TIMEOUT,
    }
    facts: ClassVar[Mapping[str, Fact]] = {
        "step_count": Fact("steps that were tried"),
        "steps": Fact("for each its `agent`, and `error`, the class, if it failed"),
    }

    def __init__(
        self,
        name: str,
        agents: Sequence[Slot],
        *,
        on_error: Literal["stop", "continue"] | None = None,
        timeout: float | None = None,
        description: str = "",
        limits: Limits | None = None,
        error_strategy: ErrorStrategy | OnFailure | None = None,
    ) -> None:
        where = f"sequential {name!r}"
        agents = list_of(agents, where)
        if not agents:
            raise ConfigError(f"{where} needs at least one agent")
        check_given(self.config_keys, where, on_error=on_error)
        if error_strategy is not None and on_error is not None:
            check_alone(where, ["on_error"])
        super().__init__(
            name,
            agents,
            description=description,
            limits=limits,
            timeout=timeout,
            error_strategy=error_strategy,
        )
        if self.error_strategy is not None and self.error_strategy.goes_on:
            on_error = "continue"
        self.on_error = on_error or "stop"
        self._targets = [slot_name(slot, where) for slot in agents]

    @classmethod
    def from_config(
        cls, name: str, agents: Sequence[Slot], config: Mapping[str, object], limits: Limits
    ) -> Self:
        """The pattern as YAML states it."""
        settings = cls.settings(config, f"sequential {name!r}")
        return cls(name, agents, limits=limits, **cast("dict[str, float]", settings))  # type: ignore[arg-type]  # checked by their keys

    def edges(self) -> Iterable[Edge]:
        """A chain; where an agent has several places in it, the edges are numbered."""
        repeats = len(set(self._targets)) < len(self._targets)
        places: list[Place] = [START, *self._targets, END]
        for i, (source, target) in enumerate(pairwise(places), 1):
            yield Edge(source, target, str(i) if repeats else "")

    async def run(self, message: Message, caller: Caller) -> Message:
        """Pass `message` through the agents."""
        current, failure = message, None
        steps: list[JSONValue] = []
        for target in self._targets:
            try:
                current = await caller.call(target, current)
            except AixgoError as exc:
                if self.on_error == "stop" or ends_run(exc, CallContext.current()):
                    raise
                failure = exc
                steps.append({"agent": target, "error": type(exc).__name__})
            else:
                steps.append({"agent": target})
        if current is message and failure is not None:
            raise failure
        return self.result(current, steps=steps, step_count=len(steps))


PATTERN = Sequential
