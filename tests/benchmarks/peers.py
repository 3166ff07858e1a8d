"""The libraries aixgo is compared with, each in an environment of its own under .cache."""

import subprocess
import sys
import venv
from pathlib import Path

from tests.benchmarks.processes import ROOT

AUTOGEN = Path(__file__).with_name("autogen-requirements.txt")
LANGGRAPH = Path(__file__).with_name("langgraph-requirements.txt")


def autogen() -> Path | None:
    """The interpreter of an environment with autogen-core and -ext, or None when it cannot be installed."""
    return _environment(ROOT / ".cache" / "autogen-venv", AUTOGEN)


def langgraph() -> Path | None:
    """The interpreter of an environment with langgraph, or None when it cannot be installed."""
    return _environment(ROOT / ".cache" / "langgraph-venv", LANGGRAPH)


def _environment(home: Path, requirements: Path) -> Path | None:
    python, stamp = home / "bin" / "python", home / "installed"
    wanted = f"{home} {sys.version}\n{requirements.read_text()}"
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"Installing {requirements.name} into {home.relative_to(ROOT)}", flush=True)
    try:
        venv.create(home, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, "-r", str(requirements)], check=True, timeout=300)
    except (subprocess.SubprocessError, OSError) as error:
        print(f"{requirements.name} could not be installed: {error}", file=sys.stderr)
        return None
    stamp.write_text(wanted)
    return python
