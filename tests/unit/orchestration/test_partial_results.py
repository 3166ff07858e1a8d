"""What the error of a run with a strategy tells of those who answered, and of those who did not."""

from __future__ import annotations

import pytest

from aixgo import AixgoError, LocalRuntime, Message, agent
from aixgo.chunks import StreamChunk
from aixgo.errors import MAX_PARTIAL, AgentRefused, partial_bytes, read_partial, rebuild_error
from aixgo.message import JSONValue, WireParts, from_wire
from aixgo.orchestration import ErrorStrategy, Parallel, Sequential
from aixgo.testing import RecordingAgent
from tests.unit.orchestration.failing import Fails, answer, down, failure


def refused(text: str) -> dict[str, JSONValue]:
    return {"class": "AgentRefused", "text": text}


async def test_it_lists_the_calls_in_the_order_they_began() -> None:
    spare = Fails("spare")
    team = [
        Fails("a"),
        Fails("b", [down()]),
        Fails("c", [RuntimeError()]),
        Fails("d", [AgentRefused("no")]),
    ]
    strategy = ErrorStrategy("retry", 1, 0, fallbacks={"c": [spare]})
    async with LocalRuntime(Sequential("p", [*team, Fails("e")], error_strategy=strategy)) as rt:
        error = await failure(rt, "p", "x")
    assert error.partial == [
        {"agent": "a", "reply": "a of x"},
        {"agent": "b", "retries": 1, "reply": "b of a of x"},
        {"agent": "c", "served_by": "spare", "reply": "spare of b of a of x"},
        {"agent": "d", "error": refused("no")},
    ]


async def test_a_reply_that_is_no_json_is_told_as_it_is() -> None:
    @agent
    async def broken(text: str) -> Message:  # as a peer may send it
        return from_wire(WireParts("json", b'{"a', "", b"", 1), id="1", type="message", source="")

    flow = Sequential("p", [broken, Fails("b", [AgentRefused("no")])], error_strategy="fail_fast")
    async with LocalRuntime(flow) as rt:
        error = await failure(rt, "p", "x")
    assert error.partial == [
        {"agent": "broken", "reply": '{"a'},
        {"agent": "b", "error": refused("no")},
    ]


async def test_those_who_were_stopped_say_so() -> None:
    stuck = RecordingAgent("stuck", gated=True)

    @agent
    async def fails(text: str) -> str:
        await stuck.started.wait()
        raise AgentRefused("no")

    flow = Parallel("p", [stuck, Fails("a"), fails], error_strategy="fail_fast")
    async with LocalRuntime(flow) as rt:
        error = await failure(rt, "p", "x")
    assert error.partial == [
        {"agent": "stuck", "stopped": True},
        {"agent": "a", "reply": "a of x"},
        {"agent": "fails", "error": refused("no")},
    ]


async def test_too_few_answers_tell_those_there_were() -> None:
    team = [Fails("a"), Fails("b", [AgentRefused("no")])]
    strategy = ErrorStrategy("continue", min_successes=2)
    async with LocalRuntime(Parallel("p", team, error_strategy=strategy)) as rt:
        error = await failure(rt, "p", "x")
    assert error.partial == [
        {"agent": "a", "reply": "a of x"},
        {"agent": "b", "error": refused("no")},
    ]


async def test_a_nested_run_tells_its_own_within_that_of_the_outer_one() -> None:
    inner = Sequential("q", [Fails("b"), Fails("c", [AgentRefused("no")])], error_strategy="retry")
    async with LocalRuntime(Sequential("p", [Fails("a"), inner], error_strategy="retry")) as rt:
        error = await failure(rt, "p", "x")
    assert error.partial == [
        {"agent": "a", "reply": "a of x"},
        {
            "agent": "q",
            "error": refused("no"),
            "partial": [
                {"agent": "b", "reply": "b of a of x"},
                {"agent": "c", "error": refused("no")},
            ],
        },
    ]


async def test_values_stay_values_and_bytes_only_say_how_many_they_are() -> None:
    data = RecordingAgent("data", [Message(b"\x00" * 9, content_type="image/png")])
    value = RecordingAgent("value", [Message({"n": [1, None]})])
    team = [value, data, Fails("no", [AgentRefused("no")])]
    async with LocalRuntime(
        Parallel("p", team, error_strategy=ErrorStrategy("continue", min_successes=3))
    ) as rt:
        error = await failure(rt, "p", "x")
    assert error.partial is not None
    assert error.partial[:2] == [
        {"agent": "value", "reply": {"n": [1, None]}},
        {"agent": "data", "bytes": 9, "content_type": "image/png"},
    ]


