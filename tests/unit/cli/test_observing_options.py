"""`--otel`, `--log-format` and `--log-level`: what they say, over what a file says."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from aixgo.cli import run_verb
from aixgo.cli.observing import Observing
from aixgo.errors import ConfigError
from aixgo.observability import LangfuseSettings, LogSettings, Settings
from tests.otlp import Receiver

OF_A_FILE = Settings(
    enabled=False,
    exporter="otlp",
    endpoint="https://theirs:4318",
    headers={"authorization": "Bearer canary"},
    sampling=0.5,
)


@pytest.fixture(autouse=True)
def log_of_the_test() -> Iterator[None]:
    """A command sets up the log of its process for good; here that is the test's."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    root.handlers = []
    yield
    root.handlers = handlers
    root.setLevel(level)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "flow.yaml"
    path.write_text("agents: [{name: a, role: logger}]\n", encoding="utf-8")
    return path


def test_nothing_said_leaves_a_file_s_settings() -> None:
    assert Observing().traces(OF_A_FILE) is OF_A_FILE
    assert Observing().log(LogSettings(format="json")).format == "json"
    assert Observing().flags == []


def test_traces_go_where_the_option_says_and_the_rest_is_the_file_s(tmp_path: Path) -> None:
    for otel in ("otlp", "console"):
        found = Observing(otel=otel).traces(OF_A_FILE)
        assert (found.exporter, found.enabled, found.sampling) == (otel, True, 0.5)
    found = Observing(otel=f"file:{tmp_path}/t").traces(OF_A_FILE)
    assert (found.exporter, found.file) == ("file", f"{tmp_path}/t")


def test_prometheus_is_listened_for_where_the_option_says() -> None:
    found = Observing(prometheus="9464").traces(OF_A_FILE)
    assert (found.prometheus, found.enabled, found.exporter) == ("9464", True, "otlp")
    assert Observing(prometheus="9464").flags == ["--prometheus", "9464"]
    with pytest.raises(ConfigError, match="--prometheus"):
        Observing(prometheus="nowhere").traces()


def test_nothing_is_traced_if_the_option_says_so() -> None:
    langfuse = LangfuseSettings(host="http://localhost:3000")
    for settings in (replace(OF_A_FILE, enabled=True), Settings(langfuse=langfuse)):
        assert settings.asks_for_something
        assert not Observing(otel="none").traces(settings).asks_for_something


def test_headers_are_sent_to_no_other_collector_than_the_file_s() -> None:
    same = Observing(otel="https://theirs:4318").traces(OF_A_FILE)
    other = Observing(otel="http://mine:4318").traces(OF_A_FILE)
    assert same.headers == OF_A_FILE.headers
    assert (other.endpoint, other.headers) == ("http://mine:4318", None)


@pytest.mark.parametrize("otel", ["oltp", "file:", "localhost:4318", "ftp://x", "http://"])
def test_a_place_nothing_can_be_sent_to_is_refused(otel: str) -> None:
    with pytest.raises(ConfigError, match="--otel"):
        Observing(otel=otel).traces()


def test_other_processes_are_told_the_same_and_where_a_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = Observing(otel="file:t", log_format="json", log_level="debug")
    assert told.flags == [
        *("--log-format", "json", "--log-level", "debug"),
        *("--otel", f"file:{tmp_path}/t"),
    ]


def test_run_traces_to_where_it_is_told(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Receiver() as receiver:
        assert run_verb(["run", str(file), "-i", "hi", "--no-record", "--otel", receiver.http]) == 0
        assert [span.name for span in receiver.spans] == ["invoke_agent a"] * 2
    assert capsys.readouterr().out == "hi\n"


def test_a_variable_says_what_the_option_does_and_the_option_stands_over_it(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["run", str(file), "-i", "hi", "--no-record"]
    with Receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.http)
        monkeypatch.setenv("AIXGO_OTEL", "otlp")
        monkeypatch.setenv("AIXGO_LOG_FORMAT", "json")
        monkeypatch.setenv("AIXGO_LOG_LEVEL", "debug")
        assert run_verb([*run, "--otel", "none"]) == 0
        assert receiver.posted == []
        assert run_verb(run) == 0
        assert [span.name for span in receiver.spans] == ["invoke_agent a"] * 2
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert "aixgo.agents.logger" in {line["logger"] for line in lines}


def test_a_variable_says_where_prometheus_finds_a_service(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIXGO_PROMETHEUS", "nowhere")
    assert run_verb(["run", str(file), "-i", "hi", "--no-record"]) == 1
    assert "--prometheus" in capsys.readouterr().err
    monkeypatch.setenv("AIXGO_PROMETHEUS", "127.0.0.1:0")
    assert run_verb(["run", str(file), "-i", "hi", "--no-record"]) == 0


def test_variables_alone_have_run_contact_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.http)
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
        assert run_verb(["run", str(file), "-i", "hi", "--no-record"]) == 0
        assert receiver.posted == []


def test_in_json_everything_on_standard_error_is_an_object(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("agents: [{name: a, role: logger}]\nmine: 1\nlogging: {format: json}\n")
    assert run_verb(["run", str(file), "-i", "hi", "--no-record"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "hi\n"
    found = [json.loads(line) for line in shown.err.splitlines()]
    assert [(line["level"], line["logger"]) for line in found] == [
        ("warning", "aixgo.cli"),
        ("info", "aixgo.agents.logger"),
    ]
    assert "mine is no key of aixgo" in found[0]["message"]


def test_in_json_an_error_is_an_object_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_verb(["serve", "nowhere.yaml", "--log-format", "json"]) == 1
    (line,) = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (line["level"], line["message"]) == ("error", "nowhere.yaml: No such file or directory")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--log-format", "jsno"), "--log-format is 'jsno', not one of text, json"),
        (("--log-level", "loud"), "--log-level is 'loud'"),
        (("--otel", "oltp"), "--otel 'oltp': give otlp, console, none, file:PATH or a URL"),
    ],
)
@pytest.mark.parametrize("verb", ["run", "serve", "dev"])
def test_a_wrong_option_is_told_before_anything_starts(
    verb: str, options: tuple[str, str], said: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_verb([verb, str(file), *options]) == 1
    assert said in capsys.readouterr().err


def test_a_level_of_the_command_line_stands_over_the_file_s(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("agents: [{name: a, role: logger}]\nlogging: {level: debug}\n")
    arguments = ["run", str(file), "-i", "hi", "--no-record", "--log-level", "error"]
    assert run_verb(arguments) == 0
    assert "aixgo.agents" not in capsys.readouterr().err
