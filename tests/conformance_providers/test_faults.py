"""What a vendor's server does on a bad day, and what a caller hears of it."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback

import pytest

from aixgo.context import CallContext, SystemClock, _current
from aixgo.errors import (
    DeadlineExceeded,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
)
from aixgo.providers import ChatMessage, Completion, CompletionRequest, Provider, _sdk
from tests.conformance_providers.dialects import KEY, Dialect, event
from tests.conformance_providers.wire import Act, Answer, WireServer, as_events, as_json

pytestmark = pytest.mark.asyncio(loop_scope="module")

BOUND = 10  # seconds for what takes milliseconds


def ask(dialect: Dialect) -> CompletionRequest:
    return CompletionRequest(model=dialect.model, messages=(ChatMessage("user", "hi"),))


async def drain(provider: Provider, request: CompletionRequest) -> list[object]:
    return [piece async for piece in provider.stream(request)]


async def whole(provider: Provider, request: CompletionRequest) -> list[object]:
    return [await provider.complete(request)]


async def attempt(
    provider: Provider, request: CompletionRequest, *, streamed: bool
) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await (drain if streamed else whole)(provider, request)
    return caught.value


REFUSALS = [
    (400, "invalid_request_error", RequestRejected, "invalid_request"),
    (401, "authentication_error", RequestRejected, "authentication"),
    (403, "permission_error", RequestRejected, "authentication"),
    (404, "not_found_error", RequestRejected, "model_not_found"),
    (408, "timeout", ProviderUnavailable, "timeout"),
    (413, "request_too_large", RequestRejected, "context_length"),
    (422, "unprocessable", RequestRejected, "invalid_request"),
    (429, "rate_limit_error", RateLimited, "rate_limit"),
    (429, "insufficient_quota", RequestRejected, "quota"),
    (500, "server_error", ProviderUnavailable, "overloaded"),
    (503, "unavailable", ProviderUnavailable, "overloaded"),
    (529, "overloaded_error", ProviderUnavailable, "overloaded"),
    (400, "context_length_exceeded", RequestRejected, "context_length"),
    (400, "content_filter", RequestRejected, "content_filtered"),
]


@pytest.mark.parametrize("streamed", [False, True], ids=["complete", "stream"])
@pytest.mark.parametrize(
    ("status", "kind", "error", "code"), REFUSALS, ids=[f"{row[0]}-{row[1]}" for row in REFUSALS]
)
async def test_a_refusal_becomes_the_error_that_says_whether_to_try_again(
    dialect: Dialect,
    wire: WireServer,
    status: int,
    kind: str,
    error: type[ProviderError],
    code: str,
    streamed: bool,
) -> None:
    wire.answers = [as_json(dialect.error(kind, "no"), status)]
    found = await attempt(dialect.provider(wire.url), ask(dialect), streamed=streamed)
    assert type(found) is error
    assert (found.provider, found.code) == (dialect.name, code)
    assert found.usage is not None
    assert found.usage.calls == 1
    assert len(wire.asked) == 1, "trying again is not the SDK's business"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("invalid_request_error", "Model Not Exist"),
        ("invalid_model", "Invalid model: none"),
        (
            "invalid_request_error",
            "The model `none` does not exist or you do not have access to it.",
        ),
    ],
)
async def test_a_model_nobody_has_is_told_from_other_invalid_requests(
    dialect: Dialect, wire: WireServer, kind: str, said: str
) -> None:
    wire.answers = [as_json(dialect.error(kind, said), 400)]
    found = await attempt(dialect.provider(wire.url), ask(dialect), streamed=False)
    assert (type(found), found.code) == (RequestRejected, "model_not_found")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after_ms": "250"}, 0.25),
        (
            {
                "date": "Fri, 20 Nov 2026 10:00:00 GMT",
                "retry_after": "Fri, 20 Nov 2026 10:00:30 GMT",
            },
            30.0,
        ),
        ({"retry_after": "soon"}, 0.0),
        ({"retry_after": "-3"}, 0.0),
        ({}, 0.0),
    ],
)
async def test_a_rate_limit_says_how_long_to_wait(
    dialect: Dialect, wire: WireServer, headers: dict[str, str], seconds: float
) -> None:
    wire.answers = [as_json(dialect.error("rate_limit_error", "no"), 429, **headers)]
    found = await attempt(dialect.provider(wire.url), ask(dialect), streamed=False)
    assert isinstance(found, RateLimited)
    assert found.retry_after == pytest.approx(seconds)


async def test_what_the_vendor_says_is_wrong_with_a_request_is_passed_on(
    dialect: Dialect, wire: WireServer
) -> None:
    problem = dialect.error("invalid_request_error", "messages[3] has no role")
    wire.answers = [as_json(problem, 400)]
    found = await attempt(dialect.provider(wire.url), ask(dialect), streamed=False)
    assert "messages[3] has no role" in str(found)


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
async def test_no_error_log_or_repr_holds_the_key(
    dialect: Dialect, wire: WireServer, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    masked = f"{KEY[:18]}***"
    echo = f"the key {KEY} ({masked}) in {KEY}, Bearer {KEY}."
    wire.answers = [as_json(dialect.error("invalid_request_error", echo), status)]
    provider = dialect.provider(wire.url)
    found = await attempt(provider, ask(dialect), streamed=False)
    shown = f"{found} {found!r} {provider!r} {vars(provider)} {found.wire_fields()}"
    shown += "".join(traceback.format_exception(found))
    ours = "".join(r.getMessage() for r in caplog.records if r.name.startswith("aixgo"))
    for secret in (KEY, KEY[:18]):
        assert secret not in shown + ours


@pytest.mark.parametrize("streamed", [False, True], ids=["complete", "stream"])
@pytest.mark.parametrize("garbage", [b'{"id": ', b"<html>busy</html>", b"[]", b'"hi"', b"{}"])
async def test_an_answer_that_is_none_is_an_error_worth_a_retry(
    dialect: Dialect, wire: WireServer, garbage: bytes, streamed: bool
) -> None:
    piece = b"event: message_start\ndata: " + garbage + b"\n\n"
    wire.answers = [as_events(piece) if streamed else Answer([garbage])]
    found = await attempt(dialect.provider(wire.url), ask(dialect), streamed=streamed)
    assert isinstance(found, ProviderUnavailable)
    assert found.code in ("malformed", "connection")


async def test_a_stream_that_is_cut_says_so_after_what_it_gave(
    dialect: Dialect, wire: WireServer
) -> None:
    wire.answers = [as_events(*dialect.pieces("half "), Act.CUT)]
    stream = dialect.provider(wire.url).stream(ask(dialect))
    first = await anext(stream)
    assert not isinstance(first, Completion)
    assert first.content == "half "
    with pytest.raises(ProviderUnavailable) as caught:
        await anext(stream)
    assert caught.value.code == "connection"


async def test_a_stream_that_ends_politely_before_its_answer_is_no_answer(
    dialect: Dialect, wire: WireServer
) -> None:
    wire.answers = [as_events(*dialect.pieces("half "))]
    found = await attempt(dialect.provider(wire.url), ask(dialect), streamed=True)
    assert (type(found), found.code) == (ProviderUnavailable, "connection")


async def test_an_error_in_the_middle_of_a_stream_is_an_error(
    dialect: Dialect, wire: WireServer
) -> None:
    problem = dialect.error("overloaded_error", "busy")
    if dialect.name == "openai_responses":
        problem = {"type": "error", "code": "server_error", "message": "busy"}
    wire.answers = [as_events(*dialect.pieces("a"), event(problem, "error"))]
    found = await attempt(dialect.provider(wire.url), ask(dialect), streamed=True)
    assert (type(found), found.code) == (ProviderUnavailable, "overloaded")


@pytest.mark.parametrize("streamed", [False, True], ids=["complete", "stream"])
async def test_a_silent_vendor_is_left_after_the_time_there_is(
    dialect: Dialect, wire: WireServer, streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sdk, "IDLE_TIMEOUT", 0.05)
    wire.answers = [Answer([Act.HANG])]
    found = await attempt(dialect.provider(wire.url), ask(dialect), streamed=streamed)
    assert (type(found), found.code) == (ProviderUnavailable, "timeout")
    async with asyncio.timeout(BOUND):
        await wire.left.wait()


async def test_a_vendor_is_given_no_more_time_than_the_call_has(
    dialect: Dialect, wire: WireServer
) -> None:
    wire.answers = [Answer([Act.HANG])]
    token = _current.set(CallContext("a", time.monotonic() + 0.05, SystemClock()))
    try:
        found = await attempt(dialect.provider(wire.url), ask(dialect), streamed=False)
    finally:
        _current.reset(token)
    assert found.code == "timeout"


async def test_a_call_without_time_asks_nobody(dialect: Dialect, wire: WireServer) -> None:
    token = _current.set(CallContext("a", time.monotonic() - 1, SystemClock()))
    try:
        with pytest.raises(DeadlineExceeded):
            await dialect.provider(wire.url).complete(ask(dialect))
    finally:
        _current.reset(token)
    assert wire.asked == []


async def test_an_address_nobody_listens_at_is_said_without_the_password_in_it(
    dialect: Dialect,
) -> None:
    async with WireServer() as gone:
        url = gone.url
    provider = dialect.provider(url.replace("//", "//user:hunter2@"))
    found = await attempt(provider, ask(dialect), streamed=False)
    assert (type(found), found.code) == (ProviderUnavailable, "connection")
    assert "hunter2" not in str(found)


async def test_closing_a_stream_closes_the_connection(dialect: Dialect, wire: WireServer) -> None:
    wire.answers = [as_events(*dialect.pieces("a", "b"), Act.HANG)]
    stream = dialect.provider(wire.url).stream(ask(dialect))
    assert await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    async with asyncio.timeout(BOUND):
        await wire.left.wait()


async def test_a_cancelled_completion_closes_the_connection(
    dialect: Dialect, wire: WireServer
) -> None:
    wire.answers = [Answer([Act.HANG])]
    task = asyncio.create_task(dialect.provider(wire.url).complete(ask(dialect)))
    async with asyncio.timeout(BOUND):
        await wire.started.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await wire.left.wait()
    assert task.cancelled()