@pytest.mark.parametrize("size", [600, 40_000, 1_000_000])
@pytest.mark.parametrize("letter", ["x", "ä", "\U0001f600"])
async def test_long_replies_are_cut_so_that_all_of_it_is_small(size: int, letter: str) -> None:
    long = [RecordingAgent(f"a{n}", [letter * size]) for n in range(12)]
    team = [*long, Fails("no", [AgentRefused("no")])]
    async with LocalRuntime(Sequential("p", team, error_strategy="retry")) as rt:
        error = await failure(rt, "p", "x")
    assert error.partial is not None
    assert 0 < len(partial_bytes(error.partial)) <= MAX_PARTIAL
    assert len(error.partial) == 13
    first = error.partial[0]
    assert isinstance(first, dict)
    assert first["cut"] is True
    assert letter * 30 in str(first["reply"])


async def test_of_too_many_calls_the_last_are_told() -> None:
    loud = RecordingAgent("n" * 100)
    team = [loud] * 99 + [Fails("no", [AgentRefused("no")])]
    async with LocalRuntime(Sequential("p", team, error_strategy="retry")) as rt:
        error = await failure(rt, "p", "x")
    assert error.partial is not None
    assert partial_bytes(error.partial)
    left_out = error.partial[0]
    assert isinstance(left_out, dict)
    assert left_out["left_out"] == 101 - len(error.partial)
    assert error.partial[-1] == {"agent": "no", "error": {"class": "AgentRefused"}}


async def test_it_tells_no_text_that_may_not_leave_a_process() -> None:
    team = [Fails("a", [ValueError("the password")]), Fails("b", [AixgoError("the secret")])]
    strategy = ErrorStrategy("continue", min_successes=2)
    async with LocalRuntime(Parallel("p", team, error_strategy=strategy)) as rt:
        error = await failure(rt, "p", "x")
    assert "password" not in str(error.partial)
    assert "secret" not in str(error.partial)


async def test_a_failed_call_with_a_key_tells_the_same_again() -> None:
    fails = Fails("fails", [AgentRefused("no")])
    async with LocalRuntime(Sequential("p", [Fails("a"), fails], error_strategy="retry")) as rt:
        first = await failure(rt, "p", "x", idempotency_key="k")
        again = await failure(rt, "p", "x", idempotency_key="k")
    assert len(fails.messages) == 1
    assert (
        again.partial
        == first.partial
        == [
            {"agent": "a", "reply": "a of x"},
            {"agent": "fails", "error": refused("no")},
        ]
    )
    assert again.partial is not first.partial


async def test_a_result_has_no_partial_results() -> None:
    async with LocalRuntime(Sequential("p", [Fails("a")], error_strategy="retry")) as rt:
        reply = await answer(rt, "p", "x")
    assert not {"partial", "missing", "degraded", "retries", "fallbacks"} & set(reply.metadata)


@pytest.mark.parametrize(
    "partial",
    [
        "text",
        {"agent": "a"},
        [object()],
        [float("nan")],
        [{"agent": "x" * MAX_PARTIAL}],
    ],
    ids=["text", "object", "no JSON", "no number", "too large"],
)
def test_what_cannot_cross_is_left_behind(partial: object) -> None:
    error = AgentRefused("no")
    error.partial = partial  # type: ignore[assignment]
    again = rebuild_error("AgentRefused", error.wire_fields(), partial=error.partial)
    assert again.partial is None
    assert partial_bytes(partial) == b""


@pytest.mark.parametrize("encoded", [b"", b"[", b"{}", b"\xff", b"[" * 3000, b"[1]" + b" " * 5000])
def test_what_a_peer_sends_that_is_none_is_none(encoded: bytes) -> None:
    assert read_partial(encoded) is None


def test_a_chunk_keeps_what_its_error_tells() -> None:
    error = AgentRefused("no")
    error.partial = [{"agent": "a", "reply": "yes"}]
    chunk = StreamChunk.from_dict(StreamChunk(type="error", error=error).to_dict())
    assert chunk.error is not None
    assert chunk.error.partial == error.partial
