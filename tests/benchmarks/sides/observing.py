"""What a side is told about traces and metrics, by the environment: `BENCH_OBSERVED` and `BENCH_COLLECTOR`."""

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from aixgo import agent
from aixgo.observability import Observability, Settings, setup
from tests.benchmarks.side import Figures

COLLECTOR = os.environ.get("BENCH_COLLECTOR", "")

WAYS: Mapping[str, Settings] = {
    "off": Settings(enabled=False, exporter="otlp", endpoint=COLLECTOR),
    "sampled out": Settings(exporter="otlp", endpoint=COLLECTOR, sampling=0),
    "traced": Settings(exporter="otlp", endpoint=COLLECTOR),
    "metrics": Settings(metrics="otlp", endpoint=COLLECTOR, metrics_export_interval=1),
}

_on: list[Observability] = []


@contextmanager
def observed() -> Iterator[None]:
    """Have on what is to be while the side works; nothing is ever set up where `BENCH_OBSERVED` is empty."""
    way = os.environ.get("BENCH_OBSERVED")
    if not way:
        yield
        return
    with setup(WAYS[way]) as on:
        _on.append(on)
        yield


async def settle() -> Figures:
    """Export what waits, so that it costs nobody else's round."""
    for on in _on:
        await asyncio.to_thread(on.flush)
    return {}


@agent
async def settles(text: str) -> str:
    """The same, for who calls from another process."""
    await settle()
    return text
