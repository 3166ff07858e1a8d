"""From a file to agents in a runtime: code, slots, edges, entries, models, folders."""

import asyncio
import sys
from pathlib import Path

import pytest

from aixgo import load_config
from aixgo.config import Overrides, assemble, open_runtime
from aixgo.config.build import orchestrators
from aixgo.config.keys import ALIKE
from aixgo.errors import ConfigError
from aixgo.message import Message

CODE = """
from aixgo import agent

@agent
async def upper(text: str) -> str:
    return text.upper()

@agent
async def length(text: str) -> int:
    return len(text)

def marked(name: str, mark: str, times: int = 1):
    @agent(name=name)
    async def mark_it(text: str) -> str:
        return text + mark * times
    return mark_it

def nothing():
    return 7

number = 7
"""


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIXGO_OFFLINE", "1")


def write(tmp_path: Path, text: str) -> Path:
    (tmp_path / "parts.py").write_text(CODE, encoding="utf-8")
    file = tmp_path / "c.yaml"
    file.write_text(text, encoding="utf-8")
    return file


async def answer(tmp_path: Path, text: str, given: str = "hi") -> Message:
    config = load_config(write(tmp_path, text))
    async with asyncio.timeout(5), open_runtime(config) as runtime:
        return await runtime.call(config.entries()[0], given)


async def test_code_beside_the_file_is_an_agent_or_makes_one(tmp_path: Path) -> None:
    before = list(sys.path)
    reply = await answer(
        tmp_path,
        """
agents:
  - {name: loud, code: "./parts.py:upper"}
  - {name: bang, code: "./parts.py:marked", mark: "!", times: 3}
orchestration: {name: flow, pattern: sequential, agents: [loud, bang]}
""",
    )
    assert reply.payload == "HI!!!"
    assert sys.path == before
    assert "parts" not in sys.modules


async def test_two_files_may_each_have_their_own_module_of_one_name(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    text = 'agents: [{name: a, code: "./parts.py:upper"}]'
    first = write(one, text)
    second = write(two, text)
    (two / "parts.py").write_text(CODE.replace("text.upper()", "text[::-1]"), encoding="utf-8")
    for file, expected in ((first, "HI"), (second, "ih")):
        async with asyncio.timeout(5), open_runtime(load_config(file)) as runtime:
            assert (await runtime.call("a", "hi")).payload == expected


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("parts.py", "must be ./file.py:name"),
        ("./parts.py:none", "there is no 'none'"),
        ("./none.py:upper", "there is no file"),
        ("no.such.module:agent", "importing it failed"),
        ("parts:upper", "the file beside this one is './parts.py:…'"),
        ("./parts.py:number", "neither an agent nor callable"),
        ("./parts.py:nothing", "which is no agent"),
        ("./parts.py:marked", "missing a required argument: 'mark'"),
    ],
)
def test_code_that_gives_no_agent_says_why(code: str, complaint: str, tmp_path: Path) -> None:
    config = load_config(write(tmp_path, f"agents:\n- {{name: a, code: '{code}'}}"))
    with pytest.raises(ConfigError, match=r"c\.yaml:2: 'a': ") as caught:
        assemble(config)
    assert complaint in str(caught.value)


async def test_slots_hold_inline_orchestrations_and_agents(tmp_path: Path) -> None:
    reply = await answer(
        tmp_path,
        """
agents:
  - {name: upper, code: "./parts.py:upper"}
orchestration:
  name: flow
  pattern: sequential
  agents:
    - upper
    - name: both
      pattern: parallel
      agents:
        - {name: length, code: "./parts.py:length"}
        - name: pick
          pattern: router
          config:
            classifier: {name: kind, role: classifier, categories: [{name: greeting, keywords: [hello]}]}
            routes: {greeting: {name: wave, code: "./parts.py:marked", mark: "~"}}
""",
        "hello there",
    )
    assert reply.payload == {"length": 11, "pick": "HELLO THERE~"}
    assert reply.metadata["pattern"] == "sequential"


