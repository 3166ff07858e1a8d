"""What can be set about traces and metrics, and what is wrong with it.

Nothing here imports OpenTelemetry, and nothing is contacted. The OTEL_* variables of the environment complete
what is set here; alone they switch nothing on.

Below: keys. Above: setup.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Self, TypeAlias

from aixgo.errors import ConfigError
from aixgo.keys import Key
from aixgo.observability.langfuse import LANGFUSE_KEYS, LangfuseSettings
from aixgo.observability.urls import check_url
from aixgo.rpc.addresses import parse_address

__all__ = [
    "KEYS",
    "Exporter",
    "Protocol",
    "Settings",
    "check_headers",
    "check_url",
    "current_endpoint",
    "is_credential",
    "prometheus_address",
]

Exporter: TypeAlias = Literal["none", "otlp", "console", "file"]
Protocol: TypeAlias = Literal["", "http/protobuf", "grpc"]

HEADER_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
HEADER_VALUE = re.compile(r"[\x20-\x7e]*")
JAEGER_THRIFT = re.compile(r"(https?://[^/:]+):14268/api/traces/?")
OTLP_HTTP_PORT = 4318
LOOPBACK = "127.0.0.1"
CHECKED_BELOW = ("headers", "langfuse")  # they check themselves, and show no value

KEYS: Mapping[str, Key] = {
    "enabled": Key("boolean", "false switches all of this off", default=True),
    "exporter": Key(
        "text",
        "where traces go",
        default="none",
        choices=("none", "otlp", "console", "file"),
    ),
    "protocol": Key(
        "text",
        "how OTLP travels; else OTEL_EXPORTER_OTLP_PROTOCOL, else http/protobuf",
        choices=("http/protobuf", "grpc"),
    ),
    "endpoint": Key(
        "text", "URL of the collector; else OTEL_EXPORTER_OTLP_ENDPOINT, else this machine"
    ),
    "headers": Key(
        "mapping",
        "sent with every export; else OTEL_EXPORTER_OTLP_HEADERS",
    ),
    "timeout": Key("duration", "time for one export", default=5, minimum=0.1),
    "file": Key("text", "where the exporter `file` appends OTLP JSON, a line per batch"),
    "service_name": Key("text", "who we are; else OTEL_SERVICE_NAME, else aixgo"),
    "sampling": Key(
        "number",
        "share of traces kept, decided where one begins; else OTEL_TRACES_SAMPLER",
        minimum=0,
        maximum=1,
    ),
    "capture_content": Key(
        "boolean", "record messages, prompts, arguments and results", default=False
    ),
    "metrics": Key(
        "text",
        "where metrics go, every `metrics_export_interval`",
        default="none",
        choices=("none", "otlp", "console", "file"),
    ),
    "metrics_export_interval": Key(
        "duration",
        "time between two exports; else OTEL_METRIC_EXPORT_INTERVAL, else 60 s",
        minimum=0.01,
    ),
    "prometheus": Key(
        "text",
        "`host:port` where Prometheus finds the metrics; a port alone is one of this machine",
    ),
    "langfuse": Key("mapping", "traces and scores go to Langfuse too", fields=LANGFUSE_KEYS),
}


@dataclass(slots=True, frozen=True, kw_only=True)
class Settings:
    """What `setup` takes; each is described in docs/observability.md.

    Raises:
        ConfigError: a value cannot be right; the text says which and why.
    """

    enabled: bool = True
    exporter: Exporter = "none"
    protocol: Protocol = ""
    endpoint: str = ""
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    """None: those of the variables. An empty mapping: none at all."""
    timeout: float = 5.0
    file: str = ""
    service_name: str = ""
    sampling: float | None = None
    capture_content: bool = False
    metrics: Exporter = "none"
    metrics_export_interval: float | None = None
    prometheus: str = ""
    langfuse: LangfuseSettings | None = None

    def __post_init__(self) -> None:
        where = "observability"
        for name, key in KEYS.items():
            value = getattr(self, name)
            if name not in CHECKED_BELOW and value not in ("", None):
                key.check(value, f"{where}.{name}")
        if self.endpoint:
            check_url(self.endpoint, f"{where}.endpoint")
        if not isinstance(self.headers, Mapping | None):
            raise ConfigError(f"{where}.headers must be a mapping of names to values")
        check_headers(self.headers or {}, f"{where}.headers")
        if not isinstance(self.langfuse, LangfuseSettings | None):
            given = type(self.langfuse).__name__
            raise ConfigError(f"{where}.langfuse must be LangfuseSettings(…), not {given}")
        for name, exporter in (("exporter", self.exporter), ("metrics", self.metrics)):
            if exporter == "file" and not self.file:
                raise ConfigError(f"{where}.{name} is 'file', and {where}.file names none")
        if self.prometheus:
            prometheus_address(self.prometheus, f"{where}.prometheus")

    @property
    def asks_for_something(self) -> bool:
        """Whether anything is to be switched on."""
        return self.enabled and (
            self.exporter != "none" or self.langfuse is not None or self.asks_for_metrics
        )

    @property
    def asks_for_metrics(self) -> bool:
        """Whether metrics are among it."""
        return self.enabled and (self.metrics != "none" or bool(self.prometheus))

    def on_a_free_port(self) -> Self:
        """The same, with Prometheus at a port that is free: for one of several processes of a machine."""
        if not self.prometheus:
            return self
        host, _ = prometheus_address(self.prometheus, "observability.prometheus")
        return replace(self, prometheus=f"[{host}]:0" if ":" in host else f"{host}:0")


def prometheus_address(text: str, where: str) -> tuple[str, int]:
    """Host and port of `text`; a port alone is one of this machine.

    Raises:
        ConfigError: it is neither `host:port` nor a port.
    """
    try:
        address = parse_address(f"{LOOPBACK}:{text}" if text.isdigit() else text)
    except ConfigError as exc:
        hint = f"; {LOOPBACK}{text} is this machine's, 0.0.0.0{text} everybody's"
        raise ConfigError(f"{where}: {exc}{hint if text.startswith(':') else ''}") from exc
    if address.by_name or not address.host:
        raise ConfigError(f"{where} must be host:port, such as {LOOPBACK}:9464, not {text[:80]!r}")
    return address.host, address.port


def check_headers(headers: Mapping[str, object], where: str) -> None:
    """Return if `headers` can be sent; a value is never shown.

    Raises:
        ConfigError: a name or a value cannot stand in a request.
    """
    for name, value in headers.items():
        if not HEADER_NAME.fullmatch(str(name).lower()):
            raise ConfigError(f"{where}: {str(name)[:40]!r} cannot be the name of a header")
        if not isinstance(value, str):
            raise ConfigError(f"{where}: the value of {name!r} must be text")
        if not HEADER_VALUE.fullmatch(value):
            raise ConfigError(
                f"{where}: the value of {name!r} holds characters a header cannot have"
            )


def is_credential(header: str) -> bool:
    """Whether a header of that name holds a secret."""
    return re.search(r"auth|key|token|secret|password|cookie", header, re.IGNORECASE) is not None


def current_endpoint(url: str) -> tuple[str, bool]:
    """Where OTLP goes for `url`, and whether that is another place: Jaeger's old collector speaks OTLP elsewhere."""
    found = JAEGER_THRIFT.fullmatch(url)
    return (url, False) if found is None else (f"{found[1]}:{OTLP_HTTP_PORT}", True)
