"""Langfuse with wrong keys, down or slow, and its keys: runs do not notice, and nobody reads a key."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aixgo import LocalRuntime, agent, telemetry
from aixgo.errors import ConfigError
from aixgo.observability import LangfuseSettings, Settings, record_quality_score, setup
from aixgo.observability.langfuse_scores import CAPACITY
from tests.integration.observability.test_langfuse import chat
from tests.langfuse_server import PUBLIC_KEY, SECRET_KEY, LangfuseServer
from tests.otlp import Receiver

ROOT = Path(__file__).resolve().parents[3]
CANARIES = ("canary-public", "canary-secret")


@pytest.fixture
def server() -> Iterator[LangfuseServer]:
    with LangfuseServer() as made:
        yield made


def keyed(host: str, **more: Any) -> LangfuseSettings:
    return LangfuseSettings(host=host, public_key=PUBLIC_KEY, secret_key=SECRET_KEY, **more)


@agent
async def judged(text: str) -> str:
    record_quality_score("relevance", 0.5, "fine")
    return text


async def calls(count: int) -> None:
    async with LocalRuntime(judged) as rt:
        for _ in range(count):
            assert (await rt.call("judged", "x")).text == "x"


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def shown(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


# -- a server that does not take what is sent ----------------------------------------------------------------


async def test_wrong_keys_are_one_warning_that_shows_no_key(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    with LangfuseServer(secret_key="another") as server, caplog.at_level(logging.DEBUG):
        async with setup(langfuse=keyed(server.http)):
            await calls(5)
        assert set(server.paths) == {"/api/public/otel/v1/traces", "/api/public/scores"}
        credential = server.headers[0]["authorization"]
    (warned,) = shown(caplog)
    assert "Langfuse at http://127.0.0.1" in warned
    assert "401" in warned
    for canary in (*CANARIES, credential.removeprefix("Basic ")):
        assert canary not in caplog.text


async def test_a_host_that_is_down_is_one_warning_and_no_error(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    on = setup(langfuse=keyed(f"http://127.0.0.1:{closed_port()}"), timeout=0.3)
    await calls(20)
    began = time.monotonic()
    await on.aclose()
    assert time.monotonic() - began < 6
    assert len(shown(caplog)) == 1


async def test_a_host_that_hangs_holds_no_run_and_closing_keeps_its_bound(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    with LangfuseServer() as server, Receiver() as collector:
        server.release.clear()
        collector.release.clear()
        langfuse = keyed(server.http)
        on = setup(langfuse=langfuse, exporter="otlp", endpoint=collector.http, timeout=60)
        await asyncio.wait_for(calls(50), 10)
        assert server.spans == []
        began = time.monotonic()
        await on.aclose()
        assert time.monotonic() - began < 6, "both hang, and share the five seconds"
        assert len(shown(caplog)) == 2, "one for each place"


async def test_scores_that_find_no_room_are_dropped_and_counted(server: LangfuseServer) -> None:
    server.release.clear()

    @agent
    async def judges_much(text: str) -> str:
        for number in range(2 * CAPACITY):
            record_quality_score(f"d{number}", number)
        return text

    on = setup(langfuse=keyed(server.http))
    try:
        async with LocalRuntime(judges_much) as rt:
            await rt.call("judges_much", "x")
        scores = on._deliveries[-1]
        assert scores.dropped >= CAPACITY - 50  # type: ignore[attr-defined]
    finally:
        server.release.set()
        on.close()
    assert CAPACITY <= len(server.scores) <= CAPACITY + 50


# -- keys and addresses --------------------------------------------------------------------------------------


def test_the_keys_are_in_no_text_of_the_settings() -> None:
    chosen = Settings(langfuse=keyed("http://localhost:3000"))
    assert chosen.langfuse is not None
    texts = [repr(chosen), str(chosen.langfuse), repr(chosen.langfuse.access())]
    with setup(chosen) as on:
        texts.append(repr(vars(on)))
    for canary in CANARIES:
        assert canary not in "".join(texts)


async def test_langfuses_own_variables_complete_what_is_left_open(
    server: LangfuseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGFUSE_BASE_URL", server.http + "/")
    monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", PUBLIC_KEY)
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", SECRET_KEY)
    monkeypatch.setenv("LANGFUSE_TRACING_ENVIRONMENT", "staging")
    monkeypatch.setenv("LANGFUSE_RELEASE", "r1")
    async with setup(langfuse=LangfuseSettings(environment="production")):
        await calls(1)
    found = server.spans[0].attributes
    assert found["langfuse.environment"] == "production"
    assert found["langfuse.release"] == "r1"
    assert server.score()["environment"] == "production"


async def test_langfuses_variables_alone_switch_nothing_on_and_are_not_used_elsewhere(
    server: LangfuseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGFUSE_BASE_URL", server.http)
    monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", PUBLIC_KEY)
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", SECRET_KEY)
    with Receiver() as collector:
        with setup():
            assert not telemetry.on
        async with setup(exporter="otlp", endpoint=collector.http):
            await calls(1)
        assert "authorization" not in collector.headers[0]
    assert server.posted == []


@pytest.mark.parametrize("variable", ["LANGFUSE_TRACING_ENABLED", "LANGFUSE_SAMPLE_RATE"])
async def test_the_sdks_own_switches_for_its_tracing_do_not_drop_our_scores(
    server: LangfuseServer, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "false" if variable.endswith("ENABLED") else "0.0")
    async with setup(langfuse=keyed(server.http)):
        await calls(1)
    assert server.score()["name"] == "relevance"


async def test_otel_sdk_disabled_keeps_langfuse_off_too(
    server: LangfuseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    async with setup(langfuse=keyed(server.http)):
        await calls(1)
    assert server.posted == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"host": ""}, "langfuse.host names no server, and LANGFUSE_BASE_URL is not set"),
        ({"public_key": ""}, "public_key is empty, and LANGFUSE_PUBLIC_KEY is not set"),
        ({"secret_key": ""}, "secret_key is empty, and LANGFUSE_SECRET_KEY is not set"),
        ({"host": "cloud.langfuse.com"}, r"langfuse\.host must be a URL"),
        ({"host": "http://pk:canary-secret@h"}, r"langfuse\.host holds a user or a key"),
        ({"secret_key": "sk-lf-canary-secret\n"}, "secret_key holds characters"),
        ({"public_key": "pk:canary-public"}, "public_key holds characters"),
        ({"public_key": "sk-lf-canary-secret"}, "are they swapped"),
        ({"secret_key": "pk-lf-canary-public"}, "are they swapped"),
        ({"environment": "Langfuse Prod"}, "environment is 'Langfuse Prod'"),
        ({"tags": ["x" * 201]}, "201"),
    ],
)
def test_a_setting_that_cannot_be_right_is_named_without_its_key(
    wrong: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BASE_URL", "HOST", "PUBLIC_KEY", "SECRET_KEY"):
        monkeypatch.delenv(f"LANGFUSE_{name}", raising=False)
    right = {"host": "http://h", "public_key": PUBLIC_KEY, "secret_key": SECRET_KEY}
    with pytest.raises(ConfigError, match=said) as refused:
        setup(langfuse=LangfuseSettings(**{**right, **wrong}))
    for canary in CANARIES:
        assert canary not in str(refused.value)
    assert not telemetry.on


def test_a_wrong_variable_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", "sk canary-secret")
    with pytest.raises(ConfigError, match="LANGFUSE_SECRET_KEY holds characters") as refused:
        setup(langfuse=LangfuseSettings(host="http://h", public_key=PUBLIC_KEY))
    assert "canary-secret" not in str(refused.value)


# -- scores ---------------------------------------------------------------------------------------------------


async def test_without_tracing_a_score_changes_nothing() -> None:
    await calls(1)
    record_quality_score("relevance", 1.0)


@pytest.mark.parametrize(
    ("dimension", "score", "error", "said"),
    [
        ("", 1, ValueError, "dimension '' must be"),
        ("two words", 1, ValueError, "'two words'"),
        ("x" * 65, 1, ValueError, "64"),
        (7, 1, TypeError, "dimension must be text"),
        ("relevance", float("nan"), ValueError, "'relevance' is nan; it must be finite"),
        ("relevance", float("inf"), ValueError, "is inf"),
        ("relevance", "0.5", TypeError, "'relevance' must be a number, not str"),
        ("relevance", True, TypeError, "not bool"),
    ],
)
def test_a_score_that_cannot_be_one_says_what_is_wrong_with_tracing_on_or_off(
    dimension: Any, score: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        record_quality_score(dimension, score)


async def test_a_comment_arrives_without_secrets_and_cut_when_long(server: LangfuseServer) -> None:
    @agent
    async def wordy(text: str) -> str:
        record_quality_score("relevance", 1, "Bearer abcdefgh12345678 " + "x" * 10_000)
        return text

    async with setup(langfuse=keyed(server.http)), LocalRuntime(wordy) as rt:
        await rt.call("wordy", "x")
    comment = str(server.score()["comment"])
    assert "abcdefgh12345678" not in comment
    assert len(comment) <= 2_000


# -- the real SDK ---------------------------------------------------------------------------------------------


def in_a_process(code: str, **environment: str) -> str:
    """What `code` prints: Langfuse's own client changes its process for good."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=25,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


