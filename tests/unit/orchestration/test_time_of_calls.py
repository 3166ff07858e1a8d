"""The time a pattern gives each call of an agent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from aixgo import CallContext, Caller, LocalRuntime, Message, agent
from aixgo.errors import AgentNotReady, ConfigError
from aixgo.orchestration import (
    ErrorStrategy,
    Limits,
    Orchestrator,
    Planning,
    Sequential,
    Supervisor,
)
from aixgo.orchestration.base import Slot

ATTEMPTS = ErrorStrategy("retry", retry_delay=0, fallbacks={"stuck": ["steady"]})


@agent
async def patient(_: str, context: CallContext) -> str:
    """Says how long it may take."""
    return str(round(context.remaining))


class Asks(Orchestrator):
    """Asks in every way there is, for no time, for less and for more than it has for a call."""

    pattern = "asks"

    @classmethod
    def from_config(
        cls, name: str, agents: Sequence[Slot], config: Mapping[str, object], limits: Limits
    ) -> Asks:
        return cls(name, agents, limits=limits)

    async def run(self, message: Message, caller: Caller) -> Message:
        found: list[str] = []
        for seconds in (None, 7, 70):
            found.append((await caller.call("patient", message, timeout=seconds)).text)
            several = await caller.call_parallel(["patient"], message, timeout=seconds)
            found.append(several.replies[0].text)
            async with caller.stream("patient", message, timeout=seconds) as chunks:
                async for _ in chunks:
                    pass
                assert chunks.final is not None
                found.append(chunks.final.text)
        return self.result(Message(" ".join(found)))


@pytest.mark.parametrize("strategy", [None, ErrorStrategy("retry")], ids=["plain", "strategy"])
@pytest.mark.parametrize("streaming", [False, True], ids=["call", "stream"])
async def test_a_call_gets_no_more_time_than_the_pattern_gives_however_it_is_made(
    strategy: ErrorStrategy | None, streaming: bool
) -> None:
    asks = Asks("asks", [patient], timeout=20, error_strategy=strategy)
    async with LocalRuntime(asks) as rt, asyncio.timeout(5):
        if not streaming:
            reply = await rt.call("asks", "?")
        else:
            async with rt.stream("asks", "?") as chunks:
                async for _ in chunks:
                    pass
            assert chunks.final is not None
            reply = chunks.final
    assert reply.text == "20 20 20 7 7 7 20 20 20"


async def test_the_run_ends_a_call_before_its_time_if_it_ends_itself() -> None:
    flow = Sequential("flow", [patient], timeout=20, limits=Limits(timeout=9))
    async with LocalRuntime(flow) as rt, asyncio.timeout(5):
        assert (await rt.call("flow", "?")).text == "9"


async def test_each_attempt_has_the_whole_time_and_who_stands_in_too() -> None:
    seen: list[int] = []

    @agent
    async def stuck(_: str, context: CallContext) -> str:
        seen.append(round(context.remaining))
        if len(seen) < 3:
            raise AgentNotReady("stuck")
        await asyncio.Event().wait()
        return ""

    @agent
    async def steady(_: str, context: CallContext) -> str:
        return str(round(context.remaining, 1))

    flow = Sequential("flow", [stuck], timeout=0.4, error_strategy=ATTEMPTS)
    async with LocalRuntime(flow, steady) as rt, asyncio.timeout(5):
        reply = await rt.call("flow", "?")
    assert reply.text == "0.4"
    assert len(seen) == 3
    assert reply.metadata["fallbacks"]["stuck"]["error"]["class"] == "DeadlineExceeded"


async def test_what_a_pattern_is_given_holds_for_a_pattern_within_as_a_whole() -> None:
    inner = Sequential("inner", [patient], timeout=70)
    async with LocalRuntime(Supervisor("outer", [inner], timeout=20)) as rt, asyncio.timeout(5):
        assert (await rt.call("outer", "?")).text == "20"


@pytest.mark.parametrize("make", [Sequential, Planning])
def test_a_file_may_call_it_the_time_of_a_step(make: type[Orchestrator]) -> None:
    config = {"planner": "p"} if make is Planning else {}
    found = make.from_config("flow", ["a"], {**config, "step_timeout": "2s"}, Limits())
    assert found.timeout == 2
    both = {**config, "timeout": 2, "step_timeout": 3}
    with pytest.raises(ConfigError, match="step_timeout and timeout are one key; give one"):
        make.from_config("flow", ["a"], both, Limits())


def test_a_time_that_is_none_is_refused_with_the_patterns_name() -> None:
    with pytest.raises(ConfigError, match="asks 'asks': timeout is -1; it must be at least 0"):
        Asks("asks", ["patient"], timeout=-1)
