"""Patterns: agents that reach their answer through other agents. One file per pattern.

A pattern's module is named after its kind and holds `PATTERN`, the class; `aixgo.loading.load` finds it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aixgo.orchestration.aggregation import Aggregation
    from aixgo.orchestration.base import (
        END,
        START,
        Edge,
        ErrorStrategy,
        Fact,
        Limits,
        Orchestrator,
        Step,
    )
    from aixgo.orchestration.classification import Classification
    from aixgo.orchestration.consensus import Consensus
    from aixgo.orchestration.debate import Debate
    from aixgo.orchestration.ensemble import Ensemble
    from aixgo.orchestration.hierarchical import Hierarchical
    from aixgo.orchestration.mapreduce import MapReduce
    from aixgo.orchestration.parallel import Parallel
    from aixgo.orchestration.planning import Planning
    from aixgo.orchestration.rag import RAG
    from aixgo.orchestration.reflection import Reflection
    from aixgo.orchestration.router import Router, Rule
    from aixgo.orchestration.sequential import Sequential
    from aixgo.orchestration.supervisor import Supervisor
    from aixgo.orchestration.swarm import Swarm

_HOMES = {
    "Aggregation": "aixgo.orchestration.aggregation",
    "Classification": "aixgo.orchestration.classification",
    "Consensus": "aixgo.orchestration.consensus",
    "Debate": "aixgo.orchestration.debate",
    "END": "aixgo.orchestration.base",
    "Edge": "aixgo.orchestration.base",
    "Ensemble": "aixgo.orchestration.ensemble",
    "ErrorStrategy": "aixgo.orchestration.base",
    "Fact": "aixgo.orchestration.base",
    "Hierarchical": "aixgo.orchestration.hierarchical",
    "Limits": "aixgo.orchestration.base",
    "MapReduce": "aixgo.orchestration.mapreduce",
    "Orchestrator": "aixgo.orchestration.base",
    "Parallel": "aixgo.orchestration.parallel",
    "Planning": "aixgo.orchestration.planning",
    "RAG": "aixgo.orchestration.rag",
    "Reflection": "aixgo.orchestration.reflection",
    "Router": "aixgo.orchestration.router",
    "START": "aixgo.orchestration.base",
    "Rule": "aixgo.orchestration.router",
    "Sequential": "aixgo.orchestration.sequential",
    "Step": "aixgo.orchestration.base",
    "Supervisor": "aixgo.orchestration.supervisor",
    "Swarm": "aixgo.orchestration.swarm",
}

__all__ = [
    "Aggregation",
    "Classification",
    "Consensus",
    "Debate",
    "END",
    "Edge",
    "Ensemble",
    "ErrorStrategy",
    "Fact",
    "Hierarchical",
    "Limits",
    "MapReduce",
    "Orchestrator",
    "Parallel",
    "Planning",
    "RAG",
    "Reflection",
    "Router",
    "Rule",
    "START",
    "Sequential",
    "Step",
    "Supervisor",
    "Swarm",
]

if not TYPE_CHECKING:  # a type checker sees the imports above, and an error for a wrong name

    def __getattr__(name: str) -> object:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module 'aixgo.orchestration' has no attribute {name!r}")
        value = getattr(import_module(home), name)
        globals()[name] = value
        return value
