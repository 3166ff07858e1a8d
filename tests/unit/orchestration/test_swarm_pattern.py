"""Swarm."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from aixgo import AgentRefused, LocalRuntime, Message
from aixgo.config import load_config, open_runtime
from aixgo.errors import ConfigError
from aixgo.orchestration import Limits, Swarm
from aixgo.testing import RecordingAgent

TO_B: Any = Message("mine is done", metadata={"handoff_to": "b"})


def agents(**replies: list[Any]) -> list[RecordingAgent]:
    return [RecordingAgent(name, said) for name, said in replies.items()]


async def answer(swarm: Swarm, task: str = "help") -> Message:
    async with LocalRuntime(swarm) as rt, asyncio.timeout(5):
        return await rt.call("s", task)


async def test_whoever_does_not_hand_over_has_answered() -> None:
    a, b = agents(a=["it works"], b=[])
    reply = await answer(Swarm("s", [a, b]))
    assert (reply.text, b.messages) == ("it works", [])
    assert reply.metadata["handoffs"] == 0
    assert reply.metadata["path"] == ["a"]
    assert reply.metadata["ended_by"] == "answer"


@pytest.mark.parametrize(
    "said",
    [
        TO_B,
        {"handoff_to": "b", "why": "it is a bill"},
        "HANDOFF: b",
        "HANDOFF:  b\nplease look",
        "please look\nHANDOFF: B\n",
        Message("HANDOFF: c", metadata={"handoff_to": "b"}),
    ],
)
async def test_a_handoff_is_read_from_metadata_object_or_a_line_of_text(said: Any) -> None:
    reply = await answer(Swarm("s", agents(a=[said], b=["done"], c=["wrong"])))
    assert reply.text == "done"
    assert reply.metadata["path"] == ["a", "b"]
    assert reply.metadata["answered_by"] == "b"


@pytest.mark.parametrize("said", ["We say HANDOFF: b", "first\nHANDOFF: b\nlast", "handoff: b", ""])
async def test_a_text_that_only_mentions_a_handoff_is_an_answer(said: str) -> None:
    reply = await answer(Swarm("s", agents(a=[said], b=["done"])))
    assert reply.text == said


async def test_who_gets_the_task_gets_history_and_context_with_it() -> None:
    first = Message("seen\nHANDOFF: b", metadata={"context": {"order": 7, "by": "a"}})
    second = Message("checked", metadata={"handoff_to": "c", "context": {"by": "b"}})
    a, b, c = agents(a=[first], b=[second], c=["done"])
    reply = await answer(Swarm("s", [a, b, c]))
    assert a.messages[0].payload == "help"
    assert c.messages[0].type == "handoff"
    assert c.messages[0].payload == {
        "task": "help",
        "history": [{"agent": "a", "says": "seen"}, {"agent": "b", "says": "checked"}],
        "context": {"order": 7, "by": "b"},
    }
    assert reply.metadata["context"] == {"order": 7, "by": "b"}


async def test_one_call_knows_nothing_of_another() -> None:
    first = Message("x", metadata={"handoff_to": "b", "context": {"order": 7}})
    a, b = agents(a=[first, TO_B], b=["1", "2"])
    async with LocalRuntime(Swarm("s", [a, b])) as rt:
        await rt.call("s", "one")
        await rt.call("s", "two")
    assert b.messages[1].payload == {
        "task": "two",
        "history": [{"agent": "a", "says": "mine is done"}],
        "context": {},
    }


async def test_without_shared_state_the_next_agent_gets_the_last_reply() -> None:
    a, b = agents(a=["half\nHANDOFF: b"], b=["done"])
    await answer(Swarm("s", [a, b], shared_state=False))
    assert b.messages[0].payload == "half"


@pytest.mark.parametrize("most", [0, 1, 2])
async def test_as_many_handoffs_as_allowed_are_made_and_then_the_last_reply_counts(
    most: int,
) -> None:
    a, b = agents(a=["a1\nHANDOFF: b", "a2\nHANDOFF: b"], b=["b1\nHANDOFF: a"])
    reply = await answer(Swarm("s", [a, b], max_handoffs=most))
    assert reply.text == ["a1", "b1", "a2"][most]
    assert reply.metadata["handoffs"] == most
    assert reply.metadata["ended_by"] == "max_handoffs"


async def test_the_limit_of_iterations_goes_before_the_key() -> None:
    swarm = Swarm("s", agents(a=[TO_B], b=["done"]), limits=Limits(max_iterations=0))
    assert (await answer(swarm)).metadata["ended_by"] == "max_handoffs"


async def test_a_handoff_that_was_not_made_is_not_made_by_a_swarm_around_it() -> None:
    inner = Swarm("inner", agents(a=[TO_B], b=["no"]), max_handoffs=0)
    reply = await answer(Swarm("s", [inner, "b"]))
    assert reply.text == "mine is done"
    assert reply.metadata["path"] == ["inner"]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("HANDOFF: nobody", r"'a' may not hand over to 'nobody'; it may to: b"),
        ("HANDOFF: a", r"'a' may not hand over to 'a'; it may to: b"),
        ("HANDOFF:", r"'a' may not hand over to ''; it may to: b"),
        (Message("HANDOFF: b", metadata={"handoff_to": 7}), r"'a' may not hand over to 7"),
        ({"handoff_to": ["b"]}, r"'a' may not hand over to \['b'\]"),
        ("HANDOFF: c", r"'a' may not hand over to 'c'"),
    ],
)
async def test_a_handoff_that_cannot_be_is_refused(said: Any, why: str) -> None:
    swarm = Swarm("s", agents(a=[said], b=[], c=[]), transfers={"a": ["b"]})
    with pytest.raises(AgentRefused, match=rf"swarm 's': {why}"):
        await answer(swarm)


async def test_who_may_hand_over_to_nobody_is_told_so() -> None:
    swarm = Swarm("s", agents(a=["HANDOFF: b"], b=[]), transfers={"a": []})
    with pytest.raises(AgentRefused, match="it may to nobody"):
        await answer(swarm)


async def test_an_agent_that_fails_leaves_the_last_reply_to_a_swarm_that_goes_on() -> None:
    team = agents(a=[TO_B], b=[AgentRefused("closed")])
    reply = await answer(Swarm("s", team, error_strategy="continue"))
    assert (reply.text, reply.metadata["ended_by"]) == ("mine is done", "failures")
    assert list(reply.metadata["missing"]) == ["b"]  # type: ignore[arg-type]  # an object
    with pytest.raises(AgentRefused, match="closed"):
        await answer(Swarm("s", agents(a=[TO_B], b=[AgentRefused("closed")])))


@pytest.mark.parametrize(
    ("members", "options", "text"),
    [
        ([], {}, "needs at least one agent"),
        (["a"], {"max_handoffs": -1}, "max_handoffs is -1"),
        (["a", "bill"], {"transfers": {"a": ["bil"]}}, "no agent 'bil'; did you mean 'bill'"),
        (["a", "b"], {"transfers": {"z": ["b"]}}, "transfers: it has no agent 'z'; it has: a, b"),
    ],
)
def test_what_cannot_be_is_refused(members: list[str], options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        Swarm("s", members, **options)


CODE = """
from aixgo import agent
@agent
async def a(text: str) -> str:
    return "HANDOFF: " + text
