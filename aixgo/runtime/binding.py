"""Which agents a registration brings along, and in which order agents start.

Registering an orchestrator registers the agents given to it as objects, all the way down. Agents start
in levels: an agent's level is one above everything it depends on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from aixgo.contract import Agent, members_of
from aixgo.errors import ConfigError, LimitExceeded
from aixgo.graphs import Circle, levels

__all__ = ["check_orchestration", "objects_below", "start_levels"]


def objects_below(agent: Agent) -> list[Agent]:
    """The agent objects `agent` was given, its members' members included, each once, outermost first.

    Raises:
        ConfigError: an orchestrator contains itself; the text prints the path.
    """
    found: dict[int, Agent] = {}  # by identity: agents need not be hashable, and two may be equal

    def visit(item: Agent, path: tuple[Agent, ...]) -> None:
        for member in members_of(item):
            if isinstance(member, str):
                continue
            if any(member is seen for seen in path):
                raise ConfigError(
                    f"orchestration cycle: {_arrow([*(a.name for a in path), member.name])}"
                )
            if (
                id(member) not in found
            ):  # else what is below it is known, and does not lead back here
                found[id(member)] = member
                visit(member, (*path, member))

    visit(agent, (agent,))
    return list(found.values())


def check_orchestration(root: str, find: Callable[[str], Agent | None]) -> None:
    """Refuse an orchestrator that reaches itself by name, or more agents than it allows.

    Raises:
        ConfigError: the cycle, as a path.
        LimitExceeded: `max_agents`.
    """
    reached: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        agent = find(name)
        if agent is None:
            return
        for member in members_of(agent):
            member_name = member if isinstance(member, str) else member.name
            if member_name in path:
                raise ConfigError(f"orchestration cycle: {_arrow([*path, member_name])}")
            if member_name not in reached:
                reached.add(member_name)
                visit(member_name, (*path, member_name))

    visit(root, (root,))
    limit = getattr(find(root), "max_agents", None)
    if limit is not None and len(reached) > limit:
        raise LimitExceeded("max_agents", limit, root)


def start_levels(
    depends_on: Mapping[str, Iterable[str]], elsewhere: Iterable[str]
) -> list[list[str]]:
    """The names of `depends_on` in levels to start one after another, each level sorted by name.

    Names `elsewhere` are peers: known, and not ours to start.

    Raises:
        ConfigError: an unknown dependency or a cycle; the text prints the path.
    """
    outside = set(elsewhere)
    for name, needed in depends_on.items():
        for other in needed:
            if other not in depends_on and other not in outside:
                raise ConfigError(
                    f"{_arrow([name, other])}: no agent is called {other!r} (depends_on)"
                )
    try:
        return levels({name: sorted(depends_on[name]) for name in sorted(depends_on)})
    except Circle as exc:
        raise ConfigError(f"depends_on cycle: {_arrow(exc.path)}") from exc


def _arrow(names: Iterable[str]) -> str:
    return " -> ".join(names)
