"""`ChatAgent.chat`: chunks with one end, a history per session, and a status with numbers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import pytest

from aixgo import LocalRuntime, StreamChunk, tool
from aixgo.agents import ChatAgent, _conversation, create_agent_team, create_simple_agent
from aixgo.config import load_config
from aixgo.config.build import open_runtime
from aixgo.errors import AgentFailed, ConfigError, RateLimited, SessionBusy
from aixgo.ledger import Usage
from aixgo.providers import ToolCall
from aixgo.testing import ScriptedProvider, ScriptedStream


def user(text: str) -> list[dict[str, object]]:
    return [{"role": "user", "content": text}]


async def all_of(chunks: AsyncGenerator[StreamChunk, None]) -> list[StreamChunk]:
    return [chunk async for chunk in chunks]


def agent_with(*answers: object, **options: object) -> tuple[ChatAgent, ScriptedProvider]:
    provider = ScriptedProvider(answers)  # type: ignore[arg-type]
    return create_simple_agent("research.lead", "m", provider=provider, **options), provider  # type: ignore[arg-type]


@tool
async def add(a: int, b: int) -> int:
    return a + b


async def test_a_chat_is_content_tool_calls_and_one_end() -> None:
    call = ToolCall("1", "add", '{"a": 1, "b": 2}')
    agent, _ = agent_with(
        ScriptedStream(["Hm."], tool_calls=[call]), ScriptedStream(["It ", "is 3."]), tools=[add]
    )
    chunks = await all_of(agent.chat(user("1 + 2?")))
    assert [chunk.type for chunk in chunks] == [
        "status",
        "content",
        "tool_calls",
        "content",
        "content",
        "done",
    ]
    assert chunks[2].tool_calls == [{"id": "1", "name": "add", "arguments": {"a": 1, "b": 2}}]
    assert chunks[2].content == '[{"id":"1","name":"add","arguments":{"a":1,"b":2}}]'
    assert [chunk.sequence for chunk in chunks] == [0, 1, 2, 3, 4, 5]
    assert {chunk.source for chunk in chunks} == {"research.lead"}
    assert chunks[-1].status == "completed"
    assert chunks[-1].usage == Usage(tokens_prompt=20, tokens_completion=10, calls=2)


async def test_the_whole_history_goes_to_the_model() -> None:
    agent, provider = agent_with("one", "two")
    await all_of(agent.chat(user("first")))
    await all_of(agent.chat(user("second")))
    assert [turn.content for turn in provider.requests[1].messages] == ["first", "one", "second"]
    assert agent.get_conversation_history()[-1] == {"role": "assistant", "content": "two"}


@pytest.mark.parametrize("option", ["reset_chat", "clear_history"])
async def test_a_chat_can_begin_afresh(option: str) -> None:
    agent, provider = agent_with("one", "two")
    await all_of(agent.chat(user("first")))
    await all_of(agent.chat(user("second"), **{option: True}))  # type: ignore[arg-type]
    assert [turn.content for turn in provider.requests[1].messages] == ["second"]
    assert len(agent.get_conversation_history()) == 2


async def test_sessions_know_nothing_of_each_other() -> None:
    agent, provider = agent_with("one", "two")
    await all_of(agent.chat(user("first"), session_id="a"))
    await all_of(agent.chat(user("second"), session_id="b"))
    assert [turn.content for turn in provider.requests[1].messages] == ["second"]
    assert agent.get_session_info("a")["conversation_length"] == 2
    assert agent.get_session_info()["conversation_length"] == 0


async def test_a_session_has_one_chat_at_a_time() -> None:
    agent, _ = agent_with("one", "other")
    async with aclosing(agent.chat(user("first"))) as first:
        await anext(first)
        refused = await all_of(agent.chat(user("second")))
        free = await all_of(agent.chat(user("second"), session_id="other"))
    assert [chunk.type for chunk in refused] == ["error"]
    assert isinstance(refused[0].error, SessionBusy)
    assert free[-1].type == "done"


async def test_a_chat_that_is_left_leaves_no_trace_and_frees_its_session() -> None:
    agent, _ = agent_with(ScriptedStream(["a", "b"]), "fine")
    async with aclosing(agent.chat(user("first"))) as chunks:
        await anext(chunks)
        await anext(chunks)
    assert agent.get_status()["status"] == "cancelled"
    assert agent.get_conversation_history() == []
    assert (await all_of(agent.chat(user("again"))))[-1].type == "done"


async def test_a_failure_is_an_error_chunk_and_leaves_the_history_alone() -> None:
    agent, _ = agent_with("one", RateLimited(provider="scripted"))
    await all_of(agent.chat(user("first")))
    chunks = await all_of(agent.chat(user("second")))
    assert [(chunk.type, chunk.status) for chunk in chunks] == [
        ("status", "working"),
        ("error", "failed"),
    ]
    assert isinstance(chunks[-1].error, RateLimited)
    assert len(agent.get_conversation_history()) == 2
    assert agent.get_status()["status"] == "failed"
    assert "RateLimited" in str(agent.get_status()["error_message"])


async def test_an_error_after_text_says_that_the_text_is_partial() -> None:
    agent, _ = agent_with(ScriptedStream(["It is"], RateLimited(provider="scripted")))
    chunks = await all_of(agent.chat(user("go")))
    assert [chunk.content for chunk in chunks if chunk.type == "content"] == ["It is"]
    assert (chunks[-1].type, chunks[-1].status) == ("error", "partial")


async def test_a_defect_is_an_error_chunk_with_an_id_and_without_its_text() -> None:
    def broken(request: object) -> str:
        raise RuntimeError("sk-secret")

    agent, _ = agent_with(broken)
    chunk = (await all_of(agent.chat(user("go"))))[-1]
    assert isinstance(chunk.error, AgentFailed)
    assert chunk.error.error_id
    assert "sk-secret" not in chunk.content


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ("hello", "must be a list"),
        ([], "no messages to answer"),
        (["hello"], r"messages\[0\] must be a mapping"),
        ([{"role": "robot", "content": "x"}], "role is 'robot'"),
        ([{"role": "user", "content": 4}], "content must be text, not int"),
    ],
)
async def test_wrong_messages_are_an_error_chunk(messages: list[object], why: str) -> None:
    agent, _ = agent_with()
    chunk = (await all_of(agent.chat(messages)))[-1]  # type: ignore[arg-type]
    assert isinstance(chunk.error, ConfigError)
    with pytest.raises(ConfigError, match=why):
        raise chunk.error


async def test_the_status_has_numbers_before_the_first_chat_and_after() -> None:
    agent, _ = agent_with("one", tools=[add])
    status = agent.get_status()
    assert status["token_usage"]["total_tokens"] == 0  # type: ignore[index, call-overload]
    assert status["token_usage"]["estimated_cost"] == 0  # type: ignore[index, call-overload]
    await all_of(agent.chat(user("hi")))
    status = agent.get_status()
    assert status["token_usage"]["total_tokens"] == 15  # type: ignore[index, call-overload]
    assert (status["agent_id"], status["status"], status["tools_count"]) == (
        "research.lead",
        "completed",
        1,
    )
    assert set(status) == {
        *("agent_id", "session_id", "status", "backend", "conversation_length", "current_task"),
        *("error_message", "created_at", "tools_count", "total_tokens", "token_usage"),
    }


async def test_tools_given_to_a_chat_stand_for_the_agents_own() -> None:
    agent, provider = agent_with("one", tools=[add])
    await all_of(agent.chat(user("hi"), [len_of]))
    assert [spec.name for spec in provider.requests[0].tools] == ["len_of"]


async def len_of(text: str) -> int:
    return len(text)


async def test_a_long_history_is_cut_where_a_user_speaks() -> None:
    call = ToolCall("1", "add", '{"a": 1, "b": 2}')
    agent, _ = agent_with(call, "three", "four", tools=[add], max_history=4)
    await all_of(agent.chat(user("first")))
    await all_of(agent.chat(user("second")))
    roles = [turn["role"] for turn in agent.get_conversation_history()]
    assert roles == ["user", "assistant"]


async def test_a_program_can_write_the_history_itself() -> None:
    agent, provider = agent_with("one")
    agent.add_to_history("user", "I am Ada.")
    agent.add_to_history("assistant", "Hello Ada.")
    await all_of(agent.chat(user("Who am I?")))
    assert [turn.content for turn in provider.requests[0].messages][:1] == ["I am Ada."]
    agent.clear_history()
    assert agent.get_conversation_history() == []


async def test_an_agent_that_remembers_goes_on_with_the_session_of_its_calls() -> None:
    provider = ScriptedProvider(["one", "two", "three"])
    async with LocalRuntime(ChatAgent("chat", remember=True, provider=provider)) as rt:
        await rt.call("chat", "first", session="a")
        async with rt.stream("chat", "second", session="a") as chunks:
            assert [chunk.content async for chunk in chunks] == ["two"]
        await rt.call("chat", "third")
    assert [len(request.messages) for request in provider.requests] == [1, 3, 1]


async def test_two_calls_on_one_remembered_session_are_refused() -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> str:
        entered.set()
        await asyncio.wait_for(go_on.wait(), 5)
        return "held"

    provider = ScriptedProvider([ToolCall("1", "hold"), "done"])
    agent = ChatAgent("chat", remember=True, tools=[hold], provider=provider)
    async with LocalRuntime(agent) as rt:
        first = asyncio.create_task(rt.call("chat", "first", session="a"))
        await asyncio.wait_for(entered.wait(), 5)
        with pytest.raises(SessionBusy):
            await rt.call("chat", "second", session="a")
        go_on.set()
        assert (await first).text == "done"


def test_a_team_is_agents_by_id_in_order() -> None:
    team = create_agent_team(
        [
            {"agent_id": "b", "model": "m"},
            {"agent_id": "Backend Dev", "model": "m", "tools": [add]},
        ],
        session_id="s",
    )
    assert list(team) == ["b", "Backend Dev"]
    assert {agent.session_id for agent in team.values()} == {"s"}
    assert team["Backend Dev"].get_status()["tools_count"] == 1


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"agent_id": "a", "model": "m"}, "'a' is taken"),
        ({"model": "m"}, "needs agent_id"),
        ({"agent_id": "b"}, "needs model"),
        ({"agent_id": "a/b", "model": "m"}, "the id"),
        ({"agent_id": "b", "model": "m", "temprature": 1}, "did you mean 'temperature'"),
        ({"agent_id": "b", "model": "m", "tools": [7]}, "is no tool"),
    ],
)
def test_a_team_with_a_wrong_entry_is_refused(entry: dict[str, object], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        create_agent_team([{"agent_id": "a", "model": "m"}, entry])


async def test_tools_may_be_added_and_removed_between_chats() -> None:
    agent, provider = agent_with("one", "two", "three", tools=[add])
    agent.add_tool(len_of)
    await all_of(agent.chat(user("hi")))
    assert (agent.remove_tool("add"), agent.remove_tool("add")) == (True, False)
    await all_of(agent.chat(user("hi")))
    offered = [[spec.name for spec in request.tools] for request in provider.requests]
    assert offered == [["add", "len_of"], ["len_of"]]
    assert agent.get_status()["tools_count"] == 1


def test_a_tool_is_offered_once_and_its_name_is_taken() -> None:
    agent, _ = agent_with(tools=[add])
    agent.add_tool(add)
    agent.add_tool(len_of)
    agent.add_tool(len_of)
    assert [found.name for found in agent.tools] == ["add", "len_of"]
    with pytest.raises(ConfigError, match="two tools are called 'add'"):
        agent.add_tool(tool(name="add")(len_of))
    with pytest.raises(ConfigError):
        agent.add_tool(7)  # type: ignore[arg-type]


async def test_a_chat_that_runs_keeps_the_tools_it_began_with() -> None:
    call = ToolCall("1", "add", '{"a": 1, "b": 2}')
    agent, provider = agent_with(call, "three", tools=[add])
    async with aclosing(agent.chat(user("hi"))) as chunks:
        async for chunk in chunks:
            if chunk.type == "status":
                continue
            agent.remove_tool("add")
    assert provider.requests[1].messages[-1].content == "3"


async def test_a_new_system_message_holds_from_the_next_chat_on() -> None:
    agent, provider = agent_with("one", "two", system_message="Be brief.")
    await all_of(agent.chat(user("hi")))
    agent.set_system_message("Be long.")
    await all_of(agent.chat(user("hi")))
    assert [request.instructions for request in provider.requests] == ["Be brief.", "Be long."]
    assert len(provider.requests[1].messages) == 3


async def test_an_agent_is_made_without_a_key_and_the_first_chat_names_its_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AIXGO_OFFLINE", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    agent = create_simple_agent("a", "gpt-4o")
    chunk = (await all_of(agent.chat(user("hi"))))[-1]
    assert isinstance(chunk.error, ConfigError)
    assert "set OPENAI_API_KEY" in chunk.content
    assert agent.get_status()["status"] == "failed"


async def test_a_history_can_be_handed_to_another_agent_tool_calls_and_all() -> None:
    call = ToolCall("1", "add", '{"a": 1, "b": 2}')
    agent, _ = agent_with(call, "three", tools=[add])
    await all_of(agent.chat(user("1 + 2?")))
    other, provider = agent_with("indeed")
    await all_of(other.chat([*agent.get_conversation_history(), *user("Sure?")]))
    assert provider.requests[0].messages[1].tool_calls == (call,)
    assert provider.requests[0].messages[2].tool_call_id == "1"
    assert other.get_conversation_history()[:4] == agent.get_conversation_history()


@pytest.mark.parametrize("calls", ["add", [7], [{"id": "1"}], [{"name": "add", "arguments": {}}]])
async def test_wrong_tool_calls_in_a_history_are_an_error_with_their_place(calls: object) -> None:
    agent, _ = agent_with()
    given = [*user("hi"), {"role": "assistant", "content": "", "tool_calls": calls}]
    chunk = (await all_of(agent.chat(given)))[-1]
    assert isinstance(chunk.error, ConfigError)
    assert "messages[1].tool_calls" in chunk.content


async def test_a_history_is_bounded_in_characters_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_conversation, "MAX_CHARACTERS", 1_000)
    agent, _ = agent_with(*["x" * 400] * 4)
    for text in ("first", "second", "third"):
        await all_of(agent.chat(user(text)))
    assert [turn["content"] for turn in agent.get_conversation_history()][::2] == [
        "second",
        "third",
    ]
    await all_of(agent.chat(user("y" * 2_000)))
    assert agent.get_conversation_history() == []


async def test_all_sessions_together_are_bounded_and_the_oldest_goes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_conversation, "MAX_ALL", 1_000)
    agent, _ = agent_with(*["x" * 400] * 4)
    for session in "abcd":
        await all_of(agent.chat(user("hi"), session_id=session))
    lengths = [agent.get_session_info(session)["conversation_length"] for session in "dcba"]
    assert lengths == [2, 2, 0, 0], "of three, with 402 characters each, one was too many"


@pytest.mark.parametrize("role", ["chat", "react"])
async def test_an_agent_of_a_file_remembers_if_the_file_says_so(role: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        f"agents:\n- {{name: forgets, role: {role}, model: offline}}\n"
        f"- {{name: knows, role: {role}, model: offline, remember: true, max_history: 2}}\n"
    )
    async with open_runtime(load_config(path)) as rt:
        for name in ("forgets", "knows"):
            for text in ("The river rose.", "The lake froze.", "The sea stayed."):
                await rt.call(name, text, session="s")
        known = rt.get_agent("knows").get_session_info("s")  # type: ignore[attr-defined]
        unknown = rt.get_agent("forgets").get_session_info("s")  # type: ignore[attr-defined]
    assert (known["conversation_length"], unknown["conversation_length"]) == (2, 0)
