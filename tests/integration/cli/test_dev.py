"""`aixgo dev`: a fleet that follows its files, survives their faults, and ends as a whole."""

import os
import signal
from pathlib import Path

import pytest

from tests.integration.cli.commands import alive, children_of, inside, started, until_line

pytestmark = pytest.mark.slow

AGENTS = """
agents:
  - {name: mark, code: "./parts.py:mark"}
  - {name: chat, role: chat}
orchestration: {name: flow, pattern: sequential, agents: [mark]}
"""
PARTS = """
from aixgo import agent

@agent
async def mark(text: str) -> str:
    return text + "1"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "c.yaml").write_text(AGENTS, encoding="utf-8")
    (tmp_path / "parts.py").write_text(PARTS, encoding="utf-8")
    return tmp_path


def change(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def test_a_change_starts_the_fleet_again_and_a_fault_in_the_file_does_not(folder: Path) -> None:
    front = f"unix:{folder}/front"
    with started("dev", folder / "c.yaml", "--offline", "--address", front) as dev:
        until_line(dev, "files are watched")
        assert inside("call", front, "flow", "-i", "x").stdout == "x1\n"
        change(folder / "c.yaml", "sequential", "sequentail")
        assert "sequentail" in until_line(dev, "error:")
        assert inside("call", front, "flow", "-i", "x").stdout == "x1\n"  # what ran goes on
        change(folder / "c.yaml", "sequentail", "sequential")
        change(folder / "parts.py", '"1"', '"22"')
        until_line(dev, "starting again")
        until_line(dev, "files are watched")
        assert inside("call", front, "flow", "-i", "x").stdout == "x22\n"


def test_code_that_does_not_load_is_reported_and_waited_for(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Wherever it is: here in the folder of an agent, away from the configuration."""
    front = f"unix:{folder}/front"
    away = tmp_path_factory.mktemp("away")
    (away / "agent.yaml").write_text("name: mark\ncode: ./parts.py:mark\n", encoding="utf-8")
    (folder / "parts.py").rename(away / "parts.py")
    change(folder / "c.yaml", '{name: mark, code: "./parts.py:mark"}', f"folder: {away}")
    change(away / "parts.py", "async def", "async deaf")
    with started("dev", folder / "c.yaml", "--offline", "--address", front) as dev:
        until_line(dev, "parts.py")
        until_line(dev, "waiting for a change")
        change(away / "parts.py", "async deaf", "async def")
        until_line(dev, "files are watched")
        assert inside("call", front, "flow", "-i", "x").stdout == "x1\n"


def test_one_ctrl_c_ends_every_process(folder: Path) -> None:
    with started("dev", folder / "c.yaml", "--offline", "--address", f"unix:{folder}/f") as dev:
        until_line(dev, "files are watched")
        processes = children_of(dev.pid)
        assert len(processes) == 3
        dev.send_signal(signal.SIGINT)
        assert dev.wait(15) == 0
        assert not any(map(alive, processes))


def test_a_process_that_dies_is_named_and_the_rest_waits_for_a_change(folder: Path) -> None:
    with started("dev", folder / "c.yaml", "--offline", "--address", f"unix:{folder}/f") as dev:
        line = until_line(dev, "  mark ")
        until_line(dev, "files are watched")
        pid = int(line.split("process ")[1].split()[0])
        assert pid in children_of(dev.pid)
        os.kill(pid, signal.SIGKILL)
        assert "'mark' is unavailable: its process ended with signal SIGKILL" in until_line(
            dev, "error:"
        )
        until_line(dev, "waiting for a change")
        assert children_of(dev.pid) == []


def test_wrong_options_are_told_before_anything_starts(folder: Path) -> None:
    nowhere = inside("dev", folder / "c.yaml", "--watch", folder / "none")
    assert nowhere.returncode == 1
    assert "there is no such folder to watch" in nowhere.stderr
    assert inside("dev", folder / "none.yaml").returncode == 1
    refused = inside("dev", folder / "c.yaml", "--address", "127.0.0.1:99999")
    assert refused.returncode == 1
    assert "99999 is no port" in refused.stderr
