"""Exported metrics as a receiver outside decodes them: over both protocols, and the same numbers as `rt.metrics()`."""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import logging
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from aixgo import DistributedRuntime, LocalRuntime, agent, measures, telemetry
from aixgo.agents import ChatAgent
from aixgo.errors import AixgoError, MailboxFull
from aixgo.ledger import Usage
from aixgo.loading import kinds
from aixgo.observability import setup
from aixgo.observability.counted import COUNTED, DERIVED
from aixgo.observability.instruments import KEPT, OBSERVED
from aixgo.testing import ScriptedProvider
from tests.otlp import Receiver

SPENT = Usage(
    tokens_prompt=100,
    tokens_completion=50,
    tokens_cached=20,
    tokens_reasoning=10,
    tokens_cache_write=5,
    calls=1,
    cost_nanos=1_000,
)


@agent
async def upper(text: str) -> str:
    return text.upper()


@agent
async def fails(text: str) -> str:
    raise ValueError(text)


@agent
async def pieces(text: str) -> str:
    return text * 1000


@agent(mailbox=True)
async def reader(text: str) -> str:
    return text


def bot() -> ChatAgent:
    return ChatAgent("bot", model="m", provider=ScriptedProvider(["hi"], usage=SPENT, cycle=True))


def leaves(metrics: Mapping[str, object], above: str = "") -> Iterator[tuple[str, int | float]]:
    """Every number of `rt.metrics()`, by its path."""
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{above}{name}.")
        elif isinstance(value, int | float):
            yield f"{above}{name}", value


def shown(metric: Metric) -> dict[tuple[str, ...], float]:
    """The points of a sum or a gauge, by the values of their labels."""
    points = getattr(metric, str(metric.WhichOneof("data"))).data_points
    return {
        tuple(label.value.string_value for label in point.attributes): (
            point.as_double if point.HasField("as_double") else point.as_int
        )
        for point in points
    }


def expected(found: Mapping[str, float]) -> dict[str, dict[tuple[str, ...], float]]:
    """What each instrument over `rt.metrics()` has to show for those numbers."""
    wanted: dict[str, dict[tuple[str, ...], float]] = {}
    for path, value in found.items():
        for made in COUNTED:
            for key, labels in made.keys.items():
                if key == path:
                    wanted.setdefault(made.name, {})[labels] = value
                elif key.endswith(".*") and path.startswith(key[:-1]):
                    wanted.setdefault(made.name, {})[path.removeprefix(key[:-1]),] = value
    return wanted


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize("transport", ["stream", "unary"])
async def test_what_is_exported_is_what_the_runtimes_say_number_by_number(
    protocol: str, transport: str
) -> None:
    gc.collect()  # runtimes that other tests let go of
    before = dict(leaves(measures.runtimes.ended()))
    with Receiver() as receiver:
        endpoint = receiver.grpc if protocol == "grpc" else receiver.http
        async with (
            asyncio.timeout(20),
            setup(metrics="otlp", protocol=protocol, endpoint=endpoint) as on,  # type: ignore[arg-type]
            DistributedRuntime(
                upper, fails, bot(), reader, address="127.0.0.1:0", mailbox_capacity=2
            ) as far,
            DistributedRuntime(
                peers=dict.fromkeys(("upper", "fails", "bot", "reader"), far.address),
                transport=transport,
            ) as rt,
        ):
            await rt.call_parallel(["upper", "fails", "bot", "upper"], "x")
            for _ in range(2):
                await rt.send("reader", "x")
            with pytest.raises(MailboxFull):
                await far.send("reader", "x", timeout=0)
            await far.send("fails", "x")
            async with rt.stream("bot", "x") as chunks:
                async for _ in chunks:
                    pass
            while far.metrics()["dead_letters"] < 1 or far.metrics()["calls_in_flight"]:
                await asyncio.sleep(0)
            numbers: dict[str, float] = {}
            while not numbers or numbers != _sum(rt, far):
                numbers = _sum(rt, far)
                assert await asyncio.to_thread(on.flush)  # and once more if the wire said something
            exported = dict(receiver.metrics)
    for path, value in before.items():
        if path in numbers and not _is_level(path):
            numbers[path] += value
    for name, points in expected(numbers).items():
        found = shown(exported[name])
        for labels, value in points.items():
            assert found[labels] == pytest.approx(value), (name, labels)
    paths = {path.rpartition(".")[0] + ".*" if "." in path else path for path in numbers}
    assert {"errors.*", "mailboxes.*", "wire.*", "spent.*"} <= paths
    assert numbers["messages_refused"] >= 1


