"""What can be set about traces, metrics and logs, in Python and in YAML, and what is wrong with it.

Nothing here imports OpenTelemetry, and nothing is contacted. The OTEL_* variables of the environment complete
what is set here; alone they switch nothing on.

Below: keys. Above: setup; the configuration reader uses the tables of keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast
from urllib.parse import urlsplit

from aixgo.errors import ConfigError
from aixgo.keys import Key, read_keys

__all__ = [
    "LOGGING_KEYS",
    "OBSERVABILITY_KEYS",
    "Exporter",
    "LangfuseSettings",
    "LogSettings",
    "Protocol",
    "Settings",
    "check_headers",
    "check_url",
    "current_endpoint",
    "listen_at",
]

Exporter: TypeAlias = Literal["none", "otlp", "console", "file"]
Protocol: TypeAlias = Literal["", "http/protobuf", "grpc"]

HEADER_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
HEADER_VALUE = re.compile(r"[\x20-\x7e]*")
JAEGER_THRIFT = re.compile(r"(https?://[^/:]+):14268/api/traces/?")
OTLP_HTTP_PORT = 4318

LANGFUSE_KEYS: Mapping[str, Key] = {
    "public_key": Key("text", "else LANGFUSE_PUBLIC_KEY"),
    "secret_key": Key("text", "else LANGFUSE_SECRET_KEY"),
    "host": Key("text", "where Langfuse is, else LANGFUSE_HOST"),
    "environment": Key("text", "of the traces, such as production"),
    "release": Key("text", "of the program"),
}

OBSERVABILITY_KEYS: Mapping[str, Key] = {
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
    "headers": Key("mapping", "sent with every export; else OTEL_EXPORTER_OTLP_HEADERS"),
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
    "metrics": Key("boolean", "send metrics over OTLP too", default=False),
    "prometheus": Key("text", "address of a /metrics endpoint, such as :9464"),
    "langfuse": Key("mapping", "send traces and scores to Langfuse", fields=LANGFUSE_KEYS),
}

LOGGING_KEYS: Mapping[str, Key] = {
    "level": Key(
        "text",
        "from where on aixgo logs",
        default="info",
        choices=("debug", "info", "warning", "error"),
    ),
    "format": Key("text", "how a record is written", default="text", choices=("text", "json")),
}


@dataclass(slots=True, frozen=True, kw_only=True)
class LangfuseSettings:
    """Where Langfuse is and who we are there; what is empty comes from the LANGFUSE_* variables."""

    public_key: str = ""
    secret_key: str = field(default="", repr=False)
    host: str = ""
    environment: str = ""
    release: str = ""


@dataclass(slots=True, frozen=True, kw_only=True)
class LogSettings:
    """How this process logs."""

    level: str = "info"
    format: str = "text"

    @classmethod
    def from_config(cls, given: Mapping[str, object], where: str = "logging") -> LogSettings:
        """The settings a YAML mapping states."""
        return cls(**cast("Any", read_keys(LOGGING_KEYS, given, where)))


@dataclass(slots=True, frozen=True, kw_only=True)
class Settings:
    """What `setup` takes; the fields are the keys of `observability:` in YAML.

    Raises:
        ConfigError: a value cannot be right; the text says which and why.
    """

    enabled: bool = True
    exporter: Exporter = "none"
    protocol: Protocol = ""
    endpoint: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = 5.0
    file: str = ""
    service_name: str = ""
    sampling: float | None = None
    capture_content: bool = False
    metrics: bool = False
    prometheus: str = ""
    langfuse: LangfuseSettings | None = None

    def __post_init__(self) -> None:
        where = "observability"
        for name, key in OBSERVABILITY_KEYS.items():
            value = getattr(self, name)
            if name not in ("langfuse", "headers") and value not in ("", None):
                key.check(value, f"{where}.{name}")
        if self.endpoint:
            check_url(self.endpoint, f"{where}.endpoint")
        check_headers(self.headers, f"{where}.headers")
        if self.exporter == "file" and not self.file:
            raise ConfigError(f"{where}.exporter is 'file', and {where}.file names none")
        if self.prometheus:
            listen_at(self.prometheus, f"{where}.prometheus")
        if self.langfuse is not None and self.langfuse.host:
            check_url(self.langfuse.host, f"{where}.langfuse.host")

    @classmethod
    def from_config(cls, given: Mapping[str, object], where: str = "observability") -> Settings:
        """The settings a YAML mapping states; keys that are not ours were reported by its reader."""
        known = {name: value for name, value in given.items() if name in OBSERVABILITY_KEYS}
        found = dict(read_keys(OBSERVABILITY_KEYS, known, where))
        if isinstance(own := found.get("langfuse"), Mapping):
            found["langfuse"] = LangfuseSettings(**cast("Any", dict(own)))
        if isinstance(headers := found.get("headers"), Mapping):
            found["headers"] = {name: str(value) for name, value in headers.items()}
        return cls(**cast("Any", found))

    @property
    def asks_for_something(self) -> bool:
        """Whether anything is to be switched on."""
        wanted = self.exporter != "none" or self.metrics or self.prometheus
        return self.enabled and bool(wanted or self.langfuse is not None)


def check_url(url: str, where: str) -> str:
    """`url`, if it can be one of a server.

    Raises:
        ConfigError: it names no http or https host.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as exc:
        raise ConfigError(f"{where} is no URL: {exc}") from exc
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError(f"{where} must be a URL such as http://localhost:4318, not {url[:80]!r}")
    return url


def check_headers(headers: Mapping[str, str], where: str) -> None:
    """Return if `headers` can be sent; a value is never shown.

    Raises:
        ConfigError: a name or a value cannot stand in a request.
    """
    for name, value in headers.items():
        if not HEADER_NAME.fullmatch(name.lower()):
            raise ConfigError(f"{where}: {name[:40]!r} cannot be the name of a header")
        if not HEADER_VALUE.fullmatch(value):
            raise ConfigError(
                f"{where}: the value of {name!r} holds characters a header cannot have"
            )


def listen_at(address: str, where: str) -> tuple[str, int]:
    """Host and port to listen at; without a host, on this machine only.

    Raises:
        ConfigError: it is no address.
    """
    host, _, port = address.rpartition(":")
    if not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"{where} must be an address such as :9464, not {address[:80]!r}")
    return host.strip("[]") or "127.0.0.1", int(port)


def current_endpoint(url: str) -> tuple[str, bool]:
    """Where OTLP goes for `url`, and whether that is another place: Jaeger's old collector speaks OTLP elsewhere."""
    found = JAEGER_THRIFT.fullmatch(url)
    return (url, False) if found is None else (f"{found[1]}:{OTLP_HTTP_PORT}", True)
