"""From a Config to agents in a runtime.

Below: the runtimes, and through config.roles the classes of roles and patterns. Above: the command line.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TypedDict, Unpack, cast

from aixgo import pricing
from aixgo.config.code import agent_from_code, load_code, tools_from_code
from aixgo.config.facts import Facts
from aixgo.config.model import AgentEntry, Config, Deployment, OrchestrationEntry
from aixgo.config.models import check_model, model_of
from aixgo.config.policies import ModelPolicies, call_policies
from aixgo.config.retrieving import check_model_of_pattern, embedder_for, retrieval_of
from aixgo.config.roles import (
    Role,
    embeds,
    pattern_class,
    role_class,
    takes_policies,
    takes_retrieval,
    takes_tools,
)
from aixgo.config.supervisor import manager_of, needs_manager
from aixgo.contract import Agent
from aixgo.errors import AixgoError, ConfigError
from aixgo.message import JSONValue
from aixgo.observability.logs import setup_logs
from aixgo.observability.redaction import hide
from aixgo.observability.setup import join
from aixgo.orchestration.base import Limits, Orchestrator
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
    "check_retrievers",
    "open_runtime",
    "orchestrators",
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
    hide(*(service.api_key for service in config.model_services.values()))
    hide(*(str(entry.settings.get("api_key") or "") for entry in config.agents))
    blocks = (block for block in config.embeddings.values() if isinstance(block, dict))
    hide(*(str(block.get("api_key") or "") for block in blocks))
    policies, facts = ModelPolicies(config), Facts()
    wanted = set(config.names) - set(config.deployment.peers) if only is None else set(only)
    placed = []
    for entry in config.agents:
        if entry.name in wanted:
            with _fault_of(config, entry):
                agent = facts.state(_agent(config, entry, given, policies), entry)
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
                agent = facts.state(_orchestration(config, found, given, policies), found)
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
    token = deployment.bearer()
    if token is not None:
        hide(token.value)
    return {
        "transport": deployment.transport,
        "tls": deployment.tls,
        "token": token,
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

    What the file's `observability:` and `logging:` say holds as long as it runs, where the program has not decided
    itself: a `setup` that is in force stays, and so do handlers of the log.

    Raises:
        ConfigError: an entry cannot be built.
        AgentNotReady: an agent did not start.
    """
    from aixgo.runtime.distributed import DistributedRuntime  # gRPC: a quarter of a second

    peers = config.deployment.peers
    options["middleware"] = [*options.get("middleware", ()), *call_policies(config)]
    runtime: Runtime = (
        DistributedRuntime(peers=peers, **wire_options(config.deployment), **options)
        if peers
        else LocalRuntime(**options)
    )
    with setup_logs(config.logging) if config.logging is not None else nullcontext():
        async with join(config.observability):
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


def _agent(config: Config, entry: AgentEntry, given: Overrides, policies: ModelPolicies) -> Agent:
    choice = model_of(config, entry.settings, given.model, trusted=bool(entry.code))
    model, api_key, service = choice
    named: dict[str, JSONValue] = {"model": model, "api_key": api_key}
    given_settings = {**entry.settings, **{key: text for key, text in named.items() if text}}
    if entry.code:
        base = config.path.resolve().parent
        return agent_from_code(entry.code, base, given_settings, entry.extras)
    settings: dict[str, object] = dict(given_settings)
    role = role_class(entry.role)
    if "model" in role.config_keys:
        check_model(choice)
    if takes_policies(entry.role):
        block = cast("Mapping[str, object]", entry.settings.get("resilience") or {})
        parts = policies.parts(service, api_key, block)
        settings["resilience"] = parts
        if parts.provider is not None:
            settings.pop("api_key", None)  # it has its own
    settings |= _resolved(config, entry, role, settings)
    if given.count is not None and entry.role == "producer":
        settings["count"] = given.count
    if settings.get("tools") and takes_tools(entry.role):
        listed = cast("list[dict[str, JSONValue]]", settings["tools"])
        tools = tools_from_code(listed, config.path.resolve().parent)
        return role.from_config(entry.name, {**settings, "tools": tools})
    return role.from_config(entry.name, settings)


def _resolved(
    config: Config, entry: AgentEntry, role: Role, settings: Mapping[str, object]
) -> dict[str, object]:
    """What stands for paths, searches and code that an entry names."""
    folder = config.path.resolve().parent
    code = [key for key in getattr(role, "code_keys", ()) if key in settings]
    found = _paths(config, role, settings)
    found |= {key: load_code(str(settings[key]), folder) for key in code}
    if takes_retrieval(entry.role):
        found |= retrieval_of(config, entry, {**settings, **found})
    elif embeds(entry.role, settings):
        found["embedder"] = embedder_for(config, entry)
    return found


