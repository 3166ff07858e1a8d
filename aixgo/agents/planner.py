"""PlannerAgent: makes a plan of a problem, as a graph of steps that a Planning pattern or anybody else can run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import ClassVar, Self, cast

from aixgo.agents._mind import Check, Draft, Mind, Schema
from aixgo.agents._output import Checked
from aixgo.agents._plan import critical_path, groups, in_order, plan_by_rule
from aixgo.agents._planning import STRATEGIES
from aixgo.agents._planning_task import read_task
from aixgo.agents._turn import Answer, Turn
from aixgo.agents.base import MODEL_KEYS, ModelUse, check_all, model_options, own_keys
from aixgo.context import CallContext
from aixgo.contract import Caller
from aixgo.errors import AgentRefused, OutputInvalid
from aixgo.keys import Key, check_given
from aixgo.message import JSONValue, Message
from aixgo.names import check_name
from aixgo.providers import ModelMiddleware, Provider

__all__ = ["AGENT", "ExamplePlan", "PlannerAgent"]

PLANNER_KEYS: Mapping[str, Key] = {
    "planning_strategy": Key(
        "text", "how a plan is made", choices=tuple(STRATEGIES), default="chain_of_thought"
    ),
    "max_steps": Key("integer", "steps a plan may have", minimum=1, default=20),
    "max_tasks": Key("integer", "the same; the smaller one holds", minimum=1),
    "step_detail_level": Key(
        "text", "how fine a step is, in a word for the model", default="detailed"
    ),
    "reasoning_depth": Key(
        "integer", "thoughts before an answer, levels of a search", minimum=1, default=3
    ),
    "parallelizable_steps": Key(
        "boolean",
        "a step waits only for what it depends on; else each waits for the one before it",
        default=False,
    ),
    "enable_self_critique": Key(
        "boolean", "review the plan, and revise it if that finds problems", default=False
    ),
    "enable_backtracking": Key(
        "boolean",
        "`tree_of_thought` may go back to a line of thought it passed over",
        default=False,
    ),
    "include_alternatives": Key("boolean", "add another plan", default=False),
    "example_plans": Key(
        "list",
        "plans for the model to follow",
        fields={
            "problem": Key("text", "the problem", required=True),
            "steps": Key("texts", "the steps", required=True),
            "explanation": Key("text", "why"),
        },
    ),
    "executors": Key("texts", "agents that can do steps; each step names one of them"),
    "enable_replanning": Key(
        "boolean", "said in the plan: whoever runs it plans again after a failure"
    ),
    "task_timeout_ms": Key("integer", "said in the plan: time for one step", minimum=1),
    "temperature": Key("number", "how freely the model answers", minimum=0, maximum=2, default=0.7),
    "max_tokens": Key("integer", "tokens one answer may have", minimum=1, default=2000),
}
JUDGE_TEMPERATURE = 0.0  # of scores and reviews, unless the model is left its own temperature
INSTRUCTIONS = (
    "You plan how a problem is solved. A plan is a list of steps. Each step depends only on steps whose results it "
    "needs, and no steps wait for each other in a circle."
)


@dataclass(slots=True, frozen=True)
class ExamplePlan:
    """A problem with a good plan for it."""

    problem: str
    steps: Sequence[str]
    explanation: str = ""


class PlannerAgent:
    """Makes a plan of the problem in each message.

    A message is the text of the problem, or an object with `problem` (or `task`, `goal`, `input`, `text`) and
    perhaps `agents`, names or name → what it can do, in place of `executors`, and `feedback`, such as why an
    earlier plan failed. What a Planning pattern asks for is understood: `agents` and `max_steps` in the metadata,
    and `error` and `done` when it needs another plan.

    The reply, of type `reasoning_plan`, holds `problem`, `strategy`, `reasoning` and `steps`, in an order in which
    they can run: {id, description, depends_on}, and where agents are known `agent` and its `input`, an object of
    `task`, `input` and `results` in which a Planning pattern puts the values; `critical_path`, the longest chain
    of them; and as asked for `parallel_groups`, `alternatives`, `critique`, `score`, `enable_replanning`,
    `task_timeout_ms`. Metadata says `step_count`, `planning_strategy`, `model_calls`, and of a search `expanded`
    and `thoughts`, or `simulations` and `nodes`, and `stopped_by`.
    """

    role = "planner"
    takes_policies: ClassVar[bool] = True
    config_keys: ClassVar[Mapping[str, Key]] = {
        **MODEL_KEYS,
        **PLANNER_KEYS,
        "planner_config": Key("mapping", "the planner's settings", fields=PLANNER_KEYS),
    }

    def __init__(
        self,
        name: str,
        *,
        planning_strategy: str = "chain_of_thought",
        executors: Sequence[str] = (),
        max_steps: int = 20,
        max_tasks: int | None = None,
        step_detail_level: str = "detailed",
        reasoning_depth: int = 3,
        parallelizable_steps: bool = False,
        enable_self_critique: bool = False,
        enable_backtracking: bool = False,
        include_alternatives: bool = False,
        example_plans: Sequence[ExamplePlan] = (),
        enable_replanning: bool | None = None,
        task_timeout_ms: int | None = None,
        model: str = "",
        prompt: str = "",
        temperature: float | None = 0.7,
        max_tokens: int | None = 2000,
        description: str = "",
        provider: Provider | None = None,
        middleware: Sequence[ModelMiddleware] = (),
        api_key: str = "",
    ) -> None:
        self.name = check_name(name)
        self.description = description
        check_given(
            PLANNER_KEYS,
            f"planner {name!r}",
            planning_strategy=planning_strategy,
            max_steps=max_steps,
            max_tasks=max_tasks,
            step_detail_level=step_detail_level,
            reasoning_depth=reasoning_depth,
            parallelizable_steps=parallelizable_steps,
            enable_self_critique=enable_self_critique,
            enable_backtracking=enable_backtracking,
            include_alternatives=include_alternatives,
            executors=executors,
            enable_replanning=enable_replanning,
            task_timeout_ms=task_timeout_ms,
        )
        check_all(f"planner {name!r}", "example_plans", example_plans, ExamplePlan)
        self.strategy = planning_strategy
        self.executors = tuple(executors)
        self.max_steps = min(max_steps, max_tasks or max_steps)
        self.step_detail_level = step_detail_level
        self.reasoning_depth = reasoning_depth
        self.parallelizable_steps = parallelizable_steps
        self.enable_self_critique = enable_self_critique
        self.enable_backtracking = enable_backtracking
        self.include_alternatives = include_alternatives
        self._hints: dict[str, JSONValue] = {}
        if enable_replanning is not None:
            self._hints["enable_replanning"] = enable_replanning
        if task_timeout_ms is not None:
            self._hints["task_timeout_ms"] = task_timeout_ms
        self._instructions = "\n\n".join(
            filter(
                None,
                (
                    INSTRUCTIONS,
                    prompt,
                    *map(_example, example_plans),
                ),
            )
        )
        self._use = ModelUse(
            model, temperature, max_tokens, provider, api_key, middleware=middleware, owner=name
        )

    @classmethod
    def from_config(cls, name: str, entry: Mapping[str, object]) -> Self:
        """The agent of a YAML entry; what `planner_config` says comes before the entry's own keys."""
        settings = own_keys(cls.config_keys, entry, f"agent {name!r}")
        settings |= cast("dict[str, object]", settings.pop("planner_config", {}))
        plans = cast("list[dict[str, str]]", settings.pop("example_plans", []))
        return cls(
            name,
            example_plans=[ExamplePlan(**plan) for plan in plans],
            **model_options(entry),
            **cast("dict[str, str]", settings),  # type: ignore[arg-type]  # checked by their keys
        )

    @property
    def model(self) -> str:
        """The model that plans."""
        return self._use.name

    async def start(self, caller: Caller) -> None:  # noqa: ARG002 - the contract's signature
        """Find the model's provider, so that a wrong model fails the start and not the first call."""
        self._use.open()

    async def execute(self, message: Message) -> Message:
        """Plan how the problem in `message` is solved.

        Raises:
            AgentRefused: there is no problem.
            InvalidMessage: `agents` of an object are no names.
            OutputInvalid: the model kept answering with something that is no plan, such as one whose steps wait
                for each other.
        """
        task = read_task(message)
        problem, agents = task.problem, task.agents or dict.fromkeys(self.executors, "")
        if not problem:
            raise AgentRefused(f"{self.name!r} got no problem to plan for")
        max_steps = min(self.max_steps, task.max_steps or self.max_steps)
        bounds = f"Level of detail of a step: {self.step_detail_level}. At most {max_steps} steps."
        asking = _Asking(self._use, f"{self._instructions}\n\n{bounds}", agents, task.feedback)
        context = CallContext.maybe_current()
        mind = Mind(
            problem=problem,
            rule=plan_by_rule(
                problem, most=max_steps, agents=agents, parallel=self.parallelizable_steps
            ),
            agents=agents,
            done=task.done,
            max_steps=max_steps,
            depth=self.reasoning_depth,
            backtracking=self.enable_backtracking,
            alternatives=self.include_alternatives,
            ask=asking.ask,
            random=context.random if context else Random(self.name),
        )
        draft = await STRATEGIES[self.strategy](mind)
        plan: dict[str, JSONValue] = {"problem": problem, "strategy": self.strategy}
        if self.enable_self_critique:
            draft, plan["critique"] = await _review(mind, draft)
        plan |= self._shown(draft, task.done)
        if self.include_alternatives:
            others = draft.others or [await _another(mind, draft)]
            plan["alternatives"] = [
                self._shown(other, task.done)
                for other in others
                if _actions(other) != _actions(draft)
            ]
        facts: dict[str, JSONValue] = {
            **asking.facts(),
            **draft.facts,
            "step_count": len(draft.steps),
            "planning_strategy": self.strategy,
        }
        return message.reply({**plan, **self._hints}, type="reasoning_plan", metadata=facts)

    def _shown(self, draft: Draft, done: Sequence[str]) -> dict[str, JSONValue]:
        """A plan as JSON."""
        steps = in_order(draft.steps)
        if not self.parallelizable_steps:
            for index in range(1, len(steps)):
                needed = (*steps[index].depends_on, steps[index - 1].id)
                steps[index] = replace(steps[index], depends_on=tuple(dict.fromkeys(needed)))
        known = {*done, *(step.id for step in steps)}
        shown: dict[str, JSONValue] = {
            "reasoning": list(draft.reasoning),
            "steps": [step.as_task(known) for step in steps],
            "critical_path": cast("JSONValue", critical_path(steps)),
        }
        if self.parallelizable_steps:
            shown["parallel_groups"] = cast("JSONValue", groups(steps))
        if draft.score is not None:
            shown["score"] = draft.score
        return shown


