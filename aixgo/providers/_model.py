"""A model as agents use it: a provider with all that every call of it gets.

A call descends: middleware, first outermost → the meter (is there money, what did it use, what does that cost,
whom is it charged to) → the provider. Retries are middleware, so each attempt is metered by itself.

Below: base, pricing. Above: agents.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol, TypeAlias, cast

from aixgo import pricing, telemetry
from aixgo.context import CallContext
from aixgo.errors import ConfigError, OutputInvalid, ProviderError, ProviderUnavailable
from aixgo.ledger import Usage
from aixgo.middleware import Middleware, compose
from aixgo.providers._reserve import Reserved, reserve
from aixgo.providers.base import Completion, CompletionRequest, Delta, Provider

__all__ = ["CompletionStream", "Model", "ModelCall", "ModelMiddleware", "ModelReply"]

NO_REPORT = "usage_malformed"  # the code of an error after which nobody knows what the call used


class CompletionStream(Protocol):
    """A completion that arrives in pieces: iterate it, then read `final`."""

    def __aiter__(self) -> AsyncIterator[Delta]: ...

    async def __anext__(self) -> Delta: ...

    async def aclose(self) -> None:
        """Stop the model. Harmless at any time, also twice."""
        ...

    @property
    def final(self) -> Completion | None:
        """The whole completion, once the iteration ended; None before."""
        ...


class ModelCall:
    """A request on its way to its provider. `streaming` says which reply is expected, `attempt` which try this is.

    Middleware that asks again passes a call with the next attempt on, which the ledger counts as a retry.
    """

    __slots__ = ("attempt", "provider", "request", "streaming")

    def __init__(
        self,
        provider: Provider,
        request: CompletionRequest,
        *,
        streaming: bool,
        attempt: int = 1,
    ) -> None:
        self.provider = provider
        self.request = request
        self.streaming = streaming
        self.attempt = attempt


ModelReply: TypeAlias = Completion | CompletionStream
ModelMiddleware: TypeAlias = Middleware[ModelCall, ModelReply]


class Model:
    """One model of one provider; implements `Provider`, so that it can stand wherever one does.

    Args:
        provider: what answers. It may be a Model: its middleware is then below this one's, and a call is
            metered once.
        middleware: around every call, first outermost.
        model: asked for whatever a request names; for a Model that others know by another name.
    """

    def __init__(
        self, provider: Provider, middleware: Sequence[ModelMiddleware] = (), model: str = ""
    ) -> None:
        self.provider = provider
        self.model = model
        self._chain = compose(middleware, _answer)

    @property
    def name(self) -> str:
        return self.provider.name

    async def complete(self, request: CompletionRequest) -> Completion:
        """The answer as a whole, charged to the current call.

        Raises:
            ProviderError: the model did not answer.
        """
        return cast("Completion", await self.ask(request, streaming=False))

    async def stream(self, request: CompletionRequest) -> AsyncIterator[Delta | Completion]:
        """The answer in pieces, then as a whole; charged to the current call at its end."""
        pieces = cast("CompletionStream", await self.ask(request, streaming=True))
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece
            if pieces.final is not None:
                yield pieces.final

    def ask(
        self, request: CompletionRequest, *, streaming: bool, attempt: int = 1
    ) -> Awaitable[ModelReply]:
        """The answer as middleware passes it on: a Completion, or with `streaming` a CompletionStream."""
        if self.model:
            request = replace(request, model=self.model)
        return self._chain(ModelCall(self.provider, request, streaming=streaming, attempt=attempt))

    def count_tokens(self, text: str) -> int:
        return self.provider.count_tokens(text)

    def models(self) -> Sequence[str]:
        return self.provider.models()


async def _answer(call: ModelCall) -> ModelReply:
    """The end of a chain: another Model with a chain of its own, or a provider and its meter."""
    if isinstance(call.provider, Model):
        return await call.provider.ask(call.request, streaming=call.streaming, attempt=call.attempt)
    return await _observed(call)


async def _observed(call: ModelCall) -> ModelReply:
    """Ask the provider, and tell whoever watches."""
    if not telemetry.on:
        return await _meter(call)
    work = telemetry.ModelUse(
        call.provider.name, call.request, CallContext.maybe_current(), streaming=call.streaming
    )
    if not call.streaming:
        with telemetry.watch(work):
            work.completion = cast("Completion", await _meter(call))
        return work.completion
    telemetry.begin(work)
    try:
        return _ObservedStream(work, cast("CompletionStream", await _meter(call)))
    except BaseException as exc:
        work.error = exc
        telemetry.end(work)
        raise


async def _meter(call: ModelCall) -> ModelReply:
    """Ask the provider, and charge what it used to the call this code runs in."""
    await pricing.prepare(call.provider.name)
    context = CallContext.maybe_current()
    purse = None if context is None else context.purse
    pricing.check_priced(
        call.request.model, call.provider.name, in_money=purse is not None and purse.in_money
    )
    reserved = None
    if context is not None and purse is not None:
        reserved = await reserve(
            call.provider, call.request, context, purse, streaming=call.streaming
        )
        call = ModelCall(
            call.provider, reserved.request, streaming=call.streaming, attempt=call.attempt
        )
    if call.streaming:
        try:
            return _MeteredStream(call, reserved)
        except BaseException:
            if reserved is not None:
                reserved.release()
            raise
    try:
        return await _settled(call)
    except BaseException as exc:
        told = isinstance(exc, ProviderError) and exc.code != NO_REPORT
        if reserved is not None and not told:
            reserved.charge_all()
        raise
    finally:
        if reserved is not None:
            reserved.release()


async def _settled(call: ModelCall) -> Completion:
    """Ask, and charge what the provider reports, also of a failure."""
    try:
        completion = await _ask(call)
    except ProviderError as exc:
        _charge_failure(call, exc)
        raise
    return _charged(call, completion)


async def _ask(call: ModelCall) -> Completion:
    completion = await call.provider.complete(call.request)
    if isinstance(completion, Completion):
        return completion
    raise ProviderUnavailable(
        f"the provider {call.provider.name!r} gave no completion",
        provider=call.provider.name,
        code="no_answer",
        model=call.request.model,
    )


class _ObservedStream:
    """The pieces of a metered stream, each asked for as part of `work`, which ends with them."""

    def __init__(self, work: telemetry.ModelUse, pieces: CompletionStream) -> None:
        self._work = work
        self._pieces = pieces

    @property
    def final(self) -> Completion | None:
        return self._pieces.final

    def __aiter__(self) -> _ObservedStream:
        return self

    async def __anext__(self) -> Delta:
        entered = telemetry.enter(self._work)
        try:
            delta = await self._pieces.__anext__()
        except StopAsyncIteration:
            self._work.completion = self._pieces.final
            telemetry.end(self._work)
            raise
        except BaseException as exc:
            self._work.error = exc
            raise
        finally:
            telemetry.leave(entered)
        self._work.delta()
        return delta

    async def aclose(self) -> None:
        try:
            await self._pieces.aclose()
        finally:
            self._work.left = self._work.completion is None and self._work.error is None
            telemetry.end(self._work)


class _MeteredStream:
    """The pieces of a provider's stream; charged once, however it ends."""

    def __init__(self, call: ModelCall, reserved: Reserved | None) -> None:
        self._call = call
        self._reserved = reserved
        self._asked = False
        self._pieces = call.provider.stream(call.request)
        self._final: Completion | None = None

    @property
    def final(self) -> Completion | None:
        return self._final

    def __aiter__(self) -> _MeteredStream:
        return self

    async def __anext__(self) -> Delta:
        self._asked = True
        try:
            piece = await self._pieces.__anext__()
        except ProviderError as exc:
            _charge_failure(self._call, exc)
            came = self._reserved is not None and self._reserved.came
            self._settle(known=exc.usage is not None or not came)
            raise
        if isinstance(piece, Delta):
            if self._reserved is not None:
                self._reserved.note(piece)
            return piece
        self._final = _charged(self._call, piece)
        self._settle(known=True)
        await self.aclose()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        close = getattr(self._pieces, "aclose", None)
        try:
            if close is not None:
                await close()
        finally:
            self._settle(known=not self._asked)

    def _settle(self, *, known: bool) -> None:
        """Give back what was reserved; without a report from the provider, what came so far is charged."""
        reserved, self._reserved = self._reserved, None
        if reserved is not None:
            if not known:
                reserved.charge_noted()
            reserved.release()


