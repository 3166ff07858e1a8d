"""Every key of every pattern refuses what it cannot take, in code and in a file, and says which key it is."""

from __future__ import annotations

import inspect
import json
import math
from pathlib import Path
from typing import Any

import pytest

from aixgo.config import load_config
from aixgo.config.build import assemble
from aixgo.errors import ConfigError
from aixgo.keys import Key
from aixgo.loading import kinds, load
from aixgo.orchestration import Limits
from aixgo.orchestration.base import LIMIT_KEYS
from tests.unit.orchestration.teams import TEAMS
from tests.unit.wrong_values import refused


def keys_of(kind: str) -> dict[str, Key]:
    return dict(load("orchestration", kind).PATTERN.config_keys)


CASES = [
    pytest.param(kind, name, value, id=f"{kind}-{name}-{value}")
    for kind in kinds("orchestration")
    for name, key in keys_of(kind).items()
    for value in refused(key, code=False)
]
IN_CODE = [
    pytest.param(kind, name, value, id=f"{kind}-{name}-{value}")
    for kind in kinds("orchestration")
    for name, key in keys_of(kind).items()
    if kind in TEAMS and name not in TEAMS[kind].only_in_files
    for value in refused(key, code=True)
]


def written(value: object) -> str:
    """A value as YAML writes it."""
    found = json.dumps(value)
    return found.replace("NaN", ".nan").replace("Infinity", ".inf")


def loaded(folder: Path, kind: str, config: dict[str, Any], more: str = "") -> None:
    """A team of this kind in a file, read and built."""
    (folder / "parts.py").write_text(
        "from aixgo import agent\nasync def say(text: str) -> str:\n    return text\n"
        "a, b, c = agent(name='a')(say), agent(name='b')(say), agent(name='c')(say)\n"
    )
    lines = [f"{{name: {name}, code: './parts.py:{name}'}}" for name in "abc"]
    agents = ", ".join(TEAMS[kind].agents)
    text = f"agents: [{', '.join(lines)}]\norchestration:\n  pattern: {kind}\n  agents: [{agents}]\n{more}"
    if config:
        text += "  config:\n" + "".join(f"    {k}: {written(v)}\n" for k, v in config.items())
    (folder / "config.yaml").write_text(text)
    assemble(load_config(folder / "config.yaml"))


def test_every_pattern_has_a_team_that_can_be_made(tmp_path: Path) -> None:
    assert sorted(TEAMS) == sorted(kinds("orchestration"))
    for kind, team in TEAMS.items():
        assert team().pattern == load("orchestration", kind).PATTERN.pattern
        loaded(tmp_path, kind, dict(team.config))


@pytest.mark.parametrize("kind", TEAMS)
def test_the_keys_of_a_file_are_the_parameters_of_the_class(kind: str) -> None:
    parameters = inspect.signature(TEAMS[kind].make).parameters
    missing = [name for name in keys_of(kind) if name not in parameters]
    assert sorted(missing) == sorted(TEAMS[kind].only_in_files)


@pytest.mark.parametrize(("kind", "name", "value"), IN_CODE)
def test_a_wrong_value_is_refused_in_code(kind: str, name: str, value: object) -> None:
    with pytest.raises(ConfigError) as refusal:
        TEAMS[kind](**{name: value})
    told = str(refusal.value)
    slots = keys_of(kind)[name].kind in ("slot", "slots", "slot map", "groups")
    assert "'team" in told
    assert slots or name in told or name.replace("_", " ") in told


@pytest.mark.parametrize(("kind", "name", "value"), CASES)
def test_a_wrong_value_is_refused_in_a_file(
    kind: str, name: str, value: object, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as refusal:
        loaded(tmp_path, kind, {**TEAMS[kind].config, name: value})
    told = str(refusal.value)
    assert "config.yaml:" in told
    assert name in told or name.replace("_", " ") in told


@pytest.mark.parametrize("limit", [name for name in LIMIT_KEYS if name != "budget"])
@pytest.mark.parametrize("value", [-1, True, "3x", math.nan, [1]])
def test_a_wrong_limit_is_refused_in_code_and_in_a_file(
    limit: str, value: Any, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=f"Limits: {limit} "):
        Limits(**{limit: value})
    more = f"  limits:\n    {limit}: {written(value)}\n"
    with pytest.raises(ConfigError, match=rf"config\.yaml:\d+: key orchestration\.limits\.{limit}"):
        loaded(tmp_path, "sequential", {}, more)


def test_a_part_of_a_limit_that_counts_is_refused() -> None:
    with pytest.raises(ConfigError, match="max_iterations must be a whole number"):
        Limits(max_iterations=1.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", TEAMS)
def test_a_pattern_with_a_slip_is_told_which_is_meant(kind: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(f"orchestration: {{pattern: {kind}e, agents: [a]}}")
    with pytest.raises(
        ConfigError, match=rf"config\.yaml:1: .*did you mean '{kind}'\? There are: "
    ):
        load_config(tmp_path / "config.yaml")
