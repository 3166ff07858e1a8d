"""A fleet of containers from docker-compose.yml, as a project of its own that leaves nothing behind."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from tests.services import ROOT

IMAGE = "aixgo-test"
CALLERS = 8
PATIENCE = 120.0  # seconds for anything that is waited for
LOAD = (ROOT / "tests" / "containers" / "load.py").read_text(encoding="utf-8")


def run(*command: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment(),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert not check or done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}{done.stderr}"
    return done


def environment() -> dict[str, str]:
    """Ours, without what would make the fleet ask a model or send traces."""
    passed = {k: v for k, v in os.environ.items() if not k.startswith(("AIXGO_", "OTEL_"))}
    return {**passed, "AIXGO_IMAGE": IMAGE}


def build() -> float:
    """Make the image, from BASE if that is set, and return the seconds it took."""
    given = ["--build-arg", f"BASE={base}"] if (base := os.environ.get("BASE")) else []
    options = shlex.split(os.environ.get("BUILD", ""))
    began = time.monotonic()
    run("docker", "build", "-f", "services/Dockerfile", "-t", IMAGE, *given, *options, ".")
    return time.monotonic() - began


def image_size() -> int:
    return int(run("docker", "image", "inspect", "-f", "{{.Size}}", IMAGE).stdout)


class Load:
    """Callers at work; `after` waits for more of their calls."""

    def __init__(self, stdin: IO[str], stdout: IO[str]) -> None:
        self._stdin, self._stdout = stdin, stdout

    def after(self, calls: int) -> Calls:
        """How all calls went, once `calls` more have ended."""
        self._stdin.write(f"{calls}\n")
        self._stdin.flush()
        told = json.loads(self._stdout.readline())
        return Calls(answers=told["answers"], failures=told["failures"])


@dataclass(frozen=True)
class Calls:
    answers: dict[str, int]
    """Text of an answer → how many got it."""
    failures: dict[str, int]

    @property
    def failed(self) -> int:
        return sum(self.failures.values())


class Fleet:
    """What runs: compose commands and a look at the containers."""

    def __init__(self, compose: Sequence[str], project: str) -> None:
        self._compose = (*compose, "-p", project)
        self.project = project

    def compose(
        self, *arguments: str, stdin: str = "", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        return run(*self._compose, *arguments, stdin=stdin, check=check)

    def ask(self, text: str) -> str:
        """What `docker compose run --rm -T ask` answers."""
        return self.compose("run", "--rm", "-T", "ask", stdin=text).stdout

    def containers(self, service: str) -> list[str]:
        return self.compose("ps", "-q", service).stdout.split()

    def wait_until_healthy(self, since: float, containers: Iterable[str]) -> float:
        """The seconds from `since`, of `time.time()`, until each of `containers` takes calls."""
        waiting = set(containers)
        command = ("docker", "events", "--since", f"{since:.3f}", "--until", f"{since + PATIENCE}")
        told = (*command, "--filter", "event=health_status", "--format", "{{json .}}")
        with subprocess.Popen(told, stdout=subprocess.PIPE, env=environment()) as events:
            assert events.stdout is not None
            for line in events.stdout:
                event = json.loads(line)
                if event["status"] == "health_status: healthy":
                    waiting.discard(event["id"])
                if not waiting:
                    break
            events.terminate()
        assert not waiting, f"not healthy: {waiting}"
        return time.time() - since

    @contextmanager
    def load(self, text: str) -> Iterator[Load]:
        """Callers of the entry, in a container like that of `ask`, until the end of the block."""
        command = (*self._compose, "run", "--rm", "-T", "--entrypoint", "python", "ask")
        with subprocess.Popen(
            (*command, "-c", LOAD, str(CALLERS), text),
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            yield Load(process.stdin, process.stdout)

    def leftovers(self) -> dict[str, list[str]]:
        """Containers, volumes and networks of this project."""
        label = f"label=com.docker.compose.project={self.project}"
        asked = {
            "containers": ("ps", "-aq"),
            "volumes": ("volume", "ls", "-q"),
            "networks": ("network", "ls", "-q"),
        }
        return {
            kind: run("docker", *command, "--filter", label).stdout.split()
            for kind, command in asked.items()
        }
