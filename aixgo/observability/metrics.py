"""Metrics over OpenTelemetry: the instruments, who reads them, and where they go.

What runtimes and policies count anyway is read when somebody collects; what only metrics want is recorded by an
observer. Exports leave in a thread of their own: a collector that is dead or slow costs nobody time.

Below: counted, instruments, metering, exporters. Above: setup.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricReader,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource

from aixgo import measures
from aixgo.errors import ConfigError
from aixgo.measures import Labels
from aixgo.observability import conventions
from aixgo.observability.backlog import CLOSE_TIMEOUT, LAST, bounded
from aixgo.observability.complaints import Complaints
from aixgo.observability.counted import COUNTED, Readings
from aixgo.observability.instruments import KEPT, Instrument
from aixgo.observability.metering import Metering, Series
from aixgo.observability.settings import Settings

__all__ = ["Metrics", "Periodic"]

log = logging.getLogger("aixgo.observability")

INTERVAL = 60.0  # seconds between two exports, as the specification has it
INTERVAL_VARIABLE = "OTEL_METRIC_EXPORT_INTERVAL"  # milliseconds


class Metrics:
    """All instruments on a provider of their own; `observer` is to be told of work."""

    def __init__(self, resource: Resource, readers: Iterable[MetricReader]) -> None:
        self._readers = tuple(readers)
        self.provider = MeterProvider(self._readers, resource, shutdown_on_exit=False)
        meter = self.provider.get_meter(conventions.SCOPE, schema_url=conventions.SCHEMA_URL)
        readings = Readings()
        for made in COUNTED:
            _watch(meter, made, readings.of)
        for made in KEPT:
            _watch(meter, made, _kept)
        self.observer = Metering(meter)
        self._closing: threading.Thread | None = None
        self._closed = False

    def flush(self, timeout: float) -> bool:
        """Export all numbers as they are now; False if that took longer than `timeout` seconds."""
        done: list[bool] = []
        bounded(lambda: done.append(self.provider.force_flush(timeout * 1000)), timeout)
        return done == [True]

    def begin_close(self) -> None:
        """Export all numbers for the last time, without waiting for that. Doing it twice is fine."""
        if self._closing is not None:
            return
        within = (CLOSE_TIMEOUT - LAST) * 1000
        self._closing = threading.Thread(
            target=self.provider.shutdown, args=(within,), name="aixgo-metrics", daemon=True
        )
        try:
            self._closing.start()
        except RuntimeError:  # Python 3.12 begins none while the interpreter ends
            self.provider.shutdown(within)

    def close(self, ends: float) -> None:
        """Wait for that, at most until `ends`. Doing it twice is fine."""
        if self._closed:
            return
        self._closed = True
        self.begin_close()
        ends -= LAST / 2  # the rest is for ending what is closed after this
        if self._closing is not None and self._closing.ident is not None:
            self._closing.join(max(0.0, ends - time.monotonic()))
        for reader in self._readers:
            if isinstance(reader, Periodic):
                reader.exporter.over(ends)


class Periodic(PeriodicExportingMetricReader):
    """Exports every so often to where `settings` say.

    Raises:
        ConfigError: an address, a header, a file or the interval cannot be used.
    """

    def __init__(self, settings: Settings, complaints: Complaints) -> None:
        from aixgo.observability.exporters import metric_exporter  # Prometheus needs none of it

        exporter, where = metric_exporter(settings)
        interval = settings.metrics_export_interval or _interval()
        self.exporter = _Told(exporter, where, complaints)
        super().__init__(self.exporter, interval * 1000, settings.timeout * 1000)


def _interval() -> float:
    text = os.environ.get(INTERVAL_VARIABLE, "").strip()
    try:
        found = float(text or INTERVAL * 1000) / 1000
    except ValueError:
        found = math.nan
    if not 0 < found < math.inf:
        raise ConfigError(f"{INTERVAL_VARIABLE} must be milliseconds above 0, not {text[:40]!r}")
    return found


def _kept(made: Instrument) -> Mapping[Labels, float]:
    found = measures.counters.get(made.name) or measures.gauges.get(made.name)
    return {} if found is None else dict(found.values)


def _watch(
    meter: Meter, made: Instrument, read: Callable[[Instrument], Mapping[Labels, float]]
) -> None:
    """Show what `read` finds for `made` whenever somebody collects."""
    series = Series(made.labels)

    def observe(_: CallbackOptions) -> list[Observation]:
        found: dict[int, Observation] = {}
        for labels, value in read(made).items():
            attributes = series.of(labels)
            key = id(attributes)  # the series gives the same object for what it tells not apart
            if key in found:
                other = found[key].value
                value = max(other, value) if made.kind == "gauge" else other + value
            found[key] = Observation(value, attributes)
        return list(found.values())

    create = {
        "counter": meter.create_observable_counter,
        "updowncounter": meter.create_observable_up_down_counter,
        "gauge": meter.create_observable_gauge,
    }[made.kind]
    create(made.name, [observe], made.unit, made.help)


class _Told(MetricExporter):
    """An exporter whose first failure is a warning, and whose others are silent."""

    def __init__(self, exporter: MetricExporter, where: str, complaints: Complaints) -> None:
        super().__init__(
            exporter._preferred_temporality,  # noqa: SLF001 - what a reader asks it for
            exporter._preferred_aggregation,  # noqa: SLF001 - and this
        )
        self._exporter = exporter
        self._where = where
        self._complaints = complaints
        self._idle = threading.Event()
        self._idle.set()

    def export(
        self,
        metrics_data: MetricsData,
        timeout_millis: float = 10_000,
        **kwargs: object,  # noqa: ARG002 - the SDK's signature
    ) -> MetricExportResult:
        self._idle.clear()
        try:
            result = self._exporter.export(metrics_data, timeout_millis)
        except Exception as exc:  # noqa: BLE001 - an exporter may fail as it likes
            self._complaints.note(f"{type(exc).__name__}: {exc}")
            result = MetricExportResult.FAILURE
        if result is not MetricExportResult.SUCCESS:
            self._complain(self._complaints.last or "it does not take them")
        self._idle.set()
        return result

    def over(self, ends: float) -> None:
        """Wait until `ends` for an export that was cut off; afterwards nobody does."""
        if not self._idle.wait(max(0.0, ends - time.monotonic())):
            self._complain("it did not take the last of them in time")

    def _complain(self, why: str) -> None:
        if self._complaints.first(f"metrics {self._where}"):
            log.warning(
                "metrics do not reach %s; the work goes on without them: %s", self._where, why
            )

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: object) -> None:  # noqa: ARG002 - the SDK's signature
        self._exporter.shutdown()
