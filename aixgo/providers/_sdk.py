"""What the adapters share that stand on a vendor's SDK: clients, time limits, and the SDK's errors made ours.

Retries are middleware, so the SDKs' own are off. A client keeps its connections for as long as the event loop
it was made on: its goodbye is an async generator, and those a loop closes when it ends.

Below: context, errors, `_vendors`. Above: the adapters.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractContextManager
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Protocol, TypeVar, cast
from weakref import WeakKeyDictionary

from aixgo.context import CallContext
from aixgo.errors import ProviderError, ProviderUnavailable, RateLimited, RequestRejected
from aixgo.errors.providers import provider_text
from aixgo.ledger import Usage
from aixgo.providers._vendors import Endpoint

__all__ = ["Faults", "count_tokens", "malformed", "seconds_left", "shared_client", "unfinished"]

IDLE_TIMEOUT = 600.0  # seconds a vendor may be silent when no call's deadline is nearer
MAX_DETAIL = 300  # characters of a vendor's own words
LONG_WORD = re.compile(r"[^\s\"',;:()\[\]{}]{17,}")
"""What may be a key, or a part of one: no detail of a vendor passes on a word this long."""
SHAPE_ERRORS = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What reading an answer raises that is not shaped as the vendor's documents say."""
TELLING = frozenset({"invalid_request", "context_length", "model_not_found"})
"""The codes for which the vendor's own words say what to change."""
CONTEXT_WORDS = re.compile(
    r"context.{0,8}(length|window)|too long|maximum.{0,20}tokens", re.IGNORECASE
)
MODEL_WORDS = re.compile(r"model\b.{0,60}\b(not exist|not found)|^invalid model\b", re.IGNORECASE)
FILTER_WORDS = re.compile(r"content.?(filter|policy|management)|safety", re.IGNORECASE)


class _Closable(Protocol):
    async def close(self) -> None: ...


C = TypeVar("C", bound=_Closable)
_clients: WeakKeyDictionary[
    asyncio.AbstractEventLoop, dict[object, tuple[object, AsyncGenerator[None, None]]]
] = WeakKeyDictionary()


async def shared_client(key: object, make: Callable[[], C]) -> C:
    """The client of `key` on this loop, made by the first who asks and closed when the loop ends."""
    loop = asyncio.get_running_loop()
    held = _clients.setdefault(loop, {})
    if key not in held:
        client = make()
        goodbye = _close_with_the_loop(client, held, key)
        held[key] = (client, goodbye)
        await anext(goodbye)  # starts it, which is when the loop takes note of it
    return cast("C", held[key][0])


async def _close_with_the_loop(
    client: _Closable, held: dict[object, tuple[object, AsyncGenerator[None, None]]], key: object
) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        held.pop(key, None)
        await client.close()


def seconds_left() -> float:
    """How long a vendor may stay silent: until the deadline of the call this runs in, if that is near.

    Raises:
        DeadlineExceeded: it passed.
    """
    context = CallContext.maybe_current()
    if context is None:
        return IDLE_TIMEOUT
    context.check_deadline()
    return min(IDLE_TIMEOUT, context.remaining)


def count_tokens(text: str) -> int:
    """About the tokens of `text` for any vendor's models: one per four bytes."""
    return math.ceil(len(text.encode("utf-8", "replace")) / 4)


def malformed(provider: str, what: str) -> ProviderUnavailable:
    """The error for an answer that is none."""
    text = provider_text(provider, "malformed", more=what)
    return ProviderUnavailable(text, provider=provider, code="malformed")


def unfinished(provider: str) -> ProviderUnavailable:
    """The error for a stream that ended before its answer did."""
    return ProviderUnavailable(
        f"{provider!r} ended the stream before the answer was complete",
        provider=provider,
        code="connection",
    )


