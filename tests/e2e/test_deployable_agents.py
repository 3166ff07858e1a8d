"""Every folder of agents/ is served as it stands."""

import json
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.commands import ROOT, TIMEOUT, aixgo, environment, run

pytestmark = pytest.mark.slow

AGENTS = sorted(path.parent.name for path in ROOT.glob("agents/*/agent.yaml"))

FABLE = (
    "A fox saw grapes high on a vine. The fox jumped for the grapes, and jumped again, and missed. "
    "The fox went away. The grapes, said the fox, are sour. The vine kept its grapes."
)
INPUTS = {
    "keywords": FABLE,
    "summariser": (ROOT / "LICENSE").read_text(encoding="utf-8"),
    "ticket-classifier": "My password does not work and the reset mail never arrives.",
}


@contextmanager
def serving(command: Sequence[str | Path], **changes: str) -> Iterator[str]:
    """The first line of a server that is ended with SIGTERM, which it has to obey with exit code 0."""
    server = subprocess.Popen(
        command, cwd=ROOT, env=environment(**changes), stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.send_signal(signal.SIGTERM)
        assert server.wait(TIMEOUT) == 0
    finally:
        server.kill()
        server.communicate()


def check(name: str, answer: str) -> None:
    """Whether `answer` is one to `INPUTS[name]`."""
    if name == "summariser":
        assert 20 < len(answer.split()) <= 120
        assert set(answer.split()) <= set(INPUTS[name].split()), "words the text does not hold"
    elif name == "ticket-classifier":
        verdict = json.loads(answer)
        assert verdict["category"] == "access"
        assert 0.5 < verdict["confidence"] <= 1
    else:
        found = {item["keyword"]: item["count"] for item in json.loads(answer)}
        assert found["fox"] == found["grapes"] == 4
        assert "the" not in found


@pytest.mark.parametrize("name", AGENTS)
def test_an_agents_folder_is_served_and_answers(name: str, tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/socket"
    with serving(aixgo("serve", f"agents/{name}", "--address", address, "--offline")) as line:
        assert line == f"serving {name} at {address}"
        done = run(aixgo("call", address, name, "-i", INPUTS[name]))
        assert done.returncode == 0, done.stderr
        check(name, done.stdout)


def test_the_keywords_agent_refuses_settings_it_cannot_follow(tmp_path: Path) -> None:
    for name in ("agent.py", "agent.yaml"):
        text = (ROOT / "agents" / "keywords" / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace("language: en", "language: fr"), encoding="utf-8")
    done = run(aixgo("run", str(tmp_path), "-i", FABLE))
    assert done.returncode == 1
    assert "there are no stop words for 'fr', only for: en, de" in done.stderr
