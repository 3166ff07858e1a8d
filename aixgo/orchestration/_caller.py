"""The Caller a pattern's `run` gets: the runtime's own, with a token fuse and, while streaming, a tap.

Below: contract. Above: `base`, which makes one per run.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias, TypeVar, cast

from aixgo.context import CallContext
from aixgo.contract import Agent, Caller, Outcome, Outcomes
from aixgo.errors import AixgoError, InvalidMessage, LimitExceeded, Unavailable
from aixgo.ledger import Budget
from aixgo.message import Message, Payload, StreamChunk
from aixgo.middleware import ReplyStream
from aixgo.orchestration._facts import Inner
from aixgo.purse import STREAM_SHARE, Share

__all__ = ["PatternCaller", "Tap", "all_or_first_failure"]

T = TypeVar("T")

Tap: TypeAlias = Callable[[StreamChunk], Awaitable[None]]


class PatternCaller:
    """Passes every method on to `caller`; model calls stop once `max_tokens` are used.

    With a `tap` each call is streamed and its chunks go there, their path beginning with the agent they came
    from. The tap may wait, and so slows the producers down to the consumer's pace. `inner` hears every reply. No call
    takes longer than `timeout` seconds, whatever it asks for.
    """

    def __init__(
        self,
        caller: Caller,
        context: CallContext,
        max_tokens: int,
        inner: Inner,
        tap: Tap | None = None,
        timeout: float | None = None,
    ) -> None:
        self._caller = caller
        self._context = context
        self._max_tokens = max_tokens
        self._inner = inner
        self._tap = tap
        self._timeout = timeout

    async def call(
        self,
        target: str,
        message: Message | Payload,
        *,
        timeout: float | None = None,
        budget: Budget | None = None,
        session: str | None = None,
        idempotency_key: str = "",
        key: str = "",
        share: Share = 1,
    ) -> Message:
        """The reply of `target`, streamed to the tap on its way if there is one."""
        self._check_fuse()
        timeout = self._bounded(timeout)
        tap = self._tap
        if tap is None:
            reply = await self._caller.call(
                target,
                message,
                timeout=timeout,
                budget=budget,
                session=session,
                idempotency_key=idempotency_key,
                key=key,
                share=share,
            )
            self._inner.hear(target, reply, key)
            return reply
        async with self._caller.stream(
            target,
            message,
            timeout=timeout,
            budget=budget,
            session=session,
            idempotency_key=idempotency_key,
            key=key,
            share=share,
        ) as chunks:
            async for chunk in chunks:
                await tap(chunk)
            if chunks.final is None:
                raise Unavailable(target, "its stream ended without a reply", "unknown")
            self._inner.hear(target, chunks.final, key)
            return chunks.final

    @asynccontextmanager
    async def stream(
        self,
        target: str,
        message: Message | Payload,
        *,
        timeout: float | None = None,
        budget: Budget | None = None,
        session: str | None = None,
        idempotency_key: str = "",
        key: str = "",
        share: Share = STREAM_SHARE,
    ) -> AsyncIterator[ReplyStream]:
        """The reply of `target` in pieces, for a pattern that reads them itself."""
        self._check_fuse()
        timeout = self._bounded(timeout)
        async with self._caller.stream(
            target,
            message,
            timeout=timeout,
            budget=budget,
            session=session,
            idempotency_key=idempotency_key,
            key=key,
            share=share,
        ) as chunks:
            yield chunks
            if chunks.final is not None:
                self._inner.hear(target, chunks.final, key)

    def _heard(self, outcome: Outcome) -> Outcome:
        """`outcome`, once it is heard; a reply whose metadata cannot be read is none."""
        if outcome.reply is not None:
            try:
                self._inner.hear(outcome.target, outcome.reply)
            except InvalidMessage as exc:
                return Outcome(outcome.target, error=exc)
        return outcome

    async def call_parallel(
        self,
        targets: Sequence[str],
        message: Message | Payload,
        *,
        timeout: float | None = None,
        keys: Sequence[str] | None = None,
        after: int = 0,
    ) -> Outcomes:
        """Call all targets at once; outcomes come in target order."""
        self._check_fuse()
        if self._tap is None:
            timeout = self._bounded(timeout)
            found = await self._caller.call_parallel(
                targets, message, timeout=timeout, keys=keys, after=after
            )
            return Outcomes(map(self._heard, found))
        if keys is None:  # before any task runs, so that keys do not depend on who comes first
            keys = [self._context.child_key(target) for target in targets]

        async def one(target: str, key: str, share: Share) -> Outcome:
            try:
                reply = await self.call(target, message, timeout=timeout, key=key, share=share)
                return Outcome(target, reply)
            except AixgoError as exc:
                return Outcome(target, error=exc)

        shares = self._context.shares(len(targets), after)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(one(target, key, share))
                for target, key, share in zip(targets, keys, shares, strict=True)
            ]
        return Outcomes(task.result() for task in tasks)

    async def send(
        self,
        target: str,
        message: Message | Payload,
        *,
        timeout: float = 5.0,
        budget: Budget | None = None,
    ) -> None:
        """Put `message` into the target's mailbox."""
        await self._caller.send(target, message, timeout=timeout, budget=budget)

    async def recv(self, name: str = "", *, timeout: float | None = None) -> Message:
        """Take the next message from a mailbox."""
        return await self._caller.recv(name, timeout=timeout)

    async def broadcast(
        self, message: Message | Payload, targets: Iterable[str] | None = None
    ) -> Outcomes:
        """Put `message` into every mailbox, or those of `targets`."""
        return await self._caller.broadcast(message, targets)

    async def emit(self, message: Message | Payload) -> None:
        """Send `message` to every output of the orchestrator."""
        await self._caller.emit(message)

    def list_agents(self) -> list[str]:
        """The names that can be called."""
        return self._caller.list_agents()

    def spawn(self, agent: Agent) -> AbstractAsyncContextManager[str]:
        """Host `agent` as a child for the length of the `async with`."""
        return self._caller.spawn(agent)

    def _bounded(self, timeout: float | None) -> float | None:
        """The time for a call that asks for `timeout`."""
        most = self._timeout
        return timeout if most is None or (timeout is not None and timeout < most) else most

    def _check_fuse(self, more: int = 0) -> None:
        """Refuse a call once too many tokens are used, `more` than the context knows of."""
        spent = self._context.spent
        used = more if spent is None else more + spent.tokens_total
        if used > self._max_tokens:
            raise LimitExceeded("max_tokens", self._max_tokens, self._context.agent)


async def all_or_first_failure(calls: Iterable[Callable[[], Awaitable[T]]]) -> list[T]:
    """What all of `calls` give, made at once; each is begun.

    Raises:
        AixgoError: the first that one of them failed with; the others have been stopped, and waited for.
    """
    failures: list[AixgoError] = []

    async def one(call: Callable[[], Awaitable[T]]) -> T | None:
        try:
            return await call()
        except AixgoError as exc:
            # Not left to the group: in Python 3.11 that cancels our caller's task and does not take it back.
            failures.append(exc)
            return None

    stopped = False

    def ended(_: object) -> None:
        nonlocal stopped
        if failures and not stopped:
            stopped = True  # once: the end of one must not cut short how another cleans up
            for task in tasks:
                task.cancel()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(call)) for call in calls]
        for task in tasks:
            task.add_done_callback(ended)
    if failures:
        raise failures[0]
    return [cast("T", task.result()) for task in tasks]
