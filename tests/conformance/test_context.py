"""What travels with a call reaches every agent on its path."""

from __future__ import annotations

import pytest

from aixgo import Message
from tests.conformance.conftest import OpenWorld
from tests.conformance.places import EVERYWHERE, World

pytestmark = pytest.mark.parametrize("place", EVERYWHERE, indirect=True, ids=str)


async def report(world: World, *route: str, **options: object) -> dict[str, object]:
    """What the agent at the end of `route` found."""
    message = Message("what is there?", metadata={"n": 1, "f": 1.5, "deep": {"list": [None]}})
    target: str = "report"
    given: object = message
    if route:
        target, given = route[0], {"route": [*route[1:], "report"], "payload": "what is there?"}
    found = (await world.rt.call(target, given, **options)).payload  # type: ignore[arg-type]
    assert isinstance(found, dict)
    return dict(found)


async def test_metadata_arrives_as_it_was(world: World) -> None:
    assert (await report(world))["metadata"] == {"n": 1, "f": 1.5, "deep": {"list": [None]}}


async def test_reply_metadata_comes_back_as_it_was(world: World) -> None:
    given = Message("x", metadata={"n": 2**60, "text": "ä"})
    assert (await world.rt.call("echo", given)).metadata == {"n": 2**60, "text": "ä"}


async def test_session_and_principal_reach_the_last_hop(opened: OpenWorld) -> None:
    async with opened(caller={"principal": "alice"}) as world:
        found = await report(world, "a", "b", "c", session="s-1")
    assert (found["session"], found["principal"]) == ("s-1", "alice")


async def test_the_hop_path_names_every_agent(world: World) -> None:
    found = await report(world, "a", "b", "c")
    assert found["hops"] == ["a", "b", "c", "report"]
    assert found["agent"] == "report"
    assert found["source"] == "c"


async def test_keys_name_the_step_and_do_not_depend_on_where_it_runs(world: World) -> None:
    found = await report(world, "a", "b", key="run")
    assert found["keys"] == ["run", "run/b", "run/b/report"]
    assert found["key"] == "run/b/report"


async def test_the_idempotency_key_stays_with_its_call(world: World) -> None:
    found = await report(world, idempotency_key=f"{world.place} once")
    assert found["idempotency_key"] == f"{world.place} once"
    found = await report(world, "a", idempotency_key=f"{world.place} outer")
    assert found["idempotency_key"] == ""


async def test_remaining_time_shrinks_over_hops(world: World) -> None:
    found = await report(world, "a", "b", "c", timeout=20)
    assert isinstance(found["remaining"], float)
    assert 19 < found["remaining"] < 20
