"""A real OTLP receiver, over gRPC and HTTP, and what it received as a tree. None of the code under test is used here.

`async` tests may block on it for a moment: it works in threads of its own.
"""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent import futures
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

__all__ = ["Received", "Receiver", "tree"]

PATIENCE = 20.0  # seconds until what is waited for has to be there

KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
Value = str | bool | int | float | list[str] | None


@dataclass(kw_only=True)
class Received:
    """One span, as it was on the wire."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Value]
    resource: dict[str, Value]
    scope: str
    schema_url: str
    failed: bool
    status: str
    flags: int
    state: str
    began: int
    ended: int
    children: list[Received] = field(default_factory=list)

    @property
    def service(self) -> Value:
        return self.resource.get("service.name")


class Receiver:
    """Listens on two ports; `with Receiver() as receiver:`. Cleared, `release` holds answers back.

    With another `status` than 200 it refuses, over gRPC with `code`.
    """

    def __init__(
        self, *, status: int = 200, code: grpc.StatusCode = grpc.StatusCode.PERMISSION_DENIED
    ) -> None:
        self.spans: list[Received] = []
        self.metrics: dict[str, Metric] = {}
        self.headers: list[Mapping[str, str]] = []
        self.paths: list[str] = []
        self.posted: list[bytes] = []
        self.release = threading.Event()
        self.release.set()
        self.status = status
        self.code = code
        self._news = threading.Condition()

    def __enter__(self) -> Self:
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.http = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._grpc = grpc.server(futures.ThreadPoolExecutor(4))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(_Traces(self), self._grpc)
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(_Metrics(self), self._grpc)
        self.grpc = f"http://127.0.0.1:{self._grpc.add_insecure_port('127.0.0.1:0')}"
        self._grpc.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.release.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        self._grpc.stop(0).wait()

    def wait(self, count: int) -> list[Received]:
        """The spans, once there are `count`."""
        self.until(lambda: len(self.spans) >= count, lambda: "\n".join(tree(self.spans)))
        return list(self.spans)

    def until(self, holds: Callable[[], bool], shown: Callable[[], str] = str) -> None:
        """Return once `holds`; it is asked whenever something arrives."""
        ends = time.monotonic() + PATIENCE
        with self._news:
            while not holds():
                left = ends - time.monotonic()
                assert left > 0, f"it never came; there is:\n{shown()}"
                self._news.wait(left)

    def take_traces(self, body: bytes) -> None:
        """Decode an export request."""
        request = trace_service_pb2.ExportTraceServiceRequest.FromString(body)
        with self._news:
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        self.spans.append(
                            Received(
                                name=span.name,
                                kind=KINDS[span.kind],
                                trace_id=span.trace_id.hex(),
                                span_id=span.span_id.hex(),
                                parent_id=span.parent_span_id.hex(),
                                attributes=_values(span.attributes),
                                resource=_values(resource.resource.attributes),
                                scope=scope.scope.name,
                                schema_url=scope.schema_url,
                                failed=span.status.code == 2,
                                status=span.status.message,
                                flags=span.flags,
                                state=span.trace_state,
                                began=span.start_time_unix_nano,
                                ended=span.end_time_unix_nano,
                            )
                        )
            self._news.notify_all()

    def take_metrics(self, body: bytes) -> None:
        """Decode an export request."""
        request = metrics_service_pb2.ExportMetricsServiceRequest.FromString(body)
        with self._news:
            for resource in request.resource_metrics:
                for scope in resource.scope_metrics:
                    self.metrics.update({metric.name: metric for metric in scope.metrics})
            self._news.notify_all()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                receiver.release.wait(PATIENCE)
                with receiver._news:
                    receiver.headers.append({k.lower(): v for k, v in self.headers.items()})
                    receiver.paths.append(self.path)
                    receiver.posted.append(body)
                    receiver._news.notify_all()
                if receiver.status == 200 and self.path.endswith("/v1/traces"):
                    receiver.take_traces(body)
                if receiver.status == 200 and self.path.endswith("/v1/metrics"):
                    receiver.take_metrics(body)
                self.send_response(receiver.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *args: object) -> None:
                pass

        return Handler


class _Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def Export(
        self,
        request: trace_service_pb2.ExportTraceServiceRequest,
        context: grpc.ServicerContext,
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        self._receiver.release.wait(PATIENCE)
        sent = {key: str(value) for key, value in context.invocation_metadata()}
        self._receiver.headers.append(sent)
        if self._receiver.status != 200:
            context.abort(self._receiver.code, "not you")
        self._receiver.take_traces(request.SerializeToString())
        return trace_service_pb2.ExportTraceServiceResponse()


class _Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def Export(
        self,
        request: metrics_service_pb2.ExportMetricsServiceRequest,
        context: grpc.ServicerContext,
    ) -> metrics_service_pb2.ExportMetricsServiceResponse:
        sent = {key: str(value) for key, value in context.invocation_metadata()}
        self._receiver.headers.append(sent)
        self._receiver.take_metrics(request.SerializeToString())
        return metrics_service_pb2.ExportMetricsServiceResponse()


def _values(attributes: Iterable[KeyValue]) -> dict[str, Value]:
    return {item.key: _value(item.value) for item in attributes}


def _value(value: AnyValue) -> Value:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [str(_value(item)) for item in value.array_value.values]
    return None if kind is None else getattr(value, kind)


def tree(spans: Iterable[Received], *more: str) -> list[str]:
    """The traces as text: a line per span below its parent, children in the order they began.

    A line has the span's name, kind and service, an error's type, and the attributes `more` names.
    """
    by_id = {span.span_id: span for span in spans}
    for span in by_id.values():
        span.children = []
    roots = []
    for span in sorted(by_id.values(), key=lambda span: span.began):
        parent = by_id.get(span.parent_id)
        if parent is None:
            roots.append(span)
        else:
            assert parent.trace_id == span.trace_id
            parent.children.append(span)
    lines: list[str] = []

    def show(span: Received, depth: int) -> None:
        orphan = "? " if not depth and span.parent_id else ""
        error = f" !{span.attributes.get('error.type')}" if span.failed else ""
        extra = "".join(
            f" {n.rpartition('.')[2]}={span.attributes[n]}" for n in more if n in span.attributes
        )
        lines.append(f"{'  ' * depth}{orphan}{span.name} {span.kind} @{span.service}{error}{extra}")
        for child in span.children:
            show(child, depth + 1)

    for root in roots:
        show(root, 0)
    return lines
