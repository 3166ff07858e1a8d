"""What `aixgo schema` says of `orchestration:`: an editor that has it finds the faults the reader finds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from aixgo.config import json_schema, load_config
from aixgo.config.roles import pattern_keys
from aixgo.errors import ConfigError
from aixgo.loading import kinds
from tests.conformance.patterns.base import tables

ROOT = Path(__file__).resolve().parents[3]
AGENTS = "agents: [{name: a, role: echo}, {name: b, role: echo}]\n"


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    found = json_schema()
    Draft202012Validator.check_schema(found)
    return Draft202012Validator(found)


def test_it_knows_the_keys_of_every_pattern() -> None:
    entry = json_schema()["$defs"]["orchestration"]  # type: ignore[index,call-overload]
    known = {
        rule["if"]["properties"]["pattern"]["const"]: rule["then"]["properties"]["config"]
        for rule in entry["allOf"]  # type: ignore[index,call-overload,union-attr]
    }
    assert {kind: set(config["properties"]) for kind, config in known.items()} == {
        kind: set(pattern_keys(kind)) for kind in kinds("orchestration")
    }


@pytest.mark.parametrize(
    "file", sorted(ROOT.glob("examples/*/config.yaml")), ids=lambda f: f.parent.name
)
def test_the_examples_are_valid(schema: Draft202012Validator, file: Path) -> None:
    assert [error.message for error in schema.iter_errors(yaml.safe_load(file.read_text()))] == []


@pytest.mark.parametrize("kind", kinds("orchestration"))
def test_the_teams_of_the_conformance_suite_are_valid(
    schema: Draft202012Validator, kind: str
) -> None:
    for case in tables()[kind]:
        given = {"orchestration": yaml.safe_load(case.config)}
        assert [error.message for error in schema.iter_errors(given)] == [], case.name


WRONG = {
    "unknown pattern": "{pattern: parallell, agents: [a, b]}",
    "no pattern": "{agents: [a, b]}",
    "misspelt key": "{pattern: parallel, agents: [a, b], config: {aggregations: merge}}",
    "no such choice": "{pattern: parallel, agents: [a, b], config: {aggregation: mix}}",
    "text for a number": "{pattern: debate, agents: [a, b], config: {rounds: many}}",
    "out of bounds": "{pattern: debate, agents: [a, b], config: {threshold: 2}}",
    "below zero": "{pattern: router, config: {strategy: cost, routes: {x: a}, costs: {x: -1}}}",
    "missing key": "{pattern: hierarchical, agents: [a, b]}",
    "a slot that is a number": "{pattern: parallel, agents: [a, 7]}",
    "a list for one": "{pattern: parallel, agents: [a, b], config: {aggregator: [a]}}",
    "an unknown key of a group": "{pattern: hierarchical, "
    "config: {manager: a, teams: {t: {workers: [b], boss: a}}}}",
    "inside another": "{pattern: sequential, agents: "
    "[a, {pattern: debate, agents: [a, b], config: {rounds: 0}}]}",
    "in a list": "[{pattern: sequential, name: s, agents: [a], config: {on_error: ignore}}]",
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_it_refuses_what_the_reader_refuses(
    schema: Draft202012Validator, wrong: str, tmp_path: Path
) -> None:
    text = f"orchestration: {wrong}\n{AGENTS}"
    assert list(schema.iter_errors(yaml.safe_load(text)))
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError):
        load_config(tmp_path / "c.yaml")


def test_a_key_of_another_pattern_is_refused_though_the_reader_keeps_it(
    schema: Draft202012Validator,
) -> None:
    given = {"orchestration": {"pattern": "sequential", "agents": ["a"], "config": {"rounds": 2}}}
    (error,) = schema.iter_errors(given)
    assert "rounds" in json.dumps(error.message)