class _Asking:
    """The questions of one plan: each a turn of its own, with wrong answers sent back."""

    def __init__(
        self, use: ModelUse, instructions: str, agents: Mapping[str, str], feedback: str
    ) -> None:
        self._use = use
        self._instructions = instructions
        if agents:
            listed = "\n".join(f"- {name}: {told}".rstrip(": ") for name, told in agents.items())
            self._instructions += f"\n\nAgents that can do steps:\n{listed}"
        self._feedback = feedback
        self._last: Answer | None = None
        self._calls = 0

    async def ask(
        self, text: str, instructions: str, schema: Schema, check: Check, judging: bool
    ) -> JSONValue:
        """The checked answer to one question."""

        def checked(value: JSONValue) -> JSONValue:
            if not isinstance(value, dict):
                raise ValueError("it must be a JSON object")  # noqa: TRY004 - the model's fault
            return check(value)

        if self._feedback:
            text = f"{text}\n\nTo be regarded:\n{self._feedback}"
        wanted = Checked(schema, checked)
        request = self._use.request(text, f"{self._instructions}\n\n{instructions}", wanted.asked)
        if judging and request.temperature is not None:
            request = replace(request, temperature=JUDGE_TEMPERATURE)
        turn = Turn(self._use.open(), request, output=wanted)
        try:
            self._last = await turn.answer()
        finally:
            self._calls += turn.usage.calls
        return self._last.value

    def facts(self) -> dict[str, JSONValue]:
        """What the reply's metadata says of the model."""
        told = {} if self._last is None else self._last.facts()
        return {**told, "model_calls": self._calls}