@agent
async def b(case: dict) -> str:
    return "b"
@agent
async def c(case: dict) -> str:
    return "c"
"""


def file_of(tmp_path: Path, transfers: str, config: str = "{}") -> Path:
    (tmp_path / "parts.py").write_text(CODE)
    path = tmp_path / "c.yaml"
    path.write_text(
        f"orchestration: {{name: s, pattern: swarm, agents: [a, b, c], config: {config}}}\n"
        f"agents: [{{name: a, code: './parts.py:a', transfers: {transfers}}}, "
        "{name: b, code: './parts.py:b'}, {name: c, code: './parts.py:c'}]\n"
    )
    return path


async def test_an_agent_of_a_file_says_itself_to_whom_it_may_hand_over(tmp_path: Path) -> None:
    config = load_config(file_of(tmp_path, "[b]"))
    assert config.warnings == ()
    async with open_runtime(config) as rt:
        assert (await rt.call("s", "b")).text == "b"
        with pytest.raises(AgentRefused, match="it may to: b"):
            await rt.call("s", "c")


async def test_what_the_swarm_of_a_file_says_goes_before_what_its_agent_says(
    tmp_path: Path,
) -> None:
    config = load_config(file_of(tmp_path, "[b]", "{transfers: {a: [c]}}"))
    async with open_runtime(config) as rt:
        assert (await rt.call("s", "c")).text == "c"


async def test_an_agent_of_a_file_that_may_hand_over_to_nobody_known_is_refused(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigError, match=r"c.yaml:1: 's': .*transfers of 'a'.*no agent 'x'"):
        async with open_runtime(load_config(file_of(tmp_path, "[x]"))):
            pass


@pytest.mark.parametrize(("most", "stopped"), [(1, None), (0, "max_handoffs")])
async def test_only_a_limit_or_failures_are_said_to_have_stopped_it(
    most: int, stopped: str | None
) -> None:
    reply = await answer(Swarm("s", agents(a=[TO_B], b=["done"]), max_handoffs=most))
    assert reply.metadata.get("stopped_by") == stopped
