"""Messages: the domain, the handles, the sizes."""

import dataclasses
import enum
import math

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aixgo.errors import InvalidMessage, MessageTooLarge
from aixgo.ledger import Usage
from aixgo.message import (
    MAX_DEPTH,
    MAX_MESSAGE_BYTES,
    JSONValue,
    Message,
    from_wire,
    new_id,
    to_wire,
)

text = st.text(st.characters(exclude_categories=["Cs"]))
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | text
)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(text, inner), max_leaves=20
)
not_json = st.sampled_from(
    [
        math.nan,
        math.inf,
        -math.inf,
        "\ud800",
        {1: 2},
        {None: 2},
        {"\udfff": 1},
        {1, 2},
        object(),
        1j,
        10**5000,
    ]
)


class Colour(str, enum.Enum):  # noqa: UP042 - its str() is not its value, a StrEnum's is
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Name(str):
    def __str__(self) -> str:
        return "not the text"


@dataclasses.dataclass
class Order:
    item: str
    sizes: tuple[int, ...] = ()


class Model(pydantic.BaseModel):
    item: str
    level: Level = Level.HIGH


def nested(levels: int) -> JSONValue:
    value: JSONValue = 1
    for _ in range(levels):
        value = [value]
    return value


@settings(deadline=None)  # how long one example takes says nothing on a busy machine
@given(json_values)
def test_every_json_value_comes_out_as_it_went_in(value: JSONValue) -> None:
    found = Message({"value": value}).payload
    assert found == {"value": value}
    assert repr(found) == repr({"value": value})  # 1, 1.0 and True are equal but not the same


@settings(deadline=None)  # how long one example takes says nothing on a busy machine
@given(json_values)
def test_a_message_survives_being_taken_apart_and_put_together(value: JSONValue) -> None:
    message = Message(value, type="t", metadata={"m": value}, source="a")
    again = from_wire(to_wire(message), id=message.id, type=message.type, source=message.source)
    assert again == message
    assert (again.payload, again.metadata) == (message.payload, message.metadata)
    assert (again.content_type, again.timestamp) == (message.content_type, message.timestamp)


@settings(deadline=None)  # how long one example takes says nothing on a busy machine
@given(not_json, st.lists(st.sampled_from(["list", "tuple", "dict"]), max_size=4))
def test_every_other_value_is_refused_with_its_path(value: object, around: list[str]) -> None:
    path = "payload"
    for kind in reversed(around):
        value = {"list": [0, value], "tuple": (0, value), "dict": {"key": value}}[kind]
    for kind in around:
        path += ".key" if kind == "dict" else "[1]"
    with pytest.raises(InvalidMessage) as caught:
        Message(value)
    assert caught.value.path.removeprefix("a key of ") == path
    assert path in str(caught.value)


def test_metadata_is_checked_like_a_payload() -> None:
    with pytest.raises(InvalidMessage, match=r"^metadata\.a\[0\] is nan"):
        Message("x", metadata={"a": [math.nan]})
    with pytest.raises(InvalidMessage, match=r"^metadata is a list, not a mapping"):
        Message("x", metadata=["a"])  # type: ignore[arg-type]


def test_tuples_dataclasses_models_and_enums_are_dumped() -> None:
    value = {
        "o": Order("a", (1, 2)),
        "m": Model(item="b"),
        "c": Colour.RED,
        "l": Level.HIGH,
        "t": (1,),
    }
    assert Message(value).payload == {
        "o": {"item": "a", "sizes": [1, 2]},
        "m": {"item": "b", "level": 3},
        "c": "red",
        "l": 3,
        "t": [1],
    }


def test_a_kind_of_text_counts_as_the_text_it_is() -> None:
    assert Message(Name("abc")).payload == "abc"
    assert Message({Colour.RED: 1, Name("k"): Name("v")}).payload == {"red": 1, "k": "v"}


