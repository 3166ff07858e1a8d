"""Arize Phoenix, started on ports and in a folder of its own, and its REST API."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Phoenix", "Seen", "phoenix"]

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / ".cache" / "phoenix-venv" / "bin" / "phoenix"
START = 180.0  # seconds; it takes a quarter of a minute on a quiet machine
PATIENCE = 60.0  # seconds until what was sent can be read
PAUSE = 0.25  # seconds between two looks; it announces nothing


@dataclass(kw_only=True)
class Seen:
    """One span as Phoenix tells of it, with its own reading of what kind it is."""

    name: str
    kind: str
    status: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    children: list[Seen] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        """What Phoenix counts for this span."""
        sides = ("llm.token_count.prompt", "llm.token_count.completion")
        return sum(int(self.attributes.get(side, 0)) for side in sides)


class Phoenix:
    """A running Phoenix."""

    def __init__(self, folder: Path) -> None:
        ports = _free_ports(2)
        self.http, self.grpc = (f"http://127.0.0.1:{port}" for port in ports)
        environment = {
            "PHOENIX_HOST": "127.0.0.1",
            "PHOENIX_PORT": str(ports[0]),
            "PHOENIX_GRPC_PORT": str(ports[1]),
            "PHOENIX_WORKING_DIR": str(folder),
            "PHOENIX_TELEMETRY_ENABLED": "false",
            "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
        }
        self._process = subprocess.Popen(
            [PROGRAM, "serve"],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.started_in = self._until_it_serves()

    def spans(self, project: str, count: int) -> list[Seen]:
        """The spans of a project, once there are `count`."""
        ends = time.monotonic() + PATIENCE
        found: list[Seen] = []
        while len(found) < count:
            assert time.monotonic() < ends, f"{len(found)} of {count} spans: {shown(found)}"
            try:
                self._process.wait(PAUSE)
            except subprocess.TimeoutExpired:
                found = self._ask(project)
            else:
                pytest.fail("Phoenix ended")
        return found

    def end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _ask(self, project: str) -> list[Seen]:
        try:
            with urllib.request.urlopen(
                f"{self.http}/v1/projects/{project}/spans?limit=1000", timeout=10
            ) as answer:
                rows = json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                if error.code != 404:  # which says that nothing has arrived yet
                    raise
            return []
        return [
            Seen(
                name=row["name"],
                kind=row["span_kind"],
                status=row["status_code"],
                trace_id=row["context"]["trace_id"],
                span_id=row["context"]["span_id"],
                parent_id=row["parent_id"] or "",
                attributes=row["attributes"],
            )
            for row in rows
        ]

    def _until_it_serves(self) -> float:
        """Seconds until it said that it does."""
        began = time.monotonic()
        said = b""
        pipe = self._process.stdout
        assert pipe is not None
        while b"Uvicorn running" not in said:
            left = began + START - time.monotonic()
            ready = select.select([pipe], [], [], max(0.0, left))[0]
            more = os.read(pipe.fileno(), 65_536) if ready else b""
            assert more, f"Phoenix does not start:\n{said.decode(errors='replace')}"
            said += more
        return time.monotonic() - began


def shown(spans: list[Seen], *more: Callable[[Seen], str]) -> list[str]:
    """The traces as sorted text, a line per span with its path of names from the root and Phoenix's kind."""
    by_id = {span.span_id: span for span in spans}

    def path(span: Seen) -> str:
        above = by_id.get(span.parent_id)
        orphan = "?/" if span.parent_id and above is None else ""
        return f"{path(above)}/{span.name}" if above is not None else f"{orphan}{span.name}"

    return sorted(
        " ".join([path(span), span.kind, *(each(span) for each in more)]) for span in spans
    )


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture(scope="session")
def phoenix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Phoenix]:
    if not PROGRAM.exists():
        pytest.fail("`make test-backends` installs Phoenix first")
    made = Phoenix(tmp_path_factory.mktemp("phoenix"))
    try:
        yield made
    finally:
        made.end()
