"""`observability:` and `logging:`: what a file may say, what it is told when it is wrong, and that both take effect."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aixgo import load_config, telemetry
from aixgo.config import Config, assemble, open_runtime, wire_options
from aixgo.errors import ConfigError
from aixgo.observability import LangfuseSettings, LogSettings, Settings, TextFormatter, setup
from aixgo.observability.langfuse import LANGFUSE_KEYS
from aixgo.observability.logs import LOG_KEYS
from aixgo.observability.settings import KEYS
from aixgo.observability.tracing import prompt_hash
from tests.langfuse_server import PUBLIC_KEY, SECRET_KEY, LangfuseServer
from tests.otlp import Receiver

CANARIES = [f"canary-of-{what}" for what in ("a-token", "an-agent", "a-service", "a-header")]
AGENTS = "agents: [{name: a, role: logger}]\n"
CODE = """
import logging

from aixgo import agent
from aixgo.observability import record_quality_score

log = logging.getLogger(__name__)

@agent
async def speaks(text: str) -> str:
    log.debug("said quietly")
    return text

@agent
async def judged(text: str) -> str:
    record_quality_score("relevance", 1)
    return text

class Plain:
    name, role = "plain", "plain"
    async def execute(self, message):
        return message

plain = Plain()
"""


def loaded(folder: Path, text: str) -> Config:
    path = folder / "flow.yaml"
    path.write_text(text if "agents:" in text else AGENTS + text, encoding="utf-8")
    (folder / "parts.py").write_text(CODE, encoding="utf-8")
    return load_config(path)


@contextmanager
def no_handlers() -> Iterator[None]:
    """As in a program that has not set up its log; pytest installs handlers, a command of another test a level."""
    root, ours = logging.getLogger(), logging.getLogger("aixgo")
    handlers, level = root.handlers, ours.level
    root.handlers = []
    ours.setLevel(logging.NOTSET)
    try:
        yield
    finally:
        root.handlers = handlers
        ours.setLevel(level)


def test_every_key_reaches_the_settings(tmp_path: Path) -> None:
    """A new key of `Settings` is set here, or this fails."""
    given = {
        "enabled": False,
        "exporter": "otlp",
        "metrics": "otlp",
        "metrics_export_interval": "30s",
        "prometheus": "127.0.0.1:9464",
        "protocol": "grpc",
        "endpoint": "https://collector:4317",
        "headers": {"x-team": "blue"},
        "timeout": "1.5s",
        "file": "t.jsonl",
        "service_name": "shop",
        "sampling": 0.5,
        "capture_content": True,
        "langfuse": {"host": "http://localhost:3000", "tags": ["a"]},
    }
    assert set(given) == set(KEYS)
    config = loaded(tmp_path, f"observability: {json.dumps(given)}")
    langfuse = LangfuseSettings(host="http://localhost:3000", tags=["a"])
    changed = {
        "timeout": 1.5,
        "metrics_export_interval": 30.0,
        "file": f"{tmp_path}/t.jsonl",
        "langfuse": langfuse,
    }
    assert config.observability == Settings(**{**given, **changed})  # type: ignore[arg-type]
    assert not config.warnings


def test_every_key_of_langfuse_reaches_its_settings_and_no_text_shows_the_secret_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIXGO_LANGFUSE_SECRET_KEY", "sk-lf-canary")
    given = {
        "host": "https://langfuse.example.com",
        "public_key": "pk-lf-1",
        "secret_key": "${AIXGO_LANGFUSE_SECRET_KEY}",
        "environment": "staging",
        "release": "9",
        "tags": ["a", "b"],
    }
    assert set(given) == set(LANGFUSE_KEYS)
    config = loaded(tmp_path, f"observability: {{langfuse: {json.dumps(given)}}}")
    expected = LangfuseSettings(**{**given, "secret_key": "sk-lf-canary"})  # type: ignore[arg-type]
    assert config.observability.langfuse == expected
    assert not config.warnings
    assert "canary" not in repr(config)


def test_a_file_that_only_names_langfuse_leaves_the_rest_to_langfuses_variables(
    tmp_path: Path,
) -> None:
    config = loaded(tmp_path, "observability: {langfuse: {}}")
    assert config.observability.asks_for_something
    assert config.observability.langfuse == LangfuseSettings()


@pytest.mark.parametrize(
    ("host", "taken"),
    [
        ("https://elsewhere.example", False),
        ("https://cloud.langfuse.com.elsewhere.example", False),
        ("http://cloud.langfuse.com", False),
        ("https://cloud.langfuse.com", True),
        ("https://us.cloud.langfuse.com", True),
        ("http://127.0.0.1:3000", True),
        ("https://ours.example", True),
    ],
)
def test_keys_of_the_environment_go_to_no_server_that_only_a_file_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, taken: bool
) -> None:
    monkeypatch.setenv("LANGFUSE_BASE_URL", "https://ours.example")
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", "sk-lf-canary")
    text = f"observability:\n  langfuse:\n    public_key: pk-lf-1\n    host: {host}\n"
    if taken:
        assert loaded(tmp_path, text).observability.langfuse is not None
        return
    with pytest.raises(ConfigError, match=r"flow\.yaml:5: .*it has to name both keys"):
        loaded(tmp_path, text)


async def test_a_file_sends_traces_and_scores_to_langfuse_as_long_as_it_runs(
    tmp_path: Path,
) -> None:
    with LangfuseServer() as server:
        text = (
            'agents: [{name: a, code: "./parts.py:judged", version: "7"}]\n'
            f"observability: {{langfuse: {{host: '{server.http}', public_key: {PUBLIC_KEY}, "
            f"secret_key: {SECRET_KEY}}}}}\n"
        )
        config = loaded(tmp_path, text)
        assert "a key stands in the file" in "".join(config.warnings)
        async with open_runtime(config) as runtime:
            await runtime.call("a", "hi")
        assert not telemetry.on
        (span,) = server.of_type("agent")
        assert span.attributes["langfuse.version"] == "7"
        assert server.score()["observationId"] == span.span_id


def test_every_key_of_the_log_reaches_its_settings(tmp_path: Path) -> None:
    given = {
        "level": "debug",
        "format": "json",
        "loggers": {"httpx": "info"},
        "include_identity": True,
    }
    assert set(given) == set(LOG_KEYS)
    config = loaded(tmp_path, f"logging: {json.dumps(given)}")
    assert config.logging == LogSettings(**given)  # type: ignore[arg-type]
    assert not config.warnings


def test_a_file_that_says_nothing_of_it_traces_nothing_and_leaves_the_log_alone(
    tmp_path: Path,
) -> None:
    config = loaded(tmp_path, AGENTS)
    assert not config.observability.asks_for_something
    assert config.logging is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("observability: true", r"flow\.yaml:2: key observability must be a mapping"),
        ("observability: {exporter: oltp}", r":2: .*observability\.exporter is 'oltp'.*'otlp'"),
        ("observability:\n  endpont: http://x", r":3: key observability\.endpont.*'endpoint'"),
        ("observability:\n  endpoint: collector", r":3: key observability\.endpoint must be a URL"),
        ("observability:\n  exporter: file", r":3: key observability\.exporter is 'file'"),
        ("observability:\n  sampling: 2", r":3: key observability\.sampling is 2; it must be"),
        ("observability:\n  sampling: half", r":3: key observability\.sampling must be a number"),
        ("observability:\n  timeout: soon", r":3: key observability\.timeout must be seconds"),
        ("observability:\n  enabled: yes", r":3: key observability\.enabled must be true or false"),
        ("observability:\n  headers: {a b: c}", r":3: key observability\.headers: 'a b' cannot be"),
        ("observability:\n  headers:\n    a: [c]", r":4: key observability\.headers\.a: must be"),
        ("observability: {langfuse: true}", r":2: key observability\.langfuse must be a mapping"),
        ("observability:\n  langfuse:\n    host: x", r":4: key observability\.langfuse\.host must"),
        (
            "observability:\n  langfuse:\n    hots: x",
            r":4: key observability\.langfuse\.hots.*'host'",
        ),
        (
            "observability:\n  langfuse:\n    tags: [1]",
            r":4: key observability\.langfuse\.tags\[0\]",
        ),
        ("logging: debug", r":2: key logging must be a mapping"),
        ("logging: {level: INFO}", r":2: key logging\.level is 'INFO'.*did you mean 'info'"),
        ("logging: {format: yaml}", r":2: key logging\.format is 'yaml', not one of text, json"),
        ("logging:\n  loggers: {httpx: loud}", r":3: key logging\.loggers\.httpx is 'loud'"),
        ("logging:\n  levels: {}", r":3: key logging\.levels.*did you mean 'level'"),
    ],
)
def test_what_is_wrong_is_told_once_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        loaded(tmp_path, text)
    assert len(str(caught.value).splitlines()) == 1


def test_a_credential_in_the_file_is_warned_about_and_one_in_the_environment_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIXGO_COLLECTOR", "canary-in-the-environment")
    text = "observability:\n  headers: {{authorization: '{}', x-team: blue}}"
    (warning,) = loaded(tmp_path, text.format("canary-in-the-file")).warnings
    assert "flow.yaml:3: observability.headers.authorization: a key stands in the file" in warning
    config = loaded(tmp_path, text.format("Bearer ${AIXGO_COLLECTOR}"))
    assert not config.warnings
    assert config.observability.headers == {
        "authorization": "Bearer canary-in-the-environment",
        "x-team": "blue",
    }
    assert "canary" not in repr(config) + warning


@pytest.mark.parametrize(
    "text",
    [
        "observability:\n  headers: {x-api-key: '${OPENAI_API_KEY}'}\n",
        "observability:\n  headers: {token: '${OPENAI_API_KEY}'}\n",
        "mine: &m {token: '${OPENAI_API_KEY}'}\nobservability:\n  headers: *m\n",
        "mine: &m {token: '${OPENAI_API_KEY}'}\nobservability:\n  headers: {<<: *m}\n",
        "mine: {token: &t '${OPENAI_API_KEY}'}\nobservability: {headers: {x: *t}}\n",
        "mine: {token: &t '${OPENAI_API_KEY}'}\nobservability: {langfuse: {secret_key: *t}}\n",
    ],
)
def test_a_vendors_key_is_sent_to_nobody_who_receives_traces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "canary-of-the-vendor")
    with pytest.raises(ConfigError, match=r"flow\.yaml:\d: key .*OPENAI_API_KEY") as refused:
        loaded(tmp_path, text)
    assert "canary" not in str(refused.value)


def test_a_vendors_key_is_sent_there_if_whoever_starts_it_allows_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "canary-of-the-vendor")
    monkeypatch.setenv("AIXGO_CONFIG_ENV", "OPENAI_API_KEY")
    config = loaded(tmp_path, "observability: {headers: {x-api-key: '${OPENAI_API_KEY}'}}")
    assert config.observability.headers == {"x-api-key": "canary-of-the-vendor"}


@pytest.mark.parametrize(
    ("endpoint", "headers"),
    [
        ("https://elsewhere.example", {}),
        ("https://ours.example.elsewhere.example", {}),
        ("https://ours.example", None),
        ("http://127.0.0.1:4318", None),
    ],
)
def test_headers_of_the_environment_go_to_no_collector_that_only_a_file_names(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    endpoint: str,
    headers: dict[str, str] | None,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "https://ours.example/otlp")
    config = loaded(tmp_path, f"observability: {{exporter: otlp, endpoint: '{endpoint}'}}")
    assert config.observability.headers == headers


def test_what_go_files_say_there_is_taken_and_named_as_without_effect(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        "observability: {track_token_usage: true, log_confidence_scores: true, alert_threshold: 0.7, "
        "track_latency: true, latency_threshold_ms: 2000}",
    )
    (warning,) = config.warnings
    assert warning.startswith("measurements and alerts by file: not in this version")
    assert not config.observability.asks_for_something


async def test_a_file_that_asks_for_it_is_traced_as_long_as_it_runs(
    tmp_path: Path,
) -> None:
    with Receiver() as receiver:
        config = loaded(
            tmp_path, f"observability: {{exporter: otlp, endpoint: '{receiver.http}'}}\n"
        )
        async with open_runtime(config) as runtime:
            await runtime.call("a", "hi")
        assert not telemetry.on
        assert [span.name for span in receiver.spans] == ["invoke_agent a"] * 2


async def test_tracing_that_is_on_already_stays_as_it_is(tmp_path: Path) -> None:
    with Receiver() as receiver:
        config = loaded(
            tmp_path, "observability: {exporter: otlp, endpoint: 'http://127.0.0.1:1'}\n"
        )
        async with setup(exporter="otlp", endpoint=receiver.http):
            async with open_runtime(config) as runtime:
                await runtime.call("a", "hi")
            assert telemetry.on
        assert len(receiver.spans) == 2


async def test_a_file_that_switches_it_off_is_not_traced(tmp_path: Path) -> None:
    config = loaded(tmp_path, "observability: {enabled: false, exporter: console}\n")
    async with open_runtime(config):
        assert not telemetry.on


def test_no_line_shows_what_a_file_holds_of_keys_and_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aixgo.observability.redaction._told", set())
    (tmp_path / "token").write_text("canary-of-a-token")
    config = loaded(
        tmp_path,
        "agents: [{name: a, role: chat, model: 'openai:m', api_key: canary-of-an-agent}]\n"
        "model_services: [{name: s, provider: openai, model: m, api_key: canary-of-a-service}]\n"
        "observability:\n  exporter: console\n"
        "  headers: {authorization: Bearer canary-of-a-header, x-team: engineering}\n"
        "deployment: {auth: {token_file: token}}\n",
    )
    assemble(config)
    wire_options(config.deployment)
    with setup(config.observability):
        record = logging.makeLogRecord({"msg": "%s", "args": (repr(CANARIES),)})
        assert "canary" not in TextFormatter().format(record)
    assert "engineering" in TextFormatter().format(logging.makeLogRecord({"msg": "engineering"}))


async def test_a_file_sets_its_log_as_long_as_it_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = loaded(
        tmp_path,
        'agents: [{name: speaks, code: "./parts.py:speaks"}]\nlogging: {level: debug, format: json}',
    )
    with no_handlers():
        async with open_runtime(config) as runtime:
            await runtime.call("speaks", "hi")
        assert logging.getLogger().handlers == []
        assert logging.getLogger("aixgo").level == logging.NOTSET
    (line,) = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (line["message"], line["agent"], line["level"]) == ("said quietly", "speaks", "debug")
    assert line["logger"] == "parts.py"


@pytest.mark.parametrize(("level", "lines"), [("debug", 1), ("info", 0)])
async def test_the_level_of_one_file_is_set_under_the_file_s_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], level: str, lines: int
) -> None:
    config = loaded(
        tmp_path,
        'agents: [{name: speaks, code: "./parts.py:speaks"}]\n'
        f"logging: {{loggers: {{parts.py: {level}}}}}",
    )
    with no_handlers():
        async with open_runtime(config) as runtime:
            await runtime.call("speaks", "hi")
    assert capsys.readouterr().err.count("debug parts.py: said quietly\n") == lines


async def test_a_program_with_handlers_keeps_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    config = loaded(tmp_path, "logging: {format: json, loggers: {other: debug}}")
    async with open_runtime(config) as runtime:
        await runtime.call("a", "hi")
        assert logging.getLogger("other").level == logging.DEBUG
    assert "aixgo.agents.logger" in [record.name for record in caplog.records]
    assert capsys.readouterr().err == ""


def test_reading_a_file_that_is_traced_imports_nothing_of_opentelemetry_s_sdk(
    tmp_path: Path,
) -> None:
    loaded(tmp_path, "observability: {exporter: otlp}\nlogging: {format: json}")
    code = (
        "import sys; from aixgo import load_config; load_config(sys.argv[1]); "
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "flow.yaml")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


# -- what an entry says about its agent ------------------------------------------------------------------


@pytest.mark.parametrize(
    "entry",
    [
        "{name: x, role: chat, model: offline, version: v2, description: speaks}",
        '{name: x, code: "./parts.py:speaks", version: v2, description: speaks}',
        '{name: x, code: "./parts.py:plain", version: v2, description: speaks}',
        '{name: x, code: "./parts.py:Plain", version: v2, description: speaks}',
    ],
)
def test_an_entry_states_version_and_description_of_any_kind_of_agent(
    tmp_path: Path, entry: str
) -> None:
    (placed,) = assemble(loaded(tmp_path, f"agents: [{entry}]"))
    assert getattr(placed.agent, "version", "") == "v2"
    assert getattr(placed.agent, "description", "") == "speaks"


async def test_a_trace_tells_version_and_prompt_of_a_file_s_agent(tmp_path: Path) -> None:
    text = (
        "agents: [{name: a, role: chat, model: offline, version: v2, description: speaks, prompt: Be brief.}]\n"
        "observability: {exporter: otlp, endpoint: '%s', service_name: shop}\n"
    )
    with Receiver() as receiver:
        config = loaded(tmp_path, text % receiver.http)
        async with open_runtime(config) as runtime:
            await runtime.call("a", "hi")
        (span,) = [span for span in receiver.spans if span.kind == "server"]
    assert span.service == "shop"
    assert span.attributes["gen_ai.agent.version"] == "v2"
    assert span.attributes["gen_ai.agent.description"] == "speaks"
    assert span.attributes["aixgo.agent.prompt_hash"] == prompt_hash("Be brief.")


def test_an_orchestration_has_a_version_too(tmp_path: Path) -> None:
    text = "agents: [{name: a, role: logger}]\norchestration: {pattern: sequential, agents: [a], version: v3}"
    placed = assemble(loaded(tmp_path, text))
    assert [getattr(item.agent, "version", "") for item in placed] == ["", "v3"]


def test_two_entries_with_one_function_may_have_two_versions(tmp_path: Path) -> None:
    entry = '{{name: {0}, code: "./parts.py:speaks", version: {0}}}'
    placed = assemble(loaded(tmp_path, f"agents: [{entry.format('v1')}, {entry.format('v2')}]"))
    assert [getattr(item.agent, "version", "") for item in placed] == ["v1", "v2"]


def test_two_entries_with_one_object_may_not(tmp_path: Path) -> None:
    entry = '{{name: {0}, code: "./parts.py:plain", version: {0}}}'
    config = loaded(tmp_path, f"agents: [{entry.format('v1')}, {entry.format('v2')}]")
    with pytest.raises(ConfigError, match=r"'v2': version is 'v2', and another entry .* 'v1'"):
        assemble(config)


def test_a_version_without_quotes_is_warned_about(tmp_path: Path) -> None:
    config = loaded(tmp_path, "agents: [{name: a, role: logger, version: 1.10}]")
    assert config.agents[0].version == "1.1"
    assert "version: 1.1 without quotes is a number" in config.warnings[0]
