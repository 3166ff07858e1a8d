"""Reflection: a draft is judged and written again until it is good enough; the best one is the result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, ClassVar, Self, cast

from aixgo.context import CallContext
from aixgo.contract import Caller, Outcome, Outcomes
from aixgo.errors import AgentRefused, AixgoError, ConfigError
from aixgo.keys import Key, check_given
from aixgo.message import JSONValue, Message
from aixgo.orchestration._partial import described
from aixgo.orchestration._payloads import json_payload
from aixgo.orchestration._scores import NAMES, score_of
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
    Step,
    ends_run,
    slot_name,
)

__all__ = ["PATTERN", "Reflection"]


@dataclass(slots=True, frozen=True)
class _Judged:
    """A draft, what its critics said of it, and their mean score."""

    draft: Message
    score: float
    critique: JSONValue
    errors: Mapping[str, JSONValue]


class Reflection(Orchestrator):
    """A generator whose drafts critics score, until one is good enough or no better one comes.

    The generator gets the message itself, then `{"task", "draft", "critique"}` (type `refine`) of the draft before;
    critics get `{"task", "draft"}` (type `critique`). Without critics the generator judges itself. A critic states
    `score`, `rating` or `quality` in its metadata, its JSON object or its text, from 0 to 1 or of ten, or with its
    scale ("4/5", "80%"); without one, or outside its scale, it has failed. Of several the mean of those who scored
    counts, and `critique` is an object of their answers. The best draft is the result, the first of equals.
    """

    pattern = "reflection"
    config_keys: ClassVar[Mapping[str, Key]] = {
        "generator": Key("slot", "the agent that writes; by default the first of `agents`"),
        "critic": Key("slot", "the agent that judges; by default the others, or the generator"),
        "critics": Key("slots", "several that judge; the mean of their scores counts"),
        "max_iterations": Key("integer", "drafts at most", minimum=1, default=3),
        "quality_threshold": Key(
            "number", "the score that is good enough", minimum=0, maximum=1, default=0.9
        ),
        "convergence_window": Key(
            "integer", "scores that are compared for convergence", minimum=2, default=3
        ),
        "convergence_epsilon": Key(
            "number",
            "the run ends when these scores lie closer together",
            minimum=0,
            maximum=1,
            default=0.01,
        ),
    }
    facts: ClassVar[Mapping[str, Fact]] = {
        "score": Fact("of the best draft, from 0 to 1"),
        "scores": Fact("of all drafts"),
        "iterations": Fact("drafts that were judged"),
        "best_iteration": Fact("which of them it is, from 1"),
        "ended_by": Fact(
            "`threshold`, `convergence`, `max_iterations`, or `failures` of a later round under `continue`"
        ),
        "stopped_by": Fact("the last two of these"),
        "critique": Fact("what was said of the best draft", seen=False),
        "errors": Fact("critic of the best draft that failed → class and text"),
    }

    def __init__(
        self,
        name: str,
        generator: Slot,
        critics: Slot | Sequence[Slot] = (),
        *,
        max_iterations: int = 3,
        quality_threshold: float = 0.9,
        convergence_window: int = 3,
        convergence_epsilon: float = 0.01,
        description: str = "",
        limits: Limits | None = None,
        error_strategy: ErrorStrategy | OnFailure | None = None,
    ) -> None:
        where = f"reflection {name!r}"
        listed = list(critics) if isinstance(critics, (list, tuple)) else [cast("Slot", critics)]
        super().__init__(
            name,
            [generator, *listed],
            description=description,
            limits=limits,
            error_strategy=error_strategy,
        )
        self._generator = slot_name(generator, where)
        self._critics = [slot_name(slot, where) for slot in listed] or [self._generator]
        twice = {critic for critic in self._critics if self._critics.count(critic) > 1}
        if twice:
            raise ConfigError(f"{where}: the critic {min(twice)!r} is given twice")
        check_given(
            self.config_keys,
            where,
            max_iterations=max_iterations,
            quality_threshold=quality_threshold,
            convergence_window=convergence_window,
            convergence_epsilon=convergence_epsilon,
        )
        if self.limits.max_iterations < 1:
            raise ConfigError(f"{where}: limits.max_iterations is 0; it must be at least 1")
        self.max_iterations = min(max_iterations, self.limits.max_iterations)
        self.quality_threshold = quality_threshold
        self.convergence_window = convergence_window
        self.convergence_epsilon = convergence_epsilon

    @classmethod
    def from_config(
        cls, name: str, agents: Sequence[Slot], config: Mapping[str, object], limits: Limits
    ) -> Self:
        """The pattern as YAML states it; `agents` fill the places that `config` leaves open, in their order."""
        where = f"reflection {name!r}"
        settings = cls.settings(config, where)
        generator = cast("Slot | None", settings.pop("generator", None))
        critic = cast("Slot | None", settings.pop("critic", None))
        critics = cast("list[Slot] | None", settings.pop("critics", None))
        if critic is not None and critics is not None:
            raise ConfigError(f"{where}: give critic or critics, not both")
        chosen = [critic] if critic is not None else critics
        placed = {slot_name(slot, where) for slot in (generator, *(chosen or ())) if slot}
        free = [slot for slot in agents if slot_name(slot, where) not in placed]
        if generator is None:
            if not free:
                raise ConfigError(f"{where} needs a generator")
            generator = free.pop(0)
        if chosen is not None and free:
            raise ConfigError(
                f"{where}: {slot_name(free[0], where)!r} is neither its generator nor a critic"
            )
        return cls(
            name,
            generator,
            free if chosen is None else chosen,
            limits=limits,
            **cast("dict[str, Any]", settings),
        )

    def edges(self) -> Iterable[Edge]:
        """Drafts on their way to critics, and back."""
        judged = Step(f"score ≥ {self.quality_threshold:g}?", "choice")
        yield Edge(START, self._generator)
        for critic in self._critics:
            if critic != self._generator:
                yield Edge(self._generator, critic, "draft")
            yield Edge(critic, judged, "score")
        again = f"again, {self.max_iterations} drafts at most"
        if self.max_iterations > 1:
            yield Edge(judged, self._generator, again, maybe=True)
        yield Edge(judged, END, "the best draft")

    async def run(self, message: Message, caller: Caller) -> Message:
        """Write, judge, and write again."""
        judged = [await self._round(message, message, caller)]
        while not (ended_by := self._stops(judged)):
            last = judged[-1]
            payload = {**_shown(message, last.draft), "critique": last.critique}
            try:
                judged.append(await self._round(message, Message(payload, type="refine"), caller))
            except AixgoError as exc:
                if not self._goes_on_after(exc):
                    raise
                ended_by = "failures"
                break
        scores = [round(found.score, 6) for found in judged]
        best = scores.index(max(scores))
        return self.result(
            judged[best].draft,
            score=scores[best],
            scores=[*scores],
            iterations=len(judged),
            best_iteration=best + 1,
            ended_by=ended_by,
            stopped_by=ended_by if ended_by in ("max_iterations", "failures") else None,
            critique=judged[best].critique,
            errors={**judged[best].errors} or None,
        )

    async def _round(self, task: Message, request: Message, caller: Caller) -> _Judged:
        """One draft, judged."""
        draft = await caller.call(self._generator, request)
        question = Message(_shown(task, draft), type="critique")
        if len(self._critics) == 1:
            critic = self._critics[0]
            outcomes = Outcomes([Outcome(critic, await caller.call(critic, question))])
        else:
            outcomes = await caller.call_parallel(self._critics, question)
        said: dict[str, JSONValue] = {}
        scores: list[float] = []
        errors: dict[str, JSONValue] = {}
        failures: list[AixgoError] = []
        context = CallContext.current()
        for outcome in outcomes:
            error = outcome.error
            if error is not None and ends_run(error, context):
                context.check_deadline()
                raise error
            if outcome.reply is not None:
                try:
                    scores.append(score_of(outcome.reply))
                except ValueError as exc:
                    error = AgentRefused(self._unread(outcome.target, exc))
                else:
                    said[outcome.target] = json_payload(outcome.reply)
            if error is not None:
                failures.append(error)
                errors[outcome.target] = described(error)
        if not scores:
            if len(failures) == 1:
                raise failures[0]
            causes = "; ".join(str(failure) for failure in failures)
            raise AgentRefused(f"no critic of {self.name!r} gave a score: {causes}") from failures[
                0
            ]
        critique = said if len(self._critics) > 1 else next(iter(said.values()))
        return _Judged(draft, fmean(scores), critique, errors)

    def _unread(self, critic: str, why: ValueError) -> str:
        return (
            f"reflection {self.name!r}: the critic {critic!r} gave no usable score: {why}; "
            f"it states {' or '.join(NAMES)} from 0 to 1, or with its scale, such as 7/10"
        )

    def _stops(self, judged: Sequence[_Judged]) -> str:
        """Why no further draft is written; nothing if one is."""
        if judged[-1].score >= self.quality_threshold:
            return "threshold"
        window = [found.score for found in judged[-self.convergence_window :]]
        close = max(window) - min(window) < self.convergence_epsilon
        if len(window) == self.convergence_window and close:
            return "convergence"
        return "max_iterations" if len(judged) >= self.max_iterations else ""

    def _goes_on_after(self, error: AixgoError) -> bool:
        """Whether the drafts there are suffice although a further round failed."""
        strategy = self.error_strategy
        goes_on = strategy is not None and strategy.goes_on
        return goes_on and not ends_run(error, CallContext.current())


def _shown(task: Message, draft: Message) -> dict[str, JSONValue]:
    return {"task": json_payload(task), "draft": json_payload(draft)}


PATTERN = Reflection
