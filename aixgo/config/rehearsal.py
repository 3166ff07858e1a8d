"""What a run of a file would fail of before its first call, found without building an agent or loading code.

Below: build, which makes the orchestrations. Above: `aixgo validate`.
"""

from __future__ import annotations

from collections.abc import Iterator

from aixgo.config.build import check_retrievers, orchestrators
from aixgo.config.code import missing_file
from aixgo.config.model import Config
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
        if file := missing_file(entry.code, folder):
            yield f"{config.path}:{entry.line}: {entry.name!r}: code {entry.code!r}: there is no file {file}"


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
