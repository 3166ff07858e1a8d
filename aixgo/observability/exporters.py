"""Where spans and metrics go: OTLP over HTTP or gRPC, the console, a file.

What the settings leave open is read from the OTEL_* variables, as their specification says. Everything that can
be wrong about an address or a header is found here, before anything is sent.

Below: settings, the OpenTelemetry SDK and its exporters. Above: setup.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote

import requests
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    MetricExporter,
    MetricExportResult,
    MetricsData,
)
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter, SpanExportResult

from aixgo.errors import ConfigError
from aixgo.observability.settings import Settings, check_headers, check_url, current_endpoint

__all__ = [
    "FileMetricExporter",
    "FileSpanExporter",
    "metric_exporter",
    "only_these_headers",
    "span_exporter",
]

if TYPE_CHECKING:
    from google.protobuf.message import Message

log = logging.getLogger("aixgo.observability")

PROTOCOLS = ("http/protobuf", "grpc")
NO_HEADERS = ","  # a list of none; for nothing at all the exporter would take the environment's
DEFAULT_PORTS = {"http/protobuf": 4318, "grpc": 4317}


def span_exporter(settings: Settings) -> tuple[SpanExporter, str]:
    """The exporter of traces, and the name of its receiver.

    Raises:
        ConfigError: an address, a header or a file cannot be used.
    """
    if settings.exporter == "console":
        return ConsoleSpanExporter(out=sys.stderr), "standard error"
    if settings.exporter == "file":
        return FileSpanExporter(Path(settings.file).expanduser()), settings.file
    protocol, url, headers = _otlp(settings, "traces")
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as over_grpc

        return over_grpc.OTLPSpanExporter(
            endpoint=url, headers=headers or NO_HEADERS, timeout=settings.timeout
        ), url
    from opentelemetry.exporter.otlp.proto.http import trace_exporter as over_http

    return over_http.OTLPSpanExporter(
        endpoint=url,
        headers=headers,
        timeout=settings.timeout,
        session=only_these_headers(headers),
    ), url


def only_these_headers(headers: Mapping[str, str], signal: str = "traces") -> requests.Session:
    """A session for an exporter over HTTP that sends `headers` and none of the environment's beside them.

    The exporter adds what OTEL_EXPORTER_OTLP_HEADERS names to what it is given, and that may be a key to
    another receiver.
    """
    foreign = [name for name in _headers(None, signal) if name not in headers]

    def strip(request: requests.PreparedRequest) -> requests.PreparedRequest:
        for name in foreign:
            request.headers.pop(name, None)
        return request

    session = requests.Session()
    session.auth = strip
    return session


def _otlp(settings: Settings, signal: str) -> tuple[str, str, dict[str, str]]:
    """Protocol, URL and headers of one signal."""
    protocol = settings.protocol or _variable("PROTOCOL", signal)[1] or "http/protobuf"
    if protocol not in PROTOCOLS:
        name = _variable("PROTOCOL", signal)[0]
        raise ConfigError(f"{name} is {protocol!r}, not one of {', '.join(PROTOCOLS)}")
    name, found = _variable("ENDPOINT", signal)
    of_signal = found and not settings.endpoint and f"_{signal.upper()}_" in name
    url = settings.endpoint or found or f"http://localhost:{DEFAULT_PORTS[protocol]}"
    url, moved = current_endpoint(
        check_url(url, "observability.endpoint" if settings.endpoint else name)
    )
    if moved:
        log.warning("Jaeger's collector for Thrift takes no OTLP; %s go to %s", signal, url)
        protocol = "http/protobuf"
    path = f"/v1/{signal}"
    if protocol == "http/protobuf" and not of_signal and not url.endswith(path):
        url = url.rstrip("/") + path
    return protocol, url, _headers(settings.headers, signal)


def _headers(given: Mapping[str, str] | None, signal: str) -> dict[str, str]:
    if given is not None:
        return {name.lower(): value for name, value in given.items()}
    name, listed = _variable("HEADERS", signal)
    found: dict[str, str] = {}
    for item in filter(None, (part.strip() for part in listed.split(","))):
        key, equals, value = item.partition("=")
        if not equals:
            raise ConfigError(f"{name}: every item must be name=value, and one has no '='")
        found[key.strip().lower()] = unquote(value.strip())
    check_headers(found, name)
    return found


def _variable(what: str, signal: str) -> tuple[str, str]:
    """The OTEL_EXPORTER_OTLP variable that is set, its signal's own first, and its value."""
    general = f"OTEL_EXPORTER_OTLP_{what}"
    own = f"OTEL_EXPORTER_OTLP_{signal.upper()}_{what}"
    name = own if os.environ.get(own) else general
    return name, os.environ.get(name, "").strip()


