"""What an agent raises reaches its caller as the same error, wherever either of them is."""

from __future__ import annotations

import pytest

from aixgo.errors import AgentFailed, AgentRefused, AixgoError, error_classes, rebuild_error
from tests.conformance.calls import failure, stream_failure
from tests.conformance.gates import Gates
from tests.conformance.places import EVERYWHERE, World
from tests.conformance.samples import FOREIGN, SAMPLES

pytestmark = pytest.mark.parametrize("place", EVERYWHERE, indirect=True, ids=str)


def seen(error: AixgoError) -> dict[str, object]:
    """Everything a caller can tell about an error, except its id."""
    return {
        "class": type(error),
        "fields": error.wire_fields(),
        "text": str(error),
        "retryable": error.retryable,
        "agent": error.agent,
    }


def expected(kind: str) -> dict[str, object]:
    return seen(rebuild_error(kind, SAMPLES[kind].wire_fields(), agent="raises"))


async def test_every_error_class_arrives_as_itself(world: World) -> None:
    assert set(SAMPLES) == set(error_classes())
    for kind in SAMPLES.keys() - {"AgentFailed"}:
        error = await failure(world.rt, "raises", kind)
        assert seen(error) == expected(kind)
        assert "secret" not in repr(error)


async def test_what_is_no_aixgo_error_arrives_as_agent_failed_and_without_text(
    world: World,
) -> None:
    for kind in ["AgentFailed", *FOREIGN]:
        error = await failure(world.rt, "raises", kind)
        assert type(error) is AgentFailed
        assert (error.name, error.agent, error.retryable) == ("raises", "raises", False)
        assert error.error_id
        assert error.error_id in str(error)
        assert "secret" not in repr(error)


async def test_an_authors_own_class_arrives_as_the_aixgo_class_it_is(world: World) -> None:
    error = await failure(world.rt, "refuses_in_own_words", "why not")
    assert (type(error), str(error)) == (AgentRefused, "why not")


async def test_an_error_crosses_several_agents_unchanged(world: World) -> None:
    for kind in ("RateLimited", "AgentRefused", "InvalidMessage"):
        task = {"route": ["b", "c", "raises"], "payload": kind}
        error = await failure(world.rt, "a", task)
        assert seen(error) == expected(kind)
    error = await failure(world.rt, "a", {"route": ["b", "raises"], "payload": "ValueError"})
    assert (type(error), error.agent) == (AgentFailed, "raises")


async def test_a_stream_ends_with_the_same_errors(world: World, gates: Gates) -> None:
    for kind in SAMPLES.keys() - {"AgentFailed"}:
        task = {"words": "one", "gates": gates.path, "fail": kind}
        error = await stream_failure(world.rt, "streams", task)
        assert seen(error) == {**expected(kind), "agent": "streams"}
    for kind in FOREIGN.keys() - {"StopAsyncIteration", "GeneratorExit"}:
        task = {"words": "one", "gates": gates.path, "fail": kind}
        error = await stream_failure(world.rt, "streams", task)
        assert (type(error), error.agent) == (AgentFailed, "streams")
        assert "secret" not in repr(error)


async def test_the_host_survives_whatever_an_agent_raises(world: World) -> None:
    for kind in FOREIGN:
        await failure(world.rt, "raises", kind)
    assert (await world.rt.call("echo", "still here")).payload == "still here"


async def test_input_that_does_not_fit_the_agent_is_refused_with_its_place(world: World) -> None:
    error = await failure(world.rt, "add", {"x": 1, "y": "two"})
    assert type(error).__name__ == "InvalidMessage"
    assert error.wire_fields() == {"path": "payload.y", "expected": "Pair"}
