"""From a Config to agents in a runtime.

Below: the runtimes, and through config.roles the classes of roles and patterns. Above: the command line.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TypedDict, Unpack, cast

from aixgo import pricing
from aixgo.config.code import agent_from_code, tools_from_code
from aixgo.config.model import AgentEntry, Config, Deployment, OrchestrationEntry
from aixgo.config.roles import has_pattern, pattern_class, role_class, takes_tools
from aixgo.config.supervisor import stand_in
from aixgo.contract import Agent
from aixgo.errors import AixgoError, ConfigError
from aixgo.message import JSONValue
from aixgo.orchestration.base import Limits
from aixgo.providers import choose_model, resolve_model
from aixgo.runtime.base import Runtime
from aixgo.runtime.local import LocalRuntime
from aixgo.runtime.options import RuntimeOptions
from aixgo.security.auth import Token
from aixgo.security.tls import Tls

__all__ = [
    "Overrides",
    "Placed",
    "WireOptions",
    "assemble",
    "open_runtime",
    "place",
    "wire_options",
]


@dataclass(slots=True, frozen=True, kw_only=True)
class Overrides:
    """What whoever starts a file decides over its head."""

    model: str = ""
    """For agents that name none."""
    count: int | None = None
    """Messages each producer sends."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Placed:
    """An agent, and how it is registered."""

    agent: Agent
    name: str
    outputs: tuple[str, ...] = ()
    depends_on: tuple[str, ...] | None = field(default=None)


def assemble(
    config: Config,
    *,
    only: Collection[str] | None = None,
    overrides: Overrides | None = None,
) -> list[Placed]:
    """The agents and orchestrations of a file, ready to be registered, in its order.

    The file's `prices:` come into force in this process.

    Args:
        config: the file.
        only: names to build; by default all that `deployment.peers` does not list.
        overrides: what the file does not decide.

    Raises:
        ConfigError: an entry cannot be built, or asks for protection that is not there.
    """
    config.check_runnable()
    if config.prices is not None:
        pricing.install(config.prices)
    given = overrides or Overrides()
    wanted = set(config.names) - set(config.deployment.peers) if only is None else set(only)
    placed = []
    for entry in config.agents:
        if entry.name in wanted:
            with _fault_of(config, entry):
                agent = _agent(config, entry, given)
            placed.append(
                Placed(
                    agent=agent,
                    name=entry.name,
                    outputs=entry.outputs,
                    depends_on=entry.depends_on or None,
                )
            )
    for found in config.orchestrations:
        if found.name in wanted:
            with _fault_of(config, found):
                agent = _orchestration(config, found, given)
            placed.append(Placed(agent=agent, name=found.name, outputs=found.outputs))
    return placed


async def place(runtime: Runtime, placed: Sequence[Placed]) -> None:
    """Register what `assemble` built."""
    for item in placed:
        await runtime.register(item.agent, item.name, item.outputs, item.depends_on)


class WireOptions(TypedDict):
    """What a file says about connections, as `DistributedRuntime` takes it."""

    transport: str
    tls: Tls | None
    token: Token | None
    external_tls: bool


def wire_options(deployment: Deployment) -> WireOptions:
    """How the runtime of a file connects.

    Raises:
        ConfigError: its token file cannot be read.
    """
    return {
        "transport": deployment.transport,
        "tls": deployment.tls,
        "token": deployment.bearer(),
        "external_tls": deployment.external_tls,
    }


@asynccontextmanager
async def open_runtime(
    config: Config,
    *,
    overrides: Overrides | None = None,
    **options: Unpack[RuntimeOptions],
) -> AsyncIterator[Runtime]:
    """A running runtime with everything a file hosts here; `deployment.peers` are its peers.

    Raises:
        ConfigError: an entry cannot be built.
        AgentNotReady: an agent did not start.
    """
    from aixgo.runtime.distributed import DistributedRuntime  # gRPC: a quarter of a second

    peers = config.deployment.peers
    runtime: Runtime = (
        DistributedRuntime(peers=peers, **wire_options(config.deployment), **options)
        if peers
        else LocalRuntime(**options)
    )
    await place(runtime, assemble(config, overrides=overrides))
    async with runtime:
        yield runtime


@contextmanager
def _fault_of(config: Config, entry: AgentEntry | OrchestrationEntry) -> Iterator[None]:
    """What goes wrong while an entry is built says which file, line and entry it was."""
    try:
        yield
    except AixgoError as exc:
        where = f"{config.path}:{entry.line}: {entry.name!r}"
        raise ConfigError(f"{where}: {exc}") from exc


def _agent(config: Config, entry: AgentEntry, given: Overrides) -> Agent:
    settings = dict(entry.settings)
    model, api_key = _model(config, entry, given)
    if model:
        settings["model"] = model
    if api_key:
        settings["api_key"] = api_key
    if entry.code:
        return agent_from_code(entry.code, config.path.resolve().parent, settings, entry.extras)
    role = role_class(entry.role)
    if "model" in role.config_keys and model:
        resolve_model(
            model, api_key=api_key
        )  # what does not exist fails here, not at the first call
    if given.count is not None and entry.role == "producer":
        settings["count"] = given.count
    if settings.get("tools") and takes_tools(entry.role):
        listed = cast("list[dict[str, JSONValue]]", settings["tools"])
        tools = tools_from_code(listed, config.path.resolve().parent)
        return role.from_config(entry.name, {**settings, "tools": tools})
    return role.from_config(entry.name, settings)


def _model(config: Config, entry: AgentEntry, given: Overrides) -> tuple[str, str]:
    """The model the entry gets, or "" when nobody names one, and the key the file has for it, or ""."""
    services = config.model_services
    provider = entry.settings.get("provider")
    own = entry.model
    if own and own not in services and isinstance(provider, str) and ":" not in own:
        own = f"{provider}:{own}"
    if not (own or given.model or config.default_model):
        return "", ""
    chosen = choose_model(own, run_model=given.model, default_model=config.default_model)
    service = services.get(chosen)
    if service is not None:
        chosen = choose_model(service.model)  # --offline replaces all, whatever a service is called
    key = service.api_key if service is not None else ""
    return chosen, key or str(entry.settings.get("api_key") or "")


def _orchestration(config: Config, entry: OrchestrationEntry, given: Overrides) -> Agent:
    limits = Limits.from_config(cast("Mapping[str, object]", entry.limits))
    if entry.name == config.supervisor and not has_pattern("supervisor"):
        return stand_in(config, entry, limits, model=given.model)
    made = pattern_class(entry.pattern).from_config(
        entry.name, list(entry.agents), cast("Mapping[str, object]", entry.config), limits
    )
    if entry.description:
        made.description = entry.description  # type: ignore[attr-defined]
    return made
