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
    when no step succeeds, when the time is up, and when a limit or budget is reached. `step_timeout` is in
    seconds. The result is the last reply. An `error_strategy` takes the place of `on_error`.
    """

    pattern = "sequential"
    config_keys: ClassVar[Mapping[str, Key]] = {
        "on_error": Key("text", "what a failed step does to the run", choices=("stop", "continue")),
        "timeout": Key("duration", "time for one step", minimum=0),
        "step_timeout": Key("duration", "time for one step", minimum=0),
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
        step_timeout: float | None = None,
        description: str = "",
        limits: Limits | None = None,
        error_strategy: ErrorStrategy | OnFailure | None = None,
    ) -> None:
        where = f"sequential {name!r}"
        agents = list_of(agents, where)
        if not agents:
            raise ConfigError(f"{where} needs at least one agent")
        check_given(self.config_keys, where, on_error=on_error, step_timeout=step_timeout)
        if error_strategy is not None and on_error is not None:
            check_alone(where, ["on_error"])
        super().__init__(
            name, agents, description=description, limits=limits, error_strategy=error_strategy
        )
        if self.error_strategy is not None and self.error_strategy.goes_on:
            on_error = "continue"
        self.on_error = on_error or "stop"
        self.step_timeout = step_timeout
        self._targets = [slot_name(slot, where) for slot in agents]

    @classmethod
    def from_config(
        cls, name: str, agents: Sequence[Slot], config: Mapping[str, object], limits: Limits
    ) -> Self:
        """The pattern as YAML states it; `timeout` is another name of `step_timeout`."""
        settings = cls.settings(config, f"sequential {name!r}")
        step_timeout = settings.get("step_timeout", settings.get("timeout"))
        on_error = cast("Literal['stop', 'continue'] | None", settings.get("on_error"))
        return cls(
            name,
            agents,
            on_error=on_error,
            step_timeout=cast("float | None", step_timeout),
            limits=limits,
            error_strategy=cast("ErrorStrategy | None", settings.get("error_strategy")),
        )

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
                current = await caller.call(target, current, timeout=self.step_timeout)
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
