"""Agents in one line each: what a program needs that talks to models and knows nothing of runtimes.

Below: chat. Above: users.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypedDict, Unpack, cast

from aixgo.agents.chat import ChatAgent
from aixgo.errors import ConfigError, nearest
from aixgo.names import invalid_name
from aixgo.providers import ModelMiddleware, Provider
from aixgo.tools import Tool, Toolbox

__all__ = ["SimpleOptions", "create_agent_team", "create_simple_agent"]


class SimpleOptions(TypedDict, total=False):
    """What may be given besides id, model and system message; see `ChatAgent`."""

    tools: Sequence[Tool | Callable[..., object]]
    output: object
    temperature: float | None
    max_tokens: int | None
    max_rounds: int
    max_history: int
    description: str
    provider: Provider | None
    middleware: Sequence[ModelMiddleware]
    base_url: str


def create_simple_agent(
    agent_id: str,
    model: str = "",
    system_message: str = "",
    *,
    api_key: str | None = None,
    session_id: str = "",
    **options: Unpack[SimpleOptions],
) -> ChatAgent:
    """An agent to `chat` with. Its model is looked up at the first chat, so it can be made without a key.

    `api_key` is the vendor's key; without one the vendor's variable is read.

    Raises:
        ConfigError: the id or an option cannot be used.
    """
    return ChatAgent(
        agent_id,
        model=model,
        prompt=system_message or f"You are {agent_id}, a helpful agent.",
        session_id=session_id,
        api_key=api_key or "",
        **options,
    )


def create_agent_team(
    members: Sequence[Mapping[str, object]], session_id: str = ""
) -> dict[str, ChatAgent]:
    """Agents by id, in the order given; each entry has the arguments of `create_simple_agent`.

    They share nothing, but for the session's id if one is given. All entries are checked before any agent
    is made.

    Raises:
        ConfigError: which entry lacks `agent_id` or `model`, has a key nobody knows, or an id that is taken.
    """
    known = {
        "agent_id",
        "model",
        "system_message",
        "session_id",
        "api_key",
        *SimpleOptions.__annotations__,
    }
    seen: set[str] = set()
    for index, entry in enumerate(members):
        where = f"members[{index}]"
        for key in ("agent_id", "model"):
            if not isinstance(entry.get(key), str) or not entry[key]:
                raise ConfigError(f"{where} needs {key}, a text")
        name = cast("str", entry["agent_id"])
        if why := invalid_name(name):
            raise ConfigError(f"{where}: the id {why}")
        if name in seen:
            raise ConfigError(f"{where}: the id {name!r} is taken")
        seen.add(name)
        for key in entry:
            if key not in known:
                near = nearest(key, known)
                hint = (
                    f"; did you mean {near!r}?" if near else f"; known: {', '.join(sorted(known))}"
                )
                raise ConfigError(f"{where}: there is no key {key!r}{hint}")
        Toolbox(cast("Sequence[Tool]", entry.get("tools") or ()))  # raises for a tool that is none
    made: dict[str, ChatAgent] = {}
    for entry in members:
        settings = cast("dict[str, str]", {"session_id": session_id, **entry})
        made[settings["agent_id"]] = create_simple_agent(**settings)  # type: ignore[arg-type]  # known keys
    return made
