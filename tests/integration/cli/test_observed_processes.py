"""Traces and logs of real commands and the processes they start: from a file, and as the command line says."""

import json
import re
import socket
import urllib.request
from pathlib import Path

import pytest

from tests.integration.cli.commands import PARTS, aixgo, started, until_line
from tests.otlp import Receiver, tree

pytestmark = pytest.mark.slow

AGENTS = """
agents:
  - {{name: upper, code: "{parts}:upper", version: "7"}}
  - {{name: fails, code: "{parts}:fails"}}
orchestration: {{name: flow, pattern: sequential, agents: [{agents}], version: "3"}}
"""


def written(folder: Path, agents: str, more: str = "") -> Path:
    path = folder / "flow.yaml"
    path.write_text(AGENTS.format(parts=PARTS, agents=agents) + more, encoding="utf-8")
    return path


def test_a_file_has_every_process_of_its_run_traced_and_logged_as_one(tmp_path: Path) -> None:
    with Receiver() as receiver:
        observability = f"{{exporter: otlp, endpoint: '{receiver.http}', service_name: shop}}"
        more = f"observability: {observability}\nlogging: {{format: json}}\n"
        file = written(tmp_path, "upper, fails", more)
        done = aixgo("run", file, "-i", "hi", "--distributed", "--no-record")
        spans = receiver.wait(7)
    assert done.returncode == 2
    assert tree(spans, "gen_ai.agent.version") == [
        "invoke_agent flow client @shop !AgentFailed",
        "  invoke_agent flow server @shop !AgentFailed version=3",
        "    orchestration.sequential flow internal @shop !AgentFailed version=3",
        "      invoke_agent upper client @shop",
        "        invoke_agent upper server @shop version=7",
        "      invoke_agent fails client @shop !AgentFailed",
        "        invoke_agent fails server @shop !AgentFailed",
    ]
    assert len({span.resource["service.instance.id"] for span in spans}) == 3
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    failure = next(line for line in lines if line.get("process") == "fails")
    assert failure["path"] == ["flow", "fails"]
    assert "only the log says this" in failure["exception"]
    span = next(span for span in spans if span.span_id == failure["span_id"])
    assert (span.kind, span.attributes["gen_ai.agent.name"]) == ("server", "fails")
    assert lines[-1]["error_id"] == failure["error_id"] == span.attributes["aixgo.error.id"]


def test_the_log_of_a_server_that_is_not_traced_tells_its_caller_s_trace(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/socket"
    options = ("--address", address, "--agent", "fails", "--log-format", "json")
    with Receiver() as receiver, started("serve", written(tmp_path, "upper"), *options) as server:
        assert server.stdout is not None
        server.stdout.readline()
        called = aixgo("call", address, "fails", "-i", "hi", "--otel", receiver.http)
        assert called.returncode == 2
        line = json.loads(until_line(server, "fails"))
        (span,) = receiver.wait(1)
    assert (line["trace_id"], line["span_id"]) == (span.trace_id, span.span_id)


def test_a_developed_fleet_is_traced_to_one_file(tmp_path: Path) -> None:
    front = f"unix:{tmp_path}/front"
    traces = tmp_path / "traces.jsonl"
    options = ("--address", front, "--otel", f"file:{traces}", "--log-format", "json")
    with started("dev", written(tmp_path, "upper"), *options) as dev:
        line = json.loads(until_line(dev, "files are watched"))
        assert line["level"] == "info"
        assert aixgo("call", front, "flow", "-i", "hi").stdout == "HI\n"
        dev.terminate()
        assert dev.wait(15) == 0
    exported = [json.loads(line) for line in traces.read_text().splitlines()]
    assert sum(len(request["resourceSpans"]) for request in exported) >= 2
    assert "HI" not in traces.read_text()


def test_a_served_process_is_scraped_where_the_option_says(tmp_path: Path) -> None:
    address, more = f"unix:{tmp_path}/socket", ("--prometheus", "0")
    with started("serve", written(tmp_path, "upper"), "--address", address, *more) as server:
        (scraped,) = re.findall(
            r"http://(127\.0\.0\.1:\d+)/metrics", until_line(server, "metrics are at")
        )
        assert server.stdout is not None
        server.stdout.readline()
        assert aixgo("call", address, "flow", "-i", "hi").stdout == "HI\n"
        with urllib.request.urlopen(f"http://{scraped}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    assert 'aixgo_agent_duration_seconds_count{gen_ai_agent_name="upper"} 1.0' in text


def test_the_processes_of_a_run_do_not_fight_for_the_address_of_prometheus(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    more = f"observability: {{prometheus: '127.0.0.1:{port}'}}\n"
    file = written(tmp_path, "upper", more)
    done = aixgo("run", file, "-i", "hi", "--distributed", "--no-record")
    assert (done.stdout, done.returncode) == ("HI\n", 0), done.stderr
