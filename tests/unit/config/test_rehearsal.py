"""What `aixgo validate` finds of a file that a run would fail of, without building an agent or loading code."""

from __future__ import annotations

from pathlib import Path

import pytest

from aixgo.cli import run_verb
from aixgo.config import load_config, rehearse
from aixgo.errors import ConfigError

AGENTS = "agents: [{name: a, role: logger}, {name: b, role: logger}]\n"


def told(folder: Path, text: str) -> list[str]:
    """What is wrong with a file, by lines."""
    path = folder / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refusal:
        rehearse(load_config(path))
    return str(refusal.value).replace(str(path), "config.yaml").splitlines()


@pytest.mark.parametrize(
    ("team", "text"),
    [
        ("{pattern: debate, agents: []}", "debate 'debate' needs at least 2 agents, and has 0"),
        (
            "{pattern: debate, agents: [a, b], config: {threshold: 0}}",
            "threshold is 0; it must be above 0 and at most 1",
        ),
        (
            "{pattern: ensemble, agents: [a], config: {voting_strategy: weighted, weights: {b: 1}}}",
            "weights: it has no agent 'b'; it has: a",
        ),
        (
            "{pattern: router, agents: [a], config: {classifier: a}}",
            "router 'router' needs at least one route",
        ),
        ("{name: me, pattern: sequential, agents: [a, me]}", "orchestration cycle: me -> me"),
        (
            "{pattern: parallel, agents: [a, b], limits: {max_agents: 1}}",
            "max_agents of 1 exceeded at 'parallel'",
        ),
    ],
)
def test_a_team_that_cannot_be_is_told_with_its_line(tmp_path: Path, team: str, text: str) -> None:
    (fault,) = told(tmp_path, f"{AGENTS}orchestration: {team}")
    assert fault.startswith("config.yaml:2: '")
    assert text in fault


def test_every_team_that_cannot_be_is_told(tmp_path: Path) -> None:
    teams = "[{name: x, pattern: debate, agents: [a]}, {name: y, pattern: parallel}]"
    found = told(tmp_path, f"{AGENTS}orchestration: {teams}")
    assert [line.split(": ")[1] for line in found] == ["'x'", "'y'"]


def test_a_circle_through_several_teams_is_told_with_its_path(tmp_path: Path) -> None:
    text = """
orchestration:
  - {name: x, pattern: sequential, agents: [{name: y, pattern: parallel, agents: [z]}]}
  - {name: z, pattern: hierarchical, config: {manager: a, teams: {it: {workers: [a, x]}}}}
agents: [{name: a, role: logger}]
"""
    assert "config.yaml:3: 'x': orchestration cycle: x -> y -> z -> z.it -> x" in told(
        tmp_path, text
    )


def test_a_missing_file_of_an_agent_is_told_unless_a_peer_has_it(tmp_path: Path) -> None:
    text = "agents: [{name: a, code: './a.py:a'}, {name: b, code: './b.py:b'}]\n"
    found = told(tmp_path, text)
    assert [line.split(": ")[1:] for line in found] == [
        [f"'{n}'", f"code './{n}.py:{n}'", f"there is no file {tmp_path}/{n}.py"] for n in "ab"
    ]
    (tmp_path / "a.py").touch()
    peers = "deployment: {mode: distributed, peers: {b: '127.0.0.1:1'}}"
    (tmp_path / "config.yaml").write_text(text + peers)
    rehearse(load_config(tmp_path / "config.yaml"))


def test_validate_refuses_what_a_run_would_fail_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.yaml").write_text(f"{AGENTS}orchestration: {{pattern: debate, agents: [a]}}")
    assert run_verb(["validate", str(tmp_path / "c.yaml")]) == 1
    assert "c.yaml:2: 'debate': debate 'debate' needs at least 2 agents" in capsys.readouterr().err


def test_a_key_of_another_pattern_is_told_with_those_there_are(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    team = "{pattern: swarm, agents: [a], config: {rounds: 3}}"
    path.write_text(f"{AGENTS}orchestration: {team}")
    (line,) = load_config(path).unknown_keys
    assert line.startswith(
        f"{path}:2: orchestration.config.rounds is no key of the pattern 'swarm'"
    )
    assert line.endswith("which has: entry, max_handoffs, shared_state, transfers")


def test_a_missing_file_of_a_producers_events_is_told(tmp_path: Path) -> None:
    text = "agents: [{name: feed, role: producer, events: './feed.py:readings'}]"
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"'feed': events './feed.py:readings': there is no file"):
        rehearse(load_config(tmp_path / "c.yaml"))
