"""A call brings back what its agent answered, whatever the payload, and nobody shares it."""

from __future__ import annotations

import pytest

from aixgo import Message
from tests.conformance.agents import Pair
from tests.conformance.places import EVERYWHERE, World

pytestmark = pytest.mark.parametrize("place", EVERYWHERE, indirect=True, ids=str)

JSON_VALUES = [
    None,
    True,
    False,
    0,
    -1,
    2**53 + 1,
    -(2**63),
    2**64 - 1,
    2**200,
    0.1,
    -0.0,
    1e308,
    5e-324,
    [],
    {},
    [[], [[]], {"": []}],
    {"a": [1, 2.0, "3", None, True], "ä": {"\U0001f600": "\u0000\u2028"}},
    {"big": [2**200, -(2**100)]},
]
TEXTS = ["", "hello", "ä\u0000\U0001f600\r\n", '{"not": "parsed"}', "x" * 300_000]


async def test_the_reply_reaches_the_caller(world: World) -> None:
    reply = await world.rt.call("echo", "hello")
    assert (reply.payload, reply.source) == ("hello", "echo")


async def test_every_kind_of_function_answers(world: World) -> None:
    assert (await world.rt.call("upper", "loud")).payload == "LOUD"
    assert (await world.rt.call("lower", "QUIET")).payload == "quiet"
    assert (await world.rt.call("add", Pair(2, 3))).payload == {"total": 5}


async def test_a_json_value_comes_back_as_it_was(world: World) -> None:
    for value in JSON_VALUES:
        reply = await world.rt.call("echo", value)
        assert repr(reply.payload) == repr(value)
        assert reply.content_type == "application/json"


async def test_the_agent_sees_the_value_the_caller_gave(world: World) -> None:
    for value in JSON_VALUES:
        seen = (await world.rt.call("sees", Message(value, type="kind"))).payload
        assert seen == {
            "type": type(value).__name__,
            "repr": repr(value),
            "content_type": "application/json",
            "kind": "kind",
            "source": "",
        }


async def test_text_comes_back_as_text(world: World) -> None:
    for text in TEXTS:
        reply = await world.rt.call("echo", text)
        assert reply.payload == text
        assert reply.content_type == "text/plain"


@pytest.mark.parametrize("content_type", ["", "image/png"])
async def test_bytes_come_back_with_their_content_type(world: World, content_type: str) -> None:
    data = bytes(range(256))
    reply = await world.rt.call("same", Message(data, content_type=content_type))
    assert reply.payload == data
    assert reply.content_type == (content_type or "application/octet-stream")


async def test_empty_bytes_stay_bytes(world: World) -> None:
    assert (await world.rt.call("same", b"")).payload == b""


async def test_tuples_become_lists(world: World) -> None:
    assert (await world.rt.call("echo", {"t": (1, (2,))})).payload == {"t": [1, [2]]}


async def test_what_the_agent_does_to_its_message_stays_there(world: World) -> None:
    name = f"{world.place} scribbled"
    given = Message({"name": name}, metadata={"n": 1})
    await world.rt.call("keeper", given)
    assert given.payload == {"name": name}
    assert given.metadata == {"n": 1}


async def test_what_the_caller_does_to_its_reply_stays_there(world: World) -> None:
    name = f"{world.place} kept"
    reply = await world.rt.call("keeper", {"name": name})
    assert isinstance(reply.payload, dict)
    reply.payload["list"] = "scribble"
    assert (await world.rt.call("kept", name)).payload == {"list": [1]}
    assert (await world.rt.call("keeper", {"name": name})).payload == {"list": [1]}


async def test_receivers_of_one_message_do_not_see_each_other(world: World) -> None:
    name = f"{world.place} shared"
    given = Message({"name": name, "list": [1]})
    outcomes = await world.rt.call_parallel(["keeper", "sees", "echo"], given)
    assert outcomes.replies[2].payload == {"name": name, "list": [1]}
    seen = outcomes.replies[1].payload
    assert isinstance(seen, dict)
    assert seen["repr"] == repr({"name": name, "list": [1]})
