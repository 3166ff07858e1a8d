"""Metrics in memory: what a collector would be sent now, as plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self, TypeAlias

from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.resources import Resource

from aixgo import telemetry
from aixgo.observability.metrics import Metrics

__all__ = ["Collected", "Point"]

Point: TypeAlias = tuple[float, int]
"""A value and 1, or a histogram's sum and count."""


class Collected:
    """`with Collected() as collected:` has metrics on; `collected[name]` is what one says, by its labels' values."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.metrics = Metrics(Resource({}), [self.reader])

    def __enter__(self) -> Self:
        telemetry.add_observer(self.metrics.observer)
        return self

    def __exit__(self, *exc: object) -> None:
        telemetry.remove_observer(self.metrics.observer)
        self.metrics.provider.shutdown()

    def __getitem__(self, name: str) -> Mapping[tuple[object, ...], Point]:
        return self.all().get(name, {})

    def all(self) -> dict[str, dict[tuple[object, ...], Point]]:
        """Everything, collected now."""
        data = self.reader.get_metrics_data()
        found: dict[str, dict[tuple[object, ...], Point]] = {}
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    points = found.setdefault(metric.name, {})
                    for point in metric.data.data_points:
                        values = tuple((point.attributes or {}).values())
                        if isinstance(point, HistogramDataPoint):
                            points[values] = (point.sum, point.count)
                        else:
                            points[values] = (float(point.value), 1)  # type: ignore[union-attr]
        return found
