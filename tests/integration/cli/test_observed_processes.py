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

AGENTS = f"""
agents:
  - {{name: upper, code: "{PARTS}:upper", version: "7"}}
  - {{name: fails, code: "{PARTS}:fails"}}
orchestration: {{name: flow, pattern: sequential, agents: [upper], version: "3"}}
"""


def written(folder: Path, more: str) -> Path:
    path = folder / "flow.yaml"
    path.write_text(AGENTS + more, encoding="utf-8")
    return path


def test_a_file_has_every_process_of_its_run_traced_as_one_tree(tmp_path: Path) -> None:
    with Receiver() as receiver:
        file = written(
            tmp_path,
            f"observability: {{exporter: otlp, endpoint: '{receiver.http}', service_name: shop}}\n",
        )
        done = aixgo("run", file, "-i", "hi", "--distributed", "--no-record")
        assert (done.stdout, done.returncode) == ("HI\n", 0), done.stderr
        spans = receiver.wait(5)
    assert tree(spans, "gen_ai.agent.version") == [
        "invoke_agent flow client @shop",
        "  invoke_agent flow server @shop version=3",
        "    orchestration.sequential flow internal @shop",
        "      invoke_agent upper client @shop",
        "        invoke_agent upper server @shop version=7",
    ]
    assert len({span.resource["service.instance.id"] for span in spans}) == 2


def test_a_call_and_the_server_it_calls_are_told_the_same_collector(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/socket"
    with Receiver() as receiver:
        otel = ("--otel", receiver.http)
        with started("serve", written(tmp_path, ""), "--address", address, *otel) as server:
            assert server.stdout is not None
            server.stdout.readline()
            assert aixgo("call", address, "flow", "-i", "hi", *otel).stdout == "HI\n"
            lines = tree(receiver.wait(5))
        assert lines[:2] == ["invoke_agent flow client @aixgo", "  invoke_agent flow server @aixgo"]


def test_a_developed_fleet_is_traced_to_one_file(tmp_path: Path) -> None:
    front = f"unix:{tmp_path}/front"
    traces = tmp_path / "traces.jsonl"
    options = ("--address", front, "--otel", f"file:{traces}", "--log-format", "json")
    with started("dev", written(tmp_path, ""), *options) as dev:
        line = json.loads(until_line(dev, "files are watched"))
        assert line["level"] == "info"
        assert aixgo("call", front, "flow", "-i", "hi").stdout == "HI\n"
        dev.terminate()
        assert dev.wait(15) == 0
    exported = [json.loads(line) for line in traces.read_text().splitlines()]
    assert sum(len(request["resourceSpans"]) for request in exported) >= 2
    assert "HI" not in traces.read_text()


def test_in_json_whatever_a_run_and_its_processes_say_is_an_object(tmp_path: Path) -> None:
    done = aixgo(
        *("run", written(tmp_path, "logging: {format: json}\n"), "-i", "hi"),
        *("--agent", "fails", "--distributed", "--no-record"),
    )
    assert done.returncode == 2
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    failure = next(line for line in lines if line.get("process") == "fails")
    assert (failure["agent"], failure["path"]) == ("fails", ["fails"])
    assert "only the log says this" in failure["exception"]
    assert lines[-1]["error_id"] == failure["error_id"]


def test_a_served_process_is_scraped_where_the_option_says(tmp_path: Path) -> None:
    address, more = f"unix:{tmp_path}/socket", ("--prometheus", "0")
    with started("serve", written(tmp_path, ""), "--address", address, *more) as server:
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
    file = written(tmp_path, f"observability: {{prometheus: '127.0.0.1:{port}'}}\n")
    done = aixgo("run", file, "-i", "hi", "--distributed", "--no-record")
    assert (done.stdout, done.returncode) == ("HI\n", 0), done.stderr
