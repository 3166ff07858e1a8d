"""The Caller of a run that has an error strategy: each call is made as that says.

Below: `_attempts`, and `_caller`, which makes the single attempt. Above: `base`, which makes one per run.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from aixgo.context import CallContext
from aixgo.contract import Caller, Outcome, Outcomes
from aixgo.errors import AixgoError, ConfigError
from aixgo.ledger import Budget
from aixgo.message import Message, Payload, StreamChunk
from aixgo.middleware import ReplyStream
from aixgo.orchestration._attempts import Attempt, Attempts, Plan, ends_run
from aixgo.orchestration._caller import PatternCaller, Tap, all_or_first_failure
from aixgo.orchestration._facts import Inner
from aixgo.purse import STREAM_SHARE, Share

__all__ = ["PersistentCaller"]


class PersistentCaller(PatternCaller):
    """A `PatternCaller` that asks again, and others instead, by `plan`."""

    def __init__(
        self,
        caller: Caller,
        context: CallContext,
        max_tokens: int,
        inner: Inner,
        plan: Plan,
        tap: Tap | None = None,
        timeout: float | None = None,
    ) -> None:
        super().__init__(caller, context, max_tokens, inner, tap, timeout)
        self._plan = plan

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
        """The reply of `target`, or of who stands in for it; each attempt has `timeout`."""
        given, timeout = Message.of(message), self._bounded(timeout)
        async with self._plan.call(self._context, target, key, share, budget) as attempts:
            single = self._single(attempts)

            async def ask(attempt: Attempt) -> Message:
                self._check_fuse(attempts.tokens)
                with attempt.entered():
                    return await single.call(
                        attempt.agent,
                        given,
                        timeout=timeout,
                        session=session,
                        idempotency_key=idempotency_key,
                        key=attempt.key,
                    )

            reply = await attempts.run(ask)
            attempts.entry.answer(reply)
            return reply

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
        """The reply of `target`, or of who stands in for it, in pieces; after the first nobody else is asked."""
        given, timeout = Message.of(message), self._bounded(timeout)
        async with (
            self._plan.call(self._context, target, key, share, budget) as attempts,
            AsyncExitStack() as stack,
        ):

            async def ask(attempt: Attempt) -> _Begun:
                self._check_fuse(attempts.tokens)
                opening = self._caller.stream(
                    attempt.agent,
                    given,
                    timeout=timeout,
                    session=session,
                    idempotency_key=idempotency_key,
                    key=attempt.key,
                    share=1,
                )
                async with AsyncExitStack() as opened:
                    with attempt.entered():
                        chunks = await opened.enter_async_context(opening)
                    begun = _Begun(chunks)
                    await begun.begin()
                    stack.push_async_exit(opened.pop_all())
                return begun

            chunks = await attempts.run(ask)
            attempts.begun = True
            yield chunks
            if chunks.final is not None:
                self._inner.hear(attempts.entry.served_by or target, chunks.final, key)
                attempts.entry.answer(chunks.final)

    async def call_parallel(
        self,
        targets: Sequence[str],
        message: Message | Payload,
        *,
        timeout: float | None = None,
        keys: Sequence[str] | None = None,
        after: int = 0,
    ) -> Outcomes:
        """Call all targets at once; outcomes come in target order.

        Raises:
            AixgoError: the first failure that ends the run; the others have been stopped.
        """
        given = Message.of(message)
        if keys is None:  # before any task runs, so that keys do not depend on who comes first
            keys = [self._context.child_key(target) for target in targets]
        elif len(keys) != len(targets):
            raise ConfigError(f"{len(targets)} targets need as many keys, not {len(keys)}")
        goes_on = self._plan.strategy.goes_on

        async def one(target: str, key: str, share: Share) -> Outcome:
            try:
                reply = await self.call(target, given, timeout=timeout, key=key, share=share)
                return Outcome(target, reply)
            except AixgoError as exc:
                if not goes_on or ends_run(exc, self._context):
                    raise
                return Outcome(target, error=exc)

        plan = zip(targets, keys, self._context.shares(len(targets), after), strict=True)
        return Outcomes(await all_or_first_failure([partial(one, *call) for call in plan]))

    def _single(self, attempts: Attempts) -> PatternCaller:
        """What makes one attempt, and notes that a piece of the reply went out."""
        tap = self._tap
        if tap is None:
            return PatternCaller(self._caller, self._context, self._max_tokens, self._inner)

        async def noted(chunk: StreamChunk) -> None:
            attempts.begun = True
            await tap(chunk)

        return PatternCaller(self._caller, self._context, self._max_tokens, self._inner, noted)


class _Begun:
    """A stream whose first piece has been waited for."""

    def __init__(self, chunks: ReplyStream) -> None:
        self._chunks = chunks
        self._first: StreamChunk | None = None

    async def begin(self) -> None:
        """Wait for the first piece, or the end."""
        self._first = await anext(self._chunks, None)

    @property
    def final(self) -> Message | None:
        """The whole reply, once the iteration ended."""
        return None if self._first is not None else self._chunks.final

    def __aiter__(self) -> _Begun:
        return self

    async def __anext__(self) -> StreamChunk:
        first, self._first = self._first, None
        return await self._chunks.__anext__() if first is None else first

    async def aclose(self) -> None:
        """Stop the producer. Harmless at any time, also twice."""
        await self._chunks.aclose()