def test_an_edge_declared_on_both_sides_is_one_edge(tmp_path: Path) -> None:
    config = load_config(
        write(
            tmp_path,
            """
agents:
  - {name: a, role: chat, outputs: [{target: b}, {target: done}]}
  - {name: b, role: chat, inputs: [{source: a}, {source: outside}]}
""",
        )
    )
    assert config.agents[0].outputs == ("b", "done")
    assert config.exits == ("done",)


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("agents: [{name: a, role: chat}]", ("a",)),
        ("agents: [{name: p, role: producer, interval: 1s}, {name: a, role: chat}]", ("a",)),
        (
            "agents: [{name: a, role: chat}, {name: b, role: chat, inputs: [{source: a}]}]",
            ("a",),
        ),
        (
            "agents: [{name: a, role: chat, inputs: [{source: x}]}, {name: b, role: chat}]",
            ("a",),
        ),
        ("supervisor: {name: s}\nagents: [{name: a, role: chat}, {name: b, role: chat}]", ("s",)),
        (
            (
                "orchestration: [{pattern: sequential, agents: [b]}, {name: o, pattern: parallel, agents: [a]}]\n"
                "agents: [{name: a, role: chat}, {name: b, role: chat}]"
            ),
            ("sequential",),
        ),
    ],
)
def test_the_entry_is_found_by_the_rule(
    text: str, entries: tuple[str, ...], tmp_path: Path
) -> None:
    assert load_config(write(tmp_path, text)).entries() == entries


def test_without_a_clear_entry_the_agents_are_listed(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "agents: [{name: a, role: chat}, {name: b, role: chat}]"))
    with pytest.raises(ConfigError, match="agents: a, b"):
        config.entries()
    assert config.entries("b") == ("b",)
    with pytest.raises(ConfigError, match="no agent is called 'c'"):
        config.entries("c")


async def test_a_supervisor_has_the_best_match_answer(tmp_path: Path) -> None:
    text = """
supervisor: {name: desk}
agents:
  - {name: billing, code: "./parts.py:marked", mark: "$", description: "invoices, payments and refunds"}
  - {name: outages, code: "./parts.py:marked", mark: "#", description: "servers that crash or are slow"}
"""
    reply = await answer(tmp_path, text, "The servers crash every night.")
    assert reply.payload == "The servers crash every night.#"
    assert reply.metadata["routed_to"] == "outages"
    assert load_config(write(tmp_path, text)).warnings == ()


async def test_a_supervisor_may_be_another_pattern_over_the_agents(tmp_path: Path) -> None:
    text = """
supervisor: {pattern: sequential, model: gpt-4}
agents:
  - {name: first, code: "./parts.py:marked", mark: "$"}
  - {name: log, role: logger}
  - {name: second, code: "./parts.py:marked", mark: "#"}
"""
    reply = await answer(tmp_path, text, "x")
    assert (reply.payload, reply.metadata["pattern"]) == ("x$#", "sequential")
    (warning,) = load_config(write(tmp_path, text)).warnings
    assert "a supervisor's settings beside its pattern 'sequential'" in warning
    with pytest.raises(
        ConfigError, match=r"supervisor.pattern is 'mapreduce', not one of .*sequential"
    ):
        load_config(write(tmp_path, text.replace("sequential", "mapreduce")))


@pytest.mark.parametrize("pattern", ALIKE)
def test_a_list_of_agents_is_all_that_patterns_under_supervisor_need(
    tmp_path: Path, pattern: str
) -> None:
    listed = ", ".join(f'{{name: {name}, code: "./parts.py:marked"}}' for name in "abc")
    config = load_config(write(tmp_path, f"supervisor: {{pattern: {pattern}}}\nagents: [{listed}]"))
    assert config.warnings == ()
    assert [found.pattern for found in orchestrators(config).values()] == [pattern]


