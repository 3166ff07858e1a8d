"""Agents that gather what is sent to them; the aggregator's own tests show the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from aixgo import Agent, LocalRuntime, Message, agent
from aixgo.contract import Gathers
from aixgo.errors import AgentFailed, ConfigError, RuntimeClosed
from aixgo.runtime import gathering
from aixgo.testing import FakeClock


class Digest:
    """Puts messages together, or fails to."""

    name = "digest"
    role = "digest"

    def __init__(self, *, failing: bool = False, seconds: float = 60) -> None:
        self.gathers = Gathers(seconds)
        self.failing = failing

    def gather(self, messages: Sequence[Message]) -> Message:
        if self.failing:
            raise KeyError("lost")
        return Message([message.text for message in messages])

    async def execute(self, message: Message) -> Message:
        return message


async def runtime_with(digest: Digest, clock: FakeClock | None = None) -> LocalRuntime:
    rt = LocalRuntime(clock=clock or FakeClock())
    await rt.register(digest, outputs=["out"])
    return rt


async def test_what_cannot_be_put_together_becomes_dead_letters_one_by_one() -> None:
    clock = FakeClock()
    async with asyncio.timeout(5), await runtime_with(Digest(failing=True), clock) as rt:
        for text in ("one", "two"):
            await rt.send("digest", text)
        while await rt.pending() != 2:
            await asyncio.sleep(0)
        await clock.advance(60)
        while await rt.pending():
            await asyncio.sleep(0)
        assert [letter.message.text for letter in rt.dead_letters] == ["one", "two"]
        assert {type(letter.error) for letter in rt.dead_letters} == {AgentFailed}


async def test_a_gathering_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "MOST", 3)
    async with asyncio.timeout(5), await runtime_with(Digest()) as rt:
        for text in "abcd":
            await rt.send("digest", text)
        assert (await rt.recv("out")).payload == ["a", "b", "c"]
        while await rt.pending() != 1:
            await asyncio.sleep(0)


async def test_what_an_agent_gathered_is_not_lost_silently_when_it_leaves() -> None:
    async with asyncio.timeout(5), await runtime_with(Digest()) as rt:
        await rt.send("digest", "one")
        while await rt.pending() != 1:
            await asyncio.sleep(0)
        await rt.unregister("digest")
        [letter] = rt.dead_letters
        assert (letter.message.text, type(letter.error)) == ("one", RuntimeClosed)


@pytest.mark.parametrize("order", [1, -1], ids=["in order", "reversed"])
async def test_of_a_chain_of_gatherings_none_hands_on_before_those_that_feed_it(
    order: int,
) -> None:
    first, second = Digest(), Digest()
    second.name = "second"
    seen: list[object] = []

    @agent
    async def between(message: Message) -> Message:
        return message

    @agent
    async def last(message: Message) -> Message:
        seen.append(message.payload)
        return message

    rt = LocalRuntime(clock=FakeClock())
    places: list[tuple[Agent, str]] = [(first, "between"), (between, "second"), (second, "last")]
    for each, output in places[::order]:
        await rt.register(each, outputs=[output])
    await rt.register(last)
    async with asyncio.timeout(5):
        async with rt:
            await rt.send("digest", "one")
            await rt.send("second", "other")
            while await rt.pending() != 2:
                await asyncio.sleep(0)
        assert seen == [["other", '["one"]']]


async def test_a_chain_of_gatherings_is_handed_on_to_its_end_when_the_runtime_stops() -> None:
    first, second = Digest(), Digest()
    second.name = "second"
    seen: list[object] = []

    class Last:
        name = role = "last"

        async def execute(self, message: Message) -> Message:
            seen.append(message.payload)
            return message

    rt = LocalRuntime(clock=FakeClock())
    await rt.register(first, outputs=["second"])
    await rt.register(second, outputs=["last"])
    await rt.register(Last())
    async with asyncio.timeout(5):
        async with rt:
            await rt.send("digest", "one")
        assert seen == [['["one"]']]


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"gathers": 5}, "it must be a Gathers"),
        ({"gather": None}, "has no method gather"),
        ({"mailbox": True}, "reads its own mailbox"),
    ],
)
async def test_who_cannot_gather_is_refused_when_registered(
    facts: dict[str, object], why: str
) -> None:
    digest = Digest()
    for name, value in facts.items():
        setattr(digest, name, value)
    with pytest.raises(ConfigError, match=why):
        await runtime_with(digest)


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan")])
def test_a_gathering_has_an_end(seconds: float) -> None:
    with pytest.raises(ConfigError, match="a time that ends"):
        Gathers(seconds)
