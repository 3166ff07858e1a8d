"""Hold a file against the tables of keys: wrong values, slips, keys nobody knows, features not there.

All faults of a file are found in one pass, each with its line. Below: config.read, config.roles.
Above: config.parse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aixgo.config.keys import SECURITY
from aixgo.config.read import Block, Items, position, problem
from aixgo.config.roles import (
    agent_keys,
    pattern_class,
    pattern_keys,
    role_class,
    root_keys,
    takes_policies,
    takes_tools,
)
from aixgo.config.typos import typo_of
from aixgo.errors import AixgoError, ConfigError, nearest
from aixgo.keys import Key, Secret
from aixgo.loading import installed, kinds
from aixgo.message import JSONValue

__all__ = ["RUN_BY", "Findings", "check_agent", "check_orchestration", "check_root"]

RUN_BY = frozenset(
    {
        "name",
        "role",
        "code",
        "folder",
        "description",
        "version",
        "listen",
        "inputs",
        "outputs",
        "depends_on",
        "resilience",
        "tools",
        "fallback",
        "transfers",
    }
)
"""Keys of an entry that say how it is run, whatever its role makes of the others."""

UNKNOWN = " is no key of aixgo"


@dataclass(slots=True)
class Findings:
    """What was found in one file."""

    file: str
    errors: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    """A line for each key nobody knows: kept as extras, refused by `validate --strict`."""
    notices: list[str] = field(default_factory=list)
    """What else the author should know."""
    absent: dict[str, list[str]] = field(default_factory=dict)
    """Feature this version does not have → the keys that need it."""

    def fault(self, line: int, key: str, what: str) -> None:
        self.errors.append(str(problem(self.file, line, key, what)))

    def raise_errors(self) -> None:
        """Raise all faults as one error, if there are any."""
        if self.errors:
            raise ConfigError("\n".join(list(dict.fromkeys(self.errors))[:20]))

    @property
    def warnings(self) -> list[str]:
        """One line per unknown key, and one per feature that is not there."""
        lines = [f"{line}; it is kept as an extra" for line in self.unknown]
        for feature, keys in self.absent.items():
            if feature not in SECURITY:
                lines.append(f"{feature}: not in this version; without effect: {_some(keys)}")
        return lines + self.notices

    @property
    def refusals(self) -> list[str]:
        """Why `run` and `serve` refuse the file: it asks for protection that is not there."""
        return [
            f"{feature} is not in this version, and the file asks for it: {_some(keys)}"
            for feature, keys in self.absent.items()
            if feature in SECURITY
        ]


def check_root(block: Block, findings: Findings) -> None:
    """Check the keys of a file, but for the entries of `agents` and `orchestration`."""
    keys = {
        name: Key("any", key.help) if name in ("agents", "orchestration") else key
        for name, key in root_keys().items()
    }
    _check(block, keys, "", findings)


def check_agent(block: Block, path: str, findings: Findings) -> None:
    """Check an `agents[]` entry by the keys of its role; `type` becomes `role`."""
    if "type" in block:
        if "role" in block:
            findings.fault(
                block.lines["type"], f"{path}.type", "is another word for role; give one"
            )
        block.lines["role"] = block.lines.pop("type")
        block["role"] = block.pop("type")
    role = block.get("role")
    coded = isinstance(block.get("code"), str)
    if isinstance(block.get("resilience"), Block) and (coded or not isinstance(role, str)):
        text = "stands for the model of a role; give the model of your code its policies there"
        findings.fault(block.lines["resilience"], f"{path}.resilience", text)
    if coded or not isinstance(role, str):
        if not coded and "role" not in block:
            text = f"needs a role or code; roles: {', '.join(kinds('agents'))}"
            findings.fault(block.line, path, text)
        _check(block, agent_keys(), path, findings, extras_are_meant=coded)
        return
    try:
        own = role_class(role).config_keys
    except AixgoError as exc:
        findings.fault(block.lines["role"], f"{path}.role", str(exc))
        own = {}
    known = {**agent_keys(), **own}
    _check(block, known, path, findings)
    if own:
        _check_useful(block, role, known, own, path, findings)
    if "resilience" in block and role in kinds("agents") and not takes_policies(role):
        where = f"{position(findings.file, block.lines['resilience'])}: {path}.resilience"
        findings.notices.append(f"{where}: a {role} calls no model")
    _check_tools(block, role, path, findings)


def check_orchestration(
    block: Block, keys: Mapping[str, Key], path: str, findings: Findings
) -> Mapping[str, Key]:
    """Check an `orchestration` entry and its pattern's settings; returns the keys of the settings."""
    _check(block, keys, path, findings)
    pattern, settings = block.get("pattern"), block.get("config")
    if not isinstance(pattern, str):
        return {}
    try:
        own = pattern_keys(pattern)
    except AixgoError as exc:
        findings.fault(block.lines["pattern"], f"{path}.pattern", str(exc))
        return {}
    if isinstance(settings, Block):
        before = len(findings.unknown)
        _check(settings, own, f"{path}.config", findings)
        findings.unknown[before:] = [
            _of_pattern(line, pattern) for line in findings.unknown[before:]
        ]
    return own


