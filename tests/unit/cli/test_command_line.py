"""The command line without a run: help, verbs, validation, exit codes, what is kept of logs."""

import json
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest

from aixgo.cli import VERBS, run_verb
from aixgo.cli.invocation import exit_code, explain
from aixgo.cli.logs import LINE_HEAD, LogFormatter, Tracebacks
from aixgo.errors import (
    AgentFailed,
    AgentNotReady,
    AixgoError,
    BudgetExceeded,
    ConfigError,
    DeadlineExceeded,
    Unavailable,
)

ROOT = Path(__file__).resolve().parents[3]


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_verb(["--help"]) == 0
    shown = capsys.readouterr().out
    for name, verb in VERBS.items():
        assert f"{name} " in shown
        assert verb.help in shown


def test_help_loads_neither_typer_nor_rich_nor_grpc() -> None:
    code = (
        "import sys; from aixgo.cli import run_verb; run_verb(['--help']); "
        "print(sorted({'typer', 'rich', 'grpc', 'yaml', 'pydantic', 'asyncio'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_verb([name, "--help"]) == 0
    assert f"aixgo {name}" in capsys.readouterr().out


def test_help_writes_flags_without_a_value_and_options_by_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_verb(["run", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--timeout TIMEOUT" in shown
    assert re.search(r"--offline +Answer by rule", shown)
    assert max(map(len, shown.splitlines())) <= 80


def test_an_unknown_verb_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_verb(["sevre"]) == 1
    assert "did you mean 'serve'?" in capsys.readouterr().err


def test_a_wrong_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_verb(["validate", "x.yaml", "--strickt"]) == 1
    assert "No such option" in capsys.readouterr().err


@pytest.mark.parametrize("verb", [["call", "unix:/nowhere", "a"], ["serve", "c.yaml"]])
def test_a_wrong_transport_is_told_with_those_there_are(
    verb: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text("agents: [{name: a, role: chat}]")
    assert run_verb([*verb, "--transport", "pigeon"]) == 1
    assert "--transport 'pigeon': there are stream and unary" in capsys.readouterr().err


def test_validate_tells_what_is_there_and_what_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("agents: [{name: a, role: chat}]\nauth_mode: builtin\nsteps: 3\n")
    assert run_verb(["validate", str(file)]) == 0
    shown = capsys.readouterr()
    assert "1 agent, no orchestrations" in shown.out
    assert "steps is no key of aixgo" in shown.err
    assert "security: authentication is not in this version" in shown.err
    assert run_verb(["validate", str(file), "--strict"]) == 1
    assert "steps is no key" in capsys.readouterr().err


def test_validate_tells_every_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("agents: [{name: a, rol: chat}]\ndeploymnt: {}\n")
    assert run_verb(["validate", str(file)]) == 1
    shown = capsys.readouterr().err
    assert "did you mean 'role'" in shown
    assert "did you mean 'deployment'" in shown


def test_schema_prints_json_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_verb(["schema"]) == 0
    assert "agents" in json.loads(capsys.readouterr().out)["properties"]


def test_version_names_what_it_runs_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_verb(["version"]) == 0
    assert "grpcio" in capsys.readouterr().out
    assert run_verb(["--version"]) == 0


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), 1),
        (AgentFailed("a"), 2),
        (Unavailable("a"), 2),
        (DeadlineExceeded("a"), 3),
        (BudgetExceeded(), 3),
    ],
)
def test_the_exit_code_says_what_kind_of_failure_it_was(error: AixgoError, code: int) -> None:
    assert exit_code(error) == code
    assert str(error) in explain(error)


def test_an_agent_that_did_not_start_by_its_configuration_is_a_configuration_error() -> None:
    error = AgentNotReady("a", "failed to start")
    error.__cause__ = ConfigError("no such model")
    assert exit_code(error) == 1
    assert "no such model" in explain(error)


def failure(head: str) -> logging.LogRecord:
    try:
        raise ValueError("inside")
    except ValueError:
        return logging.LogRecord("aixgo.x", logging.ERROR, "", 0, head, (), sys.exc_info())


def test_a_traceback_with_an_error_id_is_kept_aside_and_found_by_it() -> None:
    kept = Tracebacks()
    shown = LogFormatter(kept).format(failure("agent 'a' failed [error id abc123]"))
    assert shown == "error aixgo.x: agent 'a' failed [error id abc123]"
    assert LINE_HEAD.match(shown)
    assert "ValueError: inside" in kept.find("abc123")
    assert kept.find("def456") == ""


def test_a_line_of_any_logger_begins_a_record() -> None:
    kept = Tracebacks()
    for name in ("my-shop", "shop.north", "agents.py"):
        record = logging.LogRecord(name, logging.WARNING, "", 0, "careful", (), None)
        assert LINE_HEAD.match(LogFormatter(kept).format(record))
    assert not LINE_HEAD.match("ValueError: inside")
    assert not LINE_HEAD.match("  warning shop: in a traceback")


def test_a_traceback_without_one_is_shown() -> None:
    assert "ValueError: inside" in LogFormatter(Tracebacks()).format(failure("something else"))


def test_only_the_newest_tracebacks_are_kept() -> None:
    kept = Tracebacks()
    for number in range(150):
        kept.keep(f"x [error id {number:x}]", "trace")
    assert kept.find("0") == ""
    assert kept.find(f"{149:x}") == "trace"


def test_models_tells_what_is_set_up_and_never_a_key(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.setenv("VLLM_BASE_URL", "http://user:hunter2@box:1/v1")
    assert run_verb(["models"]) == 0
    shown = capsys.readouterr().out
    assert "OPENAI_API_KEY is set" in shown
    assert "ANTHROPIC_API_KEY is not set" in shown
    assert "http://box:1/v1" in shown
    assert "anthropic:claude-" in shown
    assert "sk-canary" not in shown
    assert "hunter2" not in shown


def test_models_of_one_provider_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_verb(["models", "gemini", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["providers"]
    assert (row["provider"], row["extra"]) == ("gemini", "openai")
    assert {model["model"].partition(":")[0] for model in row["models"]} == {"gemini"}


def test_models_of_an_unknown_provider_names_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_verb(["models", "opnai"]) == 1
    assert "did you mean 'openai'?" in capsys.readouterr().err