def test_a_hundred_levels_are_the_most() -> None:
    assert Message(nested(MAX_DEPTH)).payload == nested(MAX_DEPTH)
    with pytest.raises(InvalidMessage, match="nested more than 100 levels"):
        Message(nested(MAX_DEPTH + 1))
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(InvalidMessage, match="nested more than 100 levels"):
        Message(endless)


def test_bytes_keep_their_content_type_and_others_have_none() -> None:
    assert Message(b"\x00", content_type="image/png").content_type == "image/png"
    assert Message(bytearray(b"\x00\xff")).payload == b"\x00\xff"
    assert (Message(b"").content_type, Message("").content_type, Message(None).content_type) == (
        "application/octet-stream",
        "text/plain",
        "application/json",
    )
    with pytest.raises(InvalidMessage, match="content_type is for bytes payloads only"):
        Message("x", content_type="text/html")


def test_text_is_the_payload_however_it_is_held() -> None:
    assert Message("ä").text == "ä"
    assert Message("ä".encode()).text == "ä"
    assert Message({"a": [1, None]}).text == '{"a":[1,null]}'
    assert Message(2.5).text == "2.5"


def test_a_message_does_not_see_later_changes_of_what_it_was_made_from() -> None:
    payload: dict[str, JSONValue] = {"a": [1]}
    message = Message(payload, metadata=payload)
    payload["a"] = 2
    assert (message.payload, message.metadata) == ({"a": [1]}, {"a": [1]})


def test_changing_one_handles_copy_changes_no_other_and_nothing_that_is_sent() -> None:
    message = Message({"a": [1]}, metadata={"k": [1]})
    other = message.handle()
    message.payload["a"].append(2)  # type: ignore[index, union-attr]
    message.metadata["k"].append(2)  # type: ignore[union-attr]
    for seen in (other, message.handle()):
        assert (seen.payload, seen.metadata) == ({"a": [1]}, {"k": [1]})


def test_a_message_may_hold_64_mib_and_not_a_byte_more() -> None:
    whole = "x" * (MAX_MESSAGE_BYTES - 10)
    metadata = {"k": "v"}  # nine bytes of JSON
    assert Message(whole, metadata=metadata).size == MAX_MESSAGE_BYTES - 1
    message = Message(whole + "x", metadata=metadata)
    assert message.size == MAX_MESSAGE_BYTES
    with pytest.raises(MessageTooLarge) as caught:
        Message(whole + "xx", metadata=metadata)
    assert (caught.value.size, caught.value.limit) == (MAX_MESSAGE_BYTES + 1, MAX_MESSAGE_BYTES)
    with pytest.raises(MessageTooLarge):
        message.with_metadata(k="vv")


