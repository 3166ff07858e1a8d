"""Patterns as Mermaid flowcharts. What the charts hold is read back here by the few rules they are written by."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from aixgo import Caller, Message
from aixgo.orchestration import (
    END,
    START,
    Consensus,
    Debate,
    Edge,
    Ensemble,
    ErrorStrategy,
    Limits,
    MapReduce,
    Orchestrator,
    Parallel,
    Reflection,
    Router,
    Sequential,
    Step,
    Swarm,
)
from tests.conformance.patterns.base import Case, tables

CASES = [case for cases in tables().values() for case in cases]

NODE = re.compile(r'(n\d+)(\(\[|\[\[|[\[({])"([^"]*)"(\]\)|\]\]|[\])}])(:::standin)?')
SUBGRAPH = re.compile(r'subgraph (g\d+)\["([^"]*)"\]')
LINK = re.compile(r'([ng]\d+) (-->|-\.->)(?:\|"([^"]*)"\|)? ([ng]\d+)')


@dataclass
class Read:
    """A chart as somebody sees it; `links` are (from, label, to), those of some runs only under `maybe` too."""

    nodes: dict[str, str] = field(default_factory=dict)
    dashed: set[str] = field(default_factory=set)
    inside: dict[str, str] = field(default_factory=dict)
    links: list[tuple[str, str, str]] = field(default_factory=list)
    maybe: list[tuple[str, str, str]] = field(default_factory=list)


def seen(chart: str) -> Read:
    read, open_groups = Read(), [""]
    first, *lines = chart.splitlines()
    assert first == "flowchart LR"
    for line in map(str.strip, lines):
        if found := NODE.fullmatch(line):
            read.nodes[found[1]] = text(found[3])
            read.inside[text(found[3])] = open_groups[-1]
            if found[5]:
                read.dashed.add(text(found[3]))
        elif found := SUBGRAPH.fullmatch(line):
            read.nodes[found[1]] = text(found[2])
            read.inside[text(found[2])] = open_groups[-1]
            open_groups.append(text(found[2]))
        elif line == "end":
            open_groups.pop()
        elif found := LINK.fullmatch(line):
            link = (read.nodes[found[1]], text(found[3] or ""), read.nodes[found[4]])
            read.links.append(link)
            if found[2] == "-.->":
                read.maybe.append(link)
        else:
            assert line == "classDef standin stroke-dasharray: 5 5", line
    assert open_groups == [""]
    return read


def text(escaped: str) -> str:
    return html.unescape(re.sub(r"#(\d+);", r"&#\1;", escaped))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_pattern_shows_all_its_agents_between_the_message_and_the_reply(case: Case) -> None:
    team = case.build()
    read = seen(team.graph())
    names = {member for member in team.members if isinstance(member, str)} - {
        name for others in team.stand_ins.values() for name in others
    }
    assert {read.inside[name] for name in names} <= {f"{team.name} ({team.pattern})"}
    sources = {source for source, _, _ in read.links}
    targets = {target for _, _, target in read.links}
    assert names <= sources & targets
    assert ("message" in sources, "reply" in targets) == (True, True)


def test_a_chain_is_drawn_as_one() -> None:
    assert Sequential("flow", ["a", "b"]).graph() == (
        "flowchart LR\n"
        '    subgraph g1["flow (sequential)"]\n'
        '        n2["a"]\n'
        '        n3["b"]\n'
        "    end\n"
        '    n4(["message"])\n'
        '    n5(["reply"])\n'
        "    n2 --> n3\n"
        "    n4 --> n2\n"
        "    n3 --> n5"
    )


def test_the_steps_of_a_chain_are_numbered_when_an_agent_has_several() -> None:
    links = seen(Sequential("flow", ["a", "b", "a"]).graph()).links
    assert {("a", "2", "b"), ("b", "3", "a"), ("message", "1", "a"), ("a", "4", "reply")} == {
        *links
    }


def test_a_nested_pattern_is_a_subgraph_whose_own_ends_are_joined() -> None:
    fan = Parallel("fan", ["b", "c"], aggregation="merge")
    read = seen(Sequential("flow", ["a", fan, "d"]).graph())
    assert read.inside["b"] == "fan (parallel)"
    assert read.inside["fan (parallel)"] == "flow (sequential)"
    assert {("a", "", "b"), ("a", "", "c"), ("b", "", "merge"), ("merge", "", "d")} <= {*read.links}


def test_a_pattern_held_by_name_is_drawn_whole_when_it_is_given_too() -> None:
    flow, fan = Sequential("flow", ["a", "fan"]), Parallel("fan", ["b", "c"])
    assert seen(flow.graph()).inside["fan"] == "flow (sequential)"
    assert seen(flow.graph([fan])).inside["b"] == "fan (parallel)"


def test_patterns_that_name_each_other_are_drawn_once() -> None:
    one, two = Sequential("one", ["two"]), Sequential("two", ["one", "leaf"])
    chart = one.graph([one, two])
    assert [*seen(chart).nodes.values()].count("one") == 1
    assert '[["one"]]' in chart


def test_stand_ins_are_dashed_and_asked_one_after_another() -> None:
    strategy = ErrorStrategy("retry", fallbacks={"a": ["b", "c"]})
    read = seen(Sequential("flow", ["a", "d"], error_strategy=strategy).graph())
    assert read.dashed == {"b", "c"}
    assert read.maybe == [("a", "failed", "b"), ("b", "failed", "c")]


def test_a_consensus_shows_who_compares_and_who_may_have_all_begin_again() -> None:
    team = Consensus(
        "team",
        ["a", "b"],
        convergence="similarity",
        embedding_model="hashing",
        post_evaluation=True,
        max_restarts=2,
    )
    read = seen(team.graph())
    shared, judged = "agreement ≥ 0.67?", "does the result do?"
    assert {
        (shared, "answers to compare", "team.embedder"),
        ("team.embedder", "vectors", shared),
        (shared, "", judged),
        (judged, "", "reply"),
    } <= {*read.links}
    again = {link for link in read.maybe if link[0] == judged}
    assert again == {(judged, "again, 2 times at most", name) for name in ("a", "b")}


def test_a_router_shows_its_routes() -> None:
    router = Router("r", "kind", {"bills": "cash", "rest": "desk"}, fallback="boss")
    links = seen(router.graph()).links
    assert {link[1:] for link in links if link[0] == "route"} == {
        ("bills", "cash"),
        ("rest", "desk"),
        ("fallback", "boss"),
    }
    assert ("kind", "", "route") in links


def test_a_reflection_shows_its_loop() -> None:
    links = seen(Reflection("r", "poet", "critic", max_iterations=4).graph()).maybe
    assert links == [("score ≥ 0.9?", "again, 4 drafts at most", "poet")]


def test_a_swarm_shows_who_may_hand_over_to_whom() -> None:
    swarm = Swarm("s", ["a", "b", "c"], transfers={"b": ["c"], "c": []})
    handed = [(one, two) for one, label, two in seen(swarm.graph()).links if label == "hands over"]
    assert handed == [("a", "b"), ("a", "c"), ("b", "c")]


def test_an_ensemble_shows_who_answers_without_agreement() -> None:
    links = seen(Ensemble("e", ["a", "b"], fallback="boss").graph()).maybe
    assert links == [("vote, majority, 0.5", "no agreement", "boss")]


def test_a_debate_shows_its_rounds_and_its_judge() -> None:
    links = seen(Debate("d", ["a", "b"], judge="j", rounds=2).graph()).links
    assert ("j", "another round", "a round, 2 at most") in links
    assert ("j", "decision", "reply") in links


def test_a_mapreduce_shows_what_splits_and_what_reduces() -> None:
    links = seen(MapReduce("m", "a", splitter="cut", reduce="sum").graph()).links
    assert {("cut", "each chunk", "a"), ("a", "", "reduce, sum")} <= {*links}


class Plain(Orchestrator):
    """Says nothing about its structure."""

    pattern = "plain"

    @classmethod
    def from_config(cls, name, agents, config, limits):  # type: ignore[no-untyped-def]  # never called
        raise NotImplementedError

    async def run(self, message: Message, caller: Caller) -> Message:
        return message


class Asking(Plain):
    """Says more."""

    def edges(self) -> list[Edge]:
        sure = Step("sure?", "choice")
        return [
            Edge(START, "a"),
            Edge("a", sure),
            Edge(sure, "b", "no", maybe=True),
            Edge(sure, END),
        ]


def test_a_pattern_that_says_nothing_is_drawn_as_a_fan() -> None:
    links = seen(Plain("p", ["a", "b"]).graph()).links
    assert links == [
        ("message", "", "a"),
        ("message", "", "b"),
        ("a", "", "reply"),
        ("b", "", "reply"),
    ]


def test_a_pattern_of_your_own_says_how_it_is_drawn() -> None:
    read = seen(Asking("p", ["a", "b", "spare"]).graph())
    assert {("a", "", "sure?"), ("sure?", "no", "b"), ("sure?", "", "reply")} <= {*read.links}
    assert read.inside["spare"] == "p (plain)"


@pytest.mark.parametrize(
    "name",
    [
        'say "hi"',
        "a]b",
        "x-->y",
        "%%{init}%%",
        "end",
        "<b>bold",
        "`md`",
        "#35;",
        "style:a#b",
        "Ω; ключ",
    ],
)
def test_a_name_means_nothing_to_mermaid(name: str) -> None:
    router = Router("r", "kind", {name: "agent", "other": name}, limits=Limits(timeout=1))
    read = seen(router.graph())
    assert ("route", name, "agent") in read.links
    assert ("route", "other", name) in read.links
    assert not re.search(r"[`%<>:;]", re.sub(r"#\d+;|-\.?->", "", router.graph()))


def test_the_picture_in_the_documents_is_the_one_there_is() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "patterns.md").read_text("utf-8")
    desk = Router("desk", "kind", {"facts": "news", "verse": "poetry"})
    assert f"```mermaid\n{Sequential('editor', ['clean', desk]).graph()}\n```" in page


def test_a_long_text_is_cut() -> None:
    read = seen(Sequential("flow", ["a" * 128]).graph())
    assert "a" * 59 + "…" in read.nodes.values()
