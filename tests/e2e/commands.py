"""Commands as a user gives them: real processes in a checkout, with `aixgo` on the path."""

import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from aixgo.cli import run_verb
from tests.inside import inside

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "examples" / "demo"
TIMEOUT = 28  # seconds: a test has 30


def environment(**changes: str) -> dict[str, str]:
    """Ours without what would choose a model, and with this checkout's package, compiled once for all processes."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if "AIXGO" not in name or name == "AIXGO_STATE_DIR"
    }
    own = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "", "COLUMNS": "120"}
    return {**inherited, **own, **changes}


def demo_of(folder: Path, config: str, code: str = "") -> Path:
    """The demo in `folder`, with fewer agents and so fewer processes, and with more code if there is any."""
    shutil.copytree(DEMO, folder)
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    with (folder / "agents.py").open("a", encoding="utf-8") as agents:
        agents.write(code)
    return folder


def run(
    command: Sequence[str | Path], *, timeout: float = TIMEOUT, **changes: str
) -> subprocess.CompletedProcess[str]:
    """Run `command` in the checkout to its end."""
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def demo_inside(**changes: str) -> subprocess.CompletedProcess[str]:
    """The demo in this process, for what ends before there are any agents."""
    program = runpy.run_path(str(DEMO / "run.py"), run_name="demo")
    return inside(program["main"], environment(**changes))


def aixgo_inside(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`aixgo ARGUMENTS…` in this process."""
    return inside(lambda: run_verb([*arguments]), environment())


def aixgo(*arguments: str) -> list[str]:
    """The command `aixgo ARGUMENTS…`."""
    return [sys.executable, "-m", "aixgo", *arguments]