async def _review(mind: Mind, draft: Draft) -> tuple[Draft, JSONValue]:
    """The plan, revised once if a review of it finds problems, and the review; a revision that fails is left."""

    def check(value: dict[str, JSONValue]) -> JSONValue:
        listed = value.get("problems")
        if not isinstance(listed, list):
            raise ValueError("problems must be a list of texts, empty if there are none")  # noqa: TRY004 - the model's fault
        return [str(item) for item in listed if str(item).strip()]

    schema: Schema = {
        "type": "object",
        "properties": {"problems": {"type": "array", "items": {"type": "string"}}},
        "required": ["problems"],
        "additionalProperties": False,
        "x-offline": {"problems": []},
    }
    about = mind.about(("Plan", draft.listed()))
    problems = cast(
        "list[JSONValue]",
        await mind.ask(
            about, "Review the plan. Name what is wrong with it or missing.", schema, check, True
        ),
    )
    if not problems:
        return draft, {"problems": [], "revised": False}
    try:
        better = await mind.plan(
            "Write the plan again, without its problems.",
            ("Plan", draft.listed()),
            ("Problems", tuple(map(str, problems))),
        )
    except OutputInvalid:
        return draft, {"problems": problems, "revised": False}
    revised = replace(draft, steps=better.steps, score=None)
    return revised, {"problems": problems, "revised": True}


async def _another(mind: Mind, draft: Draft) -> Draft:
    return await mind.plan(
        "Write a plan that goes another way than the one given.", ("Plan", draft.listed())
    )


def _actions(draft: Draft) -> list[str]:
    """What a plan does, by which plans are told apart: ids say nothing."""
    return [step.description for step in in_order(draft.steps)]


def _example(plan: ExamplePlan) -> str:
    lines = [f"Example problem: {plan.problem}"]
    lines += [f"{number}. {step}" for number, step in enumerate(plan.steps, 1)]
    return "\n".join([*lines, *([f"Why: {plan.explanation}"] if plan.explanation else [])])


AGENT = PlannerAgent