OWN_CLIENT = """
import logging
import aixgo.observability.langfuse_scores
log = logging.getLogger("httpx")
print(log.handlers, log.level)

import asyncio
from langfuse import Langfuse
from aixgo import LocalRuntime, agent
from aixgo.observability import LangfuseSettings, record_quality_score, setup

theirs = Langfuse()
print(theirs.auth_check())

@agent
async def judged(text: str) -> str:
    record_quality_score("ours", 1, "c")
    return text

async def main():
    async with setup(langfuse=LangfuseSettings()), LocalRuntime(judged) as rt:
        await rt.call("judged", "x")

asyncio.run(main())
with theirs.start_as_current_observation(
    name="theirs", as_type="generation", model="m", model_parameters={"temperature": 0.5}, version="7",
    usage_details={"input": 1, "output": 2}, cost_details={"total": 0.5}, input="in", output="out",
) as generation:
    generation.score(name="theirs", value=1.0, data_type="NUMERIC", comment="c")
theirs.shutdown()
"""


@pytest.fixture(scope="module")
def beside_the_sdk() -> Iterator[tuple[LangfuseServer, str]]:
    """What arrived from a process that uses Langfuse's own client and ours, and what it printed."""
    with LangfuseServer() as server:
        printed = in_a_process(
            OWN_CLIENT,
            LANGFUSE_BASE_URL=server.http,
            LANGFUSE_PUBLIC_KEY=PUBLIC_KEY,
            LANGFUSE_SECRET_KEY=SECRET_KEY,
            LANGFUSE_TRACING_ENVIRONMENT="staging",
        )
        yield server, printed