def test_size_is_counted_in_bytes_not_characters() -> None:
    assert Message("ää").size == 4
    assert Message(["ä"]).size == len('["ä"]'.encode())
    with pytest.raises(MessageTooLarge):
        Message("ä" * (MAX_MESSAGE_BYTES // 2 + 1))


def test_a_message_from_the_wire_obeys_the_same_limit() -> None:
    parts = to_wire(Message("ä"))
    parts.body = "ä" * (MAX_MESSAGE_BYTES // 2 + 1)
    with pytest.raises(MessageTooLarge):
        from_wire(parts, id="1", type="t", source="")


def test_bytes_from_the_wire_that_are_no_json_are_refused_when_read() -> None:
    parts = to_wire(Message([1]))
    for broken in (b"[1", b"[" * 100_000, b'["\xff"]'):
        parts.body = broken
        with pytest.raises(InvalidMessage, match="payload is not valid JSON"):
            from_wire(parts, id="1", type="t", source="").payload  # noqa: B018
    for broken in (b"[]", b'{"a": "\xff"}'):
        parts.metadata = broken
        with pytest.raises(InvalidMessage, match="metadata is not a JSON object"):
            from_wire(parts, id="1", type="t", source="").metadata  # noqa: B018


def test_ids_are_unique_hex_and_ordered_by_time() -> None:
    ids = [new_id() for _ in range(100)] + [Message("x").id]
    assert len(set(ids)) == len(ids)
    assert all(len(item) == 32 and int(item, 16) for item in ids)
    assert [item[:16] for item in ids] == sorted(item[:16] for item in ids)


def test_a_reply_is_a_new_message_of_the_same_type_without_the_metadata() -> None:
    asked = Message("q", type="order", metadata={"a": 1}, source="me")
    reply = asked.reply("a")
    assert reply.id != asked.id
    assert (reply.type, reply.payload, reply.metadata, reply.source) == ("order", "a", {}, "")
    assert asked.reply("a", type="refund", metadata={"b": 2}).metadata == {"b": 2}


def test_with_metadata_adds_and_replaces_on_a_copy() -> None:
    first = Message({"p": 1}, metadata={"a": 1, "b": 1})
    second = first.with_metadata(b=2, c=[3])
    assert second.metadata == {"a": 1, "b": 2, "c": [3]}
    assert (second.id, second.payload) == (first.id, first.payload)
    assert first.metadata == {"a": 1, "b": 1}


def test_with_metadata_keeps_every_value_it_does_not_replace() -> None:
    kept = {"deep": {"ä": [1, 2.5, None, {"x": "\n\\"}]}, "big": 10**300, "none": None, "": ""}
    copy = Message("p", metadata=kept).with_metadata(k=1).with_metadata(k=2, other="ö")
    assert copy.metadata == {**kept, "k": 2, "other": "ö"}


def test_with_metadata_on_what_is_no_json_object_says_so() -> None:
    parts = to_wire(Message("p"))
    parts.metadata = b"[]"
    message = from_wire(parts, id="1", type="t", source="s")
    with pytest.raises(InvalidMessage, match="metadata is not a JSON object"):
        message.with_metadata(k=1)


def test_what_a_call_spent_shows_in_its_metadata_and_wins_over_what_an_agent_wrote() -> None:
    spent = Usage(cost_nanos=2_000_000_000, tokens_prompt=3, tokens_completion=4, calls=1)
    reply = Message("x", metadata={"cost_usd": 99, "k": 1}).delivered("a", spent)
    assert reply.metadata == {
        "cost_usd": 2.0,
        "k": 1,
        "tokens_total": 7,
        "tokens_prompt": 3,
        "tokens_completion": 4,
    }
    assert reply.usage == spent


def test_a_call_that_spent_nothing_adds_no_keys_but_corrects_those_that_are_there() -> None:
    assert Message("x").delivered("a", Usage()).metadata == {}
    assert Message("x", metadata={"cost_usd": 99}).delivered("a", Usage()).metadata == {
        "cost_usd": 0.0
    }


def test_messages_are_equal_by_what_they_say() -> None:
    message = Message({"a": 1})
    assert message == message.handle()
    assert hash(message) == hash(message.handle())
    assert message != Message({"a": 1})  # another id
    assert message != message.with_metadata(a=1)
    assert message != "x"


def test_the_representation_never_shows_the_payload() -> None:
    assert "secret" not in repr(Message("secret", metadata={"k": "secret"}))


@pytest.mark.parametrize("label", ["\ud800", 5, None, b"x"])
def test_a_type_or_content_type_that_could_not_travel_is_refused_where_it_is_written(
    label: object,
) -> None:
    if label:
        with pytest.raises(InvalidMessage, match="type"):
            Message("x", type=label)  # type: ignore[arg-type]  # what a caller without a checker does
        with pytest.raises(InvalidMessage, match="content_type"):
            Message(b"x", content_type=label)  # type: ignore[arg-type]
    assert Message("x", type="").type == "message"  # as it would arrive
    assert Message("x", type="größe").type == "größe"
