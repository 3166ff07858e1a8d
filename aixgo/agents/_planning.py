"""The six ways a planner makes a plan. Each is a function of a `Mind`, which asks the model and checks its answers.

Every search is bounded: by the depth of reasoning, by a number of expansions or simulations, and by the steps a
plan may have. The same answers and the same random numbers make the same plan; ties go to what came first.

Below: `_mind`. Above: the planner.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from aixgo.agents._mind import Draft, Line, Mind, Schema, list_of, object_of, texts
from aixgo.agents._plan import PlanStep, in_order
from aixgo.message import JSONValue

__all__ = [
    "STRATEGIES",
    "backward_chaining",
    "chain_of_thought",
    "hierarchical_plan",
    "monte_carlo",
    "react_planning",
    "tree_of_thought",
]

SIMULATIONS = 10  # of a Monte Carlo search
EXPANSIONS = 3  # of a tree of thought with backtracking, for each level of its depth


async def chain_of_thought(mind: Mind) -> Draft:
    """Thoughts and then the plan, in one answer."""
    return await mind.plan(f"Reason in at most {mind.depth} thoughts, then write the plan.")


async def tree_of_thought(mind: Mind) -> Draft:
    """A best-first search over lines of thought, each scored; the plan is made of the best line.

    A line's value is the mean of its scores. Without backtracking a line that was passed over is never resumed.
    """
    frontier: list[tuple[float, int, Line]] = [(0.0, 0, ())]
    passed: list[tuple[float, int, Line]] = []
    expanded = made = 0
    most = mind.depth * EXPANSIONS if mind.backtracking else mind.depth
    while len(frontier[0][2]) < mind.depth and expanded < most:
        value, _, line = heapq.heappop(frontier)
        if not mind.backtracking:
            passed += frontier
            frontier.clear()
        thoughts = await mind.propose(line)
        scores = await mind.rate("Line of thought", [(*line, thought) for thought in thoughts])
        expanded += 1
        for thought, score in zip(thoughts, scores, strict=True):
            made += 1
            mean = (-value * len(line) + score) / (len(line) + 1)
            heapq.heappush(frontier, (-mean, made, (*line, thought)))
    ranked = sorted((*frontier, *passed), key=lambda entry: (-len(entry[2]), entry[0], entry[1]))
    wanted = ranked[:2] if mind.alternatives else ranked[:1]
    drafts = [
        replace(
            await mind.plan("Write the plan these thoughts lead to.", ("Thoughts", line)),
            reasoning=line,
            score=round(-value, 4),
        )
        for value, _, line in wanted
    ]
    facts: dict[str, JSONValue] = {"expanded": expanded, "thoughts": made}
    if len(ranked[0][2]) < mind.depth:
        facts["stopped_by"] = "max_expansions"
    return replace(drafts[0], others=drafts[1:], facts=facts)


@dataclass(slots=True, eq=False)
class _Node:
    """A line of thought in a Monte Carlo search."""

    line: Line
    above: _Node | None = None
    below: list[_Node] = field(default_factory=list)
    untried: list[str] | None = None
    """Thoughts not yet followed; None before anybody asked for some."""
    visits: int = 0
    total: float = 0.0

    def next(self) -> _Node:
        """The child with the highest upper confidence bound; the earliest of equal ones."""
        return max(
            self.below,
            key=lambda node: (
                node.total / node.visits + math.sqrt(2 * math.log(self.visits) / node.visits)
            ),
        )


async def monte_carlo(mind: Mind) -> Draft:
    """A UCB1 tree search over lines of thought: each simulation makes a whole plan of a line and scores it.

    The best plan of all simulations is taken, the earliest of equal ones.
    """
    root = _Node(())
    found: list[Draft] = []
    nodes = 1
    for _ in range(SIMULATIONS):
        node = root
        while node.untried == [] and node.below:
            node = node.next()
        if len(node.line) < mind.depth:
            if node.untried is None:
                node.untried = await mind.propose(node.line)
            thought = node.untried.pop(mind.random.randrange(len(node.untried)))
            child = _Node((*node.line, thought), node)
            node.below.append(child)
            node = child
            nodes += 1
        draft = await mind.plan("Write the plan these thoughts lead to.", ("Thoughts", node.line))
        (score,) = await mind.rate("Plan", [draft.listed()])
        found.append(replace(draft, reasoning=node.line, score=round(score, 4)))
        up: _Node | None = node
        while up is not None:
            up.visits += 1
            up.total += score
            up = up.above
    ranked = sorted(found, key=lambda draft: -(draft.score or 0.0))
    best = ranked[0]
    done = [step.description for step in best.steps]
    others = [draft for draft in ranked if [step.description for step in draft.steps] != done][:1]
    facts: dict[str, JSONValue] = {"simulations": SIMULATIONS, "nodes": nodes}
    return replace(best, others=others if mind.alternatives else (), facts=facts)


async def react_planning(mind: Mind) -> Draft:
    """Step after step: thoughts about the plan so far, then the next step or the end."""
    steps: list[PlanStep] = []
    reasoning: list[str] = []
    rule = mind.rule

    def check(value: dict[str, JSONValue]) -> JSONValue:
        thoughts: JSONValue = cast("JSONValue", texts(value.get("thoughts"))[: mind.depth])
        if value.get("done") is True and steps:
            return {"thoughts": thoughts, "step": None}
        (step,) = mind.read([value.get("step")], 1, steps)
        return {"thoughts": thoughts, "step": step.as_json()}

    for number in range(mind.max_steps):
        ending = number >= len(rule)
        step = rule[min(number, len(rule) - 1)].as_json()
        schema = object_of(
            {
                "thoughts": list_of({"type": "string"}, mind.depth),
                "done": {"type": "boolean", "description": "the plan needs no further step"},
                "step": mind.step_schema(),
            },
            {"thoughts": [], "done": ending, "step": step},
        )
        made = await mind.ask(
            mind.about(("The plan so far", [step.as_json() for step in steps])),
            f"Reason in at most {mind.depth} thoughts about what is missing, then name only the next step. It may "
            "depend on steps of the plan so far. When nothing is missing, say done.",
            schema,
            check,
            False,
        )
        told = cast("dict[str, JSONValue]", made)
        reasoning += texts(told["thoughts"])
        if told["step"] is None:
            return Draft(steps, tuple(reasoning))
        steps += mind.read([told["step"]], 1, steps)
    return Draft(steps, tuple(reasoning), facts={"stopped_by": "max_steps"})


async def backward_chaining(mind: Mind) -> Draft:
    """From the goal back: what must be done directly before it, before that, and so on, level by level.

    What two steps need is one step. A need that waits for the step that needs it is asked for again.
    """
    rule = mind.rule
    goal = await _aim(mind, rule[-1])
    steps = {_same(goal.description): goal}
    needs: dict[str, list[str]] = {}
    level = list(steps)
    for depth in range(mind.depth):
        upper, level = level, []
        for name in upper:
            if len(steps) == mind.max_steps:
                break
            listed = rule[:-1] if not depth else []
            needed = await _needed(mind, steps, needs, name, listed)
            needs[name] = [_same(step.description) for step in needed]
            for step in needed:
                key = _same(step.description)
                if key not in steps:
                    steps[key] = step
                    level.append(key)
    order: list[str] = []

    def place(name: str) -> None:
        for inner in needs.get(name, ()):
            if inner not in order:
                place(inner)
        order.append(name)

    place(_same(goal.description))
    ids = {name: f"step_{index + 1}" for index, name in enumerate(order)}
    return Draft(
        [
            replace(
                steps[name],
                id=ids[name],
                depends_on=tuple(ids[inner] for inner in needs.get(name, ())),
            )
            for name in order
        ],
        (f"Goal: {goal.description}",),
    )


async def _aim(mind: Mind, rule: PlanStep) -> PlanStep:
    """The last step: what is done when the problem is solved."""

    def check(value: dict[str, JSONValue]) -> JSONValue:
        return _lone(value.get("goal"), mind)[0].as_json()

    schema = object_of({"goal": mind.step_schema(alone=True)}, {"goal": rule.as_json()})
    made = await mind.ask(
        mind.about(),
        "Do not plan yet. Name only the last step, which reaches the goal.",
        schema,
        check,
        False,
    )
    return _lone(made, mind)[0]


async def _needed(
    mind: Mind,
    steps: Mapping[str, PlanStep],
    needs: Mapping[str, Sequence[str]],
    name: str,
    rule: Sequence[PlanStep],
) -> list[PlanStep]:
    """What must be done directly before the step `name`; none if it can be done at once."""
    step = steps[name]
    room = mind.max_steps - len(steps)

    def check(value: dict[str, JSONValue]) -> JSONValue:
        listed = value.get("needs")
        if not isinstance(listed, list):
            raise ValueError("needs must be a list of steps, empty if there are none")  # noqa: TRY004 - the model's fault
        found = {_same(need.description): need for item in listed for need in _lone(item, mind)}
        if len(found.keys() - steps.keys()) > room:
            raise ValueError(f"there may be at most {room} more steps")
        for other, need in found.items():
            if _reaches(other, name, needs):
                raise ValueError(
                    f"{need.description!r} cannot be done before {step.description!r}: it waits for that"
                )
        return [need.as_json() for need in found.values()]

    schema = object_of(
        {"needs": list_of(mind.step_schema(alone=True))},
        {"needs": [need.as_json() for need in rule]},
    )
    so_far: JSONValue = [known.description for known in steps.values()]
    made = await mind.ask(
        mind.about(("Steps so far", so_far), ("Step", step.description)),
        "Name what must be done directly before the step, in the order it is done. Name nothing if it can be done "
        "at once.",
        schema,
        check,
        False,
    )
    return [need for item in cast("list[JSONValue]", made) for need in _lone(item, mind)]


async def hierarchical_plan(mind: Mind) -> Draft:
    """The plan in a few parts, and each part that is more than one step in parts of its own."""
    room = mind.max_steps

    async def parts(whole: str, path: str, level: int) -> list[PlanStep]:
        """The steps of `whole`, which is the problem or a part of it."""
        nonlocal room
        most = room if not level else room + 1  # they take the place of one
        listed, atomic = await _parts(mind, whole, most, level)
        room -= len(listed) - (1 if level else 0)
        found: list[PlanStep] = []
        ends: dict[str, tuple[str, ...]] = {}  # part → the steps that finish it
        for number, part in enumerate(in_order(listed), 1):
            name = f"{path}{number}"  # the model's ids may be the same in two parts
            needed = tuple(
                dict.fromkeys(end for inner in part.depends_on for end in ends.get(inner, (inner,)))
            )
            inner: list[PlanStep] = []
            if level + 1 < mind.depth and room > 0 and part.id not in atomic:
                inner = await parts(part.description, f"{name}.", level + 1)
            if len(inner) < 2:  # one that is a single step stays what it is
                inner = [replace(part, id=name, depends_on=())]
            waited = {before for step in inner for before in step.depends_on}
            ends[part.id] = tuple(step.id for step in inner if step.id not in waited)
            found += [
                step if step.depends_on else replace(step, depends_on=needed) for step in inner
            ]
        return found

    return Draft(await parts("", "", 0))


async def _parts(
    mind: Mind, whole: str, most: int, level: int
) -> tuple[list[PlanStep], frozenset[str]]:
    """The parts of `whole`, and the ids of those that are a single step."""

    def check(value: dict[str, JSONValue]) -> JSONValue:
        listed = value.get("parts")
        steps = mind.read(listed, most)
        marks = [item.get("atomic") is True for item in cast("list[Schema]", listed)]
        return [{**step.as_json(), "atomic": mark} for step, mark in zip(steps, marks, strict=True)]

    rule: list[JSONValue] = [
        {**step.as_json(), "atomic": True} for step in mind.rule[: 1 if level else most]
    ]
    atomic: Schema = {"type": "boolean", "description": "it is a single step"}
    schema = object_of({"parts": mind.steps_schema(most, atomic=atomic)}, {"parts": rule})
    made = await mind.ask(
        mind.about(("Part", whole)),
        f"Take {'the part' if whole else 'the problem'} apart into a few parts, and say of each whether it is "
        "atomic, a single step.",
        schema,
        check,
        False,
    )
    told = cast("list[dict[str, JSONValue]]", made)
    names = frozenset(str(item["id"]) for item in told if item["atomic"])
    return mind.read(cast("JSONValue", told)), names


STRATEGIES: Mapping[str, Callable[[Mind], Awaitable[Draft]]] = {
    "chain_of_thought": chain_of_thought,
    "tree_of_thought": tree_of_thought,
    "react_planning": react_planning,
    "backward_chaining": backward_chaining,
    "hierarchical_plan": hierarchical_plan,
    "monte_carlo": monte_carlo,
}


def _lone(item: JSONValue, mind: Mind) -> list[PlanStep]:
    """A step that stands by itself; what it depends on is found out elsewhere."""
    alone: JSONValue = {**item, "id": "", "depends_on": []} if isinstance(item, dict) else item
    return mind.read([alone], 1)


def _reaches(start: str, end: str, needs: Mapping[str, Sequence[str]]) -> bool:
    """Whether `start` is `end` or needs it, directly or not."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name == end:
            return True
        if name not in seen:
            seen.add(name)
            waiting += needs.get(name, ())
    return False


def _same(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".")
