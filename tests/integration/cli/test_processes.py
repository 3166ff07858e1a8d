"""The processes of a run and of a server: served, called, interrupted, killed, and nothing left behind."""

import asyncio
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from aixgo import DistributedRuntime
from aixgo.errors import AixgoError
from tests.integration.cli.commands import (
    PARTS,
    alive,
    children_of,
    inside,
    started,
    until_line,
)

pytestmark = pytest.mark.slow

AGENTS = f"""
agents:
  - {{name: upper, code: "{PARTS}:upper"}}
  - {{name: waits, code: "{PARTS}:waits"}}
  - {{name: dies, code: "{PARTS}:dies"}}
  - {{name: chat, role: chat}}
orchestration: {{name: flow, pattern: sequential, agents: [upper]}}
"""


SPREAD = f"""
agents:
  - {{name: waits, code: "{PARTS}:waits"}}
  - {{name: upper, code: "{PARTS}:upper"}}
"""


TEAMS = f"""
orchestration:
  pattern: parallel
  agents:
    - upper
    - pattern: reflection
      agents: [{{pattern: mapreduce, agents: [waits]}}, upper]
agents:
  - {{name: waits, code: "{PARTS}:waits"}}
  - {{name: upper, code: "{PARTS}:upper"}}
"""


@pytest.fixture
def spread(tmp_path: Path) -> Path:
    path = tmp_path / "spread.yaml"
    path.write_text(SPREAD, encoding="utf-8")
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(AGENTS, encoding="utf-8")
    return path


