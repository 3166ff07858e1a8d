"""What is put on the wire is what comes off it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aixgo.context import CallContext, Hop, SystemClock
from aixgo.errors import (
    AgentFailed,
    AgentRefused,
    AixgoError,
    BudgetExceeded,
    IncompatiblePeer,
    InvalidMessage,
    MailboxFull,
    RateLimited,
)
from aixgo.ledger import OTHERS, Budget, Ledger, Line, Usage
from aixgo.message import JSONValue, Message, StreamChunk
from aixgo.rpc.codec import (
    CodecCheck,
    error_detail,
    fill_context,
    fill_message,
    fill_usage,
    parse,
    read_context,
    read_error,
    read_message,
    read_usage,
)
from aixgo.v1 import message_pb2 as pb

texts = st.text(st.characters(exclude_categories=["Cs"]))
json_values: st.SearchStrategy[JSONValue] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)
counts = st.integers(0, 2**62)
usages = st.builds(
    Usage,
    cost_nanos=counts,
    tokens_prompt=counts,
    tokens_completion=counts,
    tokens_cached=counts,
    tokens_reasoning=counts,
    calls=counts,
)
check = CodecCheck()


@settings(deadline=None)  # how long one example takes says nothing on a busy machine
@given(payload=json_values | st.binary(), metadata=st.dictionaries(texts, json_values, max_size=3))
def test_a_message_of_any_payload_arrives_equal(
    payload: JSONValue | bytes, metadata: dict[str, JSONValue]
) -> None:
    sent = Message(payload, type="t", metadata=metadata)
    got = check.message(sent)
    assert got == sent
    assert got.payload == sent.payload
    assert got.metadata == sent.metadata
    assert got.content_type == sent.content_type
    assert got.timestamp == sent.timestamp


def test_a_media_type_stays_with_its_bytes() -> None:
    got = check.message(Message(b"\x89PNG", content_type="image/png"))
    assert (got.payload, got.content_type) == (b"\x89PNG", "image/png")


@settings(deadline=None)  # how long one example takes says nothing on a busy machine
@given(usage=usages)
def test_usage_arrives_exactly_and_gives_the_cost_keys(usage: Usage) -> None:
    got = check.message(Message("x", metadata={"cost_usd": 7}).delivered("writer", usage))
    assert got.usage == usage
    assert got.source == "writer"
    assert got.metadata["cost_usd"] == usage.cost_usd


@pytest.mark.parametrize(
    ("given", "arrives"),
    [(2**64, 2**63 - 1), (-(2**64), 0), (-1, 0), (1.5, 1), ("many", 0), (math.nan, 0)],
)
def test_a_count_the_wire_cannot_hold_does_not_keep_a_reply_from_its_caller(
    given: int, arrives: int
) -> None:
    proto = pb.Usage()
    fill_usage(proto, Usage(tokens_prompt=given, calls=1))
    assert read_usage(proto) == Usage(tokens_prompt=arrives, calls=1)


def test_a_usage_of_zero_is_not_the_same_as_none() -> None:
    mine = Message("x", metadata={"cost_usd": 7})
    assert check.message(mine).metadata == {"cost_usd": 7}
    assert check.message(mine.delivered("a", Usage())).metadata == {"cost_usd": 0.0}


def test_an_empty_message_of_a_foreign_client_gets_its_defaults() -> None:
    got = read_message(pb.Message())
    assert got.payload is None
    assert got.type == "message"
    assert len(got.id) == 32
    assert got.timestamp.year >= 2024


def test_json_that_is_none_is_refused_where_it_is_read() -> None:
    got = read_message(pb.Message(json=b"{nope", metadata=b"[]"))
    with pytest.raises(InvalidMessage, match="payload"):
        _ = got.payload
    with pytest.raises(InvalidMessage, match="metadata"):
        _ = got.metadata


@pytest.mark.parametrize("attribute", ["id", "type", "source"])
@pytest.mark.parametrize("value", ["\ud800", 7])
def test_an_attribute_that_is_no_text_is_an_invalid_message(attribute: str, value: object) -> None:
    message = Message("x")
    setattr(message, attribute, value)
    with pytest.raises(InvalidMessage, match="not valid text"):
        fill_message(pb.Message(), message)


@settings(deadline=None)  # how long one example takes says nothing on a busy machine
@given(
    chunk=st.builds(
        StreamChunk,
        type=texts.filter(bool),
        content=texts,
        tool_calls=st.lists(json_values, max_size=2),
        source=texts,
        path=st.lists(texts, max_size=3).map(tuple),
        sequence=st.integers(0, 2**63),
        status=texts,
        usage=st.none() | usages,
        timestamp=st.floats(0, 1e11),
    )
)
def test_a_chunk_arrives_equal(chunk: StreamChunk) -> None:
    assert check.chunk(chunk) == chunk


def test_the_error_of_a_chunk_arrives_as_its_class() -> None:
    got = check.chunk(StreamChunk(type="error", error=AgentRefused("not today")))
    assert isinstance(got.error, AgentRefused)
    assert str(got.error) == "not today"


def test_tool_calls_that_are_no_json_are_refused_before_they_leave() -> None:
    with pytest.raises(InvalidMessage, match=r"chunk\.tool_calls\[0\]"):
        check.chunk(StreamChunk(tool_calls=[math.nan]))


@pytest.mark.parametrize(
    "error",
    [
        AgentRefused("nein, \N{SNOWMAN}" + "x" * 1000),
        RateLimited(provider="p", code="429", retry_after=1.5),
        MailboxFull("writer", 100),
        BudgetExceeded("usd", 3, "writer"),
        AgentFailed("writer", "abc123"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_arrives_as_its_own_class_with_its_fields(error: AixgoError) -> None:
    error.error_id = error.error_id or "id1"
    error.agent = "writer"
    got = check.error(error)
    assert type(got) is type(error)
    assert got.wire_fields() == error.wire_fields()
    assert (got.agent, got.error_id, got.retryable) == ("writer", error.error_id, error.retryable)


def test_a_kind_nobody_knows_and_fields_that_fit_nothing_become_plain_errors() -> None:
    unknown = read_error(pb.ErrorDetail(kind="FutureError", agent="writer", error_id="e1"))
    assert isinstance(unknown, AgentFailed)
    assert "e1" in str(unknown)
    assert isinstance(read_error(pb.ErrorDetail(kind="MailboxFull", fields=b"[1")), MailboxFull)
    nested = pb.ErrorDetail(kind="MailboxFull", fields=b'{"name":{"deep":1}}')
    assert read_error(nested).wire_fields() == MailboxFull().wire_fields()


@settings(deadline=None)  # how long one example takes says nothing on a busy machine
@given(
    key=texts.filter(bool),
    session=texts,
    principal=texts,
    tenant=texts,
    traceparent=texts,
    idempotency_key=texts,
    baggage=st.none() | st.dictionaries(texts, texts, min_size=1, max_size=3),
    hops=st.lists(st.builds(Hop, texts, texts, texts), max_size=3).map(tuple),
    max_hops=st.integers(1, 2**31),
    tokens=st.none() | st.integers(0, 2**64 - 1),
    calls=st.none() | st.integers(0, 2**64 - 1),
    nanos=st.none() | st.integers(0, 10**15),
    timeout=st.floats(0, 1e6),
    tracestate=texts,
)
def test_a_context_arrives_with_everything_that_travels(
    key: str,
    timeout: float,
    nanos: int | None,
    tokens: int | None,
    calls: int | None,
    tracestate: str,
    **parts: object,
) -> None:
    frozen = FrozenClock()
    usd = None if nanos is None else nanos / 1_000_000_000
    sent = CallContext(
        "writer",
        deadline=frozen.monotonic() + timeout,
        clock=frozen,
        key=key,
        budget=Budget(usd=usd, tokens=tokens, calls=calls),
        **parts,  # type: ignore[arg-type]
    )
    sent.tracestate = tracestate
    proto = pb.CallEnvelope()
    fill_context(proto, sent)
    got = read_context(parse(pb.CallEnvelope, proto.SerializeToString()), "writer", frozen, 60.0)
    assert abs(got.remaining - sent.remaining) < 1e-6
    assert got.budget is not None
    assert sent.budget is not None
    assert got.budget.nanos == sent.budget.nanos == nanos
    assert (got.budget.tokens, got.budget.calls) == (tokens, calls)
    assert (got.agent, got.key) == ("writer", key)
    assert {name: getattr(got, name) for name in parts} == parts
    assert got.tracestate == tracestate


def test_an_empty_envelope_takes_the_hosts_defaults() -> None:
    got = read_context(pb.CallEnvelope(), "writer", SystemClock(), 60.0)
    assert 59 < got.remaining <= 60
    assert got.budget is None
    assert (got.key, got.hops, got.max_hops) == ("writer", (), 32)


def test_a_deadline_that_has_passed_travels_as_zero_not_as_absent() -> None:
    proto = pb.CallEnvelope()
    clock = SystemClock()
    fill_context(proto, CallContext("a", deadline=clock.monotonic() - 5, clock=clock))
    assert proto.HasField("timeout_nanos")
    assert proto.timeout_nanos == 0


def test_another_major_version_is_an_incompatible_peer() -> None:
    with pytest.raises(IncompatiblePeer, match="version 2"):
        read_context(pb.CallEnvelope(version=2), "writer", SystemClock(), 60.0)


def test_bytes_that_are_no_protobuf_are_an_invalid_message() -> None:
    with pytest.raises(InvalidMessage, match="Message"):
        parse(pb.Message, b"\xff\xff\xff")


class FrozenClock(SystemClock):
    """Stands still, so that time left can be compared."""

    monotonic = staticmethod(lambda: 1000.0)


def long_ledger() -> Usage:
    """256 lines, each with much to say."""
    usage = Usage(cost_nanos=256, calls=256, ledger=Ledger())
    for i in range(256):
        line = Line(("agent" * 20, f"é{i}" * 10), "m" * 100, "vendor", "parallel", "s" * 60, "p")
        usage.ledger.note(line, Usage(cost_nanos=1, calls=1))  # type: ignore[union-attr]
    return usage


def test_the_lines_of_a_ledger_arrive_with_their_sum() -> None:
    usage, proto = long_ledger(), pb.Usage()
    fill_usage(proto, usage)
    arrived = read_usage(pb.Usage.FromString(proto.SerializeToString()))
    assert arrived.ledger is not None
    assert dict(arrived.ledger) == dict(usage.ledger or ())
    assert arrived == arrived.ledger.total == usage


def test_a_failure_with_a_long_ledger_fits_into_the_metadata_of_a_call() -> None:
    for error in (AgentFailed("a"), AgentRefused("🗼" * 2048)):
        detail = error_detail(error, long_ledger())
        assert detail.ByteSize() <= 9 * 1024  # 12 KiB as text
        arrived = read_usage(detail.usage)
        assert arrived.ledger is not None
        assert arrived.ledger.total == arrived == Usage(cost_nanos=256, calls=256)
        assert OTHERS in dict(arrived.ledger)


def test_a_name_that_is_no_text_does_not_keep_a_ledger_from_its_caller() -> None:
    usage, proto = Usage(calls=1, ledger=Ledger()), pb.Usage()
    assert usage.ledger is not None
    usage.ledger.note(Line(("a",), "\ud800"), Usage(calls=1))
    fill_usage(proto, usage)
    assert read_usage(proto).by("model") == {":?": Usage(calls=1)}


def test_partial_results_cross_with_an_error_and_what_is_none_does_not() -> None:
    error = AgentRefused("no")
    error.partial = [{"agent": "a", "reply": "ä"}, {"agent": "b", "stopped": True}]
    assert read_error(error_detail(error)).partial == error.partial
    error.partial = [float("nan")]
    assert error_detail(error).partial == b""


@pytest.mark.parametrize("partial", [b"[", b"{}", b"\xff", b"[" * 3000, b"[1]" + b" " * 5000])
def test_partial_results_a_peer_made_up_are_none(partial: bytes) -> None:
    assert read_error(pb.ErrorDetail(kind="AgentFailed", partial=partial)).partial is None
