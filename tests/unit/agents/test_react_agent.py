"""ReActAgent, from code and from a file with tools."""

from __future__ import annotations

from pathlib import Path

import pytest

from aixgo import LocalRuntime, load_config, tool
from aixgo.agents import ReActAgent
from aixgo.config.build import assemble
from aixgo.errors import ConfigError
from aixgo.providers import ToolCall
from aixgo.testing import ScriptedProvider, ScriptedStream

TOOLS = '''
from aixgo import tool

def look_up(word: str) -> str:
    """Looks a word up."""
    return f"{word}: a thing"

@tool(timeout=5)
async def add(a: int, b: int) -> int:
    """Adds."""
    return a + b

number = 7
'''


@tool
async def add(a: int, b: int) -> int:
    return a + b


async def test_the_reply_shows_thoughts_actions_and_observations() -> None:
    calls = [ToolCall("1", "add", '{"a": 1, "b": 2}'), ToolCall("2", "add", '{"a": "x"}')]
    provider = ScriptedProvider([ScriptedStream(["I add."], tool_calls=calls), "3"])
    async with LocalRuntime(ReActAgent("solver", tools=[add], provider=provider)) as rt:
        reply = await rt.call("solver", "1 + 2?")
    assert reply.text == "3"
    [step] = reply.metadata["steps"]  # type: ignore[misc, union-attr]
    assert step["thought"] == "I add."  # type: ignore[index, call-overload]
    good, bad = step["actions"]  # type: ignore[index, call-overload, misc]
    assert good == {  # type: ignore[comparison-overlap]
        "tool": "add",
        "arguments": '{"a": 1, "b": 2}',
        "observation": "3",
        "ok": True,
    }
    assert bad["ok"] is False  # type: ignore[index, call-overload]


async def test_it_is_told_to_reason_only_if_it_has_tools() -> None:
    provider = ScriptedProvider(["a", "b"])
    with_tools = ReActAgent("one", tools=[add], prompt="Be brief.", provider=provider)
    without = ReActAgent("two", prompt="Be brief.", provider=provider)
    async with LocalRuntime(with_tools, without) as rt:
        await rt.call("one", "go")
        await rt.call("two", "go")
    assert provider.requests[0].instructions.startswith("Work in steps.")
    assert provider.requests[0].instructions.endswith("\n\nBe brief.")
    assert provider.requests[1].instructions == "Be brief."


def written(folder: Path, tools: str, role: str = "react") -> Path:
    (folder / "tools.py").write_text(TOOLS)
    file = folder / "flow.yaml"
    file.write_text(f"agents:\n- name: a\n  role: {role}\n  model: offline\n  tools: {tools}\n")
    return file


async def test_the_tools_of_a_file_are_python_functions(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "[{name: find, code: './tools.py:look_up', description: Finds.}, {name: add, code: './tools.py:add'}]",
    )
    config = load_config(file)
    assert config.warnings == ()
    [placed] = assemble(config)
    assert isinstance(placed.agent, ReActAgent)
    find, added = placed.agent.tools
    assert (find.name, find.description, added.description) == ("find", "Finds.", "Adds.")
    assert (find.timeout, added.timeout) == (30.0, 5)
    assert await find.run({"word": "tea"}) == "tea: a thing"


async def test_a_schema_and_a_timeout_of_the_file_come_before_the_functions(tmp_path: Path) -> None:
    schema = "{type: object, properties: {word: {type: string, maxLength: 3}}, required: [word]}"
    tools = f"[{{name: find, code: './tools.py:look_up', timeout: 2s, input_schema: {schema}}}]"
    [placed] = assemble(load_config(written(tmp_path, tools)))
    assert isinstance(placed.agent, ReActAgent)
    [find] = placed.agent.tools
    assert find.timeout == 2.0
    with pytest.raises(ValueError, match="at most 3 characters"):
        await find.run({"word": "coffee"})


def test_a_tool_without_code_is_warned_about_and_not_offered(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, "[{name: later}]"))
    assert "the tool 'later' has no code, so no model is offered it" in config.warnings[0]
    [placed] = assemble(config)
    assert isinstance(placed.agent, ReActAgent)
    assert list(placed.agent.tools) == []


def test_an_installed_package_brings_tools_by_an_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "lexicon-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lexicon\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[aixgo.tools]\nlook_up = lexicon_tools:look_up\n")
    (tmp_path / "lexicon_tools.py").write_text(TOOLS)
    monkeypatch.syspath_prepend(str(tmp_path))
    config = load_config(written(tmp_path, "[{name: look_up}]"))
    [placed] = assemble(config)
    assert config.warnings == ()
    assert isinstance(placed.agent, ReActAgent)
    assert [found.description for found in placed.agent.tools] == ["Looks a word up."]


def test_a_role_that_calls_no_tools_says_so(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, "[{name: find, code: './tools.py:look_up'}]", "logger"))
    assert any("a logger calls no tools" in warning for warning in config.warnings)


@pytest.mark.parametrize(
    ("tools", "why"),
    [
        ("[{name: x, code: './tools.py:none'}]", "there is no 'none'"),
        ("[{name: x, code: './tools.py:number'}]", "neither a function nor a tool"),
        ("[{name: 'two words', code: './tools.py:look_up'}]", "letters, digits"),
        (
            "[{name: x, code: './tools.py:look_up', input_schema: {type: thing}}]",
            "none of: object",
        ),
    ],
)
def test_code_that_gives_no_tool_fails_the_build_with_file_and_line(
    tmp_path: Path, tools: str, why: str
) -> None:
    config = load_config(written(tmp_path, tools))
    with pytest.raises(ConfigError, match=r"flow\.yaml:2: 'a'") as raised:
        assemble(config)
    assert why in str(raised.value)


def test_two_tools_of_one_name_are_a_fault_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two tools are called 'x'"):
        load_config(written(tmp_path, "[{name: x}, {name: x}]"))
