"""Two of one file that would listen at one address: refused before anything starts.

Below: config.check, rpc.addresses. Above: config.parse.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aixgo.config.check import Findings
from aixgo.config.model import AgentEntry, Deployment, OrchestrationEntry
from aixgo.config.read import Block, position
from aixgo.errors import ConfigError
from aixgo.rpc.addresses import clash, parse_address

__all__ = ["check_listening"]


@dataclass(slots=True, frozen=True)
class _Listener:
    who: str
    address: str
    key: str
    line: int


def check_listening(
    agents: Sequence[AgentEntry],
    orchestrations: Sequence[OrchestrationEntry],
    deployment: Deployment,
    lines: Block,
    findings: Findings,
) -> None:
    """Report everyone who would listen where another one of the file does; `lines` are those of `deployment`.

    Agents that `deployment.peers` lists are served elsewhere, so theirs may be the same.
    """
    there: list[_Listener] = []
    for new in _listeners(agents, orchestrations, deployment, lines):
        if first := next((old for old in there if _clash(old.address, new.address)), None):
            findings.fault(
                new.line,
                new.key,
                f"{new.who} would listen at {new.address}, where {first.who} listens "
                f"({position(findings.file, first.line)}); give one of them another address",
            )
        else:
            there.append(new)


def _listeners(
    agents: Sequence[AgentEntry],
    orchestrations: Sequence[OrchestrationEntry],
    deployment: Deployment,
    lines: Block,
) -> Iterator[_Listener]:
    here = [entry for entry in agents if entry.name not in deployment.peers]
    for entry in here:
        if entry.listen and isinstance(entry.settings, Block):
            line = entry.settings.lines["listen"]
            yield _Listener(f"agent {entry.name!r}", entry.listen, "listen", line)
    rest = [*(each.name for each in orchestrations), *(e.name for e in here if not e.listen)]
    if deployment.listen and rest:  # an agent alone may say it twice
        line = lines.lines["listen"]
        yield _Listener(f"{rest[0]!r}", deployment.listen, "deployment.listen", line)
    if deployment.health:
        line = lines.lines["health"]
        yield _Listener("every health check", deployment.health, "deployment.health", line)


def _clash(one: str, other: str) -> bool:
    try:
        return clash(*(parse_address(_every(address)) for address in (one, other)))
    except ConfigError:  # it was reported where it stands
        return False


def _every(address: str) -> str:
    """`:50051` is that port of every interface."""
    return f"0.0.0.0{address}" if address.startswith(":") else address  # noqa: S104 - only compared
