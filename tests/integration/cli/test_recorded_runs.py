"""What a real `aixgo run` leaves behind: the same tree in one process and in many, however the run ends."""

import contextlib
import io
import json
import os
import signal
import stat
from pathlib import Path

import pytest

from aixgo.cli import run_verb
from tests.integration.cli.commands import (
    ENVIRONMENT,
    PARTS,
    alive,
    children_of,
    inside,
    started,
    until_line,
)

pytestmark = pytest.mark.slow

FLOW = f"""
agents:
  - {{name: asks, code: "{PARTS}:asks"}}
  - {{name: upper, code: "{PARTS}:upper"}}
  - {{name: chat, role: chat}}
orchestration: {{name: flow, pattern: sequential, agents: [asks, chat]}}
"""
BOTH_WAYS = pytest.mark.parametrize("way", [[], ["--distributed"]], ids=["local", "distributed"])


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(ENVIRONMENT, "AIXGO_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("AIXGO_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(FLOW, encoding="utf-8")
    return path


def one(name: str, folder: Path) -> Path:
    """A file with one of the agents."""
    path = folder / f"{name}.yaml"
    path.write_text(f'agents: [{{name: {name}, code: "{PARTS}:{name}"}}]', encoding="utf-8")
    return path


def verb(*arguments: str) -> str:
    """What a verb that starts nothing prints."""
    with contextlib.redirect_stdout(io.StringIO()) as output:
        assert run_verb([*arguments]) == 0
    return output.getvalue()


def shown() -> dict:
    return json.loads(verb("trace", "last", "--json"))


def tree(run: dict) -> list[tuple[str, int | None]]:
    return [(call["name"], call["parent"]) for call in run["calls"]]


def recorded(state: Path) -> str:
    """Everything the runs left behind, as text."""
    return "".join(path.read_text() for path in sorted((state / "runs").glob("**/*.jsonl")))


@BOTH_WAYS
def test_a_run_can_be_shown_with_what_agents_called_themselves(
    file: Path, state: Path, way: list[str]
) -> None:
    done = inside("run", file, "-i", "Sesame opens. It does.", "--offline", "--json", *way)
    assert done.returncode == 0, done.stderr
    outcome, run = json.loads(done.stdout), shown()
    assert run["run_id"] == outcome["run_id"]
    assert (run["status"], run["entry"], run["config"]) == ("ok", "flow", str(file))
    assert tree(run) == [
        ("flow", None),
        ("flow", 0),
        ("asks", 1),
        ("upper", 2),
        ("chat", 1),
        ("offline", 4),
    ]
    assert run["tokens_total"] == outcome["metadata"]["tokens_total"] > 0
    assert run["notes"] == []
    processes = {call["process"] for call in run["calls"] if call["process"]}
    assert len(processes) == (3 if way else 0)
    assert "sesame" not in recorded(state).lower()
    (only,) = (state / "runs").iterdir()
    assert stat.S_IMODE(only.stat().st_mode) == 0o600
    assert stat.S_IMODE(only.parent.stat().st_mode) == 0o700


@BOTH_WAYS
def test_what_was_said_is_recorded_if_somebody_asks(
    tmp_path: Path, state: Path, way: list[str]
) -> None:
    inside("run", one("upper", tmp_path), "-i", "Sesame opens", "--record-content", *way)
    run = shown()
    assert (run["prompt"], run["answer"]) == ("Sesame opens", "SESAME OPENS")
    assert recorded(state).count('"content":"SESAME OPENS"') == (3 if way else 2)


@BOTH_WAYS
def test_a_failure_is_recorded_with_class_and_id_and_no_secret(
    tmp_path: Path, state: Path, way: list[str]
) -> None:
    done = inside("run", one("fails", tmp_path), "-i", "x", "--json", *way)
    error = json.loads(done.stdout)["error"]
    run = shown()
    assert run["status"] == "failed"
    for call in run["calls"]:
        assert call["error"]["class"] == "AgentFailed"
        assert call["error"]["error_id"] == error["error_id"]
    assert "only the log says this" not in recorded(state)
    assert "failed: AgentFailed" in verb("runs")


@BOTH_WAYS
def test_an_interrupted_run_is_cancelled_and_its_file_whole(
    tmp_path: Path, state: Path, way: list[str]
) -> None:
    with started("run", one("waits", tmp_path), "-i", "x", *way) as run:
        if way:
            until_line(run, "[waits] waiting")
        else:
            assert run.stdout is not None
            assert run.stdout.readline() == "waiting\n"
        assert shown()["status"] == "running"
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=20)
        assert run.returncode == 4
    found = shown()
    assert found["status"] == "cancelled"
    assert [call["status"] for call in found["calls"]] == ["cancelled"] * 2
    assert found["notes"] == []
    assert len(list((state / "runs").iterdir())) == 1


def test_a_run_that_is_killed_leaves_what_happened_until_then(tmp_path: Path) -> None:
    with started("run", one("waits", tmp_path), "-i", "x", "--distributed") as run:
        until_line(run, "[waits] waiting")
        children = children_of(run.pid)
        run.kill()
        run.wait(10)
        found = shown()
    assert found["status"] == "killed"
    assert tree(found) == [("waits", None), ("waits", 0)]
    assert found["calls"][1]["process"] in children
    while any(map(alive, children)):  # they end with their standard input; the test has 30 s
        os.sched_yield()
    assert "killed" in verb("runs")


PRODUCED = f"""
agents:
  - {{name: ticks, role: producer, interval: 10ms, template: "tick {{sequence}}",
     outputs: [{{target: upper}}]}}
  - {{name: upper, code: "{PARTS}:upper", inputs: [{{source: ticks}}], outputs: [{{target: done}}]}}
"""


@BOTH_WAYS
def test_a_flow_shows_each_message_where_it_was_worked_on(tmp_path: Path, way: list[str]) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text(PRODUCED)
    assert inside("run", file, "--count", "3", *way).returncode == 0
    run = shown()
    names = [(call["kind"], call["name"]) for call in run["calls"] if call["parent"] is not None]
    assert sorted(names) == [("message", "done")] * 3 + [("message", "upper")] * 3
    assert (run["entry"], run["status"]) == ("ticks", "ok")


def test_a_state_directory_that_cannot_be_used_is_one_warning_and_no_failure(
    tmp_path: Path, state: Path
) -> None:
    state.write_text("")
    done = inside("run", one("upper", tmp_path), "-i", "hello")
    assert (done.returncode, done.stdout) == (0, "HELLO\n")
    assert done.stderr.count("not recorded") == 1
    assert f"this run is not recorded: {state}/runs: Not a directory" in done.stderr


def test_a_run_need_not_be_recorded(
    tmp_path: Path, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = one("upper", tmp_path)
    assert inside("run", file, "-i", "x", "--no-record").returncode == 0
    assert not state.exists()
    assert run_verb(["run", str(file), "-i", "x", "--no-record", "--record-content"]) == 1
    assert "--no-record and --record-content" in capsys.readouterr().err


def test_a_run_that_could_not_begin_is_recorded_as_failed(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("agents:\n- {name: a, code: './none.py:a'}")
    assert inside("run", file, "-i", "x").returncode == 1
    assert shown()["calls"][0]["error"]["class"] == "ConfigError"
