"""`folder:` in an entry: the agent of a folder, wherever the folder is, with what the entry says above it."""

from pathlib import Path

import pytest

from aixgo import load_config
from aixgo.config import Config, json_schema, open_runtime
from aixgo.errors import ConfigError

MARKER = """
from aixgo import agent

def make(mark="!", name="marker"):
    @agent(name=name)
    async def mark_it(text: str) -> str:
        return text + mark
    return mark_it
"""


def write(folder: Path, **files: str) -> Path:
    """A folder with these files, named by their stems."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {"agent": "agent.yaml", "prompt": "prompt.md", "tools": "tools.yaml", "code": "own.py"}
    for stem, text in files.items():
        (folder / names.get(stem, f"{stem}.yaml")).write_text(text, encoding="utf-8")
    return folder


def loaded(tmp_path: Path, entries: str) -> Config:
    file = write(tmp_path / "flows", flow=f"agents:\n{entries}") / "flow.yaml"
    return load_config(file)


def refusal(tmp_path: Path, entries: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, entries)
    return str(caught.value)


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """An agent with code of its own, beside which the flow's folder has none."""
    return write(tmp_path / "marker", code=MARKER, agent="code: ./own.py:make\nmark: '?'\n")


async def answer(config: Config, name: str) -> str:
    async with open_runtime(config) as rt:
        return (await rt.call(name, "hi")).text


async def test_code_that_a_folder_names_is_the_folders(tmp_path: Path, marker: Path) -> None:
    assert await answer(loaded(tmp_path, "  - folder: ../marker"), "marker") == "hi?"


async def test_what_the_entry_says_stands_over_what_the_folder_says(
    tmp_path: Path, marker: Path
) -> None:
    config = loaded(tmp_path, "  - {folder: ../marker, name: loud, mark: '!!'}")
    assert await answer(config, "loud") == "hi!!"


async def test_one_folder_may_make_several_agents(tmp_path: Path, marker: Path) -> None:
    config = loaded(tmp_path, "  - folder: ../marker\n  - {folder: ../marker, name: other}")
    assert config.names == ("marker", "other")
    assert await answer(config, "other") == "hi?"


async def test_a_slot_may_hold_the_agent_of_a_folder(tmp_path: Path, marker: Path) -> None:
    file = write(
        tmp_path / "flows",
        flow="orchestration: {name: all, pattern: sequential, agents: [{folder: ../marker}]}",
    )
    assert await answer(load_config(file / "flow.yaml"), "all") == "hi?"


def test_prompt_and_tools_are_those_beside_the_agent(tmp_path: Path) -> None:
    write(
        tmp_path / "writer",
        agent="role: chat\n",
        prompt="Write.",
        tools="tools: [{name: add, code: ./own.py:add}]",
        code="def add(a: int, b: int) -> int:\n    return a + b\n",
    )
    (entry,) = loaded(tmp_path, "  - folder: ../writer").agents
    assert entry.settings["prompt"] == "Write."
    assert entry.settings["tools"] == [
        {"name": "add", "code": f"{(tmp_path / 'writer' / 'own.py').resolve()}:add"}
    ]
    assert entry.folders == ((tmp_path / "writer").resolve(),)


def test_a_role_of_the_entry_replaces_the_code_of_the_folder(tmp_path: Path, marker: Path) -> None:
    (entry,) = loaded(tmp_path, "  - {folder: ../marker, type: chat}").agents
    assert (entry.role, entry.code) == ("chat", "")


async def test_a_folder_may_stand_on_another_folder(tmp_path: Path, marker: Path) -> None:
    write(tmp_path / "soft", agent="folder: ../marker\nmark: …\n")
    config = loaded(tmp_path, "  - folder: ../soft")
    assert await answer(config, "soft") == "hi…"
    assert [folder.name for folder in config.agents[0].folders] == ["soft", "marker"]
    alone = load_config(tmp_path / "soft")
    assert await answer(alone, "soft") == "hi…"


@pytest.mark.parametrize(
    ("folder", "complaint"),
    [
        ("../nowhere", "flow.yaml:2: key agents[0].folder: there is no folder "),
        ("../empty", "flow.yaml:2: key agents[0].folder: there is no agent.yaml in "),
        ("../whole", "whole/agent.yaml:1: key agents: this is a configuration of its own"),
        ("../circle", "round/agent.yaml:1: key agents[0].folder: "),
        ("../slip", "slip/agent.yaml:2: key agents[0].temprature: there is no such key; did you"),
        ("../broken", "broken/agent.yaml:2: this is not YAML"),
        ("../tooled", "tooled/tools.yaml:2: key agents[0].tools[0]: the key 'name' is missing"),
        ("[a]", "flow.yaml:2: key agents[0].folder must be text"),
    ],
)
def test_a_folder_that_cannot_be_used_is_told_with_its_place(
    folder: str, complaint: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path / "whole", agent="agents: [{name: a, role: chat}]")
    write(tmp_path / "circle", agent="folder: ../round")
    write(tmp_path / "round", agent="folder: ../circle")
    write(tmp_path / "slip", agent="role: chat\ntemprature: 1\n")
    write(tmp_path / "broken", agent="role: [chat\n")
    write(tmp_path / "tooled", agent="role: chat\n", tools="tools:\n  - {code: ./own.py:add}\n")
    said = refusal(tmp_path, f"  - {{folder: {folder}, name: a}}")
    assert complaint in said
    assert "circle" not in folder or said.endswith("leads back to itself")


def test_two_agents_of_one_name_are_told_where_their_folders_stand(
    tmp_path: Path, marker: Path
) -> None:
    said = refusal(tmp_path, "  - folder: ../marker\n  - folder: ../marker\n")
    assert "flow.yaml:3: key agents[1].name: 'marker' is taken in line 2" in said


def test_a_missing_folder_is_the_only_fault_of_its_entry(tmp_path: Path) -> None:
    said = refusal(
        tmp_path, "  - {folder: ../nowhere, name: a}\n  - {name: b, role: chat, depends_on: [a]}\n"
    )
    assert len(said.splitlines()) == 1


def test_the_schema_asks_an_entry_for_a_name_or_a_folder() -> None:
    schema = json_schema()
    items = schema["properties"]["agents"]["items"]  # type: ignore[index,call-overload]
    assert items["anyOf"] == [{"required": ["name"]}, {"required": ["folder"]}]  # type: ignore[index,call-overload]
    assert "required" not in schema["$defs"]["agent"]  # type: ignore[index,call-overload,operator]
