"""A supervisor made of what exists: a classifier whose categories are the agents, and a router.

It stands in until there is a supervisor pattern, and does what one does in its default setting: the
agent that fits an input best answers it. Below: agents, orchestration. Above: config.build.
"""

from __future__ import annotations

from collections.abc import Mapping

from aixgo.config.model import AgentEntry, Config, OrchestrationEntry
from aixgo.contract import Agent
from aixgo.errors import ConfigError
from aixgo.loading import load
from aixgo.message import JSONValue
from aixgo.orchestration.base import Limits
from aixgo.orchestration.router import Router
from aixgo.orchestration.sequential import Sequential

__all__ = ["stand_in"]

PROMPT = "Choose the agent whose task fits the text best."


def stand_in(
    config: Config, entry: OrchestrationEntry, limits: Limits, model: Mapping[str, object]
) -> Agent:
    """The orchestrator that answers for the supervisor `entry`; `model` is what its classifier asks.

    Raises:
        ConfigError: it is to pick by another rule than the best match.
    """
    strategy = entry.config.get("routing_strategy", "best_match")
    if strategy != "best_match":
        raise ConfigError(
            f"routing_strategy {strategy!r} needs the supervisor pattern, which is not in this version; "
            "there is: best_match"
        )
    members = list(entry.agents)
    if len(members) == 1:
        return Sequential(entry.name, members, limits=limits)
    picks: Mapping[str, object] = {
        **model,
        "prompt": PROMPT,
        "categories": [_category(config.agent(name), name) for name in members],
    }
    classifier = load("agents", "classifier").AGENT.from_config(f"{entry.name}.pick", picks)
    routes = {name: name for name in members}
    return Router(entry.name, classifier, routes, fallback=members[0], limits=limits)


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
