"""Policies around a vendor's model, through its real SDK: what the server sees of them."""

from __future__ import annotations

import asyncio

import pytest

from aixgo.errors import AixgoError, ProviderUnavailable
from aixgo.providers import ChatMessage, Completion, CompletionRequest, Model
from aixgo.resilience import CircuitBreaker, Fallback, Policy, Retry, Timeout
from tests.conformance_providers.dialects import Dialect
from tests.conformance_providers.wire import Act, Answer, WireServer, as_events, as_json

pytestmark = pytest.mark.asyncio(loop_scope="module")

BOUND = 10  # seconds for what takes milliseconds


async def text_of(
    dialect: Dialect, wire: WireServer, *policies: Policy, streamed: bool
) -> tuple[list[str], Completion]:
    model = Model(dialect.provider(wire.url), policies)
    request = CompletionRequest(model=dialect.model, messages=(ChatMessage("user", "hi"),))
    if not streamed:
        whole = await model.complete(request)
        return [whole.text], whole
    pieces: list[str] = []
    completion: Completion | None = None
    async for piece in model.stream(request):
        if isinstance(piece, Completion):
            completion = piece
        else:
            pieces.append(piece.content)
    assert completion is not None
    return pieces, completion


def answer(dialect: Dialect, *, streamed: bool) -> Answer:
    if streamed:
        return as_events(*dialect.pieces("yes"), *dialect.end())
    return as_json(dialect.whole("yes"))


@pytest.mark.parametrize("streamed", [False, True], ids=["complete", "stream"])
@pytest.mark.parametrize("status", [503, 529])
async def test_an_overloaded_server_says_when_to_come_back(
    dialect: Dialect, wire: WireServer, status: int, streamed: bool
) -> None:
    wire.answers = [as_json(dialect.error("overloaded_error", "no"), status, retry_after="9")]
    with pytest.raises(ProviderUnavailable) as caught:
        await text_of(dialect, wire, streamed=streamed)
    assert caught.value.retry_after == 9


@pytest.mark.parametrize("streamed", [False, True], ids=["complete", "stream"])
async def test_what_a_bad_minute_breaks_is_asked_for_again_and_all_attempts_are_counted(
    dialect: Dialect, wire: WireServer, streamed: bool
) -> None:
    wire.answers = [
        as_json(dialect.error("overloaded_error", "no"), 503, retry_after_ms="1"),
        Answer([Act.CUT]),
        answer(dialect, streamed=streamed),
    ]
    pieces, whole = await text_of(dialect, wire, Retry(retry_delay=0), streamed=streamed)
    assert "".join(pieces) == "yes"
    assert whole.facts()["retries"] == 2
    assert whole.usage.calls == 3
    assert len(wire.asked) == 3


async def test_no_text_is_repeated_when_a_stream_breaks_after_its_first_piece(
    dialect: Dialect, wire: WireServer
) -> None:
    wire.answers = [as_events(*dialect.pieces("one "), Act.CUT), answer(dialect, streamed=True)]
    with pytest.raises(ProviderUnavailable):
        await text_of(dialect, wire, Retry(retry_delay=0), streamed=True)
    assert len(wire.asked) == 1


@pytest.mark.parametrize("streamed", [False, True], ids=["complete", "stream"])
async def test_an_attempt_that_is_ended_closes_the_connection(
    dialect: Dialect, wire: WireServer, streamed: bool
) -> None:
    wire.answers = [Answer([Act.HANG]), answer(dialect, streamed=streamed)]
    policies = (Retry(retry_delay=0), Timeout(0.3))
    pieces, whole = await text_of(dialect, wire, *policies, streamed=streamed)
    async with asyncio.timeout(BOUND):
        await wire.left.wait()
    assert ("".join(pieces), whole.usage.calls) == ("yes", 2)


@pytest.mark.parametrize("streamed", [False, True], ids=["complete", "stream"])
async def test_an_open_circuit_and_a_fallback_keep_answers_coming(
    dialect: Dialect, wire: WireServer, streamed: bool
) -> None:
    down = as_json(dialect.error("overloaded_error", "no"), 503)
    breaker = CircuitBreaker(1)
    async with WireServer() as other:
        other.answers = [answer(dialect, streamed=streamed)]
        policies = (Fallback([Model(dialect.provider(other.url), model="other")]), breaker)
        wire.answers = [down]
        for _ in range(3):
            _, whole = await text_of(dialect, wire, *policies, streamed=streamed)
        assert len(wire.asked) == 1
        assert len(other.asked) == 3
    assert whole.facts()["fallback_error"] in ("CircuitOpen", "ProviderUnavailable")
    assert isinstance(whole.facts()["served_by"], str)


async def test_a_wrong_request_is_sent_once(dialect: Dialect, wire: WireServer) -> None:
    wire.answers = [as_json(dialect.error("invalid_request_error", "no"), 400)]
    with pytest.raises(AixgoError):
        await text_of(dialect, wire, Retry(retry_delay=0), streamed=False)
    assert len(wire.asked) == 1
