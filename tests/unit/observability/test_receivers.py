"""Who receives spans, and how little it matters to the work: dead, slow, refusing, broken, misconfigured."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import logging
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from aixgo import LocalRuntime, agent, telemetry
from aixgo.errors import ConfigError
from aixgo.observability import setup
from tests.otlp import Receiver

OURS = "aixgo.observability"


@agent
async def echo(text: str) -> str:
    return text


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans leave at once, while the work goes on."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "5")


async def work(calls: int = 20) -> None:
    """What somebody does who does not care about spans."""
    async with LocalRuntime(echo) as rt:
        for _ in range(calls):
            assert (await rt.call("echo", "x")).text == "x"


def warnings(records: Sequence[logging.LogRecord]) -> list[str]:
    return [r.getMessage() for r in records if r.levelno >= logging.WARNING]


# -- OTLP -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["PERMISSION_DENIED", "UNAUTHENTICATED", "UNIMPLEMENTED"])
async def test_a_grpc_collector_that_refuses_is_one_warning_with_its_reason(
    code: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Receiver(status=403, code=grpc.StatusCode[code]) as receiver:
        async with setup(exporter="otlp", protocol="grpc", endpoint=receiver.grpc):
            await work()
    (warned,) = warnings(caplog.records)
    assert code in warned
    assert receiver.grpc in warned
    assert receiver.spans == []


@pytest.mark.parametrize("status", [400, 403, 404, 503])
async def test_an_http_collector_that_refuses_is_one_warning_with_its_reason(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with Receiver(status=status) as receiver:
        async with setup(exporter="otlp", endpoint=receiver.http, timeout=0.3):
            await work()
    (warned,) = warnings(caplog.records)
    assert f"{receiver.http}/v1/traces" in warned
    assert receiver.spans == []


async def test_a_grpc_collector_that_is_overloaded_is_asked_again_and_then_given_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Receiver(status=503, code=grpc.StatusCode.UNAVAILABLE) as receiver:
        async with setup(exporter="otlp", protocol="grpc", endpoint=receiver.grpc, timeout=0.5):
            await work()
    assert len(warnings(caplog.records)) == 1


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
async def test_work_does_not_wait_for_a_collector_that_hangs_and_closing_is_bounded(
    protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aixgo.observability.backlog.CLOSE_TIMEOUT", 1.0)
    with Receiver() as receiver:
        receiver.release.clear()
        endpoint = receiver.grpc if protocol == "grpc" else receiver.http
        on = setup(exporter="otlp", protocol=protocol, endpoint=endpoint, timeout=60)  # type: ignore[arg-type]
        await work(200)
        assert receiver.spans == []
        began = time.monotonic()
        await on.aclose()
        assert time.monotonic() - began < 2.0
        receiver.release.set()


async def test_a_collector_that_comes_back_gets_what_happens_from_then_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("aixgo.observability.backlog.FIRST_PAUSE", 0.01)
    with Receiver(status=403) as receiver:
        async with setup(exporter="otlp", endpoint=receiver.http) as on:
            await work(1)
            await asyncio.to_thread(on.flush)
            receiver.status = 200
            await work(1)
            await asyncio.to_thread(receiver.wait, 2)
    assert len(warnings(caplog.records)) == 1


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize(
    ("given", "sent"), [(None, "of-the-environment"), ({"x-key": "mine"}, "mine"), ({}, None)]
)
async def test_the_headers_that_are_sent_are_those_given_or_the_environments_or_none(
    protocol: str, given: dict[str, str] | None, sent: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "X-Key=of%2Dthe%2Denvironment")
    with Receiver() as receiver:
        endpoint = receiver.grpc if protocol == "grpc" else receiver.http
        options = {"protocol": protocol, "endpoint": endpoint, "headers": given}
        async with setup(exporter="otlp", metrics="otlp", **options):  # type: ignore[arg-type]
            await work(1)
        assert receiver.spans
        assert receiver.metrics
        assert {headers.get("x-key") for headers in receiver.headers} == {sent}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier/pigeon"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a b=c"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=c%0A"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "many"),
        ("OTEL_BSP_SCHEDULE_DELAY", "0"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "some"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zip"),
    ],
)
def test_a_variable_that_cannot_be_right_is_named_and_nothing_stays_on(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    monkeypatch.setenv(
        "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc" if "PROTOCOL" not in variable else value
    )
    with pytest.raises(ConfigError, match=variable):
        setup(exporter="otlp")
    assert not telemetry.on
    monkeypatch.delenv(variable)
    with setup(exporter="console"):
        assert telemetry.on


def test_the_sdk_that_is_disabled_keeps_all_off(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "True")
    with caplog.at_level(logging.INFO, OURS), setup(exporter="console") as on:
        assert not telemetry.on
        assert on.tracer_provider is None
        assert on.flush()
    assert "OTEL_SDK_DISABLED is true: nothing is traced" in caplog.text


# -- the console and a file -------------------------------------------------------------------------------


async def test_the_console_shows_spans_on_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with setup(exporter="console"):
        await work(1)
    shown = capsys.readouterr()
    assert shown.err.count('"name": "invoke_agent echo"') == 2
    assert shown.out == ""


class Gone(io.StringIO):
    """A terminal whose window was closed."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


