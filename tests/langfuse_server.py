"""A stand-in for Langfuse: the endpoints its API reference documents for traces, scores and projects, and no more.

It proves what is on the wire. What Langfuse's own server makes of that, it cannot prove.
"""

from __future__ import annotations

import base64
import gzip
import json
from http.server import BaseHTTPRequestHandler
from typing import TypeAlias

from tests.otlp import PATIENCE, Received, Receiver

__all__ = ["PUBLIC_KEY", "SECRET_KEY", "LangfuseServer", "Score"]

PUBLIC_KEY = "pk-lf-canary-public"
SECRET_KEY = "sk-lf-canary-secret"
TRACES, SCORES, PROJECTS = (
    "/api/public/otel/v1/traces",
    "/api/public/scores",
    "/api/public/projects",
)

Score: TypeAlias = dict[str, object]


class LangfuseServer(Receiver):
    """Takes what the two keys may send; a 401 shows what was sent, as a careless proxy's does."""

    def __init__(self, *, public_key: str = PUBLIC_KEY, secret_key: str = SECRET_KEY) -> None:
        super().__init__()
        self.scores: list[Score] = []
        self.credential = base64.b64encode(f"{public_key}:{secret_key}".encode()).decode()
        self.failures: list[int] = []
        """Status codes of the next answers about scores."""
        self.refused = 0
        """How many scores of a batch are refused."""

    def score(self, count: int = 1) -> Score:
        """The last score, once there are `count`."""
        self.until(lambda: len(self.scores) >= count, lambda: str(self.scores))
        return self.scores[-1]

    def of_type(self, kind: str) -> list[Received]:
        """The observations of one type."""
        return [s for s in self.spans if s.attributes.get("langfuse.observation.type") == kind]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                organization = {"id": "o1", "name": "Us"}
                project = {"id": "p1", "name": "Ours", "organization": organization, "metadata": {}}
                self._answer(*self._allowed(PROJECTS) or (200, {"data": [project]}))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                server.release.wait(PATIENCE)
                self._note(body)
                refusal = self._allowed(TRACES, SCORES)
                if refusal is None and self.path == TRACES:
                    server.take_traces(body)
                    self._answer(200, {})
                elif refusal is None:
                    self._answer(*self._take_scores(json.loads(body)))
                else:
                    self._answer(*refusal)

            def _note(self, body: bytes) -> None:
                with server._news:
                    server.headers.append({k.lower(): v for k, v in self.headers.items()})
                    server.paths.append(self.path)
                    server.posted.append(body)
                    server._news.notify_all()

            def _take_scores(self, given: list[Score]) -> tuple[int, object]:
                with server._news:
                    if server.failures:
                        return server.failures.pop(0), {"message": "come back later"}
                    server.scores += given
                    server._news.notify_all()
                    if server.refused:
                        wrong = [{"message": "no such trace"}] * server.refused
                        left = len(given) - server.refused
                        return 207, {"accepted": left, "rejected": server.refused, "errors": wrong}
                return 202, {"message": "Accepted"}

            def _allowed(self, *paths: str) -> tuple[int, object] | None:
                sent = self.headers.get("Authorization", "")
                if sent != f"Basic {server.credential}":
                    return 401, {"message": f"Invalid credentials: {sent}"}
                return None if self.path in paths else (404, {"message": "not here"})

            def _answer(self, status: int, body: object) -> None:
                encoded = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(encoded)))
                self.end_headers()
                self.wfile.write(encoded)

            def log_message(self, *args: object) -> None:
                pass

        return Handler
