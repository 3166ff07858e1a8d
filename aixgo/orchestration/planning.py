"""Planning: a planner says which agents do what, in which order, and the steps run as soon as they can.

A plan is an object with `steps` (or their list): `id`, `agent`, `input`, `depends_on`. In an input `{id}` stands for
what that step gave, and `{input}` for the run's message; whoever is referred to is depended on. Values are put in once:
text in a result that looks like a reference stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from functools import partial
from typing import ClassVar, Self, cast

from aixgo.context import CallContext
from aixgo.contract import Caller
from aixgo.errors import AgentRefused, AixgoError, ConfigError
from aixgo.graphs import in_order
from aixgo.keys import Key, check_given
from aixgo.message import JSONValue, Message
from aixgo.orchestration._caller import all_or_first_failure
from aixgo.orchestration._graph import Step as Box
from aixgo.orchestration._partial import described
from aixgo.orchestration._payloads import json_payload
from aixgo.orchestration._plans import INPUT, BadPlan, Plan, Step, fill, read_plan
from aixgo.orchestration.base import (
    END,
    START,
    Edge,
    ErrorStrategy,
    Fact,
    Limits,
    OnFailure,
    Orchestrator,
    Slot,
    ends_run,
    list_of,
    slot_name,
)

__all__ = ["PATTERN", "Planning"]

MAX_STEPS = 10
MAX_PARALLEL = 10
REPLANS = 2  # of a plan that enables them, where the pattern does not say how many


class Planning(Orchestrator):
    """A planner's steps, run by `agents` as their dependencies are done, at most `max_parallel` at once.

    The planner gets the message with metadata `agents` and `max_steps`. A plan with more than `max_steps` steps, with a
    circle, or that names what is not there, has failed. With `max_replans` above 0 a failure does not stop the steps
    that do not depend on it; then the planner gets an object of `task`, `error`, and `done` (step → payload), of type
    `replan`. A step of the new plan that stands there as in the last one and is done is not run again, and steps may
    refer to all that are done. Without replans the first failure fails the run and stops the other steps; with the
    error strategy "continue" the steps that depend on it are skipped.

    The result is that of the last step, in the plan's order, that succeeded, or what the `synthesizer` makes of an
    object of `task` and `results` (step → payload, type `synthesis`). `step_timeout` is in seconds. Where it is not
    given, a plan's `task_timeout_ms` holds, and where `max_replans` is not, a plan with `enable_replanning` allows 2.
    """

    pattern = "planning"
    config_keys: ClassVar[Mapping[str, Key]] = {
        "planner": Key("slot", "the agent that plans", required=True),
        "synthesizer": Key("slot", "the agent that makes one answer of all results"),
        "max_steps": Key("integer", "steps a plan may have", minimum=1, default=MAX_STEPS),
        "max_replans": Key(
            "integer",
            "plans after a failure; `limits.max_iterations` bounds all. By default 2 if the plan enables it, else 0",
            minimum=0,
        ),
        "max_parallel": Key("integer", "steps at work at once", minimum=1, default=MAX_PARALLEL),
        "step_timeout": Key(
            "duration", "time for each step; by default as the plan says", minimum=0
        ),
    }
    facts: ClassVar[Mapping[str, Fact]] = {
        "step_count": Fact("steps of the last plan"),
        "steps": Fact("for each its `id` and `agent`, and `error`, the class, or `skipped`"),
        "replans": Fact("plans after the first"),
        "errors": Fact("step that failed → class and text"),
        "stopped_by": Fact(
            "`failures` or `max_iterations`: no replan was left, and `continue` gave what there was"
        ),
    }

    def __init__(
        self,
        name: str,
        planner: Slot,
        agents: Sequence[Slot],
        *,
        synthesizer: Slot | None = None,
        max_steps: int = MAX_STEPS,
        max_replans: int | None = None,
        max_parallel: int = MAX_PARALLEL,
        step_timeout: float | None = None,
        description: str = "",
        limits: Limits | None = None,
        error_strategy: ErrorStrategy | OnFailure | None = None,
    ) -> None:
        where = f"planning {name!r}"
        agents = list_of(agents, where)
        members = [planner, *agents, *([synthesizer] if synthesizer is not None else [])]
        super().__init__(
            name, members, description=description, limits=limits, error_strategy=error_strategy
        )
        if not agents:
            raise ConfigError(f"{where} needs at least one agent besides the planner")
        check_given(
            self.config_keys,
            where,
            max_steps=max_steps,
            max_replans=max_replans,
            max_parallel=max_parallel,
            step_timeout=step_timeout,
        )
        strategy = self.error_strategy
        if max_replans and strategy is not None and strategy.kind == "fail_fast":
            raise ConfigError(
                f"{where}: under 'fail_fast' the first failure fails the run, so nothing is planned again: "
                "drop max_replans, or use 'retry'"
            )
        self._planner = slot_name(planner, where)
        self._agents = [slot_name(slot, where) for slot in agents]
        self._synthesizer = "" if synthesizer is None else slot_name(synthesizer, where)
        self.max_steps = max_steps
        self.max_replans = max_replans
        self.max_parallel = max_parallel
        self.step_timeout = step_timeout

    @classmethod
    def from_config(
        cls, name: str, agents: Sequence[Slot], config: Mapping[str, object], limits: Limits
    ) -> Self:
        """The pattern as YAML states it; those of `agents` that have another part run no steps."""
        where = f"planning {name!r}"
        settings = cls.settings(config, where)
        planner = cast("Slot", settings.pop("planner"))
        apart = {
            slot_name(cast("Slot", slot), where)
            for slot in (planner, settings.get("synthesizer"))
            if slot is not None
        }
        others = [slot for slot in agents if slot_name(slot, where) not in apart]
        return cls(name, planner, others, limits=limits, **cast("dict[str, int]", settings))  # type: ignore[arg-type]  # checked by their keys

    def edges(self) -> Iterable[Edge]:
        """The plan, its steps, and what becomes of a failure."""
        ran = Box("steps, as they become ready")
        yield Edge(START, self._planner)
        yield Edge(self._planner, ran, "plan")
        for agent in self._agents:
            yield Edge(ran, agent, maybe=True)
            yield Edge(agent, ran, "result")
        if replans := self._bounded(self.max_replans or 0):
            again = f"failure, {replans} replans at most"
            yield Edge(ran, self._planner, again, maybe=True)
        if self._synthesizer:
            yield Edge(ran, self._synthesizer)
        yield Edge(self._synthesizer or ran, END)

    async def run(self, message: Message, caller: Caller) -> Message:
        """Plan, run the steps, and plan again after a failure."""
        goes_on = self.error_strategy is not None and self.error_strategy.goes_on
        asked = message.with_metadata(agents=list(self._agents), max_steps=self.max_steps)
        work = _Work(message, self.max_parallel)
        replans, wanted = 0, self.max_replans or 0
        while True:
            reply = await caller.call(self._planner, asked, key=_key("plan"))
            failure: AixgoError | None = None
            try:
                plan = read_plan(reply, self._agents, self.max_steps, work.results)
            except BadPlan as exc:
                work.errors = {}
                failure = AgentRefused(f"the plan of {self._planner!r} for {self.name!r}: {exc}")
            else:
                work.take(plan, self.step_timeout)
                if self.max_replans is None:
                    wanted = REPLANS if plan.replanning else 0
                tolerant = goes_on or replans < self._bounded(wanted)
                await work.run(caller, tolerant=tolerant, more=bool(self._synthesizer))
                failure = work.failure
            if failure is None or replans >= self._bounded(wanted):
                break
            replans += 1
            asked = self._replan(message, work, failure)
        if failure is not None and not (goes_on and work.last):
            raise failure
        result = work.last
        assert result is not None
        if self._synthesizer:
            whole = {"task": json_payload(message), "results": work.payloads()}
            result = await caller.call(self._synthesizer, Message(whole, type="synthesis"))
        return self.result(
            result,
            steps=work.told(),
            step_count=len(work.steps),
            replans=replans,
            errors={name: described(error) for name, error in work.errors.items()} or None,
            stopped_by=self._stopped_by(wanted) if failure is not None else None,
        )

    def _bounded(self, replans: int) -> int:
        """As many of `replans` as the limits allow."""
        return min(replans, max(0, self.limits.max_iterations - 1))

    def _stopped_by(self, wanted: int) -> str | None:
        """Why there was no further plan after a failure; nothing where none was to be made."""
        if self._bounded(wanted) < wanted:
            return "max_iterations"
        return "failures" if wanted else None

    def _replan(self, message: Message, work: _Work, failure: AixgoError) -> Message:
        told: dict[str, JSONValue] = {
            "task": json_payload(message),
            "error": {"step": next(iter(work.errors), ""), **described(failure)},
            "done": work.payloads(),
        }
        facts: dict[str, JSONValue] = {"agents": list(self._agents), "max_steps": self.max_steps}
        return Message(told, type="replan", metadata={**message.metadata, **facts})


class _Work:
    """The plan that is at work, and what came of it and of those before it."""

    def __init__(self, message: Message, max_parallel: int) -> None:
        self.steps: list[Step] = []
        self.results: dict[str, Message] = {}
        """What is done, by step."""
        self.errors: dict[str, AixgoError] = {}
        """Of the plan at work, in its order."""
        self._as_run: dict[str, Step] = {}
        self._message = message
        self._timeout: float | None = None
        self._free = asyncio.Semaphore(max_parallel)

    @property
    def failure(self) -> AixgoError | None:
        """Why the plan failed: the error of its first step that has one."""
        return next(iter(self.errors.values()), None)

    @property
    def last(self) -> Message | None:
        """The result of the plan's last step that has one."""
        return next(
            (self.results[s.id] for s in reversed(self.steps) if s.id in self.results), None
        )

    def payloads(self) -> dict[str, JSONValue]:
        return {name: json_payload(reply) for name, reply in self.results.items()}

    def told(self) -> list[JSONValue]:
        """Each step with what became of it."""
        found: list[JSONValue] = []
        for step in self.steps:
            entry: dict[str, JSONValue] = {"id": step.id, "agent": step.agent}
            if step.id in self.errors:
                entry["error"] = type(self.errors[step.id]).__name__
            elif step.id not in self.results:
                entry["skipped"] = True
            found.append(entry)
        return found

    def take(self, plan: Plan, timeout: float | None) -> None:
        """Begin a new plan; what is done and stands in it unchanged, as all it depends on, stays done."""
        again: set[str] = set()
        by_id = {step.id: step for step in plan.steps}
        for name in in_order({step.id: step.depends_on for step in plan.steps}):
            step = by_id[name]
            if self._as_run.get(step.id) != step or again.intersection(step.depends_on):
                again.add(step.id)
                self.results.pop(step.id, None)
        self.steps = plan.steps
        self.errors = {}
        self._timeout = plan.step_timeout if timeout is None else timeout

    async def run(self, caller: Caller, *, tolerant: bool, more: bool) -> None:
        """Run what is not done, each step once those it depends on have ended."""
        todo = [step for step in self.steps if step.id not in self.results]
        ended = {step.id: asyncio.Event() for step in todo}
        keys = [_key(f"step[{step.id}]") for step in todo]
        context = CallContext.current()
        waiting = len(todo) + more
        failed: dict[str, AixgoError] = {}

        async def one(step: Step, key: str) -> None:
            nonlocal waiting
            for name in step.depends_on:
                if name in ended:
                    await ended[name].wait()
            if all(name in self.results for name in step.depends_on):
                async with self._free:
                    share = Fraction(1, waiting)
                    waiting -= 1
                    try:
                        reply = await caller.call(
                            step.agent,
                            self._input(step),
                            timeout=self._timeout,
                            key=key,
                            share=share,
                        )
                        self.results[step.id], self._as_run[step.id] = reply, step
                    except AixgoError as exc:
                        if not tolerant or ends_run(exc, context):
                            raise
                        failed[step.id] = exc
            ended[step.id].set()

        await all_or_first_failure([partial(one, *work) for work in zip(todo, keys, strict=True)])
        self.errors = {step.id: failed[step.id] for step in self.steps if step.id in failed}
        known = [*(s.id for s in self.steps), *self.results]
        self.results = {name: self.results[name] for name in known if name in self.results}

    def _input(self, step: Step) -> Message:
        values = {INPUT: json_payload(self._message), **self.payloads()}
        metadata = {**self._message.metadata, "step": step.id}
        return Message(fill(step.input, values), type="step", metadata=metadata)


def _key(step: str) -> str:
    return CallContext.current().child_key(step)


PATTERN = Planning
