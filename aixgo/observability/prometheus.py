"""The address where Prometheus comes for the metrics: read when it asks, in a thread of its own.

The format is the Prometheus client library's, and so are the names: `aixgo.runtime.calls` is
`aixgo_runtime_calls_total` there. Ours is the listening, because theirs waits for a slow client without bound.

Below: the OpenTelemetry SDK, prometheus_client. Above: metrics.
"""

from __future__ import annotations

import logging
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from aixgo.errors import ConfigError

__all__ = ["Endpoint"]

log = logging.getLogger("aixgo.observability")

PATH = "/metrics"
LONGEST = 5.0  # seconds a client has for its request and our answer
MOST = 8  # clients at a time; others are hung up on
POLL = 0.1  # seconds until the listening thread sees that it is to end


class Endpoint:
    """Listens from the start until `close`; `reader` is what a MeterProvider is given.

    Raises:
        ConfigError: the address cannot be listened at.
    """

    def __init__(self, host: str, port: int) -> None:
        registry = CollectorRegistry()
        try:
            self._server = _Server(host, port, registry)
        except OSError as exc:
            why = exc.strerror or str(exc)
            raise ConfigError(f"observability.prometheus: {host}:{port}: {why}") from exc
        self.reader = PrometheusMetricReader(scope_info_enabled=False, registry=registry)
        bound = f"[{host}]" if ":" in host else host
        self.address = f"{bound}:{self._server.server_address[1]}"
        """Where it listens, with the port it got."""
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL,), name="aixgo-prometheus", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Listen no longer. Doing it twice is fine."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    """One thread for each client, and few of them."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int, registry: CollectorRegistry) -> None:
        if ":" in host:
            self.address_family = socket.AF_INET6
        self._registry = registry
        self._places = threading.BoundedSemaphore(MOST)
        self._turn = threading.Lock()  # the reader mixes up what two collect at once
        super().__init__((host, port), _Request)

    def server_bind(self) -> None:
        """Bind, and look nothing up: the base class asks DNS who we are."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "", self.server_address[1]

    def exposed(self, accept: str) -> tuple[str, bytes]:
        """The metrics as they are now, and the content type a client that accepts `accept` gets."""
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # it asks for a version that is none
            encode, content_type = choose_encoder("")
        with self._turn:
            return content_type, encode(self._registry)

    def process_request(self, request: object, client_address: object) -> None:
        assert isinstance(request, socket.socket)
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._places.release()
            raise

    def process_request_thread(self, request: object, client_address: object) -> None:
        assert isinstance(request, socket.socket)
        timer = threading.Timer(LONGEST, _hang_up, (request,))
        timer.daemon = True
        timer.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            timer.cancel()
            self._places.release()

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - as inherited
        log.debug("a client of the metrics endpoint went away: %r", sys.exception())


def _hang_up(request: socket.socket) -> None:
    try:
        request.shutdown(socket.SHUT_RDWR)
    except OSError:
        log.debug("the client had gone already")


class _Request(BaseHTTPRequestHandler):
    server: _Server
    server_version = "aixgo"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer with the metrics, at PATH only."""
        if urlsplit(self.path).path != PATH:
            self.send_error(404, explain=f"the metrics are at {PATH}")
            return
        content_type, body = self.server.exposed(self.headers.get("Accept", ""))
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Scrapes are no news."""