def _check_useful(
    block: Block,
    role: str,
    known: Mapping[str, Key],
    own: Mapping[str, Key],
    path: str,
    findings: Findings,
) -> None:
    """Warn about keys that mean something for other roles, and nothing for this one."""
    useful = {*RUN_BY, *own, *(["provider"] if "model" in own else [])}
    for name in block:
        if name in known and name not in useful and not known[name].absent:
            where = f"{position(findings.file, block.lines[name])}: {path}.{name}"
            findings.notices.append(f"{where}: a {role} has no use for it")


def _of_pattern(line: str, pattern: str) -> str:
    """What is said of a key that a pattern does not have."""
    own = ", ".join(pattern_class(pattern).config_keys)
    return f"{line.removesuffix(UNKNOWN)} is no key of the pattern {pattern!r}, which has: {own}"


def _check_tools(block: Block, role: str, path: str, findings: Findings) -> None:
    """Warn about tools that no model will be offered; refuse two of one name."""
    listed = block.get("tools")
    tools = [item for item in listed if isinstance(item, Block)] if isinstance(listed, list) else []
    if tools and role in kinds("agents") and not takes_tools(role):
        findings.notices.append(
            f"{position(findings.file, block.lines['tools'])}: {path}.tools: a {role} calls no tools"
        )
        return
    seen: set[JSONValue] = set()
    for i, item in enumerate(tools):
        name, where = item.get("name"), f"{path}.tools[{i}]"
        if isinstance(name, str) and name in seen:
            findings.fault(item.lines["name"], f"{where}.name", f"two tools are called {name!r}")
        if isinstance(name, str):
            seen.add(name)
        if not item.get("code") and installed("tools", str(name)) is None:
            at = position(findings.file, item.line)
            findings.notices.append(
                f"{at}: {where}: the tool {name!r} has no code, so no model is offered it"
            )


def _check(
    block: Block,
    keys: Mapping[str, Key],
    path: str,
    findings: Findings,
    *,
    extras_are_meant: bool = False,
    closed: bool = False,
) -> None:
    for name in list(block):
        where = f"{path}.{name}" if path else name
        key = keys.get(name)
        if key is None and closed:
            near = nearest(name, keys)
            hint = f"did you mean {near!r}?" if near else f"there are: {', '.join(keys)}"
            findings.fault(block.lines[name], where, f"there is no such key here; {hint}")
        elif key is None:
            _unknown(name, where, block.lines[name], keys, findings, silent=extras_are_meant)
        elif block[name] is None:
            del block[name]  # `key:` with nothing behind it is as good as absent
        else:
            _value(block, name, key, where, findings)
            if key.absent and not _asks_nothing(block[name]):
                findings.absent.setdefault(key.absent, []).append(where)
    for name, key in keys.items():
        if key.required and name not in block:
            findings.fault(block.line, path, f"the key {name!r} is missing: {key.help}")


def _unknown(
    name: str,
    where: str,
    line: int,
    keys: Mapping[str, Key],
    findings: Findings,
    *,
    silent: bool,
) -> None:
    if near := typo_of(name, keys):
        findings.fault(line, where, f"there is no such key; did you mean {near!r}?")
    elif not silent:
        findings.unknown.append(f"{position(findings.file, line)}: {where}{UNKNOWN}")


def _value(block: Block, name: str, key: Key, where: str, findings: Findings) -> None:
    value, line = block[name], block.lines[name]
    if key.kind == "mapping" and key.fields and isinstance(value, Block):
        _check(value, key.fields, where, findings, closed=key.closed)
        return
    if key.kind == "groups" and isinstance(value, Block):
        for label, item in value.items():
            if isinstance(item, Block) and key.is_group(item):
                _check(item, key.fields, f"{where}.{label}", findings, closed=True)
        return
    if key.kind == "list" and key.fields and isinstance(value, Items):
        for i, item in enumerate(value):
            if isinstance(item, Block):
                _check(item, key.fields, f"{where}[{i}]", findings)
            else:
                findings.fault(value.lines[i], f"{where}[{i}]", "must be a mapping")
        return
    if key.kind == "text" and isinstance(value, (int, float)) and not isinstance(value, bool):
        if name == "version" and isinstance(value, float):
            text = (
                f"{findings.file}:{line}: {where}: {value} without quotes is a number: 1.10 is 1.1"
            )
            findings.notices.append(text)
        value = block[name] = str(value)  # `name: 404` is as good as `name: "404"`
    if key.secret and isinstance(value, str) and not isinstance(value, Secret):
        findings.notices.append(
            f"{position(findings.file, line)}: {where}: a key stands in the file; write ${{NAME}} and set the variable"
        )
    try:
        key.check(value, where)
    except ConfigError as exc:
        findings.fault(line, "", f"key {exc}")


def _asks_nothing(value: JSONValue) -> bool:
    """Whether a key's value switches its feature off."""
    if isinstance(value, dict):
        return not value or value.get("enabled") is False
    return value is False or value in ("disabled", "development") or value == []


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:5]) + (f" and {len(keys) - 5} more" if len(keys) > 5 else "")
