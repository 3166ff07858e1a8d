"""ProducerAgent and LoggerAgent."""

from __future__ import annotations

import asyncio
import logging

import pytest

from aixgo import Message
from aixgo.agents import LoggerAgent, ProducerAgent
from aixgo.errors import ConfigError
from aixgo.runtime.local import LocalRuntime
from aixgo.testing import RecordingAgent


async def test_a_producer_emits_its_count_to_its_outputs_and_is_done() -> None:
    producer = ProducerAgent("ticks", interval="1ms", count=3)
    rt = LocalRuntime()
    await rt.register(producer, outputs=["exit"])
    async with asyncio.timeout(5), rt:
        assert producer.producing
        got = [await rt.recv("exit") for _ in range(3)]
        for _ in range(10):  # the last message was put; its producer's task ends in the next turns
            await asyncio.sleep(0)
        assert (producer.producing, await rt.pending()) == (False, 0)
    assert [message.payload for message in got] == [
        {"producer": "ticks", "sequence": n} for n in (1, 2, 3)
    ]
    assert {message.source for message in got} == {"ticks"}


async def test_a_producer_waits_for_outputs_that_start_after_it() -> None:
    late = RecordingAgent("late")
    late.depends_on = ("ticks", "slow")  # type: ignore[attr-defined]
    slow = RecordingAgent("slow")
    gate = asyncio.Event()

    async def start(caller: object) -> None:
        await gate.wait()

    slow.start = start  # type: ignore[attr-defined]
    rt = LocalRuntime()
    await rt.register(ProducerAgent("ticks", count=1), outputs=["late"])
    await rt.register(slow)
    await rt.register(late)
    async with asyncio.timeout(5):
        starting = asyncio.create_task(rt.start())
        for _ in range(10):
            await asyncio.sleep(0)
        gate.set()
        await starting
        await late.finished.wait()
        await rt.stop()
    assert len(late.messages) == 1


async def test_stopping_ends_a_producer_without_a_count() -> None:
    producer = ProducerAgent("ticks", interval=0.001)
    rt = LocalRuntime()
    await rt.register(producer, outputs=["exit"])
    async with asyncio.timeout(5), rt:
        await rt.recv("exit")
    assert not producer.producing


@pytest.mark.parametrize(
    ("options", "payload"),
    [
        ({"payload": {"a": [1]}}, {"a": [1]}),
        ({"template": "{name} no. {sequence} {other}"}, "p no. 1 {other}"),
        ({}, {"producer": "p", "sequence": 1}),
    ],
)
async def test_a_call_makes_one_message(options: dict[str, str], payload: object) -> None:
    async with LocalRuntime(ProducerAgent("p", count=0, message_type="tick", **options)) as rt:  # type: ignore[arg-type]
        reply = await rt.call("p", "now")
    assert (reply.payload, reply.type) == (payload, "tick")


def test_a_producer_needs_a_pace_and_one_source_of_payloads() -> None:
    with pytest.raises(ConfigError, match="an interval"):
        ProducerAgent("p")
    with pytest.raises(ConfigError, match="both"):
        ProducerAgent("p", count=1, payload=1, template="x")
    with pytest.raises(ConfigError, match="duration"):
        ProducerAgent("p", interval="soon")
    assert ProducerAgent.from_config("p", {"interval": "800ms", "outputs": []}).interval == 0.8


async def test_a_logger_tells_type_source_and_size_and_gives_the_message_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with LocalRuntime(LoggerAgent("log")) as rt:
        with caplog.at_level(logging.INFO, "aixgo.agents.logger"):
            reply = await rt.call("log", Message("secret", type="alert", metadata={"a": 1}))
    assert (reply.text, reply.type, reply.metadata) == ("secret", "alert", {"a": 1})
    assert "log: 'alert' from ''" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
async def test_a_logger_logs_at_its_level(level: str, caplog: pytest.LogCaptureFixture) -> None:
    async with LocalRuntime(LoggerAgent("log", level=level)) as rt:
        with caplog.at_level(logging.DEBUG, "aixgo.agents.logger"):
            await rt.call("log", "anything")
    [record] = [r for r in caplog.records if r.name == "aixgo.agents.logger"]
    assert record.levelname == level.upper()


async def test_a_logger_shows_payloads_when_told_to(caplog: pytest.LogCaptureFixture) -> None:
    agent = LoggerAgent.from_config(
        "log", {"log_payload": True, "level": "warning", "listen": ":1"}
    )
    async with LocalRuntime(agent) as rt:
        with caplog.at_level(logging.WARNING):
            await rt.call("log", "secret")
    assert "secret" in caplog.text
    with pytest.raises(ConfigError, match="level"):
        LoggerAgent("log", level="loud")
