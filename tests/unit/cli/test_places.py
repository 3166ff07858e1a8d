"""Who a process serves and where it finds the others, from what `--agent` and `--peer` say."""

from pathlib import Path

import pytest

from aixgo import load_config
from aixgo.cli import run_verb
from aixgo.cli.places import places_of
from aixgo.config import Config
from aixgo.errors import ConfigError

FLOW = """
orchestration:
  name: Whole Flow
  pattern: sequential
  agents:
    - first
    - name: inner
      pattern: parallel
      agents: [second, {name: innermost, pattern: sequential, agents: [first]}]
agents:
  - {name: first, role: chat}
  - {name: second, role: chat}
"""
EVERYBODY = "dns:///{agent}:50051"


@pytest.fixture
def flow(tmp_path: Path) -> Config:
    file = tmp_path / "flow.yaml"
    file.write_text(FLOW, encoding="utf-8")
    return load_config(file)


def test_an_orchestration_is_served_with_those_inside_it(flow: Config) -> None:
    places = places_of(flow, ["Whole Flow"], ["first=a:1", "second=b:1"])
    assert places.here == ("Whole Flow", "inner", "innermost")
    assert places.peers == {"first": ("a:1",), "second": ("b:1",)}


def test_a_peer_that_is_named_again_has_another_replica(flow: Config) -> None:
    given = ["second=b:1", "second=b:2", EVERYBODY]
    assert places_of(flow, ["first"], given).peers["second"] == ("b:1", "b:2")


def test_an_orchestration_that_is_said_to_be_elsewhere_is_not_served_here(flow: Config) -> None:
    places = places_of(flow, ["Whole Flow"], ["inner=c:1", "first=a:1"])
    assert places.here == ("Whole Flow", "innermost")
    assert places.peers["inner"] == ("c:1",)


def test_one_address_stands_for_all_who_are_not_here(flow: Config) -> None:
    assert places_of(flow, ["Whole Flow"], [EVERYBODY]).peers == {
        "first": "dns:///first:50051",
        "second": "dns:///second:50051",
    }


def test_an_inner_orchestration_is_found_where_the_outermost_is_served(flow: Config) -> None:
    peers = places_of(flow, ["first"], [EVERYBODY]).peers
    assert peers["second"] == "dns:///second:50051"
    assert {peers[name] for name in ("Whole Flow", "inner", "innermost")} == {
        "dns:///whole-flow:50051"
    }


def test_an_address_of_its_own_stands_over_the_one_for_all(flow: Config) -> None:
    peers = places_of(flow, ["Whole Flow"], [EVERYBODY, "second=unix:/run/second"]).peers
    assert peers == {"first": "dns:///first:50051", "second": ("unix:/run/second",)}


def test_without_agent_whoever_is_elsewhere_is_not_served(flow: Config) -> None:
    places = places_of(flow, [], ["second=b:1"])
    assert places.here == ("first", "Whole Flow", "inner", "innermost")
    assert places.peers == {"second": ("b:1",)}


@pytest.mark.parametrize(
    ("only", "given", "complaint"),
    [
        (["frist"], [], "no agent is called 'frist'"),
        ([], [EVERYBODY], "name those that are with --agent"),
        (["first"], [EVERYBODY, "unix:/run/{agent}"], "one address for all others is enough"),
        (["first"], ["second"], "--peer 'second' must be NAME=ADDRESS, or an address for all"),
        (["first"], ["=b:1"], "--peer '=b:1' must be NAME=ADDRESS"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    only: list[str], given: list[str], complaint: str, flow: Config
) -> None:
    with pytest.raises(ConfigError, match=complaint.replace("(", r"\(")):
        places_of(flow, only, given)


def test_a_file_whose_agents_are_all_elsewhere_leaves_nothing_to_serve(tmp_path: Path) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text(
        "agents: [{name: a, role: chat}]\ndeployment: {peers: {a: 'x:1'}}", encoding="utf-8"
    )
    with pytest.raises(ConfigError, match="there is nothing to serve"):
        places_of(load_config(file), [], [])
    assert places_of(load_config(file), ["a"], []).here == ("a",)


def test_an_agent_that_a_file_only_calls_cannot_be_served(tmp_path: Path) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text(
        "agents: [{name: a, role: chat}]\ndeployment: {peers: {b: 'x:1'}}", encoding="utf-8"
    )
    with pytest.raises(ConfigError, match="there is nothing to serve"):
        places_of(load_config(file), ["b"], [])


@pytest.mark.parametrize(("agent", "needed"), [("Whole Flow", "first"), ("last", "second")])
def test_serving_who_needs_an_agent_that_is_nowhere_is_refused(
    agent: str, needed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "flow.yaml"
    last = "  - {name: last, role: chat, depends_on: [second]}\n"
    file.write_text(FLOW + last, encoding="utf-8")
    assert run_verb(["serve", str(file), "--agent", agent]) == 1
    said = capsys.readouterr().err
    assert f"nor known to be elsewhere: '{needed}' ('{agent}' needs it)" in said
    assert "--peer 'dns:///{agent}:50051'" in said
