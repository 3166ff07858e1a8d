"""Arize Phoenix, started on ports and in a folder of its own, and its REST API."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Phoenix", "Seen", "phoenix", "shown"]

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

    @property
    def counted(self) -> str:
        """The same as text, empty without any."""
        return f"{self.tokens} tokens" if self.tokens else ""


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
        self._said = folder / "log"
        with self._said.open("wb") as log:
            self._process = subprocess.Popen(
                [PROGRAM, "serve"], env={**os.environ, **environment}, stdout=log, stderr=log
            )
        began = time.monotonic()
        self._until(
            lambda: b"Uvicorn running" in self._said.read_bytes(), START, "it does not start"
        )
        self.started_in = time.monotonic() - began

    def spans(self, project: str, count: int) -> list[Seen]:
        """The spans of a project, once there are `count`."""
        found: list[Seen] = []

        def are_there() -> bool:
            found[:] = self._ask(project)
            return len(found) >= count

        self._until(are_there, PATIENCE, f"there are no {count} spans in {project}")
        return found

    def end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(self, project: str) -> list[Seen]:
        url = f"{self.http}/v1/projects/{project}/spans?limit=1000"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                rows = json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 404:  # nothing has arrived yet
                return []
            raise
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

    def _until(self, holds: Callable[[], bool], patience: float, else_: str) -> None:
        ends = time.monotonic() + patience
        while not holds():
            assert time.monotonic() < ends, else_
            try:
                self._process.wait(PAUSE)
            except subprocess.TimeoutExpired:
                continue
            pytest.fail(f"Phoenix ended:\n{self._said.read_text(errors='replace')[-2000:]}")


def shown(spans: list[Seen], *more: Callable[[Seen], str]) -> list[str]:
    """The traces as text: a line per span below its parent, children by name, with Phoenix's kind and errors."""
    by_id = {span.span_id: span for span in spans}
    roots = []
    for span in sorted(spans, key=lambda span: (span.name, span.kind)):
        parent = by_id.get(span.parent_id)
        if parent is None:
            roots.append(span)
        else:
            assert parent.trace_id == span.trace_id
            parent.children.append(span)
    lines: list[str] = []

    def show(span: Seen, depth: int) -> None:
        orphan = "? " if not depth and span.parent_id else ""
        words = [span.kind, "!" if span.status == "ERROR" else "", *(each(span) for each in more)]
        lines.append(f"{'  ' * depth}{orphan}{span.name} {' '.join(filter(None, words))}")
        for child in span.children:
            show(child, depth + 1)

    for root in roots:
        show(root, 0)
    return lines


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
