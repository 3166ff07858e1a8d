"""Events as they are written: their names, one flat object each, and what a reader makes of strange ones."""

import json
from dataclasses import fields
from datetime import datetime

import pytest

from aixgo.ledger import Usage
from aixgo.sessions.events import (
    ErrorRaised,
    Event,
    EventsDropped,
    MessageCompleted,
    PromptReceived,
    RunCancelled,
    RunCompleted,
    RunStarted,
    Spent,
    ToolCallCompleted,
    ToolCallFailed,
    ToolCallStarted,
    as_time,
    decode_event,
    encode_event,
)

NOW = as_time(1_700_000_000.25)
SPENT = Spent(cost_nanos=10**15, tokens_prompt=3, tokens_completion=4, calls=1, unsettled=True)
EVENTS = {
    "run_started": RunStarted(
        timestamp=NOW, run_id="r", agent="Ägent", key="a/b", parent_run_id="p", streaming=True
    ),
    "prompt_received": PromptReceived(timestamp=NOW, run_id="r", content="hello\nworld"),
    "run_completed": RunCompleted(timestamp=NOW, run_id="r", duration_ms=1.5, usage=SPENT),
    "run_cancelled": RunCancelled(timestamp=NOW, run_id="r", reason="interrupted"),
    "error": ErrorRaised(timestamp=NOW, run_id="r", error_type="AgentFailed", error_id="abc"),
    "message_completed": MessageCompleted(timestamp=NOW, run_id="r", model_used="m", usage=SPENT),
    "tool_call_started": ToolCallStarted(timestamp=NOW, run_id="r", tool_name="t", tool_id="1"),
    "tool_call_completed": ToolCallCompleted(timestamp=NOW, run_id="r", tool_name="t", tool_id="1"),
    "tool_call_failed": ToolCallFailed(timestamp=NOW, run_id="r", tool_name="t", tool_id="1"),
    "aixgo.events_dropped": EventsDropped(timestamp=NOW, count=3),
}


@pytest.mark.parametrize(("name", "event"), EVENTS.items(), ids=list(EVENTS))
def test_an_event_is_one_flat_line_under_its_name_and_reads_back_equal(
    name: str, event: Event
) -> None:
    line = encode_event(event)
    assert b"\n" not in line
    assert json.loads(line)["type"] == event.type == name
    assert json.loads(line)["timestamp"] == "2023-11-14T22:13:20.250000Z"
    assert decode_event(line) == event


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        EVENTS["run_started"].run_id = "other"  # type: ignore[misc]


def test_every_event_has_an_id_of_its_own() -> None:
    assert len({event.event_id for event in EVENTS.values()}) == len(EVENTS)


def test_what_was_spent_survives_in_nano_dollars() -> None:
    usage = Usage(123_456_789, 1, 2, 3, 4, 5, True, 6, 7)
    assert Spent.of(usage).usage == usage
    assert {*Spent.__struct_fields__} == {field.name for field in fields(Usage)} - {"ledger"}
    assert Spent.of(None).usage == Usage()


def test_an_event_of_an_unknown_type_is_no_error_and_none_of_ours() -> None:
    assert decode_event(b'{"type":"snapshot_taken","size":1}') is None


def test_a_field_that_a_later_version_added_is_passed_over() -> None:
    line = json.loads(encode_event(EVENTS["run_started"]))
    assert decode_event(json.dumps({**line, "mood": "good"}).encode()) == EVENTS["run_started"]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'"text"',
        b'{"type":7}',
        b'{"type":"run_started"}',
        b'{"type":"run_started","timestamp":"yesterday","agent":"a"}',
        b'{"type":"run_started","timestamp":"2026-01-01T00:00:00","agent":"a"}',
        b'{"type":"run_completed","timestamp":"2026-01-01T00:00:00Z","usage":[]}',
        b"\xff\xfe",
        b"[" * 10_000,
    ],
)
def test_a_line_that_is_no_event_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        decode_event(line)


def test_times_are_in_utc() -> None:
    assert as_time(0) == datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    assert EVENTS["error"].time == 1_700_000_000.25
