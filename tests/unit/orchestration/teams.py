"""One team of every pattern, for tests that hold for all: a pattern that has none here fails them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aixgo.orchestration import (
    RAG,
    Aggregation,
    Classification,
    Consensus,
    Debate,
    Ensemble,
    Hierarchical,
    MapReduce,
    Orchestrator,
    Parallel,
    Planning,
    Reflection,
    Router,
    Sequential,
    Supervisor,
    Swarm,
)

__all__ = ["TEAMS", "Build", "Sort"]

Build = Callable[..., Orchestrator]


@dataclass(frozen=True, kw_only=True)
class Sort:
    """A pattern: `make` takes its name and its settings, as Python has them; in a file it is `agents` and `config`."""

    make: Build
    slots: Mapping[str, Any]
    """Who is in it, by the parameters of `make`: every slot, or list of slots, that has to be given."""
    agents: tuple[str, ...] = ("a", "b")
    """The same in a file: `agents:` …"""
    config: Mapping[str, Any] = field(default_factory=dict)
    """… and `config:`."""
    only_in_files: tuple[str, ...] = ()
    """Keys that are no parameters."""
    alone: bool = True
    """Whether it can have no more than one agent."""

    def __call__(self, name: str = "team", **given: Any) -> Orchestrator:
        return self.make(name, **{**self.slots, **given})


CHOOSING = {"classifier": "a", "routes": {"x": "b"}}

TEAMS: Mapping[str, Sort] = {
    "aggregation": Sort(make=Aggregation, slots={"agents": ["a", "b"]}),
    "classification": Sort(make=Classification, slots=CHOOSING, agents=(), config=CHOOSING),
    "classifier": Sort(make=Classification, slots=CHOOSING, agents=(), config=CHOOSING),
    "consensus": Sort(make=Consensus, slots={"agents": ["a", "b"]}),
    "debate": Sort(make=Debate, slots={"agents": ["a", "b"]}, alone=False),
    "ensemble": Sort(make=Ensemble, slots={"agents": ["a", "b"]}, only_in_files=("models",)),
    "hierarchical": Sort(
        make=Hierarchical,
        slots={"manager": "a", "teams": {"x": "b"}},
        agents=(),
        config={"manager": "a", "teams": {"x": "b"}},
    ),
    "mapreduce": Sort(make=MapReduce, slots={"mappers": ["a", "b"]}, only_in_files=("mapper",)),
    "parallel": Sort(make=Parallel, slots={"agents": ["a", "b"]}),
    "planning": Sort(
        make=Planning,
        slots={"planner": "a", "agents": ["b"]},
        agents=("b",),
        config={"planner": "a"},
        only_in_files=("step_timeout",),
    ),
    "rag": Sort(
        make=RAG, slots={"retrievers": ["a"], "generator": "b"}, only_in_files=("retriever",)
    ),
    "reflection": Sort(
        make=Reflection, slots={"generator": "a", "critics": ["b"]}, only_in_files=("critic",)
    ),
    "router": Sort(make=Router, slots=CHOOSING, agents=(), config=CHOOSING),
    "sequential": Sort(
        make=Sequential, slots={"agents": ["a", "b"]}, only_in_files=("step_timeout",)
    ),
    "supervisor": Sort(
        make=Supervisor,
        slots={"agents": ["b"], "manager": "a"},
        agents=("b",),
        config={"manager": "a"},
        only_in_files=("model",),
    ),
    "swarm": Sort(make=Swarm, slots={"agents": ["a", "b"]}),
}
