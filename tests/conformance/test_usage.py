"""A reply tells what its call spent, over every hop and also where something failed."""

from __future__ import annotations

import pytest

from aixgo import AgentRefused, Message, Usage
from tests.conformance.calls import read
from tests.conformance.places import COVERING, World

pytestmark = pytest.mark.parametrize("place", COVERING, indirect=True, ids=str)

SPENT = Usage(cost_nanos=5_000, tokens_prompt=10, tokens_completion=4, calls=1)


async def test_a_reply_carries_what_its_call_spent(world: World) -> None:
    reply = await world.rt.call("spend", {})
    assert reply.usage == SPENT
    assert reply.metadata == {
        "cost_usd": 5e-06,
        "tokens_total": 14,
        "tokens_prompt": 10,
        "tokens_completion": 4,
    }


async def test_a_call_that_spends_nothing_says_nothing_of_cost(world: World) -> None:
    reply = await world.rt.call("echo", "free")
    assert not reply.usage
    assert reply.metadata == {}


async def test_an_agent_cannot_say_what_it_spent(world: World) -> None:
    reply = await world.rt.call("echo", Message("x", metadata={"cost_usd": 99, "tokens_total": 7}))
    assert not reply.usage


async def test_usage_is_summed_over_all_hops(world: World) -> None:
    reply = await world.rt.call("a", {"route": ["b", "c", "spend"], "payload": {}, "spend": True})
    assert reply.usage == Usage(cost_nanos=5_000, tokens_prompt=13, tokens_completion=4, calls=4)


async def test_each_of_several_calls_counts(world: World) -> None:
    for stream in (False, True):
        reply = await world.rt.call(
            "forgives", {"target": "spend", "payload": {}, "stream": stream}
        )
        assert (reply.payload, reply.usage) == ("spent", SPENT)


async def test_what_a_failed_call_spent_is_counted(world: World) -> None:
    task = {"target": "spend", "payload": {"fail": True}}
    reply = await world.rt.call("forgives", task)
    assert (reply.payload, reply.usage) == ("AgentRefused", SPENT)


async def test_what_a_failed_call_several_hops_down_spent_is_counted(world: World) -> None:
    inner = {"route": ["b", "c", "spend"], "payload": {"fail": True}, "spend": True}
    reply = await world.rt.call("forgives", {"target": "a", "payload": inner})
    assert reply.payload == "AgentRefused"
    assert reply.usage.tokens_prompt == 13


async def test_a_stream_tells_what_it_spent(world: World) -> None:
    _, final = await read(world.rt, "spend_stream", {})
    assert final is not None
    assert final.usage == SPENT


async def test_what_a_failed_stream_spent_is_counted(world: World) -> None:
    task = {"target": "spend_stream", "payload": {"fail": True}, "stream": True}
    reply = await world.rt.call("forgives", task)
    assert (reply.payload, reply.usage) == ("AgentRefused", SPENT)


ROUTE = ["a", "b", "c", "spend"]


def paths(usage: Usage) -> dict[str, int]:
    return {name: found.tokens_prompt for name, found in usage.by("path").items()}


@pytest.mark.parametrize("failing", [False, True], ids=["ok", "failed"])
async def test_every_hop_and_model_has_a_line_of_its_own(world: World, failing: bool) -> None:
    leaf = {"model": "large", "fail": failing, "written": 3, "retries": 1}
    task = {"route": ROUTE[1:], "payload": leaf, "spend": True}
    before = world.rt.ledger.total
    reply = await world.rt.call(
        "forgives", {"target": "a", "payload": task}, session="one conversation"
    )
    usage, last = reply.usage, "forgives → a → b → c → spend"
    assert paths(usage) == {
        last: 10,
        "forgives → a": 1,
        "forgives → a → b": 1,
        "forgives → a → b → c": 1,
    }
    assert (usage.tokens_cache_write, usage.retries) == (3, 1)
    assert usage.by("model") == {
        "acme:large": Usage(5_000, 10, 4, calls=1, tokens_cache_write=3, retries=1),
        "": Usage(tokens_prompt=3, calls=3),
    }
    assert usage.by("session") == {"one conversation": usage}
    assert world.rt.ledger.total.tokens_prompt == before.tokens_prompt + 13


async def test_a_streamed_call_is_in_the_ledger_too(world: World) -> None:
    _, final = await read(world.rt, "spend_stream", {})
    assert final is not None
    assert final.usage.by("agent") == {"spend_stream": SPENT}
    assert world.rt.ledger.by("agent")["spend_stream"].calls >= 1


async def test_a_failed_root_call_is_in_the_ledger_of_its_runtime(world: World) -> None:
    before = world.rt.ledger.by("agent").get("spend", Usage()).calls
    with pytest.raises(AgentRefused):
        await world.rt.call("spend", {"fail": True})
    assert world.rt.ledger.by("agent")["spend"].calls == before + 1
    assert world.rt.metrics()["spent"]["calls"] >= 1
