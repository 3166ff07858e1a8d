"""What `setup` refuses, and what a bad receiver does to the work: nothing."""

import logging
import socket
import subprocess
import sys
import threading
import time

import pytest

from aixgo import LocalRuntime, agent, telemetry
from aixgo.errors import AgentNotFound, AgentRefused, ConfigError
from aixgo.observability import Settings, setup
from tests.otlp import Receiver


@agent
async def echo(text: str) -> str:
    return text


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def test_nothing_is_on_until_something_is_asked_for() -> None:
    with setup():
        assert not telemetry.on


def test_variables_alone_switch_nothing_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    with setup():
        assert not telemetry.on


@pytest.mark.parametrize("endpoint", ["collector", "ftp://x", "http://", "http://x:notaport"])
def test_an_endpoint_that_is_no_url_is_refused(endpoint: str) -> None:
    with pytest.raises(ConfigError, match=r"observability\.endpoint"):
        Settings(exporter="otlp", endpoint=endpoint)


def test_a_malformed_header_is_refused_without_its_value() -> None:
    with pytest.raises(ConfigError, match="authorization") as refused:
        Settings(exporter="otlp", headers={"authorization": "s3cret\n"})
    assert "s3cret" not in str(refused.value)


def test_headers_of_the_environment_are_checked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "no-equals-sign")
    with pytest.raises(ConfigError, match="OTEL_EXPORTER_OTLP_HEADERS"):
        setup(exporter="otlp")
    assert not telemetry.on


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
async def test_a_collector_that_is_down_is_one_warning_and_no_error(
    protocol: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    endpoint = f"http://127.0.0.1:{closed_port()}"
    with caplog.at_level(logging.WARNING):
        async with (
            LocalRuntime(echo) as rt,
            setup(exporter="otlp", protocol=protocol, endpoint=endpoint, timeout=0.3),  # type: ignore[arg-type]
        ):
            for _ in range(20):
                assert (await rt.call("echo", "x")).text == "x"
    warned = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(warned) == 1
    assert "do not reach" in warned[0]


def test_closing_takes_no_longer_than_its_bound_when_the_collector_hangs() -> None:
    with Receiver() as receiver:
        receiver.release.clear()
        on = setup(exporter="otlp", endpoint=receiver.http, timeout=60)
        assert on.tracer_provider is not None
        on.tracer_provider.get_tracer("t").start_span("s").end()
        began = time.monotonic()
        on.close()
        assert time.monotonic() - began < 6


@pytest.mark.parametrize(("captured", "found"), [(False, 0), (True, 2)])
async def test_messages_are_in_spans_only_when_asked_for_and_without_secrets(
    captured: bool, found: int
) -> None:
    with Receiver() as receiver:
        async with (
            setup(exporter="otlp", endpoint=receiver.http, capture_content=captured),
            LocalRuntime(echo) as rt,
        ):
            await rt.call("echo", "marker Bearer abcdefgh12345678")
        shown = [span for span in receiver.spans if "marker" in repr(span.attributes)]
        assert len(receiver.spans) == 2
        assert len(shown) == found
        assert "abcdefgh12345678" not in repr(receiver.spans)


@pytest.mark.parametrize(("captured", "said"), [(False, "AgentRefused"), (True, "no: owls")])
async def test_the_words_of_a_refusal_are_in_spans_only_when_content_is_asked_for(
    captured: bool, said: str
) -> None:
    @agent
    async def refuses(text: str) -> str:
        raise AgentRefused(f"no: {text}")

    with Receiver() as receiver:
        async with (
            setup(exporter="otlp", endpoint=receiver.http, capture_content=captured),
            LocalRuntime(refuses) as rt,
        ):
            with pytest.raises(AgentRefused):
                await rt.call("refuses", "owls")
        assert [span.status for span in receiver.spans] == [said, said]
        assert ("owls" in repr(receiver.spans)) is captured


async def test_what_an_error_of_ours_says_of_its_fields_is_in_spans() -> None:
    with Receiver() as receiver:
        async with (
            setup(exporter="otlp", endpoint=receiver.http),
            LocalRuntime(echo) as rt,
        ):
            with pytest.raises(AgentNotFound):
                await rt.call("ecco", "owls")
        assert [span.status for span in receiver.spans] == ["no agent is called 'ecco'"]


def test_closing_as_the_interpreter_ends_delivers_where_no_thread_can_begin_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(self: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    with Receiver() as receiver:
        on = setup(exporter="otlp", endpoint=receiver.http)
        assert on.tracer_provider is not None
        on.tracer_provider.get_tracer("t").start_span("s").end()
        assert on.flush()
        monkeypatch.setattr(threading.Thread, "start", refused)
        on.close()
        monkeypatch.undo()
        assert [span.name for span in receiver.spans] == ["s"]


async def test_metrics_are_delivered_then_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    with Receiver() as receiver:
        on = setup(metrics="otlp", endpoint=receiver.http)
        async with LocalRuntime(echo) as rt:
            await rt.call("echo", "x")
        accepting = threading.Thread.start
        monkeypatch.setattr(
            threading.Thread,
            "start",
            lambda self: refused(self) if self.name == "aixgo-metrics" else accepting(self),
        )
        on.close()
        monkeypatch.undo()
        assert "aixgo.call.duration" in receiver.metrics


def test_metrics_of_a_program_that_ends_without_closing_still_leave() -> None:
    code = """
import asyncio, sys
from aixgo import LocalRuntime, agent
from aixgo.observability import setup

@agent
async def echo(text: str) -> str:
    return text

async def main():
    async with LocalRuntime(echo) as rt:
        await rt.call("echo", "x")

setup(metrics="otlp", prometheus="127.0.0.1:0", endpoint=sys.argv[1])
asyncio.run(main())
"""
    with Receiver() as receiver:
        done = subprocess.run(
            [sys.executable, "-c", code, receiver.http],
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "aixgo.call.duration" in receiver.metrics


async def test_a_trace_that_is_sampled_out_sends_nothing() -> None:
    with Receiver() as receiver:
        async with (
            setup(exporter="otlp", endpoint=receiver.http, sampling=0.0),
            LocalRuntime(echo) as rt,
        ):
            await rt.call("echo", "x")
        assert receiver.spans == []


async def test_a_collector_that_refuses_costs_spans_only(caplog: pytest.LogCaptureFixture) -> None:
    with Receiver(status=401) as receiver:
        async with setup(exporter="otlp", endpoint=receiver.http), LocalRuntime(echo) as rt:
            assert (await rt.call("echo", "x")).text == "x"
    assert [r.levelname for r in caplog.records] == ["WARNING"]


# -- metrics ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["0", "-5", "soon", "inf", "nan"])
def test_an_interval_of_the_environment_that_is_none_is_refused(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", variable)
    with pytest.raises(ConfigError, match="OTEL_METRIC_EXPORT_INTERVAL"):
        setup(metrics="otlp", endpoint="http://127.0.0.1:1")
    assert not telemetry.on


def test_an_endpoint_of_its_own_for_metrics_is_taken_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", f"{receiver.http}/mine")
        with setup(metrics="otlp") as on:
            on.flush()
    assert set(receiver.paths) == {"/mine"}


def test_metrics_to_a_file_need_one() -> None:
    with pytest.raises(ConfigError, match=r"observability\.metrics is 'file'"):
        Settings(metrics="file")


def test_a_file_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"observability\.file: /nowhere/x"):
        setup(metrics="file", file="/nowhere/x")
    assert not telemetry.on


def test_the_sdk_can_be_switched_off_for_metrics_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with setup(metrics="console", prometheus="127.0.0.1:0") as on:
        assert not telemetry.on
        assert on.prometheus_address == ""


def test_enabled_false_keeps_metrics_off() -> None:
    with setup(enabled=False, prometheus="127.0.0.1:0") as on:
        assert on.prometheus_address == ""


async def test_metrics_on_the_console_go_to_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with setup(metrics="console"), LocalRuntime(echo) as rt:
        await rt.call("echo", "x")
    written = capsys.readouterr()
    assert "aixgo.runtime.calls" in written.err
    assert written.out == ""


def test_an_import_loads_nothing_of_metrics() -> None:
    code = (
        "import sys, aixgo, aixgo.observability; from aixgo import LocalRuntime; import aixgo.runtime.local;"
        "print([m for m in sys.modules if m.startswith(('opentelemetry.sdk', 'prometheus_client', 'http.server'))])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name == {package!r}:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Absent())
from aixgo.errors import MissingExtra
from aixgo.observability import setup

try:
    setup(prometheus="127.0.0.1:0")
except MissingExtra as exc:
    print(exc)
"""


@pytest.mark.parametrize("package", ["prometheus_client", "opentelemetry.sdk"])
def test_without_their_packages_metrics_say_what_to_install(package: str) -> None:
    code = WITHOUT.format(package=package)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "metrics needs a package" in done.stdout, done.stderr
    assert "pip install 'aixgo[otel]'" in done.stdout
