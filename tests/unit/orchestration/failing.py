"""Agents that fail as they are told, and clocks for the waits between attempts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aixgo import CallContext, Message, Usage
from aixgo.context import Callback, TimerHandle
from aixgo.contract import Caller
from aixgo.errors import AixgoError, ProviderUnavailable
from aixgo.testing import FakeClock

__all__ = ["Fails", "HeldClock", "QuickClock", "answer", "down", "failure"]

LONGEST_WAIT = 100.0  # seconds; what is longer is a deadline


def down(retry_after: float = 0.0) -> ProviderUnavailable:
    return ProviderUnavailable("down", provider="acme", code="busy", retry_after=retry_after)


class Fails:
    """Fails with `errors` in turn, then answers with its name; `keys` are those of its calls. Each spends `usage`."""

    role = "fails"

    def __init__(
        self, name: str, errors: Sequence[BaseException] = (), usage: Usage | None = None
    ) -> None:
        self.name = name
        self.errors = list(errors)
        self.usage = usage
        self.keys: list[str] = []
        self.messages: list[Message] = []
        self.budgets: list[int | None] = []

    async def execute(self, message: Message) -> Message:
        """Note the call; then fail, or answer."""
        context = CallContext.current()
        self.keys.append(context.key)
        self.messages.append(message)
        self.budgets.append(None if context.budget is None else context.budget.calls)
        context.charge(self.usage)
        if self.errors:
            raise self.errors.pop(0)
        return message.reply(f"{self.name} of {message.text}")


class QuickClock(FakeClock):
    """A clock for which every wait is over at once; `waits` are the seconds it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def call_later(self, delay: float, callback: Callback) -> TimerHandle:
        if delay >= LONGEST_WAIT:
            return super().call_later(delay, callback)
        self.waits.append(delay)
        self._elapsed += delay
        return asyncio.get_running_loop().call_soon(callback)


class HeldClock(FakeClock):
    """A clock that stands still; `waiting` is set once somebody waits, `timers` those who still do."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = asyncio.Event()
        self.timers: list[_Held] = []

    def call_later(self, delay: float, callback: Callback) -> TimerHandle:
        if delay >= LONGEST_WAIT:
            return super().call_later(delay, callback)
        self.waiting.set()
        return _Held(self.timers)


class _Held:
    def __init__(self, timers: list[_Held]) -> None:
        self._timers = timers
        timers.append(self)

    def cancel(self) -> None:
        self._timers.remove(self)


async def answer(
    rt: Caller, target: str, message: object, *, streaming: bool = False, **options: object
) -> Message:
    """The reply, called or streamed; a wait that hangs fails."""
    async with asyncio.timeout(10):
        if not streaming:
            return await rt.call(target, message, **options)  # type: ignore[arg-type]
        async with rt.stream(target, message, **options) as chunks:  # type: ignore[arg-type]
            async for _ in chunks:
                pass
        assert chunks.final is not None
        return chunks.final


async def failure(
    rt: Caller, target: str, message: object, *, streaming: bool = False, **options: object
) -> AixgoError:
    """What the call raises."""
    try:
        await answer(rt, target, message, streaming=streaming, **options)
    except AixgoError as exc:
        return exc
    raise AssertionError("it did not fail")
