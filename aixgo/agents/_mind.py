"""How a planner thinks: the questions its strategies ask a model, and the check of each answer.

Each question's `x-offline` is what a provider without a model answers: the plan read off the text.

Below: `_plan`. Above: the strategies, the planner.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TypeAlias, cast

from aixgo.agents._plan import PlanStep, in_order, read_steps
from aixgo.agents._similarity import similarity
from aixgo.message import JSONValue, to_json_bytes

__all__ = ["Check", "Draft", "Line", "Mind", "Schema", "list_of", "object_of", "texts"]

BRANCHES = 3  # thoughts a line of thought is continued with
BEST = 10.0  # of a score, as models are asked for it

Schema: TypeAlias = dict[str, JSONValue]
Check: TypeAlias = Callable[[dict[str, JSONValue]], JSONValue]
Ask: TypeAlias = Callable[[str, str, Schema, Check, bool], Awaitable[JSONValue]]
Line: TypeAlias = tuple[str, ...]


@dataclass(slots=True, frozen=True)
class Draft:
    """A plan, what led to it, and the plans that were nearly as good."""

    steps: Sequence[PlanStep]
    reasoning: Line = ()
    score: float | None = None
    """From 0 to 1, of the strategies that compare plans."""
    others: Sequence[Draft] = ()
    facts: Mapping[str, JSONValue] = field(default_factory=dict)

    def listed(self) -> list[JSONValue]:
        """The steps as JSON."""
        return [step.as_json() for step in self.steps]


@dataclass(slots=True, frozen=True, kw_only=True)
class Mind:
    """What a strategy has: the problem, the planner's settings, and somebody to ask."""

    problem: str
    rule: Sequence[PlanStep]
    """The plan without a model."""
    agents: Mapping[str, str]
    done: Sequence[str]
    """Steps of an earlier plan whose results are there."""
    max_steps: int
    depth: int
    backtracking: bool
    alternatives: bool
    ask: Ask
    """Text, instructions, schema, check, and whether it judges; gives the checked answer."""
    random: Random

    def about(self, *parts: tuple[str, object]) -> str:
        """The problem, and under headings what else the model has to see."""
        shown = [f"{title}:\n{_shown(part)}" for title, part in parts if part]
        return "\n\n".join((self.problem, *shown))

    async def plan(self, instructions: str, *parts: tuple[str, object]) -> Draft:
        """A whole plan."""

        def check(value: dict[str, JSONValue]) -> JSONValue:
            steps = self.read(value.get("steps"))
            thoughts: list[JSONValue] = [*texts(value.get("reasoning"))[: self.depth]]
            return {"reasoning": thoughts, "steps": [step.as_json() for step in in_order(steps)]}

        rule: Schema = {"reasoning": [], "steps": [step.as_json() for step in self.rule]}
        schema = object_of(
            {"reasoning": list_of({"type": "string"}, self.depth), "steps": self.steps_schema()},
            rule,
        )
        made = await self.ask(self.about(*parts), instructions, schema, check, False)
        found = cast("dict[str, list[str]]", made)
        return Draft(self.read(cast("JSONValue", found["steps"])), tuple(found["reasoning"]))

    async def propose(self, line: Line) -> list[str]:
        """Thoughts that go on with a line of thought."""

        def check(value: dict[str, JSONValue]) -> JSONValue:
            thoughts = texts(value.get("thoughts"))
            if not thoughts:
                raise ValueError("thoughts must be a list of at least one text")
            return cast("JSONValue", list(dict.fromkeys(thoughts))[:BRANCHES])

        rule: Schema = {"thoughts": [step.description for step in self.rule[:BRANCHES]]}
        schema = object_of({"thoughts": list_of({"type": "string"}, BRANCHES)}, rule)
        made = await self.ask(
            self.about(("Thoughts so far", line)),
            f"Do not plan yet. Name {BRANCHES} different thoughts that would bring us nearer to a plan, each in a "
            "sentence, going on from the thoughts so far.",
            schema,
            check,
            False,
        )
        return cast("list[str]", made)

    async def rate(self, title: str, items: Sequence[object]) -> list[float]:
        """How good each of `items` is, from 0 to 1."""

        def check(value: dict[str, JSONValue]) -> JSONValue:
            scores = value.get("scores")
            if not isinstance(scores, list) or len(scores) != len(items):
                raise ValueError(f"scores must be a list of {len(items)} numbers")
            return [_score(score) for score in scores]

        texts = [_shown(item) for item in items]
        rule: Schema = {"scores": [round(BEST * similarity(t, self.problem), 3) for t in texts]}
        scale: Schema = {"type": "number", "minimum": 0, "maximum": BEST}
        schema = object_of({"scores": list_of(scale, len(items))}, rule)
        made = await self.ask(
            self.about(*((f"{title} {index + 1}", text) for index, text in enumerate(texts))),
            f"Score each {title.lower()} from 0 to {BEST:g}, in their order, by how feasible, complete, logical and "
            "efficient a plan it makes for the problem.",
            schema,
            check,
            True,
        )
        return cast("list[float]", made)

    def steps_schema(self, most: int | None = None, **more: Schema) -> Schema:
        """The schema of a list of steps."""
        return list_of(
            self.step_schema(alone=False, **more), self.max_steps if most is None else most
        )

    def step_schema(self, *, alone: bool = False, **more: Schema) -> Schema:
        """The schema of a step; `agent` only if agents are known, and what ties it to others unless `alone`."""
        needed: Schema = {
            **list_of({"type": "string"}),
            "description": "ids of the steps that must be done before; empty if none",
        }
        name: Schema = {"type": "string", "description": "short and unique"}
        ties: Schema = {} if alone else {"id": name, "depends_on": needed}
        properties: Schema = {
            "description": {"type": "string", "description": "what is to be done"},
            **ties,
            **more,
        }
        if self.agents:
            properties["agent"] = {
                "type": "string",
                "enum": list(self.agents),
                "description": "who does it",
            }
        return object_of(properties)

    def read(
        self, value: JSONValue, most: int | None = None, before: Sequence[PlanStep] = ()
    ) -> list[PlanStep]:
        """The steps of an answer; ValueError says what is wrong with them."""
        most = self.max_steps if most is None else most
        return read_steps(value, most=most, agents=self.agents, before=before, done=self.done)


def _score(value: JSONValue) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= BEST:
        raise ValueError(f"a score must be a number from 0 to {BEST:g}, not {value!r}")
    return value / BEST


def texts(value: JSONValue) -> list[str]:
    """The texts of a list; what else it holds is left out."""
    listed = value if isinstance(value, list) else []
    return [text.strip() for text in listed if isinstance(text, str) and text.strip()]


def _shown(part: object) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, tuple):
        return "\n".join(f"- {text}" for text in part)
    return to_json_bytes(cast("JSONValue", part)).decode()


def object_of(properties: Schema, offline: Schema | None = None) -> Schema:
    """The schema of an object, and what it is without a model."""
    made: Schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return made if offline is None else {**made, "x-offline": offline}


def list_of(items: Schema, most: int | None = None) -> Schema:
    """The schema of a list of at most so many items."""
    made: Schema = {"type": "array", "items": items}
    return made if most is None else {**made, "maxItems": most}
