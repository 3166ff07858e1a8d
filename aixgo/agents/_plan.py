"""A plan as a graph of steps: how an answer becomes one, what is wrong with it, in which order it runs.

Below: graphs. Above: the planner and its strategies.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from aixgo import graphs
from aixgo.message import JSONValue

__all__ = ["PlanStep", "critical_path", "groups", "in_order", "plan_by_rule", "read_steps"]

ITEM = re.compile(r"^(?:[-*•]|(\d+)[.)]) (.+)$", re.MULTILINE)
CLAUSE = re.compile(r"(?<=[.!?;])\s+|\n+|,?\s+(?:and\s+)?then\s+", re.IGNORECASE)
REFERENCE = re.compile(r"\{([^{}]+)\}")
INPUT = "input"  # what stands for the run's message in a Planning pattern
LONGEST_ID = 64  # characters; a Planning pattern puts `{id}` into texts
WORD = re.compile(r"\w{3,}")


@dataclass(slots=True, frozen=True, kw_only=True)
class PlanStep:
    """One step: what is to be done, after which others, and by whom if that is known."""

    id: str
    description: str
    depends_on: tuple[str, ...] = ()
    agent: str = ""

    def as_json(self) -> dict[str, JSONValue]:
        """The step as a model writes it; `agent` only if known."""
        found: dict[str, JSONValue] = {
            "id": self.id,
            "description": self.description,
            "depends_on": list(self.depends_on),
        }
        return {**found, "agent": self.agent} if self.agent else found

    def as_task(self, known: Collection[str]) -> dict[str, JSONValue]:
        """The step for who runs it: with an agent, also that one's `input`, in which `{id}` stands for a result.

        In the task itself nothing is to be filled in: there `{id}` of a `known` id loses its braces.
        """
        if not self.agent:
            return self.as_json()

        def bare(found: re.Match[str]) -> str:
            return found[1] if found[1] in known or found[1] == INPUT else found[0]

        given: dict[str, JSONValue] = {
            "task": REFERENCE.sub(bare, self.description),
            "input": f"{{{INPUT}}}",
        }
        if self.depends_on:
            given["results"] = {name: f"{{{name}}}" for name in self.depends_on}
        return {**self.as_json(), "input": given}


def read_steps(
    value: JSONValue,
    *,
    most: int,
    agents: Collection[str],
    before: Sequence[PlanStep] = (),
    done: Sequence[str] = (),
) -> list[PlanStep]:
    """The steps an answer lists, in its order; they may depend on each other, on those `before` and on what is `done`.

    A step without an id is numbered; one that does not say what it depends on follows the one above it. With
    `agents`, each step is for one of them; the only one need not be named.

    Raises:
        ValueError: what is wrong, for the model: an empty or too long list, a name given twice, an unknown
            dependency or agent, or a cycle, with the steps that make it.
    """
    if not isinstance(value, list) or not value:
        raise ValueError("steps must be a list of at least one step")
    if len(value) > most:
        raise ValueError(f"there are {len(value)} steps; there may be at most {most}")
    found: list[PlanStep] = []
    for item in value:
        last = found[-1].id if found else before[-1].id if before else ""
        found.append(_read_step(item, len(before) + len(found) + 1, last, agents))
    ids = [step.id for step in (*before, *found)]
    for name in ids:
        if ids.count(name) > 1:
            raise ValueError(f"two steps have the id {name!r}")
    for step in found:
        for needed in step.depends_on:
            if needed not in ids and needed not in done:
                raise ValueError(
                    f"step {step.id!r} depends on {needed!r}, which is no step; there are: "
                    f"{', '.join((*ids, *done))}"
                )
    try:
        graphs.in_order(_waits(found))
    except graphs.Circle as exc:
        raise ValueError(f"the steps wait for each other in a circle: {exc}") from exc
    return found


def in_order(steps: Sequence[PlanStep]) -> list[PlanStep]:
    """The steps, each after those it depends on; otherwise as they stand."""
    by_id = {step.id: step for step in steps}
    return [by_id[name] for name in graphs.in_order(_waits(steps))]


def groups(steps: Sequence[PlanStep]) -> list[list[str]]:
    """The ids of what can run at once, group after group: each step stands after all it depends on."""
    return graphs.levels(_waits(steps))


def critical_path(steps: Sequence[PlanStep]) -> list[str]:
    """The longest chain of steps that wait for each other; the earliest one of equal length."""
    chains: dict[str, list[str]] = {}
    for step in in_order(steps):
        before = max((chains.get(n, []) for n in step.depends_on), key=len, default=[])
        chains[step.id] = [*before, step.id]
    return max(chains.values(), key=len, default=[])


def plan_by_rule(
    text: str, *, most: int, agents: Mapping[str, str], parallel: bool
) -> list[PlanStep]:
    """The steps a text itself names: the items of its list, else its sentences and what follows a "then".

    Each follows the one above it, but the items of a list without numbers wait for nothing if `parallel`. What is
    more than `most` is part of the last step. A step goes to the agent that shares most words with it, the first one
    of several.
    """
    lines = (" ".join(line.split()) for line in text.splitlines())
    text = "\n".join(line for line in lines if line)  # single blanks: CLAUSE is linear in the text
    items = ITEM.findall(text)
    if len(items) > 1:
        parts = [part.strip() for _, part in items]
    else:
        parts = [part.strip(" \t.;") for part in CLAUSE.split(text)]
    parts = [part for part in parts if part] or [text]
    if len(parts) > most:
        parts[most - 1 :] = ["; ".join(parts[most - 1 :])]
    free = parallel and len(items) > 1 and not any(number for number, _ in items)
    return [
        PlanStep(
            id=f"step_{index + 1}",
            description=part,
            depends_on=() if free or not index else (f"step_{index}",),
            agent=_fitting(part, agents),
        )
        for index, part in enumerate(parts)
    ]


def _read_step(item: JSONValue, number: int, last: str, agents: Collection[str]) -> PlanStep:
    if not isinstance(item, dict):
        raise ValueError(f"step {number} must be an object with id, description and depends_on")  # noqa: TRY004 - the model's fault
    name = _name(item.get("id")) or f"step_{number}"
    if len(name) > LONGEST_ID or name == INPUT or "{" in name or "}" in name:
        raise ValueError(
            f"an id has at most {LONGEST_ID} characters, no braces, and is not {INPUT!r}: {name[:80]!r}"
        )
    description = item.get("description")
    if not isinstance(description, str) or not description.strip():
        raise ValueError(f"step {name!r} needs a description")
    needed = item.get("depends_on")
    if needed is None:
        needed = [last] if last else []
    if not isinstance(needed, list):
        raise ValueError(f"depends_on of step {name!r} must be a list of ids")  # noqa: TRY004 - the model's fault
    agent = _name(item.get("agent")) if agents else ""
    if len(agents) == 1 and not agent:
        (agent,) = agents
    if agents and agent not in agents:
        raise ValueError(
            f"step {name!r} is for {agent!r}, which is no agent; there are: {', '.join(agents)}"
        )
    return PlanStep(
        id=name,
        description=description.strip(),
        depends_on=tuple(dict.fromkeys(map(_name, needed))),
        agent=agent,
    )


def _name(value: JSONValue) -> str:
    """An id as text: models write numbers too."""
    return "" if value is None or isinstance(value, bool) else str(value).strip()


def _waits(steps: Sequence[PlanStep]) -> dict[str, tuple[str, ...]]:
    return {step.id: step.depends_on for step in steps}


def _fitting(text: str, agents: Mapping[str, str]) -> str:
    wanted = _words(text)
    shared = {name: len(wanted & _words(f"{name} {told}")) for name, told in agents.items()}
    return max(shared, key=lambda name: shared[name], default="")


def _words(text: str) -> set[str]:
    return {word[:5] for word in WORD.findall(text.lower().replace("_", " "))}  # 5: without endings
