"""The manager of a supervisor that names a model: a classifier whose categories are the agents.

Below: agents, loading. Above: config.build.
"""

from __future__ import annotations

from collections.abc import Mapping

from aixgo.config.model import AgentEntry, Config, OrchestrationEntry
from aixgo.contract import Agent
from aixgo.loading import load
from aixgo.message import JSONValue

__all__ = ["manager_of", "needs_manager"]

PROMPT = "Choose the agent whose task fits the text best."


def needs_manager(entry: OrchestrationEntry) -> bool:
    """Whether `entry` is a supervisor whose model has to pick."""
    settings = entry.config
    return (
        entry.pattern == "supervisor"
        and "manager" not in settings
        and settings.get("routing_strategy", "best_match") == "best_match"
        and len(entry.agents) > 1
    )


def manager_of(config: Config, entry: OrchestrationEntry, model: Mapping[str, object]) -> Agent:
    """Who picks for the supervisor `entry`; `model` is what it asks."""
    picks: Mapping[str, object] = {
        **model,
        "prompt": PROMPT,
        "categories": [_category(config.agent(name), name) for name in entry.agents],
    }
    made: Agent = load("agents", "classifier").AGENT.from_config(f"{entry.name}.pick", picks)
    return made


def _category(entry: AgentEntry | None, name: str) -> dict[str, JSONValue]:
    """An agent as the classifier sees it: its task, and the words that point to it."""
    settings = entry.settings if entry is not None else {}
    task = settings.get("description") or settings.get("prompt") or ""
    tools = settings.get("tools")
    words: list[JSONValue] = [*name.replace("-", " ").replace("_", " ").split()]
    for tool in tools if isinstance(tools, list) else []:
        if isinstance(tool, dict):
            words += str(tool.get("name", "")).replace("_", " ").split()
    return {"name": name, "description": str(task), "keywords": words}