def _manager_model(
    config: Config, entry: OrchestrationEntry, given: Overrides, policies: ModelPolicies
) -> dict[str, object]:
    """What the manager of a supervisor is built with, as an agent that names the same model would be."""
    choice = model_of(config, entry.config, given.model)
    check_model(choice)
    parts = policies.parts(choice.service, choice.api_key, {})
    own_key = {} if parts.provider is not None else {"api_key": choice.api_key}
    return {"model": choice.model, "resilience": parts, **own_key}


def check_retrievers(config: Config) -> Iterator[str]:
    """What is wrong with how the file's retrievers are set, a line each; no model is asked for, and no file opened."""
    for entry in config.agents:
        if entry.code or entry.name in config.deployment.peers or not takes_retrieval(entry.role):
            continue
        try:
            with _fault_of(config, entry):
                role = role_class(entry.role)
                settings: dict[str, object] = {**entry.settings}
                settings |= _paths(config, role, settings)
                settings |= retrieval_of(config, entry, settings, model=False)
                role.from_config(entry.name, settings)
        except ConfigError as exc:
            yield str(exc)


def orchestrators(config: Config) -> dict[str, Orchestrator]:
    """The orchestrations of a file by name, to look at: no agent of the file is built, and no model asked for.

    Raises:
        ConfigError: some cannot be built; a line for each.
    """
    found: dict[str, Orchestrator] = {}
    faults: list[str] = []
    for entry in config.orchestrations:
        try:
            with _fault_of(config, entry):
                made = _orchestrator(config, entry, {"model": "offline"}, looked_at=True)
        except ConfigError as exc:
            faults.append(str(exc))
            continue
        if isinstance(made, Orchestrator):
            found[entry.name] = made
    if faults:
        raise ConfigError("\n".join(faults))
    return found


def _paths(config: Config, role: Role, settings: Mapping[str, object]) -> dict[str, object]:
    """The settings that are paths, from the folder of the file."""
    keys = getattr(role, "path_keys", ())
    return {key: _beside(config, settings[key]) for key in keys if key in settings}


def _beside(config: Config, paths: object) -> object:
    """A path, or a list of them, from the folder of the file."""
    if isinstance(paths, list):
        return [_beside(config, path) for path in paths]
    return str(config.path.resolve().parent / str(paths))


def _orchestration(
    config: Config, entry: OrchestrationEntry, given: Overrides, policies: ModelPolicies
) -> Agent:
    asked = _manager_model(config, entry, given, policies) if needs_manager(entry) else {}
    return _orchestrator(config, entry, asked)


def _orchestrator(
    config: Config,
    entry: OrchestrationEntry,
    asked: Mapping[str, object],
    *,
    looked_at: bool = False,
) -> Agent:
    """An orchestration; `asked` is the model of a supervisor's manager. One to be `looked_at` needs no key."""
    limits = Limits.from_config(cast("Mapping[str, object]", entry.limits))
    settings: dict[str, object] = {**entry.config, **_transfers(config, entry)}
    if needs_manager(entry):
        settings["manager"] = manager_of(config, entry, asked)
    check_model_of_pattern(settings)
    if looked_at and settings.get("embedding_model"):
        settings["embedding_model"] = "hashing"
    pattern = pattern_class(entry.pattern)
    made = pattern.from_config(entry.name, list(entry.agents), settings, limits)
    if "error_strategy" in entry.config and getattr(made, "error_strategy", None) is None:
        raise ConfigError(f"the pattern {entry.pattern!r} takes no error_strategy")
    return made


def _transfers(config: Config, entry: OrchestrationEntry) -> dict[str, JSONValue]:
    """To whom each agent of a swarm may hand over, as the agents' own entries say."""
    if "transfers" not in pattern_class(entry.pattern).config_keys:
        return {}
    members = [config.agent(name) for name in entry.agents]
    found: dict[str, JSONValue] = {
        member.name: member.settings["transfers"]
        for member in members
        if member is not None and "transfers" in member.settings
    }
    own = entry.config.get("transfers")
    return (
        {"transfers": {**found, **(own or {})}}
        if found and (own is None or isinstance(own, dict))
        else {}
    )
