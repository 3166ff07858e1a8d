"""`aixgo.run`, the synchronous twin of a call."""

from pathlib import Path

import pytest

import aixgo
from aixgo.errors import AgentNotFound, ConfigError, DeadlineExceeded


@aixgo.agent
async def upper(text: str) -> str:
    return text.upper()


@aixgo.agent
async def asker(text: str, caller: aixgo.Caller) -> str:
    return (await caller.call("nobody", text)).text


def test_an_agent_answers_without_a_runtime_of_ones_own() -> None:
    assert aixgo.run(upper, "hello").text == "HELLO"


def test_a_file_is_asked_through_its_entry(tmp_path: Path) -> None:
    path = tmp_path / "flow.yaml"
    path.write_text(
        "agents:\n"
        "  - {name: upper, code: ./agents.py:upper}\n"
        "  - {name: twice, code: ./agents.py:twice}\n"
        "orchestration: {name: flow, pattern: sequential, agents: [upper, twice]}\n"
    )
    (tmp_path / "agents.py").write_text(
        "from aixgo import agent\n"
        "@agent\nasync def upper(text: str) -> str: return text.upper()\n"
        "@agent\nasync def twice(text: str) -> str: return text * 2\n"
    )
    assert aixgo.run(path, "ab").text == "ABAB"
    assert aixgo.run(str(path), "ab", agent="upper").text == "AB"


def test_what_the_call_raises_comes_out() -> None:
    with pytest.raises(AgentNotFound):
        aixgo.run(asker, "x")
    with pytest.raises(DeadlineExceeded):
        aixgo.run(upper, "x", timeout=0)


async def test_inside_a_loop_it_refuses_and_names_the_async_way() -> None:
    with pytest.raises(ConfigError, match="async with LocalRuntime"):
        aixgo.run(upper, "x")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        aixgo.run("nowhere.yaml", "x")
