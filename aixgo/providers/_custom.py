"""A provider made from whatever has a `complete`.

Below: base, threads. Above: whoever brings a model of their own.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol, TypeAlias, cast

from aixgo.errors import ConfigError, OutputInvalid
from aixgo.ledger import Usage
from aixgo.providers.base import Completion, CompletionRequest, Delta, Provider
from aixgo.threads import DaemonThreads

__all__ = ["Answer", "Completer", "as_provider"]

Answer: TypeAlias = str | Completion

THREADS = 32  # answers a synchronous `complete` works on at a time

log = logging.getLogger("aixgo.providers")


class Completer(Protocol):
    """What a provider of one's own has at least: it answers, at once or awaited, with a text or a completion."""

    def complete(self, request: CompletionRequest, /) -> Answer | Awaitable[Answer]: ...


def as_provider(source: Completer) -> Provider:
    """The provider that `source` is, its missing methods filled in.

    Without `stream`, the answer comes in one piece; without `count_tokens`, tokens are estimated; without
    `models`, any name will do; without `name`, the class gives it. What was filled in is logged once. A
    `complete` that is no coroutine function runs in a thread, 32 at a time.

    Raises:
        ConfigError: it has no `complete`.
    """
    if not callable(getattr(source, "complete", None)):
        raise ConfigError(f"{type(source).__name__} is no provider: it has no method 'complete'")
    return _Filled(source)


class _Filled:
    """A source of answers with everything a provider has."""

    def __init__(self, source: Completer) -> None:
        self._source = source
        given = getattr(source, "name", "")
        self.name: str = (
            given if isinstance(given, str) and given else type(source).__name__.lower()
        )
        self._stream = _method(source, "stream")
        self._count = _method(source, "count_tokens")
        self._models = _method(source, "models")
        self._threads = DaemonThreads(THREADS, f"aixgo-{self.name}")
        missing = [
            text
            for method, text in (
                (self._stream, "no 'stream' (answers come in one piece)"),
                (self._count, "no 'count_tokens' (tokens are estimated)"),
                (self._models, "no 'models' (any name will do)"),
            )
            if method is None
        ]
        if missing:
            log.info("the provider %r has %s", self.name, ", ".join(missing))

    async def complete(self, request: CompletionRequest) -> Completion:
        """The answer as a whole.

        Raises:
            OutputInvalid: it is neither a text nor a completion.
        """
        method = self._source.complete
        if inspect.iscoroutinefunction(method):
            found: object = await method(request)
        else:
            call = functools.partial(contextvars.copy_context().run, method, request)
            found = await asyncio.get_running_loop().run_in_executor(self._threads, call)
            if inspect.isawaitable(found):
                found = await found
        if isinstance(found, Completion):
            return found
        if isinstance(found, str):
            return self._of_text(request, found)
        raise OutputInvalid(
            f"{self.name!r} answered with {type(found).__name__}, not a text or a Completion",
            provider=self.name,
            code="malformed",
            model=request.model,
        )

    async def stream(self, request: CompletionRequest) -> AsyncIterator[Delta | Completion]:
        """The answer in the source's pieces, or in one, then as a whole."""
        if self._stream is not None:
            pieces = cast("AsyncIterator[Delta | Completion]", self._stream(request))
            try:
                async for piece in pieces:
                    yield piece
            finally:
                close = getattr(pieces, "aclose", None)
                if close is not None:
                    await close()
            return
        completion = await self.complete(request)
        if completion.text:
            yield Delta(completion.text)
        for call in completion.tool_calls:
            yield Delta(tool_call=call)
        yield completion

    def count_tokens(self, text: str) -> int:
        """What the source says, or one per four bytes."""
        if self._count is not None:
            return cast("int", self._count(text))
        return math.ceil(len(text.encode("utf-8", "replace")) / 4)

    def models(self) -> Sequence[str]:
        """What the source says, or nothing, so that any name will do."""
        return cast("Sequence[str]", self._models()) if self._models is not None else ()

    def _of_text(self, request: CompletionRequest, text: str) -> Completion:
        asked = "\n".join([request.instructions, *(turn.content for turn in request.messages)])
        usage = Usage(
            tokens_prompt=self.count_tokens(asked),
            tokens_completion=self.count_tokens(text),
            calls=1,
        )
        return Completion(text=text, model=request.model, provider=self.name, usage=usage)


def _method(source: object, name: str) -> Callable[..., object] | None:
    found = getattr(source, name, None)
    return found if callable(found) else None
