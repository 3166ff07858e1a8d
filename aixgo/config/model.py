"""A configuration as values: what a file says, checked, with every slot a name.

Below: errors, contract. Above: config.parse makes them, config.build reads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aixgo.errors import ConfigError
from aixgo.message import JSONValue
from aixgo.observability.logs import LogSettings
from aixgo.observability.settings import Settings
from aixgo.pricing import Prices
from aixgo.security.auth import Token
from aixgo.security.tls import Tls

__all__ = ["AgentEntry", "Config", "Deployment", "ModelService", "OrchestrationEntry"]


@dataclass(slots=True, frozen=True, kw_only=True)
class AgentEntry:
    """One agent of a file."""

    name: str
    role: str
    settings: Mapping[str, JSONValue]
    """The whole entry, as written."""
    extras: Mapping[str, JSONValue] = field(default_factory=dict)
    """The keys that are no key of aixgo; what `code` is given."""
    code: str = ""
    inputs: tuple[str, ...] = ()
    """Sources, agents or not."""
    outputs: tuple[str, ...] = ()
    """Targets, agents or not; what others declare as their input included."""
    depends_on: tuple[str, ...] = ()
    model: str = ""
    description: str = ""
    version: str = ""
    listen: str = ""
    fallback: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    """Where what the entry does not say itself comes from."""
    line: int = 0


@dataclass(slots=True, frozen=True, kw_only=True)
class OrchestrationEntry:
    """One orchestration of a file. Agents and slots in `config` are names."""

    name: str
    pattern: str
    agents: tuple[str, ...] = ()
    config: Mapping[str, JSONValue] = field(default_factory=dict)
    limits: Mapping[str, JSONValue] = field(default_factory=dict)
    description: str = ""
    version: str = ""
    outputs: tuple[str, ...] = ()
    fallback: tuple[str, ...] = ()
    within: str = ""
    """The orchestration it stands inside, or ""."""
    line: int = 0


@dataclass(slots=True, frozen=True, kw_only=True)
class ModelService:
    """What the name of a model service stands for."""

    model: str
    """`provider:model`, with the address behind it if it has one of its own."""
    api_key: str = field(default="", repr=False)
    resilience: Mapping[str, JSONValue] = field(default_factory=dict)
    """Policies around the calls of its model."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Deployment:
    """Where the agents of a file run."""

    mode: str = "local"
    peers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    listen: str = ""
    health: str = ""
    transport: str = "stream"
    tls: Tls | None = None
    token: Token | None = None
    token_file: str = ""
    external_tls: bool = False

    def bearer(self) -> Token | None:
        """The token of the file, read from where the file says.

        Raises:
            ConfigError: the token file cannot be read, or holds none.
        """
        return Token.from_file(self.token_file) if self.token_file else self.token


@dataclass(slots=True, frozen=True, kw_only=True)
class Config:
    """A file that was read and checked. `load_config` makes one, `open_runtime` runs it."""

    path: Path
    agents: tuple[AgentEntry, ...] = ()
    orchestrations: tuple[OrchestrationEntry, ...] = ()
    """In the order of the file; the supervisor, if there is one, comes last."""
    supervisor: str = ""
    """The orchestration that a `supervisor:` became."""
    deployment: Deployment = field(default_factory=Deployment)
    default_model: str = ""
    model_services: Mapping[str, ModelService] = field(default_factory=dict)
    resilience: Mapping[str, JSONValue] = field(default_factory=dict)
    """Policies around calls between agents."""
    prices: Prices | None = None
    """What the file puts into force; None leaves the process as it is."""
    embeddings: Mapping[str, JSONValue] = field(default_factory=dict)
    """How retrievers compare texts, where their own entries do not say."""
    vectorstore: Mapping[str, JSONValue] = field(default_factory=dict)
    """Where retrievers find texts, where their own entries do not say."""
    observability: Settings = field(default_factory=Settings)
    """What is traced and where it goes; by default nothing."""
    logging: LogSettings | None = None
    """What is logged and how; None leaves the process as it is."""
    extras: Mapping[str, JSONValue] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    unknown_keys: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    """Why the file may be read but not run."""

    @property
    def names(self) -> tuple[str, ...]:
        """Agents, then orchestrations."""
        return (*(a.name for a in self.agents), *(o.name for o in self.orchestrations))

    def agent(self, name: str) -> AgentEntry | None:
        """The entry of that agent, if there is one."""
        return next((entry for entry in self.agents if entry.name == name), None)

    def with_inner(self, names: Sequence[str]) -> tuple[str, ...]:
        """`names`, and the orchestrations that stand inside one of them, at any depth."""
        found = dict.fromkeys(names)
        for entry in self.orchestrations:  # the outer ones come first
            if entry.within in found:
                found.setdefault(entry.name)
        return tuple(found)

    def outermost(self, name: str) -> str:
        """The orchestration that `name` stands inside, at any depth; `name` itself if it stands alone."""
        within = {entry.name: entry.within for entry in self.orchestrations}
        while outer := within.get(name):
            name = outer
        return name

    @property
    def fallbacks(self) -> dict[str, tuple[str, ...]]:
        """Agent or orchestration → who is called in its stead, for those that have any."""
        found = {entry.name: entry.fallback for entry in self.agents}
        found |= {entry.name: entry.fallback for entry in self.orchestrations}
        return {name: fallback for name, fallback in found.items() if fallback}

    @property
    def exits(self) -> tuple[str, ...]:
        """Output targets that are no agent: where a flow ends."""
        known = {*self.names, *self.deployment.peers}
        outputs = [a.outputs for a in self.agents] + [o.outputs for o in self.orchestrations]
        targets = dict.fromkeys(target for listed in outputs for target in listed)
        return tuple(target for target in targets if target not in known)

    @property
    def producers(self) -> tuple[str, ...]:
        """Agents that send by themselves."""
        return tuple(entry.name for entry in self.agents if entry.role == "producer")

    def entries(self, agent: str = "") -> tuple[str, ...]:
        """Who receives a run's input: nearly always one name.

        That is the first orchestration, else the supervisor, else `agent`, else the only agent that is no
        producer and has no agent among its inputs. Several agents are entries if each names a source that no
        agent has.

        Raises:
            ConfigError: there is no such agent, or none stands out; the text lists the agents.
        """
        if agent:
            if agent not in {*self.names, *self.deployment.peers}:
                raise ConfigError(f"{self.path}: no agent is called {agent!r}; {self._listed()}")
            return (agent,)
        if self.orchestrations:
            return (self.orchestrations[0].name,)
        names = {entry.name for entry in self.agents}
        first = [
            entry
            for entry in self.agents
            if entry.role != "producer" and names.isdisjoint(entry.inputs)
        ]
        if len(first) > 1:
            first = [entry for entry in first if entry.inputs]
            if not first:
                raise ConfigError(
                    f"{self.path}: several agents could take the input; choose with --agent. "
                    f"{self._listed()}"
                )
        if not first:
            raise ConfigError(
                f"{self.path}: no agent takes the input; choose with --agent. {self._listed()}"
            )
        return tuple(entry.name for entry in first)

    def check_runnable(self) -> None:
        """Refuse a file that asks for protection this version does not have.

        Raises:
            ConfigError: the features and the keys that ask for them.
        """
        if self.refusals:
            raise ConfigError(f"{self.path}: " + "; ".join(self.refusals))

    def _listed(self) -> str:
        return f"agents: {', '.join(self.names) or 'none'}"
