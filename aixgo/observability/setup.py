"""Switch tracing on, and off again.

Nothing is on until `setup` is called. Closing what it gives delivers what is left within five seconds and leaves
the process as it was.

Below: everything of this folder. Above: users.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Self, TypedDict, Unpack

from aixgo import telemetry
from aixgo.errors import ConfigError, MissingExtra
from aixgo.observability.settings import Exporter, Protocol, Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    from aixgo.observability.complaints import Complaints

__all__ = ["Observability", "SetupOptions", "join", "setup"]

log = logging.getLogger("aixgo.observability")

DEFAULT_SERVICE = "aixgo"

_active: list[Observability] = []


class SetupOptions(TypedDict, total=False):
    """The keywords of `setup`; each is described in docs/observability.md."""

    enabled: bool
    exporter: Exporter
    protocol: Protocol
    endpoint: str
    headers: Mapping[str, str]
    timeout: float
    file: str
    service_name: str
    sampling: float | None
    capture_content: bool


class Observability:
    """What was switched on; `close` it, or use it as a context, synchronous or not."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.tracer_provider: TracerProvider | None = None
        """What makes the spans, None without traces; give it to OpenTelemetry to have other libraries' too."""
        self._ends: list[Callable[[], object]] = []

    def close(self) -> None:
        """Deliver what is left, within 5 seconds, and watch no longer. Doing it twice is fine."""
        ends, self._ends = self._ends, []
        for end in reversed(ends):
            end()

    async def aclose(self) -> None:
        """`close`, without blocking the loop."""
        await asyncio.to_thread(self.close)

    def flush(self) -> bool:
        """Deliver the spans that have ended so far, now; False if that took longer than 5 seconds."""
        return self.tracer_provider is None or self.tracer_provider.force_flush(5_000)

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


def setup(settings: Settings | None = None, /, **options: Unpack[SetupOptions]) -> Observability:
    """Switch on what `settings`, or the keywords, ask for.

    OTEL_* variables complete what is left open, and OTEL_SDK_DISABLED=true keeps everything off.

    Raises:
        ConfigError: a setting cannot be right, an address cannot be listened at, or another `setup` is in force.
        MissingExtra: the packages are not installed: pip install 'aixgo[otel]'.
    """
    if settings is not None and options:
        raise ConfigError("give setup() either settings or keywords")
    chosen = settings or Settings(**options)
    made = Observability(chosen)
    if not chosen.asks_for_something:
        return made
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        log.info("OTEL_SDK_DISABLED is true: nothing is traced")
        return made
    if _active:
        raise ConfigError("tracing is on already in this process; close the other one first")
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
    try:
        from aixgo.observability.complaints import Complaints

        complaints = Complaints()
        resource = _resource(settings)
        complaints.open()
        made.on_close(complaints.close)
        _trace(made, settings, resource, complaints)
    except ModuleNotFoundError as exc:
        if not (exc.name or "").startswith("opentelemetry"):
            raise
        raise MissingExtra("tracing", "otel") from exc


def _trace(
    made: Observability, settings: Settings, resource: Resource, complaints: Complaints
) -> None:
    from opentelemetry.sdk.trace import SpanLimits, TracerProvider
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    from aixgo.observability import conventions
    from aixgo.observability.exporters import span_exporter
    from aixgo.observability.outbound import Outbound
    from aixgo.observability.tracing import Tracing

    ratio = settings.sampling
    sampler = None if ratio is None else ParentBased(TraceIdRatioBased(ratio))
    provider = TracerProvider(
        sampler, resource, shutdown_on_exit=False, span_limits=SpanLimits(max_events=32)
    )
    made.on_close(provider.shutdown)
    exporter, where = span_exporter(settings)
    provider.add_span_processor(Outbound(exporter, where, complaints, **_pace()))
    tracing = Tracing(
        provider.get_tracer(conventions.SCOPE, schema_url=conventions.SCHEMA_URL),
        capture_content=settings.capture_content,
        follows_parent=isinstance(provider.sampler, ParentBased),
    )
    made.tracer_provider = provider
    telemetry.add_observer(tracing)
    made.on_close(lambda: telemetry.remove_observer(tracing))


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
