"""Switch tracing and metrics on, and off again.

Nothing is on until `setup` is called. Closing what it gives delivers what is left within five seconds and leaves
the process as it was.

Below: everything of this folder. Above: users.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Self, TypedDict, Unpack

from aixgo import telemetry
from aixgo.errors import AixgoError, ConfigError, MissingExtra
from aixgo.observability.langfuse import LangfuseAccess, LangfuseSettings
from aixgo.observability.quality import add_quality_sink, remove_quality_sink
from aixgo.observability.redaction import hide, redact
from aixgo.observability.settings import (
    Exporter,
    Protocol,
    Settings,
    is_credential,
    prometheus_address,
)

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

    from aixgo.observability.backlog import Delivery
    from aixgo.observability.complaints import Complaints

__all__ = ["Observability", "SetupOptions", "join", "setup"]

log = logging.getLogger("aixgo.observability")

DEFAULT_SERVICE = "aixgo"
FLUSH_TIMEOUT = 5.0  # seconds

_active: list[Observability] = []


class SetupOptions(TypedDict, total=False):
    """The keywords of `setup`; each is described in docs/observability.md."""

    enabled: bool
    exporter: Exporter
    protocol: Protocol
    endpoint: str
    headers: Mapping[str, str] | None
    timeout: float
    file: str
    service_name: str
    sampling: float | None
    capture_content: bool
    metrics: Exporter
    metrics_export_interval: float | None
    prometheus: str
    langfuse: LangfuseSettings | None


class Observability:
    """What was switched on; `close` it, or use it as a context, synchronous or not."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.tracer_provider: TracerProvider | None = None
        """What makes the spans, None without traces; give it to OpenTelemetry to have other libraries' too."""
        self.meter_provider: MeterProvider | None = None
        """What the metrics are on, None without; give it to OpenTelemetry to have other libraries' too."""
        self.prometheus_address = ""
        """Where Prometheus finds the metrics, with the port that was got."""
        self._ends: list[Callable[[], object]] = []
        self._deliveries: list[Delivery] = []

    def close(self) -> None:
        """Deliver what is left, within 5 seconds, and watch no longer. Doing it twice is fine."""
        ends, self._ends = self._ends, []
        for end in reversed(ends):
            end()

    async def aclose(self) -> None:
        """`close`, without blocking the loop."""
        await asyncio.to_thread(self.close)

    def flush(self) -> bool:
        """Deliver the spans, scores and metrics there are so far, now; False if that took longer than 5 seconds."""
        ends = time.monotonic() + FLUSH_TIMEOUT
        done = True
        for delivery in self._deliveries:
            done = delivery.flush(max(0.0, ends - time.monotonic())) and done
        return done

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    def on_close(self, end: Callable[[], object]) -> None:
        """Have `end` called by `close`, before what was given earlier."""
        self._ends.append(end)

    def on_close_deliver(self, delivery: Delivery) -> None:
        """Have `delivery` bring what is left, beside all others, when `deliver` is called."""
        self._deliveries.append(delivery)

    def deliver(self) -> None:
        """Deliver what is left and take nothing new, within 5 seconds in all."""
        from aixgo.observability.backlog import close_all

        close_all(self._deliveries)


def setup(settings: Settings | None = None, /, **options: Unpack[SetupOptions]) -> Observability:
    """Switch on what `settings`, or the keywords, ask for.

    OTEL_* variables complete what is left open, and OTEL_SDK_DISABLED=true keeps everything off.

    Raises:
        ConfigError: a setting cannot be right, an address cannot be listened at, or another `setup` is in force.
        MissingExtra: the packages are not installed: pip install 'aixgo[otel]', or 'aixgo[langfuse]'.
    """
    if settings is not None and options:
        raise ConfigError("give setup() either settings or keywords")
    chosen = settings or Settings(**options)
    made = Observability(chosen)
    if not chosen.asks_for_something:
        return made
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        log.info("OTEL_SDK_DISABLED is true: nothing is traced or measured")
        return made
    if _active:
        raise ConfigError("another setup() is in force in this process; close that one first")
    try:
        _switch_on(made, chosen)
    except BaseException:
        made.close()
        raise
    _active.append(made)
    made.on_close(lambda: _active.remove(made))
    atexit.register(made.close)
    made.on_close(lambda: atexit.unregister(made.close))
    return made


def join(settings: Settings) -> Observability:
    """`setup`, unless this process is observed already: then that goes on, also when this is closed.

    Raises:
        ConfigError, MissingExtra: as `setup`.
    """
    return Observability(settings) if _active else setup(settings)