async def test_a_console_that_is_gone_costs_spans_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "stderr", Gone())
    async with setup(exporter="console"):
        await work()
    monkeypatch.undo()
    (warned,) = warnings(caplog.records)
    assert "traces do not reach standard error" in warned
    assert "Broken pipe" in warned


def test_a_file_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"observability\.file: .*No such file or directory"):
        setup(exporter="file", file=str(tmp_path / "none" / "t.jsonl"))
    assert not telemetry.on


async def test_a_full_disk_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    async with setup(exporter="file", file="/dev/full"):
        await work()
    (warned,) = warnings(caplog.records)
    assert "No space left on device" in warned


def test_several_processes_write_whole_lines_into_one_file(tmp_path: Path) -> None:
    """Each line is far longer than a buffer; more than one write of it would mix with others'."""
    path = tmp_path / "t.jsonl"
    code = (
        "import sys; from aixgo.observability import setup\n"
        "with setup(exporter='file', file=sys.argv[1]) as on:\n"
        "    tracer = on.tracer_provider.get_tracer('t')\n"
        "    for _ in range(8):\n"
        "        for _ in range(50): tracer.start_span('s', attributes={'a': 'x' * 900}).end()\n"
        "        on.flush()\n"
    )
    with ThreadPoolExecutor() as threads:
        command = [sys.executable, "-c", code, str(path)]
        for done in threads.map(lambda _: subprocess.run(command, check=True), range(2)):
            assert done.returncode == 0
    requests = [json.loads(line) for line in path.read_text().splitlines()]
    assert sum(str(request).count("'spanId'") for request in requests) == 800


# -- without the packages ---------------------------------------------------------------------------------

WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.startswith({missing!r}):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""


@pytest.mark.parametrize("missing", ["opentelemetry.sdk", "opentelemetry.exporter"])
def test_without_the_packages_the_error_says_what_to_install(missing: str) -> None:
    code = WITHOUT.format(missing=missing) + (
        "from aixgo.errors import MissingExtra\n"
        "from aixgo.observability import setup\n"
        "try: setup(exporter='otlp')\n"
        "except MissingExtra as error: print(error)\n"
        "from aixgo import telemetry; assert not telemetry.on\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "tracing needs a package that is not installed: pip install 'aixgo[otel]'\n"
    )


def test_without_the_packages_a_run_that_is_not_traced_runs(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("agents: [{name: a, role: logger}]\n")
    code = WITHOUT.format(missing="opentelemetry") + (
        "from aixgo.cli import run_verb\n"
        "run = ['run', sys.argv[1], '-i', 'hi', '--no-record']\n"
        "print(run_verb(run), run_verb([*run, '--otel', 'console']))\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "c.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "hi\n0 1\n", done.stderr
    assert done.stderr.splitlines()[-1] == (
        "error: tracing needs a package that is not installed: pip install 'aixgo[otel]'"
    )