def test_a_model_nobody_has_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIXGO_OFFLINE")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    config = load_config(write(tmp_path, "agents:\n- {name: a, role: chat, model: gpt-4}"))
    with pytest.raises(ConfigError, match=r"c.yaml:2: 'a': the model 'gpt-4'.*--offline"):
        assemble(config)


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("agents: [{name: a, role: chat, model: own:m}]\ndefault_model: dflt:m", "own:m"),
        ("agents: [{name: a, role: chat}]\ndefault_model: dflt:m", "run:m"),
        ("agents: [{name: a, role: chat, model: m, provider: vendor}]", "vendor:m"),
        (
            (
                "agents: [{name: a, role: chat, model: fast}]\n"
                "model_services: [{name: fast, provider: vendor, model: m-1}]"
            ),
            "vendor:m-1",
        ),
        (
            (
                "agents: [{name: a, role: chat}]\ndefault_model: ignored\n"
                "model_services: [{name: 'run:m', provider: vendor, model: m-1}]"
            ),
            "vendor:m-1",
        ),
        (
            (
                "agents: [{name: a, role: chat, model: fast}]\n"
                "model_services: [{name: fast, runtime: cloud, model: phi}]"
            ),
            "cloud:phi",
        ),
        (
            (
                "agents: [{name: a, role: chat, model: fast}]\n"
                "model_services: [{name: fast, provider: own, model: m, address: 'box:1/v1'}]"
            ),
            "own:m@http://box:1/v1",
        ),
        (
            (
                "agents: [{name: a, role: chat, model: fast}]\n"
                "model_services: [{name: fast, provider: own, config: {endpoint: 'https://b/v1'}}]"
            ),
            "own:fast@https://b/v1",
        ),
    ],
)
def test_the_model_is_the_one_that_was_named(
    text: str, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIXGO_OFFLINE")
    config = load_config(write(tmp_path, text))
    with pytest.raises(ConfigError, match=f"the model '{model}'"):
        assemble(config, overrides=Overrides(model="run:m"))


def test_the_model_of_the_process_may_be_a_service_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIXGO_OFFLINE")
    monkeypatch.setenv("AIXGO_MODEL", "fast")
    text = (
        "agents: [{name: a, role: chat}]\n"
        "model_services: [{name: fast, provider: vendor, model: m-1}]"
    )
    with pytest.raises(ConfigError, match="the model 'vendor:m-1'"):
        assemble(load_config(write(tmp_path, text)))


@pytest.mark.parametrize("named", ["{name: s, model: fast}", "{name: s}"])
def test_a_supervisor_picks_with_the_model_service_it_names(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIXGO_OFFLINE")
    text = (
        f"supervisor: {named}\ndefault_model: {'fast' if 'model' not in named else 'offline'}\n"
        "agents: [{name: a, role: chat, model: offline}, {name: b, role: chat, model: offline}]\n"
        "model_services: [{name: fast, provider: vendor, model: m-1}]"
    )
    with pytest.raises(ConfigError, match=r"c.yaml:1: 's': the model 'vendor:m-1'"):
        assemble(load_config(write(tmp_path, text)))


def test_a_folder_with_an_agent_yaml_is_one_agent_with_its_prompt(tmp_path: Path) -> None:
    folder = tmp_path / "summariser"
    folder.mkdir()
    (folder / "agent.yaml").write_text("role: chat\ndescription: sums up\n", encoding="utf-8")
    (folder / "prompt.md").write_text("Be brief.", encoding="utf-8")
    (folder / "tools.yaml").write_text("tools: [{name: look_up}]", encoding="utf-8")
    config = load_config(folder)
    assert config.names == ("summariser",)
    assert config.agents[0].settings["prompt"] == "Be brief."
    assert ["'look_up' has no code" in warning for warning in config.warnings] == [True]


def test_agents_listed_as_peers_are_not_built(tmp_path: Path) -> None:
    config = load_config(
        write(
            tmp_path,
            (
                "agents: [{name: a, role: chat}, {name: b, role: chat}]\n"
                "deployment: {peers: {b: '127.0.0.1:1'}}"
            ),
        )
    )
    assert [item.name for item in assemble(config)] == ["a"]
