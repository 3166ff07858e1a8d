"""ReActAgent that verifies its answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from aixgo import LocalRuntime, load_config, tool
from aixgo.agents import Guided, ReActAgent
from aixgo.config.build import assemble
from aixgo.errors import ConfigError, ProviderUnavailable
from aixgo.message import JSONValue, Message
from aixgo.providers import ToolCall
from aixgo.testing import ScriptedProvider, ScriptedStream

NO: dict[str, JSONValue] = {"verified": False, "reason": "The unit is missing."}
YES: dict[str, JSONValue] = {"verified": True, "reason": "It has all."}


@tool
async def weigh(thing: str) -> str:
    return f"{thing}: 3 kg"


async def answered(agent: ReActAgent, text: str = "How heavy is it?") -> Message:
    async with LocalRuntime(agent) as rt:
        return await rt.call(agent.name, text)


async def test_a_refused_answer_goes_back_with_the_reason_until_one_is_verified() -> None:
    provider = ScriptedProvider(["3", NO, "3 kg", YES])
    reply = await answered(ReActAgent("a", provider=provider, guided=Guided()))
    assert reply.text == "3 kg"
    assert (reply.metadata["verified"], reply.metadata["verification"]) == (True, "It has all.")
    assert "stopped_by" not in reply.metadata
    told = provider.requests[2].messages
    assert [turn.role for turn in told] == ["user", "assistant", "user"]
    assert "The unit is missing." in told[-1].content
    assert reply.usage.calls == 4


async def test_the_verifying_call_sees_task_tools_and_answer_and_nothing_else() -> None:
    calls = [ToolCall("1", "weigh", '{"thing": "stone"}')]
    provider = ScriptedProvider([ScriptedStream(["I weigh."], tool_calls=calls), "3 kg", YES])
    agent = ReActAgent(
        "a",
        tools=[weigh],
        prompt="Be brief.",
        temperature=0.9,
        provider=provider,
        guided=Guided(verification_prompt="Is there a unit?"),
    )
    await answered(agent)
    request = provider.requests[-1]
    assert len(request.messages) == 1
    for part in ("How heavy is it?", 'weigh({"thing": "stone"})', "stone: 3 kg", "3 kg"):
        assert part in request.text
    assert "Is there a unit?" in request.instructions
    assert "Be brief." not in request.instructions
    assert (request.tools, request.temperature) == ((), 0.0)


@pytest.mark.parametrize("said", ["done", "DONE: yes, verified", '{"verified": "yes"}', "[true]"])
async def test_no_word_passes_for_a_yes(said: str) -> None:
    provider = ScriptedProvider(["done", said, said, said])
    reply = await answered(ReActAgent("a", provider=provider, guided=Guided()))
    assert (reply.text, reply.metadata["verified"]) == ("done", False)


async def test_the_last_iteration_gives_its_answer_unverified_and_says_so() -> None:
    provider = ScriptedProvider(["1", NO, "2", NO])
    reply = await answered(ReActAgent("a", provider=provider, guided=Guided(max_iterations=2)))
    assert reply.text == "2"
    assert reply.metadata["verified"] is False
    assert reply.metadata["stopped_by"] == "max_iterations"
    assert reply.metadata["verification"] == "The unit is missing."


async def test_tools_and_refused_answers_count_together() -> None:
    calls = [ToolCall("1", "weigh", '{"thing": "stone"}')]
    provider = ScriptedProvider([ScriptedStream([""], tool_calls=calls), "3", NO, "3 kg", YES])
    agent = ReActAgent("a", tools=[weigh], provider=provider, guided=Guided(max_iterations=3))
    reply = await answered(agent)
    assert reply.metadata["verified"] is True
    assert [request.tool_choice for request in provider.requests if request.tools] == [
        "auto",
        "auto",
        "none",
    ]


@pytest.mark.parametrize("given", [0, -3])
async def test_less_than_one_iteration_means_five(given: int) -> None:
    provider = ScriptedProvider(["x", NO], cycle=True)
    agent = ReActAgent("a", provider=provider, guided=Guided(max_iterations=given))
    assert (await answered(agent)).metadata["stopped_by"] == "max_iterations"
    assert len(provider.requests) == 10


async def test_a_stream_shows_no_answer_before_it_is_verified() -> None:
    provider = ScriptedProvider(["3", NO, "3 kg", YES])
    agent = ReActAgent("a", provider=provider, guided=Guided())
    async with LocalRuntime(agent) as rt, rt.stream("a", "How heavy?") as chunks:
        shown = [chunk.content async for chunk in chunks if chunk.type == "content"]
    assert shown == ["3 kg"]


async def test_without_a_model_nothing_counts_as_verified() -> None:
    reply = await answered(ReActAgent("a", model="offline", guided=Guided()), "Bees make honey.")
    assert reply.metadata["verified"] is False
    assert "without a model" in str(reply.metadata["verification"])


async def test_a_verifying_call_that_fails_fails_the_answer() -> None:
    provider = ScriptedProvider(["3", ProviderUnavailable("down", provider="p", code="x")])
    with pytest.raises(ProviderUnavailable):
        await answered(ReActAgent("a", provider=provider, guided=Guided()))


def written(folder: Path, guided: str, role: str = "react") -> Path:
    file = folder / "flow.yaml"
    file.write_text(f"agents: [{{name: a, role: {role}, model: offline, guided_config: {guided}}}]")
    return file


def test_a_file_enables_it(tmp_path: Path) -> None:
    config = load_config(
        written(tmp_path, "{enabled: true, max_iterations: 0, verification_prompt: Sure?}")
    )
    assert config.warnings == ()
    [placed] = assemble(config)
    assert isinstance(placed.agent, ReActAgent)
    assert placed.agent.guided == Guided(0, "Sure?")
    assert placed.agent.guided.iterations == 5


def test_it_is_off_unless_enabled(tmp_path: Path) -> None:
    [placed] = assemble(load_config(written(tmp_path, "{max_iterations: 3}")))
    assert isinstance(placed.agent, ReActAgent)
    assert placed.agent.guided is None


def test_confirmation_by_people_is_the_only_part_that_is_not_there(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, "{enabled: true, require_confirmation: true}"))
    [warning] = config.warnings
    assert warning.startswith("confirmation by people: not in this version")
    assert warning.endswith("agents[0].guided_config.require_confirmation")


def test_a_slip_in_it_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"flow\.yaml:1: .*max_iterations"):
        load_config(written(tmp_path, "{enabled: true, max_iteration: 3}"))