def _charged(call: ModelCall, completion: Completion) -> Completion:
    """The completion with its cost, counted on the call this code runs in, if it runs in one."""
    usage = completion.usage
    used = _counted(call, usage)
    found = pricing.priced(used, completion.model, completion.provider, call.request.model)
    if found is not usage:
        completion = replace(completion, usage=found)
    _charge(call, found)
    return completion


def _charge_failure(call: ModelCall, error: ProviderError) -> None:
    """Count what a failed attempt used, and note its cost on the error."""
    if error.usage is not None:
        used = _counted(call, error.usage) if error.usage else error.usage
        error.usage = pricing.priced(used, call.request.model, call.provider.name)
        _charge(call, error.usage)


def _counted(call: ModelCall, usage: Usage) -> Usage:
    """`usage` with one call at least, and as a retry if this attempt is one.

    A provider of one's own may count tokens and forget the call they took.

    Raises:
        OutputInvalid: it reports something that can't be, such as fewer than no tokens.
    """
    if usage.calls < 1:
        usage = replace(usage, calls=1)
    try:
        usage.check()
    except ConfigError as exc:
        name = call.provider.name
        raise OutputInvalid(
            f"the provider {name!r} reported {exc}",
            provider=name,
            code=NO_REPORT,
            model=call.request.model,
        ) from exc
    return replace(usage, retries=usage.calls) if call.attempt > 1 else usage


def _charge(call: ModelCall, usage: Usage) -> None:
    context = CallContext.maybe_current()
    if context is not None:
        context.charge(usage, call.request.model, call.provider.name)
