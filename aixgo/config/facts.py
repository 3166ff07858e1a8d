"""What an entry says about its agent, `description` and `version`, as attributes of the agent.

Below: the decorator, config.model. Above: config.build.
"""

from __future__ import annotations

from aixgo.config.model import AgentEntry, OrchestrationEntry
from aixgo.contract import Agent
from aixgo.decorator import AgentFunction
from aixgo.errors import ConfigError

__all__ = ["Facts"]


class Facts:
    """The facts that the entries of one file state about their agents."""

    def __init__(self) -> None:
        self._stated: dict[tuple[int, str], tuple[Agent, str]] = {}

    def state(self, agent: Agent, entry: AgentEntry | OrchestrationEntry) -> Agent:
        """`agent`, telling what `entry` says of it; a function gets an agent of its own for that.

        Raises:
            ConfigError: it cannot be told, or another entry says something else of the same object.
        """
        given = {"description": entry.description, "version": entry.version}
        told = {
            name: text for name, text in given.items() if text and getattr(agent, name, "") != text
        }
        if told and isinstance(agent, AgentFunction):
            return agent.with_facts(**told)
        for name, text in told.items():
            self._tell(agent, name, text)
        return agent

    def _tell(self, agent: Agent, name: str, text: str) -> None:
        if (id(agent), name) in self._stated:
            _, other = self._stated[id(agent), name]
            raise ConfigError(
                f"{name} is {text!r}, and another entry with the same agent object says {other!r}; "
                "make an agent for each"
            )
        try:
            setattr(agent, name, text)
        except AttributeError as exc:
            raise ConfigError(
                f"{name}: a {type(agent).__name__} does not let its {name} be set"
            ) from exc
        self._stated[id(agent), name] = (agent, text)  # kept, so that no other object gets its id