def test_served_agents_are_called_and_a_signal_ends_the_server(file: Path, tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/s"
    with started("serve", file, "--offline", "--address", address) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == f"serving chat, dies, flow, upper, waits at {address}\n"
        assert inside("call", address, "upper", "-i", "hi").stdout == "HI\n"
        assert inside("call", address, "flow", "-i", "-", stdin="hi").stdout == "HI\n"
        streamed = inside("call", address, "chat", "-i", "One. Two words here.", "--stream")
        whole = inside("call", address, "chat", "-i", "One. Two words here.", "--json")
        assert streamed.stdout == json.loads(whole.stdout)["payload"] + "\n"
        assert inside("call", address, "uper", "-i", "hi").returncode == 2
        late = inside("call", address, "waits", "-i", "hi", "--timeout", "200ms")
        assert late.returncode == 3
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0


def test_only_the_named_agents_are_served(file: Path, tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/s"
    with started("serve", file, "--agent", "upper", "--address", address) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == f"serving upper at {address}\n"
        assert "no agent is called 'chat'" in inside("call", address, "chat", "-i", "x").stderr


def test_a_call_goes_over_the_transport_that_is_named(file: Path, tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/s"
    call = ("call", address, "upper", "-i", "hi", "--transport")
    with started("serve", file, "--agent", "upper", "--address", address) as server:
        assert server.stdout is not None
        assert server.stdout.readline()
        framed = inside(*call, "stream", AIXGO_WIRE="debug")
        plain = inside(*call, "unary", AIXGO_WIRE="debug")
    assert (framed.stdout, plain.stdout) == ("HI\n", "HI\n")
    assert "hello" in framed.stderr
    assert plain.stderr == ""


def test_health_is_asked_at_an_address_of_its_own(file: Path, tmp_path: Path) -> None:
    address, probes = f"unix:{tmp_path}/s", f"unix:{tmp_path}/h"
    with started("serve", file, "--offline", "--address", address, "--health", probes) as server:
        assert server.stdout is not None
        assert server.stdout.readline()
        asked = inside("health", probes)
        assert (asked.stdout, asked.returncode) == ("serving\n", 0)
        assert inside("health", probes, "--agent", "upper").returncode == 0
        unknown = inside("health", probes, "--agent", "uper")
        assert (unknown.stdout, unknown.returncode) == ("no agent 'uper' there\n", 2)
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0
    gone = inside("health", probes, "--timeout", "1s")
    assert gone.returncode == 2
    assert "unreachable: no such socket" in gone.stderr


def test_a_folder_of_one_agent_is_served(tmp_path: Path) -> None:
    folder = tmp_path / "shouter"
    folder.mkdir()
    (folder / "agent.yaml").write_text(f'code: "{PARTS}:upper"\n')
    with started("serve", folder, "--address", f"unix:{tmp_path}/s") as server:
        assert server.stdout is not None
        assert server.stdout.readline().startswith("serving shouter at ")
        assert inside("call", f"unix:{tmp_path}/s", "shouter", "-i", "hi").stdout == "HI\n"


def test_a_port_in_use_is_told(file: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = inside("serve", file, "--agent", "upper", "--address", f"127.0.0.1:{port}")
    assert done.returncode == 1
    assert "in use" in done.stderr


@pytest.mark.parametrize("address", ["nowhere", "host:port", "127.0.0.1", "127.0.0.1:99999", ""])
def test_an_address_that_does_not_parse_is_told(address: str) -> None:
    done = inside("call", address, "a", "-i", "x")
    assert done.returncode == 1
    assert "error: " in done.stderr
    assert "Traceback" not in done.stderr


def test_plaintext_does_not_leave_the_machine_unasked(file: Path) -> None:
    done = inside("serve", file, "--agent", "upper", "--address", "0.0.0.0:0")
    assert done.returncode == 1
    assert "insecure" in done.stderr


def test_nobody_at_the_address_is_told_at_once() -> None:
    done = inside("call", "127.0.0.1:1", "a", "-i", "x")
    assert done.returncode == 2
    assert "Unavailable" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_exit_code_4_and_leaves_no_process(
    spread: Path, number: signal.Signals
) -> None:
    with started("run", spread, "--agent", "waits", "-i", "x", "--distributed") as run:
        until_line(run, "[waits] waiting")
        children = children_of(run.pid)
        assert len(children) == 2
        run.send_signal(number)
        _, log = run.communicate(timeout=20)
        assert run.returncode == 4
        assert "interrupted" in log
        assert "Traceback" not in log
        assert [pid for pid in children if alive(pid)] == []


@pytest.mark.parametrize("end", ["interrupted", "an agent's process killed"])
def test_teams_within_teams_end_when_they_are_stopped_in_the_middle(
    tmp_path: Path, end: str
) -> None:
    file = tmp_path / "teams.yaml"
    file.write_text(TEAMS, encoding="utf-8")
    with started("run", file, "-i", "x", "--distributed") as run:
        until_line(run, "[waits] waiting")
        children = children_of(run.pid)
        if end == "interrupted":
            run.send_signal(signal.SIGINT)
        else:
            os.kill(min(children), signal.SIGKILL)
        _, log = run.communicate(timeout=20)
        assert run.returncode == (4 if end == "interrupted" else 2)
        assert ("interrupted" if end == "interrupted" else "ended with signal SIGKILL") in log
        assert [pid for pid in children if alive(pid)] == []


def test_children_end_when_their_run_is_killed(spread: Path) -> None:
    with started("run", spread, "--agent", "waits", "-i", "x", "--distributed") as run:
        until_line(run, "[waits] waiting")
        watches = [os.pidfd_open(pid) for pid in children_of(run.pid)]
        run.kill()
        for watch in watches:
            _, _, _ = select.select([watch], [], [], 15)
            assert select.select([watch], [], [], 0)[0], "a child outlived its run"
            os.close(watch)


def test_a_child_that_is_killed_ends_the_run_with_its_reason(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(f'agents: [{{name: dies, code: "{PARTS}:dies"}}]')
    done = inside("run", file, "-i", "x", "--distributed")
    assert done.returncode == 2
    assert "'dies' is unavailable: its process ended with signal SIGKILL" in done.stderr


def test_a_child_that_is_killed_by_others_ends_a_run_that_waits_for_another(spread: Path) -> None:
    with started("run", spread, "--agent", "waits", "-i", "x", "--distributed") as run:
        until_line(run, "[waits] waiting")
        os.kill(max(children_of(run.pid)), signal.SIGKILL)
        _, log = run.communicate(timeout=20)
        assert run.returncode == 2
        assert "its process ended with signal SIGKILL" in log


async def test_a_second_signal_ends_a_server_with_open_connections_at_once(
    file: Path, tmp_path: Path
) -> None:
    """GRPC waits for a server that was not stopped, when Python lets go of it: here as soon as it may."""
    code = (
        "import atexit, gc, sys; atexit.register(gc.collect); "
        "from aixgo.cli import main; sys.exit(main())"
    )
    address = f"unix:{tmp_path}/s"
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, "serve", str(file), "--agent", "upper", "--address", address),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert server.stdout is not None
        assert await server.stdout.readline()
        async with DistributedRuntime(peers={"upper": address}) as rt:
            await rt.call("upper", "hi")
            server.send_signal(signal.SIGTERM)
            with contextlib.suppress(AixgoError):
                await rt.call("upper", "more")  # refused, once it drains
            server.send_signal(signal.SIGTERM)
            async with asyncio.timeout(10):
                await server.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            server.kill()
        await server.wait()