def _switch_on(made: Observability, settings: Settings) -> None:
    access = None if settings.langfuse is None else settings.langfuse.access()
    try:
        from aixgo.observability.complaints import Complaints

        complaints = Complaints()
        if access is not None:
            complaints.hide(access.credential, access.secret_key, access.public_key)
            hide(access.credential, access.secret_key)
        for name, value in (settings.headers or {}).items():
            if is_credential(name):
                hide(value.rpartition(" ")[2])  # what stands behind Bearer, if that is there
        resource = _resource(settings)
        complaints.open()
        made.on_close(complaints.close)
        if settings.asks_for_metrics:
            _meter(made, settings, resource, complaints)
        if settings.exporter != "none" or access is not None:
            _trace(made, settings, resource, complaints, access)
        if access is not None:
            _score(made, settings, complaints, access)
    except ModuleNotFoundError as exc:
        missing = (exc.name or "").partition(".")[0]
        if missing not in ("opentelemetry", "prometheus_client", "requests", "langfuse", "httpx"):
            raise
        if access is not None:
            raise MissingExtra("Langfuse", "langfuse") from exc
        feature = "metrics" if settings.exporter == "none" else "tracing"
        raise MissingExtra(feature, "otel") from exc
    except AixgoError:
        raise
    except Exception as exc:  # of a variable whose value OpenTelemetry cannot use
        raise ConfigError(f"OpenTelemetry cannot be set up: {redact(str(exc))}") from exc


def _trace(
    made: Observability,
    settings: Settings,
    resource: Resource,
    complaints: Complaints,
    access: LangfuseAccess | None,
) -> None:
    from opentelemetry.sdk.trace import SpanLimits, TracerProvider
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    from aixgo.observability import conventions
    from aixgo.observability.outbound import Outbound
    from aixgo.observability.tracing import Tracing, score_span

    ratio = settings.sampling
    sampler = None if ratio is None else ParentBased(TraceIdRatioBased(ratio))
    provider = TracerProvider(
        sampler, resource, shutdown_on_exit=False, span_limits=SpanLimits(max_events=32)
    )
    made.on_close(provider.shutdown)
    made.on_close(made.deliver)
    for exporter, where in _exporters(settings, access):
        outbound = Outbound(exporter, where, complaints, **_pace())
        provider.add_span_processor(outbound)
        made.on_close_deliver(outbound.backlog)
    tracing = Tracing(
        provider.get_tracer(conventions.SCOPE, schema_url=conventions.SCHEMA_URL),
        capture_content=settings.capture_content,
        follows_parent=isinstance(provider.sampler, ParentBased),
    )
    made.tracer_provider = provider
    telemetry.add_observer(tracing)
    made.on_close(lambda: telemetry.remove_observer(tracing))
    add_quality_sink(score_span)
    made.on_close(lambda: remove_quality_sink(score_span))


def _exporters(
    settings: Settings, access: LangfuseAccess | None
) -> Iterator[tuple[SpanExporter, str]]:
    """Where spans go, and how each place is called in a warning."""
    if settings.exporter != "none":
        from aixgo.observability.exporters import span_exporter

        yield span_exporter(settings)
    if access is not None:
        from aixgo.observability.langfuse_spans import langfuse_exporter

        yield langfuse_exporter(access, settings.timeout), access.name


def _score(
    made: Observability, settings: Settings, complaints: Complaints, access: LangfuseAccess
) -> None:
    """Send quality scores to Langfuse."""
    from aixgo.observability.langfuse_scores import LangfuseScores

    scores = LangfuseScores(access, complaints, settings.timeout)
    made.on_close_deliver(scores.backlog)
    add_quality_sink(scores)
    made.on_close(lambda: remove_quality_sink(scores))


def _meter(
    made: Observability, settings: Settings, resource: Resource, complaints: Complaints
) -> None:
    from aixgo.observability.metrics import Metrics, periodic

    readers: list[MetricReader] = []
    if settings.prometheus:
        from aixgo.observability.prometheus import Endpoint

        endpoint = Endpoint(*prometheus_address(settings.prometheus, "observability.prometheus"))
        made.on_close(endpoint.close)
        made.prometheus_address = endpoint.address
        log.info("metrics are at http://%s/metrics", endpoint.address)
        readers.append(endpoint.reader)
    if settings.metrics != "none":
        readers.append(periodic(settings, complaints))
    metrics = Metrics(resource, readers)
    made.on_close(made.deliver)
    made.on_close_deliver(metrics)
    made.meter_provider = metrics.provider
    telemetry.add_observer(metrics.observer)
    made.on_close(lambda: telemetry.remove_observer(metrics.observer))


class _Pace(TypedDict, total=False):
    capacity: int
    delay: float


def _pace() -> _Pace:
    """How many spans wait and for how long, where the OTEL_BSP variables say."""
    found: _Pace = {}
    if text := os.environ.get("OTEL_BSP_MAX_QUEUE_SIZE"):
        found["capacity"] = _whole("OTEL_BSP_MAX_QUEUE_SIZE", text)
    if text := os.environ.get("OTEL_BSP_SCHEDULE_DELAY"):
        found["delay"] = _whole("OTEL_BSP_SCHEDULE_DELAY", text) / 1000
    return found


def _whole(name: str, text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise ConfigError(f"{name} must be a whole number above 0, not {text[:40]!r}")
    return int(text)


def _resource(settings: Settings) -> Resource:
    """Who we are: as set, else as the OTEL_* variables say, else aixgo."""
    from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, Resource

    own: dict[str, str] = {SERVICE_INSTANCE_ID: str(uuid.uuid4())}
    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    if settings.service_name or not named:
        own[SERVICE_NAME] = settings.service_name or DEFAULT_SERVICE
    return Resource.create(own)
