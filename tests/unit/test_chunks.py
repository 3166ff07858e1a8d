"""A StreamChunk as a dict: whatever it holds comes back, and what is no chunk is refused with its place."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aixgo import StreamChunk
from aixgo.errors import (
    AgentFailed,
    AgentRefused,
    AixgoError,
    BudgetExceeded,
    InvalidMessage,
    RateLimited,
)
from aixgo.ledger import Usage
from aixgo.message import JSONValue

WHOLE = st.integers(min_value=0, max_value=2**53)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | WHOLE
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ERRORS = st.one_of(
    st.builds(AgentRefused, st.text(max_size=50)),
    st.builds(RateLimited, provider=st.text(max_size=9), retry_after=st.floats(0, 99)),
    st.builds(BudgetExceeded, st.just("money"), WHOLE, st.text(max_size=9), st.text(max_size=9)),
    st.builds(AgentFailed, st.text(max_size=9), st.text(max_size=9)),
)
CHUNKS = st.builds(
    StreamChunk,
    type=st.sampled_from(["content", "done", "error", "a type of tomorrow"]),
    content=st.text(),
    tool_calls=st.lists(JSON, max_size=3),
    source=st.text(),
    path=st.lists(st.text(), max_size=3).map(tuple),
    sequence=WHOLE,
    status=st.text(),
    error=st.none() | ERRORS,
    usage=st.none() | st.builds(Usage, cost_nanos=WHOLE, tokens_prompt=WHOLE, calls=WHOLE),
    timestamp=st.floats(0, 1e12),
)


def seen(error: AixgoError | None) -> object:
    """What is equal of two equal errors."""
    if error is None:
        return None
    return type(error), error.wire_fields(), error.agent, error.error_id, str(error)


@given(CHUNKS)
def test_a_chunk_comes_back_from_the_json_of_its_dict(chunk: StreamChunk) -> None:
    back = StreamChunk.from_dict(json.loads(json.dumps(chunk.to_dict())))
    assert seen(back.error) == seen(chunk.error)
    back.error = chunk.error
    assert back == chunk


def test_a_dict_names_every_part_of_a_chunk() -> None:
    assert StreamChunk(content="hi").to_dict() == {
        "type": "content",
        "content": "hi",
        "tool_calls": [],
        "source": "",
        "path": [],
        "sequence": 0,
        "status": "",
        "error": None,
        "usage": None,
        "timestamp": 0.0,
    }


def test_a_dict_is_a_copy() -> None:
    calls: list[JSONValue] = [{"name": "add", "arguments": {"a": 1}}]
    chunk = StreamChunk(type="tool_calls", tool_calls=calls)
    chunk.to_dict()["tool_calls"].clear()  # type: ignore[union-attr]
    assert chunk.tool_calls == calls


def test_what_a_later_version_adds_is_passed_over_and_its_types_are_kept() -> None:
    chunk = StreamChunk.from_dict({"type": "hologram", "content": "x", "depth": 3})
    assert (chunk.type, chunk.content) == ("hologram", "x")


def test_an_error_shows_its_fields_and_no_text_that_stays_in_the_process() -> None:
    error = RateLimited("sk-secret was refused", provider="acme", retry_after=7)
    shown = StreamChunk(type="error", error=error).to_dict()
    assert "sk-secret" not in str(shown)
    back = StreamChunk.from_dict(shown).error
    assert isinstance(back, RateLimited)
    assert (back.provider, back.retry_after) == ("acme", 7)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"content": 4}, r"chunk.content does not fit: Expected `str`"),
        ({"sequence": "1"}, r"chunk.sequence"),
        ({"usage": {"calls": "many"}}, r"chunk.usage.calls"),
        ({"error": {}}, r"chunk.error does not fit: .*`kind`"),
        ({"path": [1]}, r"chunk.path\[0\]"),
        (7, "chunk does not fit"),
    ],
)
def test_what_is_no_chunk_is_refused_with_its_place(given: dict[str, object], why: str) -> None:
    with pytest.raises(InvalidMessage, match=why):
        StreamChunk.from_dict(given)


@pytest.mark.parametrize(
    ("chunk", "why"),
    [
        (StreamChunk(timestamp=math.nan), "chunk.timestamp"),
        (StreamChunk(tool_calls=[object()]), r"chunk.tool_calls\[0\]"),  # type: ignore[list-item]
    ],
)
def test_what_json_cannot_hold_is_refused_with_its_place(chunk: StreamChunk, why: str) -> None:
    with pytest.raises(InvalidMessage, match=why):
        chunk.to_dict()
