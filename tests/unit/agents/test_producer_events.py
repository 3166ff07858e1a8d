"""ProducerAgent: events of an async generator, its pace, and what it counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from aixgo import LocalRuntime, Message, load_config
from aixgo.agents import ProducerAgent, producer
from aixgo.config import open_runtime
from aixgo.errors import AgentNotReady, AgentRefused, ConfigError, MailboxFull

SOURCE = """
async def readings():
    for value in (20.5, 21.0):
        yield {"degrees": value}

def once():
    return [1, 2]
"""


async def started(agent: ProducerAgent) -> LocalRuntime:
    rt = LocalRuntime()
    await rt.register(agent, outputs=["exit"])
    return rt


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0)


async def test_each_event_is_a_message_until_the_source_ends() -> None:
    async def events() -> AsyncIterator[object]:
        yield "one"
        yield Message({"two": 2}, type="own")

    agent = ProducerAgent("feed", events=events, message_type="event")  # type: ignore[arg-type]
    async with asyncio.timeout(5), await started(agent) as rt:
        got = [await rt.recv("exit") for _ in range(2)]
        await until(lambda: not agent.producing)
        assert agent.ready()
    assert [(m.payload, m.type, m.source) for m in got] == [
        ("one", "event", "feed"),
        ({"two": 2}, "own", "feed"),
    ]


async def test_stopping_closes_the_source_and_waits_for_it() -> None:
    closed = []

    async def events() -> AsyncIterator[str]:
        try:
            yield "one"
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            closed.append(True)

    async with asyncio.timeout(5), await started(ProducerAgent("feed", events=events)) as rt:
        await rt.recv("exit")
    assert closed == [True]


async def test_a_count_ends_the_source_early() -> None:
    closed = []

    async def events() -> AsyncIterator[int]:
        try:
            for number in range(100):
                yield number
        finally:
            closed.append(True)

    agent = ProducerAgent("feed", events=events, count=2)
    async with asyncio.timeout(5), await started(agent) as rt:
        assert [(await rt.recv("exit")).payload for _ in range(2)] == [0, 1]
        await until(lambda: not agent.producing)
    assert closed == [True]


async def test_a_source_that_fails_is_begun_anew_as_often_as_allowed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(producer, "BACKOFF", 0.0)
    begun = []

    async def events() -> AsyncIterator[int]:
        begun.append(True)
        yield len(begun)
        raise OSError("line dropped")

    agent = ProducerAgent("feed", events=events, restarts=2)
    async with asyncio.timeout(5), await started(agent) as rt:
        assert [(await rt.recv("exit")).payload for _ in range(3)] == [1, 2, 3]
        await until(lambda: not agent.producing)
        assert not agent.ready()
        with pytest.raises(AgentNotReady):
            await rt.call("feed", "now")
    assert [r.getMessage() for r in caplog.records].count("producer 'feed': its events failed") == 3


async def test_a_source_that_fails_is_not_begun_anew_by_itself() -> None:
    begun = []

    async def events() -> AsyncIterator[int]:
        begun.append(True)
        raise OSError("line dropped")
        yield 1

    agent = ProducerAgent("feed", events=events)
    async with asyncio.timeout(5), await started(agent):
        await until(lambda: not agent.producing)
    assert begun == [True]


async def test_a_call_cannot_make_an_event() -> None:
    async def events() -> AsyncIterator[int]:
        await asyncio.Event().wait()
        yield 1

    async with await started(ProducerAgent("feed", events=events)) as rt:
        with pytest.raises(AgentRefused, match="sends events as they come"):
            await rt.call("feed", "now")


async def test_what_is_no_source_fails_the_start() -> None:
    async def coroutine() -> list[int]:
        return [1]

    for wrong in (coroutine, lambda: [1]):
        with pytest.raises(ConfigError, match="no async generator"):
            async with await started(ProducerAgent("feed", events=wrong)):  # type: ignore[arg-type]
                pass


def test_events_set_pace_and_payload_themselves() -> None:
    async def events() -> AsyncIterator[int]:
        yield 1

    for more in ({"interval": 1}, {"payload": 1}, {"template": "x"}):
        with pytest.raises(ConfigError, match="give no interval, payload or template"):
            ProducerAgent("feed", events=events, **more)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="no events to restart"):
        ProducerAgent("feed", count=1, restarts=1)
    with pytest.raises(ConfigError, match="restarts is -1"):
        ProducerAgent("feed", events=events, restarts=-1)


async def test_a_file_names_the_source_as_code_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "feed.py").write_text(SOURCE)
    file = tmp_path / "flow.yaml"
    file.write_text(
        "agents: [{name: feed, role: producer, events: './feed.py:readings', outputs: [{target: out}]}]"
    )
    monkeypatch.chdir("/")
    config = load_config(file)
    assert config.warnings == ()
    async with asyncio.timeout(5), open_runtime(config) as rt:
        assert [(await rt.recv("out")).payload for _ in range(2)] == [
            {"degrees": 20.5},
            {"degrees": 21.0},
        ]


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("./feed.py:none", "there is no 'none'"),
        ("./other.py:readings", "there is no file"),
        ("./feed.py:once", "no async generator"),
    ],
)
async def test_code_that_is_no_source_is_refused_with_the_agent(
    tmp_path: Path, source: str, why: str
) -> None:
    (tmp_path / "feed.py").write_text(SOURCE)
    (tmp_path / "flow.yaml").write_text(
        f"agents: [{{name: feed, role: producer, events: {source}}}]"
    )
    with pytest.raises(ConfigError, match=why) as raised:
        async with open_runtime(load_config(tmp_path / "flow.yaml")):
            pass
    assert "'feed'" in str(raised.value)


class Outputs:
    """What a producer emits to: refuses the first messages, then takes all."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.taken: list[object] = []

    async def emit(self, message: Message) -> None:
        if self.refusals:
            self.refusals -= 1
            raise MailboxFull("out", 1)
        self.taken.append(message.payload)


@pytest.mark.parametrize(("refusals", "taken"), [(2, ["3", "4"]), (9, ["10", "11"]), (10, [])])
async def test_only_delivered_messages_count_and_ten_failures_in_a_row_end_it(
    refusals: int, taken: list[str]
) -> None:
    agent, outputs = ProducerAgent("ticks", count=2, template="{sequence}"), Outputs(refusals)
    async with asyncio.timeout(5):
        await agent.start(outputs)  # type: ignore[arg-type]
        await until(lambda: not agent.producing)
        await agent.stop()
    assert outputs.taken == taken


async def test_a_template_tells_the_time() -> None:
    async with LocalRuntime(ProducerAgent("p", count=0, template="{sequence} at {time}")) as rt:
        reply = await rt.call("p", "now")
    assert reply.text.startswith("1 at 20")
    assert reply.text.endswith("+00:00")
