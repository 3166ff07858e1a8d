"""Files as flowcharts: `aixgo validate --graph`."""

from __future__ import annotations

from pathlib import Path

import pytest

from aixgo.cli import run_verb
from aixgo.config import flowchart, load_config
from aixgo.errors import ConfigError
from tests.unit.orchestration.test_pictures import Read, seen

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = sorted([*ROOT.glob("examples/*/config.yaml"), *ROOT.glob("examples/*/workflow.yaml")])


def drawn(tmp_path: Path, text: str) -> Read:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return seen(flowchart(load_config(path)))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_every_example_is_drawn_with_every_agent(path: Path) -> None:
    config = load_config(path)
    read = seen(flowchart(config))
    assert {entry.name for entry in config.agents} <= {*read.nodes.values()}


def test_the_entry_and_all_inside_it_are_drawn(tmp_path: Path) -> None:
    text = """
orchestration:
  - name: answer
    pattern: sequential
    agents: [clean, { name: views, pattern: parallel, agents: [one, two] }]
  - { name: other, pattern: parallel, agents: [unseen] }
agents:
  - { name: clean, code: "./none.py:a", fallback: [spare] }
  - { name: spare, code: "./none.py:a" }
  - { name: one, code: "./none.py:a" }
  - { name: two, code: "./none.py:a" }
  - { name: unseen, code: "./none.py:a" }
  - { name: archive, role: logger, inputs: [{ source: answer }] }
"""
    read = drawn(tmp_path, text)
    assert read.inside["one"] == "views (parallel)"
    assert read.inside["views (parallel)"] == "answer (sequential)"
    assert {("message", "", "clean"), ("clean", "", "one"), ("json", "", "archive")} <= {
        *read.links
    }
    assert (read.dashed, read.maybe) == ({"spare"}, [("clean", "failed", "spare")])
    assert "unseen" not in read.nodes.values()


def test_agents_without_an_orchestration_are_drawn_with_their_edges(tmp_path: Path) -> None:
    text = """
agents:
  - { name: tick, role: producer, interval: 1s, outputs: [{ target: work }] }
  - { name: work, role: logger, inputs: [{ source: web }], outputs: [{ target: log }, { target: file }] }
  - { name: log, role: logger }
"""
    assert drawn(tmp_path, text).links == [
        ("tick", "", "work"),
        ("web", "", "work"),
        ("work", "", "log"),
        ("work", "", "file"),
    ]


def test_a_single_agent_is_between_message_and_reply(tmp_path: Path) -> None:
    read = drawn(tmp_path, "agents: [{ name: alone, role: logger }]")
    assert read.links == [("message", "", "alone"), ("alone", "", "reply")]


def test_agents_none_of_which_stands_out_are_drawn_side_by_side(tmp_path: Path) -> None:
    read = drawn(tmp_path, "agents: [{ name: one, role: logger }, { name: two, role: logger }]")
    assert ({*read.nodes.values()}, read.links) == ({"one", "two"}, [])


def test_a_supervisor_is_drawn_without_its_model(tmp_path: Path) -> None:
    text = """
supervisor: { name: boss, model: "anthropic:claude-sonnet-4-5" }
agents: [{ name: one, role: chat }, { name: two, role: chat }]
"""
    assert ("best_match", "", "two") in drawn(tmp_path, text).links


def test_an_orchestration_that_cannot_be_built_says_where_it_stands(tmp_path: Path) -> None:
    text = """
orchestration: { name: r, pattern: router, agents: [a], config: { classifier: a } }
agents: [{ name: a, role: logger }]
"""
    with pytest.raises(ConfigError, match=r"config\.yaml:2: 'r': .*at least one route"):
        drawn(tmp_path, text)


def test_validate_prints_the_graph_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("steps: 3\nagents: [{ name: alone, role: logger }]")
    assert run_verb(["validate", str(path), "--graph"]) == 0
    shown = capsys.readouterr()
    assert seen(shown.out).links == [("message", "", "alone"), ("alone", "", "reply")]
    assert "steps is no key of aixgo" in shown.err