class Faults(AbstractContextManager["Faults"]):
    """Within it, whatever an SDK raises becomes a `ProviderError` that says what to do about it.

    The SDK's error is not kept as the cause: its text is the vendor's answer, which can quote the key.
    """

    def __init__(self, provider: str, model: str, endpoint: Endpoint) -> None:
        self._provider = provider
        self._model = model
        self._key = endpoint.key
        self._variable = endpoint.variable
        self.usage = Usage(calls=1)
        """What the request has spent by now, as far as the vendor said."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(exc, ProviderError):
            exc.usage = exc.usage or self.usage
        elif isinstance(exc, Exception) and (error := self._translated(exc)) is not None:
            error.usage = self.usage
            raise error from None

    def _translated(self, exc: Exception) -> ProviderError | None:
        """Our error for `exc`; None if it is not about the vendor."""
        origin = type(exc).__module__.partition(".")[0]
        name = type(exc).__name__
        status = getattr(exc, "status_code", None)
        if isinstance(status, int) and name != "APIResponseValidationError":
            return self._of_status(exc, status)
        if "Timeout" in name:
            return self._error("timeout")
        if name == "APIConnectionError" or origin in ("httpx", "httpx2", "httpcore", "httpcore2"):
            return self._error("connection", _reason(exc))
        if name in ("APIError", "APIResponseValidationError"):  # in the middle of a stream
            code = _code_of_words(exc)
            return self._error(code or "overloaded")
        if isinstance(exc, OSError) or origin in ("anyio", "ssl"):
            return self._error("connection", name)
        return malformed(self._provider, name) if isinstance(exc, SHAPE_ERRORS) else None

    def _of_status(self, exc: Exception, status: int) -> ProviderError:
        code = _code_of_words(exc)
        if status == 429 and code != "quota":
            code = "rate_limit"
        elif status in (401, 403) and code != "content_filtered":
            code = "authentication"
        elif status == 402:
            code = "quota"
        elif status == 404:
            code = "model_not_found"
        elif status in (408, 504):
            code = "timeout"
        elif status == 413:
            code = "context_length"
        elif status == 409 or status >= 500:
            code = "overloaded"
        elif 200 <= status < 300:  # an error event in a stream
            code = code or "overloaded"
        else:
            code = code or "invalid_request"
        return self._error(code, self._detail(exc, code), status, _retry_after(exc))

    def _error(
        self, code: str, detail: str = "", status: int = 0, retry_after: float = 0.0
    ) -> ProviderError:
        said = f"HTTP {status}" + (f", {detail}" if detail else "") if status else detail
        text = provider_text(
            self._provider,
            code,
            model=self._model,
            variable=self._variable,
            retry_after=retry_after,
            more=said,
        )
        kind: type[ProviderError] = RequestRejected
        if code == "rate_limit":
            kind = RateLimited
        elif code in ("overloaded", "timeout", "connection", "malformed"):
            kind = ProviderUnavailable
        return kind(
            text,
            provider=self._provider,
            code=code,
            retry_after=retry_after,
            model=self._model,
            variable=self._variable if code == "authentication" else "",
        )

    def _detail(self, exc: Exception, code: str) -> str:
        """What the vendor says is wrong, without any word that may be a key."""
        if code not in TELLING:
            return ""
        said = str(_problem(exc).get("message") or "")
        if self._key:
            said = said.replace(self._key, "…")
        return LONG_WORD.sub("…", " ".join(said.split()))[:MAX_DETAIL]


def _problem(exc: Exception) -> Mapping[str, object]:
    """The part of the vendor's answer that describes the error."""
    body = getattr(exc, "body", None)
    if isinstance(body, list) and body:  # Gemini wraps it
        body = body[0]
    if not isinstance(body, Mapping):
        return {}
    inner = body.get("error")
    return inner if isinstance(inner, Mapping) else body


def _code_of_words(exc: Exception) -> str:
    """The code that the vendor's type, code or words stand for, or ""."""
    problem = _problem(exc)
    marks = f"{problem.get('code')} {problem.get('type')}"
    said = str(problem.get("message") or "")
    if "insufficient_quota" in marks or "billing" in marks or "credit balance" in said:
        return "quota"
    if "rate_limit" in marks:
        return "rate_limit"
    if "overloaded" in marks or "server_error" in marks or "api_error" in marks:
        return "overloaded"
    if "timeout" in marks:
        return "timeout"
    if "authentication" in marks or "permission" in marks or "invalid_api_key" in marks:
        return "authentication"
    if "model_not_found" in marks or "not_found_error" in marks:
        return "model_not_found"
    if "context_length" in marks or CONTEXT_WORDS.search(said):
        return "context_length"
    if "invalid_model" in marks or MODEL_WORDS.search(said):  # DeepSeek and Mistral, with HTTP 400
        return "model_not_found"
    if FILTER_WORDS.search(marks) or "content_filter" in said:
        return "content_filtered"
    return "invalid_request" if "invalid_request" in marks else ""


def _reason(exc: Exception) -> str:
    """Why there is no connection: the classes of what lies below, whose texts may hold an address with a password."""
    below = exc.__cause__ or exc.__context__ or exc
    return type(below).__name__


def _retry_after(exc: Exception) -> float:
    """The seconds the vendor asks to wait, 0 if it does not say."""
    headers = getattr(getattr(exc, "response", None), "headers", {})
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = str(headers.get(name, ""))
        try:
            seconds = float(value) * unit
        except ValueError:
            seconds = _seconds_until(value, str(headers.get("date", "")))
        if 0 < seconds < math.inf:
            return seconds
    return 0.0


def _seconds_until(date: str, now: str) -> float:
    """The time between two dates of one answer's headers, so that no clock of ours has a part in it."""
    try:
        return (parsedate_to_datetime(date) - parsedate_to_datetime(now)).total_seconds()
    except (TypeError, ValueError):
        return 0.0
