"""What a side is told about traces and metrics, by the environment: `BENCH_OBSERVED` and `BENCH_COLLECTOR`."""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from aixgo.observability import Settings, setup

COLLECTOR = os.environ.get("BENCH_COLLECTOR", "")

WAYS: Mapping[str, Settings] = {
    "off": Settings(enabled=False, exporter="otlp", endpoint=COLLECTOR),
    "sampled out": Settings(exporter="otlp", endpoint=COLLECTOR, sampling=0),
    "traced": Settings(exporter="otlp", endpoint=COLLECTOR),
    "metrics": Settings(metrics="otlp", endpoint=COLLECTOR, metrics_export_interval=1),
}


def observed() -> AbstractContextManager[object]:
    """What is on while the side works; nothing was ever set up where `BENCH_OBSERVED` is empty."""
    way = os.environ.get("BENCH_OBSERVED")
    return setup(WAYS[way]) if way else nullcontext()
