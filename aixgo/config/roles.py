"""The roles and patterns that exist, and the keys each of them brings along.

Below: loading, config.keys, the classes' own `config_keys`, the policies'. Above: config.check, config.build.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Protocol, cast

from aixgo.config.keys import AGENT_KEYS, MODEL_SERVICE_KEYS, ROOT_KEYS
from aixgo.config.typos import typo_of
from aixgo.contract import Agent
from aixgo.errors import ConfigError
from aixgo.keys import Key
from aixgo.loading import kinds, load
from aixgo.orchestration.base import STRATEGY_KEYS, Fact, Limits
from aixgo.resilience.base import Seam, policy_keys

__all__ = [
    "Pattern",
    "Role",
    "agent_keys",
    "embeds",
    "pattern_class",
    "pattern_keys",
    "role_class",
    "root_keys",
    "takes_policies",
    "takes_retrieval",
    "takes_tools",
]


class Role(Protocol):
    """The class of a role."""

    config_keys: Mapping[str, Key]

    def from_config(self, name: str, entry: Mapping[str, object]) -> Agent: ...


class Pattern(Protocol):
    """The class of a pattern."""

    config_keys: Mapping[str, Key]
    facts: Mapping[str, Fact]

    def from_config(
        self, name: str, agents: Sequence[str], config: Mapping[str, object], limits: Limits
    ) -> Agent: ...


def role_class(role: str) -> Role:
    """The class of agents of this role.

    Raises:
        ConfigError: there is no such role; the text names those that exist.
    """
    existing = kinds("agents")
    if role not in existing:
        raise ConfigError(f"there is no role {role!r}; {_listed(role, existing)}")
    return cast("Role", load("agents", role).AGENT)


def takes_tools(role: str) -> bool:
    """Whether agents of this role call tools."""
    return bool(getattr(role_class(role), "takes_tools", False))


def takes_retrieval(role: str) -> bool:
    """Whether agents of this role search, by what the file says of embeddings and its store."""
    return bool(getattr(role_class(role), "takes_retrieval", False))


def embeds(role: str, entry: Mapping[str, object]) -> bool:
    """Whether the agent of an entry compares texts by what the file says of embeddings."""
    asks: Callable[[Mapping[str, object]], bool] | None = getattr(role_class(role), "embeds", None)
    return takes_retrieval(role) or (asks is not None and asks(entry))


def takes_policies(role: str) -> bool:
    """Whether agents of this role put policies around the calls of their model."""
    return bool(getattr(role_class(role), "takes_policies", False))


def pattern_class(pattern: str) -> Pattern:
    """The class of orchestrations of this pattern.

    Raises:
        ConfigError: there is no such pattern; the text names those that exist.
    """
    existing = kinds("orchestration")
    if pattern not in existing:
        raise ConfigError(f"there is no pattern {pattern!r}; {_listed(pattern, existing)}")
    return cast("Pattern", load("orchestration", pattern).PATTERN)


def pattern_keys(pattern: str) -> Mapping[str, Key]:
    """The keys of a pattern's `config:`, those of an error strategy included.

    Raises:
        ConfigError: there is no such pattern; the text names those that exist.
    """
    return {**STRATEGY_KEYS, **pattern_class(pattern).config_keys}


@cache
def agent_keys(role: str = "") -> Mapping[str, Key]:
    """The keys of an `agents[]` entry; those of `role` as it defines them."""
    found: dict[str, Key] = {}
    for kind in kinds("agents"):
        found.update(role_class(kind).config_keys)
    found.update(AGENT_KEYS)
    found["resilience"] = _with_policies(AGENT_KEYS["resilience"], "model")
    if role:
        found.update(role_class(role).config_keys)
    return found


@cache
def root_keys() -> Mapping[str, Key]:
    """The keys of a file."""
    services = {
        **MODEL_SERVICE_KEYS,
        "resilience": _with_policies(MODEL_SERVICE_KEYS["resilience"], "model"),
    }
    return {
        **ROOT_KEYS,
        "agents": replace(ROOT_KEYS["agents"], fields=agent_keys()),
        "model_services": replace(ROOT_KEYS["model_services"], fields=services),
        "resilience": _with_policies(ROOT_KEYS["resilience"], "runtime"),
    }


def _with_policies(key: Key, seam: Seam) -> Key:
    return replace(key, fields=policy_keys(seam), closed=True)


def _listed(wanted: str, names: Sequence[str]) -> str:
    """What there is, and which of them may be meant."""
    near = typo_of(wanted, names)
    listed = ", ".join(sorted(set(names)))
    return f"did you mean {near!r}? There are: {listed}" if near else f"there are: {listed}"
