"""What a run of a file would fail of before its first call, found without building an agent or loading code.

Below: build, which makes the orchestrations. Above: `aixgo validate`.
"""

from __future__ import annotations

from collections.abc import Iterator

from aixgo.config.build import check_retrievers, orchestrators
from aixgo.config.code import missing_file
from aixgo.config.model import AgentEntry, Config
from aixgo.config.roles import role_class
from aixgo.contract import Agent
from aixgo.errors import AixgoError, ConfigError
from aixgo.runtime.binding import check_orchestration, objects_below

__all__ = ["rehearse"]


def rehearse(config: Config) -> None:
    """Build the file's orchestrations and retrievers, and look whether its agents' files are there.

    Raises:
        ConfigError: an orchestration or a retriever cannot be built, an orchestration contains itself or reaches
            more agents than it may, or an agent's file is missing; a line for each.
    """
    faults = [*_of_code(config), *check_retrievers(config), *_of_orchestrations(config)]
    if faults:
        raise ConfigError("\n".join(faults))


def _of_code(config: Config) -> Iterator[str]:
    folder = config.path.resolve().parent
    for entry in config.agents:
        if entry.name in config.deployment.peers:
            continue  # whoever serves it has its code
        for key, reference in _references(entry):
            if file := missing_file(reference, folder):
                yield (
                    f"{config.path}:{entry.line}: {entry.name!r}: {key} {reference!r}: there is no file {file}"
                )


def _references(entry: AgentEntry) -> Iterator[tuple[str, str]]:
    """The keys of an entry that name code, and what they name."""
    if entry.code:
        yield "code", entry.code
    elif entry.role:
        for key in getattr(role_class(entry.role), "code_keys", ()):
            yield key, str(entry.settings.get(key) or "")


def _of_orchestrations(config: Config) -> Iterator[str]:
    try:
        teams = orchestrators(config)
    except ConfigError as exc:
        yield str(exc)
        return
    within = [agent for team in teams.values() for agent in objects_below(team)]
    known: dict[str, Agent] = {agent.name: agent for agent in (*within, *teams.values())}
    for entry in config.orchestrations:
        if entry.name not in teams:
            continue
        try:
            check_orchestration(entry.name, known.get)
        except AixgoError as exc:
            yield f"{config.path}:{entry.line}: {entry.name!r}: {exc}"
