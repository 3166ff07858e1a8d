"""Starting and stopping agents: order, failures, and bounds."""

from __future__ import annotations

import asyncio
import logging

import pytest

from aixgo import Caller, LocalRuntime, Message, agent
from aixgo.errors import AgentNotReady, ConfigError, RuntimeClosed
from aixgo.runtime import lifecycle


class Noted:
    """An agent that notes its life in a log; `fails` names the step that raises `error`."""

    role = "noted"

    def __init__(
        self,
        name: str,
        log: list[str],
        *,
        depends_on: tuple[str, ...] = (),
        fails: str = "",
        error: BaseException | None = None,
    ) -> None:
        self.name = name
        self.depends_on = depends_on
        self._log = log
        self._fails = fails
        self._error = error or ValueError("broken")

    async def start(self, caller: Caller) -> None:
        self._log.append(f"start {self.name}")
        if self._fails == "start":
            raise self._error

    async def execute(self, message: Message) -> Message:
        return message

    async def stop(self) -> None:
        self._log.append(f"stop {self.name}")
        if self._fails == "stop":
            raise self._error


async def test_agents_start_after_those_they_depend_on_and_stop_before_them() -> None:
    log: list[str] = []
    web = Noted("web", log, depends_on=("app",))
    app = Noted("app", log, depends_on=("db",))
    async with LocalRuntime(web, app, Noted("db", log)):
        assert log == ["start db", "start app", "start web"]
        log.clear()
    assert log == ["stop web", "stop app", "stop db"]


async def test_agents_of_one_level_start_at_once() -> None:
    both = asyncio.Barrier(2)

    class Meets(Noted):
        async def start(self, caller: Caller) -> None:
            await both.wait()

    async with asyncio.timeout(5), LocalRuntime(Meets("a", []), Meets("b", [])) as rt:
        assert (await rt.health())["agents"] == {"a": "ready", "b": "ready"}


async def test_an_agent_may_call_those_it_depends_on_while_it_starts() -> None:
    heard: list[str] = []

    @agent
    async def db(text: str) -> str:
        return f"{text} rows"

    class App(Noted):
        async def start(self, caller: Caller) -> None:
            reply = await caller.call("db", "7")
            heard.append(f"{reply.text} from {reply.source}")

    async with LocalRuntime(App("app", [], depends_on=("db",)), db):
        assert heard == ["7 rows from db"]


async def test_a_failing_start_stops_what_had_started_in_reverse_and_names_the_agent() -> None:
    log: list[str] = []
    rt = LocalRuntime(
        Noted("late", log, depends_on=("bad",)),
        Noted("bad", log, depends_on=("app",), fails="start"),
        Noted("app", log, depends_on=("db",)),
        Noted("db", log),
    )
    with pytest.raises(AgentNotReady, match=r"^agent 'bad' is unable to start$") as caught:
        await rt.start()
    assert isinstance(caught.value.__cause__, ValueError)
    assert log == [
        *("start db", "start app", "start bad"),
        *("stop bad", "stop app", "stop db"),
    ]
    assert (await rt.health())["status"] == "stopped"
    with pytest.raises(RuntimeClosed):
        await rt.call("db", "x")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (asyncio.CancelledError(), AgentNotReady),
        (TimeoutError("its own"), AgentNotReady),
        (ConfigError("no key"), ConfigError),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
async def test_however_a_start_fails_the_runtime_does_not_run(
    error: BaseException, expected: type[Exception]
) -> None:
    rt = LocalRuntime(Noted("bad", [], fails="start", error=error))
    with pytest.raises(expected):
        await rt.start()
    assert (await rt.health())["status"] == "stopped"


async def test_a_start_that_does_not_end_is_bounded() -> None:
    class Endless(Noted):
        async def start(self, caller: Caller) -> None:
            await asyncio.Event().wait()

    async with asyncio.timeout(5):
        with pytest.raises(AgentNotReady, match=r"agent 'slow' is not ready after 0\.05 s"):
            await LocalRuntime(Endless("slow", []), start_timeout=0.05).start()


async def test_an_agent_that_never_says_it_is_ready_is_bounded_too() -> None:
    class Unready(Noted):
        def ready(self) -> bool:
            return False

    async with asyncio.timeout(5):
        with pytest.raises(AgentNotReady, match=r"agent 'slow' is not ready after 0\.05 s"):
            await LocalRuntime(Unready("slow", []), start_timeout=0.05).start()


async def test_start_waits_until_an_agent_says_it_is_ready_and_calls_ask_it_each_time() -> None:
    answers = [False, False, True]

    class Warming(Noted):
        def ready(self) -> bool:
            return answers.pop(0) if len(answers) > 1 else answers[0]

    async with asyncio.timeout(5), LocalRuntime(Warming("model", [])) as rt:
        assert answers == [True]
        assert (await rt.call("model", "x")).text == "x"
        answers[0] = False
        with pytest.raises(AgentNotReady, match="agent 'model' is not ready"):
            await rt.call("model", "x")
        assert (await rt.health())["agents"] == {"model": "not ready"}


async def test_an_agent_that_fails_to_say_whether_it_is_ready_is_not() -> None:
    class Torn(Noted):
        broken = False

        def ready(self) -> bool:
            if self.broken:
                raise ValueError("torn")
            return True

    torn = Torn("torn", [])
    async with LocalRuntime(torn) as rt:
        torn.broken = True
        with pytest.raises(AgentNotReady):
            await rt.call("torn", "x")
        assert (await rt.health())["agents"] == {"torn": "not ready"}


@pytest.mark.parametrize(
    "error", [ValueError("x"), TimeoutError("its own"), asyncio.CancelledError()], ids=repr
)
async def test_one_agents_failing_stop_does_not_keep_the_others_from_theirs(
    error: BaseException,
) -> None:
    log: list[str] = []
    bad = Noted("bad", log, depends_on=("db",), fails="stop", error=error)
    async with LocalRuntime(bad, Noted("db", log)):
        log.clear()
    assert log == ["stop bad", "stop db"]


async def test_a_slow_stop_is_left_behind_and_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lifecycle, "STOP_TIMEOUT", 0.02)
    log: list[str] = []

    class Slow(Noted):
        async def stop(self) -> None:
            await asyncio.Event().wait()

    with caplog.at_level(logging.WARNING, "aixgo.runtime"):
        async with asyncio.timeout(5):
            async with LocalRuntime(Slow("slow", log, depends_on=("db",)), Noted("db", log)):
                pass
    assert "agent 'slow' did not stop within 0.02 s" in caplog.text
    assert log == ["start db", "start slow", "stop db"]


async def test_an_agent_that_never_started_is_not_stopped() -> None:
    log: list[str] = []
    rt = LocalRuntime(Noted("a", log))
    await rt.stop()
    assert log == []