def _sum(*runtimes: LocalRuntime | DistributedRuntime) -> dict[str, float]:
    found: dict[str, float] = {}
    for runtime in runtimes:
        for path, value in leaves(runtime.metrics()):
            found[path] = found.get(path, 0) + value
    return found


def _is_level(path: str) -> bool:
    """Whether it goes up and down, so that a runtime that ended leaves none of it."""
    level = {key for made in COUNTED if made.kind != "counter" for key in made.keys}
    return path in level or f"{path.partition('.')[0]}.*" in level


async def test_every_number_a_runtime_says_is_shown_or_follows_from_others() -> None:
    async with LocalRuntime(upper, reader, bot(), fails) as rt:
        await rt.call_parallel(["bot", "fails"], "x")
        await rt.send("reader", "x")
        found = dict(leaves(rt.metrics()))
    shown_keys = {key for made in COUNTED for key in made.keys}
    missing = {
        path
        for path in found
        if path not in shown_keys and f"{path.partition('.')[0]}.*" not in shown_keys
    }
    assert missing == set(DERIVED)
    done = found["calls_succeeded"] + found["calls_failed"]
    assert found["call_seconds_mean"] == pytest.approx(found["call_seconds"] / done)
    tokens = found["spent.tokens_prompt"] + found["spent.tokens_completion"]
    assert found["spent.tokens_total"] == tokens


async def test_no_number_is_shown_twice() -> None:
    keys = [key for made in COUNTED for key in made.keys]
    assert len(keys) == len(set(keys))
    made = [each.name for each in (*COUNTED, *KEPT, *OBSERVED)]
    assert len(made) == len(set(made))


def test_whatever_policies_count_is_shown() -> None:
    for kind in kinds("resilience"):
        importlib.import_module(f"aixgo.resilience.{kind}")
    importlib.import_module("aixgo.observability.backlog")
    assert {made.name for made in KEPT} == {*measures.counters, *measures.gauges}


async def test_spans_that_a_collector_does_not_take_are_counted_as_dropped() -> None:
    with Receiver(status=401) as refuses, Receiver() as takes:
        async with (
            setup(exporter="otlp", endpoint=refuses.http, metrics="file", file="/dev/null") as on,
            LocalRuntime(upper) as rt,
        ):
            await rt.call("upper", "x")
            await asyncio.to_thread(on.flush)
            dropped = measures.gauges["aixgo.exports"].values
        async with setup(exporter="otlp", endpoint=takes.http) as on, LocalRuntime(upper) as rt:
            await rt.call("upper", "x")
            await asyncio.to_thread(on.flush)
            delivered = measures.gauges["aixgo.exports"].values
    assert dropped["traces", "dropped"] == 2
    assert delivered["traces", "delivered"] >= 2