def metric_exporter(settings: Settings) -> tuple[MetricExporter, str]:
    """The exporter of metrics, and the name of its receiver.

    Raises:
        ConfigError: an address, a header or a file cannot be used.
    """
    if settings.metrics == "console":
        return ConsoleMetricExporter(out=sys.stderr), "standard error"
    if settings.metrics == "file":
        return FileMetricExporter(Path(settings.file).expanduser()), settings.file
    protocol, url, headers = _otlp(settings, "metrics")
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc import metric_exporter as over_grpc

        return over_grpc.OTLPMetricExporter(
            endpoint=url, headers=headers or NO_HEADERS, timeout=settings.timeout
        ), url
    from opentelemetry.exporter.otlp.proto.http import metric_exporter as over_http

    return over_http.OTLPMetricExporter(
        endpoint=url,
        headers=headers,
        timeout=settings.timeout,
        session=only_these_headers(headers, "metrics"),
    ), url


class _Lines:
    """Appends OTLP JSON to a file only we can read, one export request per line, as collectors read it.

    Raises:
        ConfigError: the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as exc:
            raise ConfigError(f"observability.file: {path}: {exc.strerror}") from exc
        self._file = os.fdopen(descriptor, "ab", buffering=0)

    def append(self, request: Message) -> None:
        from google.protobuf.json_format import MessageToDict

        found = MessageToDict(request, use_integers_for_enums=True)
        _hex_ids(found)
        text = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
        line = memoryview(text.encode(errors="replace") + b"\n")
        while line:  # in one write, so that the lines of several processes do not mix; unless the disk is full
            line = line[self._file.write(line) :]

    def close(self) -> None:
        self._file.close()


class FileSpanExporter(SpanExporter):
    """Appends spans to a file as OTLP JSON lines."""

    def __init__(self, path: Path) -> None:
        self._lines = _Lines(path)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

        self._lines.append(encode_spans(spans))
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self._lines.close()


class FileMetricExporter(MetricExporter):
    """Appends metrics to a file as OTLP JSON lines."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._lines = _Lines(path)

    def export(
        self,
        metrics_data: MetricsData,
        timeout_millis: float = 10_000,  # noqa: ARG002 - a file is not waited for
        **kwargs: object,  # noqa: ARG002 - the SDK's signature
    ) -> MetricExportResult:
        from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics

        self._lines.append(encode_metrics(metrics_data))
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002 - the SDK's signature
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: object) -> None:  # noqa: ARG002 - the SDK's signature
        self._lines.close()


def _hex_ids(value: object) -> None:
    """OTLP JSON has ids in hex, which protobuf's own JSON has in base64."""
    import base64

    if isinstance(value, list):
        for item in cast("list[object]", value):
            _hex_ids(item)
    elif isinstance(value, dict):
        found = cast("dict[str, object]", value)
        for name in ("traceId", "spanId", "parentSpanId"):
            if isinstance(text := found.get(name), str):
                found[name] = base64.b64decode(text).hex()
        for inner in found.values():
            _hex_ids(inner)
