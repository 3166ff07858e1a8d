"""Built-in agents, one file per role. A role's module holds `AGENT`, its class; `aixgo.loading.load` finds it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aixgo.agents._guided import Guided
    from aixgo.agents._output import read_output
    from aixgo.agents._simple import create_agent_team, create_simple_agent
    from aixgo.agents.aggregator import AggregatorAgent
    from aixgo.agents.chat import ChatAgent
    from aixgo.agents.classifier import Category, ClassifierAgent, FewShot
    from aixgo.agents.logger import LoggerAgent
    from aixgo.agents.planner import ExamplePlan, PlannerAgent
    from aixgo.agents.producer import ProducerAgent
    from aixgo.agents.react import ReActAgent
    from aixgo.agents.retriever import RetrieverAgent

_HOMES = {
    "AggregatorAgent": "aixgo.agents.aggregator",
    "Category": "aixgo.agents.classifier",
    "ChatAgent": "aixgo.agents.chat",
    "ClassifierAgent": "aixgo.agents.classifier",
    "ExamplePlan": "aixgo.agents.planner",
    "FewShot": "aixgo.agents.classifier",
    "Guided": "aixgo.agents._guided",
    "LoggerAgent": "aixgo.agents.logger",
    "PlannerAgent": "aixgo.agents.planner",
    "ProducerAgent": "aixgo.agents.producer",
    "ReActAgent": "aixgo.agents.react",
    "RetrieverAgent": "aixgo.agents.retriever",
    "create_agent_team": "aixgo.agents._simple",
    "create_simple_agent": "aixgo.agents._simple",
    "read_output": "aixgo.agents._output",
}

__all__ = [
    "AggregatorAgent",
    "Category",
    "ChatAgent",
    "ClassifierAgent",
    "ExamplePlan",
    "FewShot",
    "Guided",
    "LoggerAgent",
    "PlannerAgent",
    "ProducerAgent",
    "ReActAgent",
    "RetrieverAgent",
    "create_agent_team",
    "create_simple_agent",
    "read_output",
]

if not TYPE_CHECKING:  # a type checker sees the imports above, and an error for a wrong name

    def __getattr__(name: str) -> object:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module 'aixgo.agents' has no attribute {name!r}")
        value = getattr(import_module(home), name)
        globals()[name] = value
        return value