def test_importing_the_sdk_leaves_the_log_of_its_http_client_alone(
    beside_the_sdk: tuple[LangfuseServer, str],
) -> None:
    assert beside_the_sdk[1].splitlines()[0] == "[] 0"


def test_the_sdks_own_check_of_the_keys_passes_so_the_stand_in_is_one(
    beside_the_sdk: tuple[LangfuseServer, str],
) -> None:
    assert beside_the_sdk[1].splitlines()[1] == "True"


def test_a_client_of_the_programs_own_with_the_same_keys_goes_on_after_ours_is_closed(
    beside_the_sdk: tuple[LangfuseServer, str],
) -> None:
    ours, theirs = beside_the_sdk[0].scores
    assert (ours["name"], theirs["name"]) == ("ours", "theirs")
    assert set(ours) == set(theirs), "a score has the fields the SDK's own has"


async def test_a_generation_has_the_attributes_the_sdk_gives_its_own(
    server: LangfuseServer, beside_the_sdk: tuple[LangfuseServer, str]
) -> None:
    made = beside_the_sdk[0].of_type("generation")
    sdk = next(span for span in made if span.name == "theirs").attributes
    on = keyed(server.http, environment="staging")
    async with setup(langfuse=on, capture_content=True), LocalRuntime(chat()) as rt:
        await rt.call("chat", "x")
    own = server.of_type("generation")[-1].attributes

    names = {name for name in sdk if name.startswith("langfuse.") and "internal" not in name}
    assert len(names) >= 8
    assert names <= set(own)
    for name in ("usage_details", "cost_details", "model.parameters"):
        mine, given = (json.loads(str(a[f"langfuse.observation.{name}"])) for a in (own, sdk))
        assert set(given) <= set(mine)


@pytest.mark.parametrize("package", ["langfuse", "opentelemetry.sdk"])
def test_without_its_package_langfuse_names_the_extra(package: str) -> None:
    code = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name == {package!r} or name.startswith({package!r} + "."):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
from aixgo import telemetry
from aixgo.errors import MissingExtra
from aixgo.observability import LangfuseSettings, setup
try:
    setup(langfuse=LangfuseSettings(host="http://127.0.0.1:9", public_key="p", secret_key="s"))
except MissingExtra as exc:
    print(exc, telemetry.on)
"""
    assert "pip install 'aixgo[langfuse]' False" in in_a_process(code)
