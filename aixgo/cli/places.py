"""Who is served here and where all the others are: what `--agent` and `--peer` say about a file.

Below: config. Above: serve.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from aixgo.config import Config
from aixgo.errors import ConfigError
from aixgo.names import slug

__all__ = ["AGENT", "Places", "places_of"]

AGENT = "{agent}"
"""What stands for an agent's slug in an address, as in the hosts of `aixgo certs`."""

Addresses = str | tuple[str, ...]


@dataclass(slots=True, frozen=True)
class Places:
    """The agents and orchestrations of one process, and the addresses of those that live elsewhere."""

    here: tuple[str, ...]
    peers: Mapping[str, Addresses]


def places_of(config: Config, only: Sequence[str], given: Iterable[str]) -> Places:
    """The places of a file's agents, for a process that serves `only`, or all it can if that is empty.

    An orchestration is served with those that stand inside it, unless they are said to be elsewhere.

    Args:
        config: the file.
        only: what `--agent` names.
        given: what `--peer` says: `NAME=ADDRESS`, again for each replica, or an address with `{agent}` in it for
            all who are not here.

    Raises:
        ConfigError: there is no such agent, nothing is left to serve, or a peer's address is none.
    """
    for name in only:
        config.entries(name)  # an error that lists the agents, if there is no such one
    named, pattern = _parsed(given)
    peers: dict[str, Addresses] = {**config.deployment.peers, **named}
    wanted = config.with_inner(only) if only else config.names
    ours = set(config.names).difference(peers).union(only).intersection(config.names)
    here = tuple(name for name in wanted if name in ours)
    if not here:
        raise ConfigError(f"{config.path}: there is nothing to serve: it names no agent of its own")
    if pattern and not only:
        raise ConfigError(
            f"--peer {pattern!r} is the address of all agents that are not served here; "
            "name those that are with --agent"
        )
    for name in config.names if pattern else ():
        peers.setdefault(name, pattern.replace(AGENT, slug(config.outermost(name))))
    return Places(here, {name: where for name, where in peers.items() if name not in here})


def _parsed(given: Iterable[str]) -> tuple[dict[str, tuple[str, ...]], str]:
    """The addresses of each peer that is named, and that of all others."""
    named: dict[str, tuple[str, ...]] = {}
    pattern = ""
    for item in given:
        name, equals, address = item.rpartition("=")
        if AGENT in item and not equals:
            if pattern:
                raise ConfigError(
                    f"--peer {pattern!r} and --peer {item!r}: one address for all others is enough"
                )
            pattern = item
        elif name and address:
            named[name] = (*named.get(name, ()), address)
        else:
            raise ConfigError(
                f"--peer {item!r} must be NAME=ADDRESS, or an address for all others such as dns:///{AGENT}:50051"
            )
    return named, pattern