async def test_counts_of_a_runtime_that_ended_are_still_exported(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    async with setup(metrics="file", file=str(file)) as on:
        async with LocalRuntime(upper) as rt:
            for _ in range(3):
                await rt.call("upper", "x")
        assert await asyncio.to_thread(on.flush)
        gone = _calls(file)
        async with LocalRuntime(upper) as rt:
            await rt.call("upper", "x")
            assert await asyncio.to_thread(on.flush)
            assert _calls(file) == gone + 1
    assert gone >= 3


def _calls(file: Path) -> int:
    """How many calls succeeded, as the last line of an OTLP JSON file says."""
    last = json.loads(file.read_text().splitlines()[-1])
    (scope,) = last["resourceMetrics"][0]["scopeMetrics"]
    (metric,) = [each for each in scope["metrics"] if each["name"] == "aixgo.runtime.calls"]
    return next(
        int(point["asInt"])
        for point in metric["sum"]["dataPoints"]
        if point["attributes"][0]["value"]["stringValue"] == "succeeded"
    )


async def test_spans_and_metrics_share_a_file_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "otlp.jsonl"
    async with (
        setup(exporter="file", metrics="file", metrics_export_interval=0.01, file=str(file)),
        LocalRuntime(pieces) as rt,
    ):
        for _ in range(200):
            await rt.call("pieces", "x")
    kinds_ = {next(iter(json.loads(line))) for line in file.read_text().splitlines()}
    assert kinds_ == {"resourceSpans", "resourceMetrics"}
    assert file.stat().st_mode & 0o777 == 0o600


async def test_metrics_leave_every_interval_by_themselves() -> None:
    with Receiver() as receiver:
        async with (
            setup(metrics="otlp", endpoint=receiver.http, metrics_export_interval=0.02),
            LocalRuntime(upper) as rt,
        ):
            await rt.call("upper", "x")
            await asyncio.to_thread(
                receiver.until, lambda: "aixgo.call.duration" in receiver.metrics
            )
    assert set(receiver.paths) == {"/v1/metrics"}


async def test_headers_and_the_name_of_the_service_go_with_metrics_too() -> None:
    with Receiver() as receiver:
        async with setup(
            metrics="otlp", endpoint=receiver.http, headers={"x-team": "blue"}, service_name="shop"
        ):
            pass
        assert receiver.headers[-1]["x-team"] == "blue"
        assert b"shop" in receiver.posted[-1]


async def test_traces_alone_export_no_metrics_and_metrics_alone_no_traces() -> None:
    for options, path in (
        ({"exporter": "otlp"}, "/v1/traces"),
        ({"metrics": "otlp"}, "/v1/metrics"),
    ):
        with Receiver() as receiver:
            async with (
                setup(endpoint=receiver.http, **options),  # type: ignore[arg-type]
                LocalRuntime(upper) as rt,
            ):
                await rt.call("upper", "x")
            assert set(receiver.paths) == {path}


# -- receivers that do not want them ----------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
async def test_a_collector_that_is_down_is_one_warning_and_no_error(
    protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        async with (
            LocalRuntime(upper) as rt,
            setup(
                metrics="otlp",
                protocol=protocol,  # type: ignore[arg-type]
                endpoint="http://127.0.0.1:1",
                timeout=0.2,
                metrics_export_interval=0.01,
            ) as on,
        ):
            for _ in range(3):
                assert (await rt.call("upper", "x")).text == "X"
                await asyncio.to_thread(on.flush)
    warned = [record.getMessage() for record in caplog.records]
    assert len(warned) == 1
    assert "metrics do not reach http://127.0.0.1:1" in warned[0]


async def test_a_collector_that_refuses_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    with Receiver(status=401) as receiver:
        async with setup(metrics="otlp", endpoint=receiver.http) as on, LocalRuntime(upper) as rt:
            await rt.call("upper", "x")
            await asyncio.to_thread(on.flush)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_closing_takes_no_longer_than_its_bound_when_the_collector_takes_neither() -> None:
    with Receiver() as receiver:
        receiver.release.clear()
        on = setup(exporter="otlp", metrics="otlp", endpoint=receiver.http, timeout=60)
        assert on.tracer_provider is not None
        on.tracer_provider.get_tracer("t").start_span("s").end()
        began = time.monotonic()
        on.close()
        assert time.monotonic() - began < 6
        assert not telemetry.on


async def test_one_work_fails_no_other_when_a_runtime_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Receiver() as receiver:
        async with setup(metrics="otlp", endpoint=receiver.http) as on, LocalRuntime(upper) as rt:

            def broken() -> None:
                raise RuntimeError("changed size during iteration")

            with monkeypatch.context() as patched:
                patched.setattr(rt, "metrics", broken)
                await rt.call("upper", "x")
                await asyncio.to_thread(on.flush)
        assert "aixgo.call.duration" in receiver.metrics


async def test_an_error_of_a_call_is_the_same_with_and_without_metrics() -> None:
    async def told() -> str:
        async with LocalRuntime(fails) as rt:
            try:
                await rt.call("nobody", "x")
            except AixgoError as exc:
                return repr(exc)
        return ""

    without = await told()
    async with setup(prometheus="127.0.0.1:0"):
        assert await told() == without
