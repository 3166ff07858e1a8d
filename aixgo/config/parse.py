"""From a checked file to a Config: names, edges and slots; what stands for itself is read beside it.

Inline agents and orchestrations are lifted out of their slots, so that afterwards a slot is a name and
every entry stands in one of two lists. Below: config.check. Above: `load_config`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from aixgo.config.check import Findings, check_agent, check_orchestration, check_root
from aixgo.config.deployment import check_address, read_deployment
from aixgo.config.folder import AGENT_FILE, one_agent, take_folder
from aixgo.config.keys import ORCHESTRATION_KEYS
from aixgo.config.listening import check_listening
from aixgo.config.model import (
    AgentEntry,
    Config,
    OrchestrationEntry,
)
from aixgo.config.observing import read_logging, read_observability
from aixgo.config.prices import read_prices
from aixgo.config.read import Block, Items, block_of, read_file, text_of
from aixgo.config.retrieving import note_unused
from aixgo.config.roles import agent_keys, root_keys
from aixgo.config.services import read_services
from aixgo.config.typos import typo_of
from aixgo.errors import ConfigError, nearest
from aixgo.keys import Key
from aixgo.message import JSONValue
from aixgo.names import invalid_name
from aixgo.runtime.binding import start_levels

__all__ = ["load_config"]


def load_config(path: str | Path) -> Config:
    """Read and check a configuration file, or a folder with an `agent.yaml`.

    Raises:
        ConfigError: everything that is wrong with it, with file and line.
    """
    where = Path(path).expanduser()
    if where.is_dir():
        where = where / AGENT_FILE
    block = read_file(where)
    if where.name == AGENT_FILE and "agents" not in block:
        block = one_agent(block, where)
    return _Parser(where).config(block)


class _Parser:
    """Collects the entries of one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._findings = Findings(str(path))
        self._agents: list[AgentEntry] = []
        self._orchestrations: list[OrchestrationEntry] = []
        self._references: list[tuple[str, int, str]] = []  # name, line and key of each mention
        self._addresses: dict[str, tuple[str, ...]] = {}
        self._lines: dict[str, int] = {}

    def config(self, block: Block) -> Config:
        check_root(block, self._findings)
        if not isinstance(block.get("agents"), list | None):
            self._findings.fault(block.lines["agents"], "agents", "must be a list")
        for i, item in enumerate(self._list(block, "agents")):
            self._agent(item, f"agents[{i}]", block, i)
        for path, item in self._one_or_more(block, "orchestration"):
            if isinstance(item, Block):
                self._orchestration(item, path, "")
            else:
                self._findings.fault(block.lines["orchestration"], path, "must be a mapping")
        supervisor = self._supervisor(block)
        if supervisor is not None:
            self._orchestrations.append(supervisor)
        deployment = read_deployment(
            block, self._path.resolve().parent, self._addresses, self._findings
        )
        folder = self._path.resolve().parent
        check_listening(
            self._agents,
            self._orchestrations,
            deployment,
            block_of(block, "deployment"),
            self._findings,
        )
        prices = read_prices(block, folder, self._findings)
        observability = read_observability(block, folder, self._findings)
        logging = read_logging(block, self._findings)
        note_unused(block, self._agents, self._findings)
        self._check_references(deployment.peers)
        self._findings.raise_errors()
        self._check_order(deployment.peers)
        self._findings.raise_errors()
        known = root_keys()
        return Config(
            path=self._path,
            agents=tuple(self._join_edges(self._agents)),
            orchestrations=tuple(self._with_outputs(self._orchestrations)),
            supervisor=supervisor.name if supervisor is not None else "",
            deployment=deployment,
            default_model=text_of(block, "default_model"),
            model_services=read_services(self._list(block, "model_services")),
            resilience=block_of(block, "resilience"),
            prices=prices,
            embeddings=block_of(block, "embeddings"),
            vectorstore=block_of(block, "vectorstore"),
            observability=observability,
            logging=logging,
            extras={name: value for name, value in block.items() if name not in known},
            warnings=tuple(self._findings.warnings + self._slips()),
            unknown_keys=tuple(self._findings.unknown),
            refusals=tuple(self._findings.refusals),
        )

    # -- entries --------------------------------------------------------------------------------------

    def _agent(self, item: JSONValue, path: str, parent: Block, index: int = -1) -> str:
        if not isinstance(item, Block):
            line = parent.lines.get("agents", parent.line)
            listed = parent.get("agents")
            if isinstance(listed, Items) and 0 <= index < len(listed.lines):
                line = listed.lines[index]
            self._findings.fault(line, path, "must be a mapping")
            return ""
        folders = take_folder(item, path, self._path, self._findings)
        if folders is None:
            return self._take_name(text_of(item, "name"), item, path)
        check_agent(item, path, self._findings)
        name = self._take_name(text_of(item, "name"), item, path)
        known = agent_keys()
        entry = AgentEntry(
            name=name,
            role=text_of(item, "role"),
            settings=item,
            extras={key: value for key, value in item.items() if key not in known},
            code=text_of(item, "code"),
            inputs=_names(item, "inputs", "source"),
            outputs=_names(item, "outputs", "target"),
            depends_on=tuple(cast("list[str]", self._list(item, "depends_on"))),
            model=text_of(item, "model"),
            description=text_of(item, "description"),
            version=text_of(item, "version"),
            listen=text_of(item, "listen"),
            fallback=self._fallback(item, path),
            folders=folders,
            line=item.line,
        )
        for needed in entry.depends_on:
            self._references.append((needed, item.lines["depends_on"], f"{path}.depends_on"))
        for edge in self._list(item, "outputs"):
            if isinstance(edge, Block) and (address := text_of(edge, "addr")):
                check_address(self._findings, address, edge.lines["addr"], f"{path}.outputs.addr")
                self._addresses[text_of(edge, "target")] = (address,)
        if entry.listen:
            check_address(self._findings, entry.listen, item.lines["listen"], f"{path}.listen")
        self._agents.append(entry)
        return name

    def _orchestration(self, item: Block, path: str, parent: str) -> str:
        keys = check_orchestration(item, ORCHESTRATION_KEYS, path, self._findings)
        pattern = text_of(item, "pattern")
        given = text_of(item, "name")
        name = self._take_name(given or self._free_name(parent, pattern), item, path)
        place = len(self._orchestrations)  # an outer orchestration stands before its inner ones
        entry = OrchestrationEntry(
            name=name,
            pattern=pattern,
            limits=cast("Mapping[str, JSONValue]", item.get("limits") or {}),
            description=text_of(item, "description"),
            version=text_of(item, "version"),
            fallback=self._fallback(item, path),
            within=parent,
            line=item.line,
        )
        self._orchestrations.append(entry)
        agents = [
            self._slot(slot, f"{path}.agents[{i}]", item, name)
            for i, slot in enumerate(self._list(item, "agents"))
        ]
        settings = item.get("config")
        config = (
            self._slots(settings, keys, f"{path}.config", name)
            if isinstance(settings, Block)
            else {}
        )
        self._orchestrations[place] = replace(entry, agents=tuple(agents), config=config)
        return name

    def _fallback(self, item: Block, path: str) -> tuple[str, ...]:
        listed = [name for name in self._list(item, "fallback") if isinstance(name, str)]
        for name in listed:
            self._references.append((name, item.lines["fallback"], f"{path}.fallback"))
            if name == text_of(item, "name"):
                text = "an agent cannot stand in for itself"
                self._findings.fault(item.lines["fallback"], f"{path}.fallback", text)
        return tuple(listed)

    def _slots(
        self, settings: Block, keys: Mapping[str, Key], path: str, parent: str
    ) -> dict[str, JSONValue]:
        """A pattern's settings with every slot resolved to a name."""
        found: dict[str, JSONValue] = {}
        for name, value in settings.items():
            kind = keys[name].kind if name in keys else "any"
            where = f"{path}.{name}"
            if name not in keys:
                continue
            if kind == "slot":
                found[name] = self._slot(value, where, settings, parent, name)
            elif kind == "slots" and isinstance(value, list):
                found[name] = [
                    self._slot(slot, f"{where}[{i}]", settings, parent)
                    for i, slot in enumerate(value)
                ]
            elif kind == "slot map" and isinstance(value, Block):
                found[name] = {
                    label: self._slot(slot, f"{where}.{label}", value, parent, label)
                    for label, slot in value.items()
                }
            elif kind == "slots map" and isinstance(value, Block):
                found[name] = {
                    label: [
                        self._slot(slot, f"{where}.{label}[{i}]", value, parent, label)
                        for i, slot in enumerate(self._list(value, label))
                    ]
                    for label in value
                }
            elif kind == "groups" and isinstance(value, Block):
                found[name] = {
                    label: self._group(item, keys[name], f"{where}.{label}", value, parent, label)
                    for label, item in value.items()
                }
            else:
                found[name] = value
        return found

    def _group(
        self, item: JSONValue, key: Key, path: str, block: Block, parent: str, label: str
    ) -> JSONValue:
        if isinstance(item, Block) and key.is_group(item):
            return self._slots(item, key.fields, path, parent)
        return self._slot(item, path, block, parent, label)

    def _slot(self, value: JSONValue, path: str, block: Block, parent: str, label: str = "") -> str:
        line = block.lines.get(label) or block.lines.get("agents") or block.line
        if isinstance(value, str):
            self._references.append((value, line, path))
            return value
        if not isinstance(value, Block):
            self._findings.fault(line, path, "must be an agent's name or a mapping")
            return ""
        if "pattern" in value:
            return self._orchestration(value, path, parent)
        return self._agent(value, path, value)

    def _supervisor(self, block: Block) -> OrchestrationEntry | None:
        """The supervisor of Go files: it picks one of the agents that answer."""
        given = block.get("supervisor")
        if not isinstance(given, Block):
            return None
        if self._orchestrations:
            self._findings.absent.setdefault("a supervisor beside an orchestration", []).append(
                "supervisor"
            )
            return None
        name = self._take_name(text_of(given, "name") or "supervisor", given, "supervisor")
        members = [e.name for e in self._agents if e.role not in ("producer", "logger")]
        if not members:
            self._findings.absent.setdefault("a supervisor without agents", []).append("supervisor")
            return None
        pattern = text_of(given, "pattern") or "supervisor"
        settings = {k: v for k, v in given.items() if k not in ("name", "pattern")}
        if pattern != "supervisor":
            for key in settings:
                self._findings.absent.setdefault(
                    f"a supervisor's settings beside its pattern {pattern!r}", []
                ).append(f"supervisor.{key}")
            settings = {}
        return OrchestrationEntry(
            name=name,
            pattern=pattern,
            agents=tuple(members),
            config=settings,
            line=given.line,
        )

    # -- names and edges ------------------------------------------------------------------------------

    def _take_name(self, name: str, block: Block, path: str) -> str:
        line = block.lines.get("name", block.line)
        if not name:
            return ""  # a missing name was reported as a missing key
        if why := invalid_name(name):
            self._findings.fault(line, f"{path}.name", f"the name {why}")
        elif name in self._lines:
            first = self._lines[name]
            self._findings.fault(line, f"{path}.name", f"{name!r} is taken in line {first}")
        self._lines.setdefault(name, line)
        return name

    def _free_name(self, parent: str, pattern: str) -> str:
        base = f"{parent}.{pattern}" if parent else pattern
        taken = self._lines
        return next(
            name
            for name in (base, *(f"{base}-{n}" for n in range(2, len(taken) + 3)))
            if name not in taken
        )

    def _check_references(self, peers: Mapping[str, tuple[str, ...]]) -> None:
        known = list(dict.fromkeys([*self._lines, *peers]))
        for name, line, path in self._references:
            if name not in known:
                near = nearest(name, known)
                listed = f"agents: {', '.join(known)}" if known else "the file has none"
                hint = f"; did you mean {near!r}?" if near else f"; {listed}"
                self._findings.fault(line, path, f"no agent is called {name!r}{hint}")

    def _check_order(self, peers: Mapping[str, tuple[str, ...]]) -> None:
        """Agents can be started in the order their `depends_on` asks for."""
        try:
            start_levels(
                {entry.name: entry.depends_on for entry in self._agents},
                elsewhere=[*peers, *(entry.name for entry in self._orchestrations)],
            )
        except ConfigError as exc:
            self._findings.fault(0, "", str(exc))

    def _join_edges(self, entries: Iterable[AgentEntry]) -> list[AgentEntry]:
        """Each agent with all its outputs, whichever side declares them, each once."""
        return [
            replace(
                entry, outputs=tuple(dict.fromkeys((*entry.outputs, *self._fed_by(entry.name))))
            )
            for entry in entries
        ]

    def _with_outputs(self, entries: Iterable[OrchestrationEntry]) -> list[OrchestrationEntry]:
        return [replace(entry, outputs=tuple(self._fed_by(entry.name))) for entry in entries]

    def _fed_by(self, name: str) -> list[str]:
        return [entry.name for entry in self._agents if name in entry.inputs]

    def _slips(self) -> list[str]:
        """Edges that look like a slip: a source or target that is nearly an agent."""
        return [
            f"{self._path}:{entry.line}: agent {entry.name!r}: no agent is called {other!r}; "
            f"did you mean {near!r}?"
            for entry in self._agents
            for other in (*entry.inputs, *entry.outputs)
            if other not in self._lines and (near := typo_of(other, self._lines))
        ]

    def _one_or_more(self, block: Block, name: str) -> list[tuple[str, JSONValue]]:
        """The entries of a key that holds a mapping or a list of them, each with its path."""
        value = block.get(name)
        if isinstance(value, Block):
            return [(name, value)]
        if value is not None and not isinstance(value, list):
            self._findings.fault(block.lines[name], name, "must be a mapping, or a list of them")
            return []
        return [(f"{name}[{i}]", item) for i, item in enumerate(self._list(block, name))]

    def _list(self, block: Block, name: str) -> list[JSONValue]:
        """The entries of a list; of what is none there are none, and who checked the key said so."""
        value = block.get(name)
        return value if isinstance(value, list) else []


def _names(block: Block, key: str, inner: str) -> tuple[str, ...]:
    """The agents an entry's `inputs` or `outputs` name, each once."""
    listed = block.get(key)
    found = [
        item[inner]
        for item in (listed if isinstance(listed, list) else [])
        if isinstance(item, dict) and isinstance(item.get(inner), str)
    ]
    return tuple(dict.fromkeys(cast("list[str]", found)))
