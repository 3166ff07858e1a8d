"""Real `aixgo` processes, for the tests of this folder."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tests.inside
from aixgo.cli import run_verb

ROOT = Path(__file__).resolve().parents[3]
PARTS = Path(__file__).with_name("parts.py")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def aixgo(
    *arguments: object, stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "aixgo", *map(str, arguments)],
        env={**ENVIRONMENT, **environment},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=25,
        check=False,
    )


def inside(
    *arguments: object, stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end in this process, which saves most of a second: what it starts are processes."""
    return tests.inside.inside(
        lambda: run_verb([*map(str, arguments)]), {**ENVIRONMENT, **environment}, stdin=stdin
    )


@contextmanager
def started(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A command that goes on until the test ends it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "aixgo", *map(str, arguments)],
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    guard = threading.Timer(25, process.kill)
    guard.start()
    try:
        yield process
    finally:
        guard.cancel()
        process.kill()
        process.communicate()


def children_of(pid: int) -> list[int]:
    """The processes whose parent is `pid`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:  # it ended while we looked
                continue
            if int(parent) == pid:
                found.append(int(entry.name))
    return found


def alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until_line(process: subprocess.Popen[str], wanted: str) -> str:
    """The first line of its log that holds `wanted`; the timer of `started` ends a wait in vain."""
    assert process.stderr is not None
    for line in process.stderr:
        if wanted in line:
            return line
    raise AssertionError(f"it ended without saying {wanted!r}")
