"""Binding: who comes along with an orchestrator, who starts when, and what is refused."""

from __future__ import annotations

import pytest

from aixgo import Agent, Message
from aixgo.errors import ConfigError, LimitExceeded
from aixgo.runtime.binding import check_orchestration, objects_below, start_levels


class Node:
    """An agent with members."""

    role = "node"

    def __init__(self, name: str, *members: Agent | str, max_agents: int = 100) -> None:
        self.name = name
        self.members = list(members)
        self.max_agents = max_agents

    async def execute(self, message: Message) -> Message:
        return message


def by_name(*nodes: Node) -> dict[str, Agent]:
    return {node.name: node for node in nodes}


def test_agents_start_after_all_they_depend_on_in_as_few_levels_as_can_be() -> None:
    levels = start_levels({"d": ["b", "c"], "b": ["a"], "c": ["a"], "a": [], "e": []}, ())
    assert levels == [["a", "e"], ["b", "c"], ["d"]]


def test_a_peer_is_known_and_not_waited_for() -> None:
    assert start_levels({"a": ["far"]}, ["far"]) == [["a"]]


def test_an_unknown_dependency_is_named_with_who_needs_it() -> None:
    with pytest.raises(ConfigError, match="a -> nobody: no agent is called 'nobody'"):
        start_levels({"a": ["nobody"]}, ())


@pytest.mark.parametrize(
    ("needs", "path"),
    [
        ({"a": ["a"]}, "a -> a"),
        ({"a": ["b"], "b": ["c"], "c": ["a"], "d": []}, "a -> b -> c -> a"),
        ({"a": ["b"], "b": ["c"], "c": ["b"]}, "b -> c -> b"),
    ],
)
def test_a_dependency_cycle_is_printed_as_a_path(needs: dict[str, list[str]], path: str) -> None:
    with pytest.raises(ConfigError, match=rf"^depends_on cycle: {path}$"):
        start_levels(needs, ())


def test_the_objects_below_an_agent_come_outermost_first_and_once() -> None:
    leaf = Node("leaf")
    inner = Node("inner", leaf, "by name")
    outer = Node("outer", inner, leaf)
    assert objects_below(outer) == [inner, leaf]
    assert objects_below(leaf) == []


def test_what_many_lead_to_is_looked_at_once() -> None:
    low = [Node("a"), Node("b")]
    for depth in range(200):  # 2**200 ways lead down
        low = [Node(f"left {depth}", *low), Node(f"right {depth}", *low)]
    assert len(objects_below(Node("top", *low))) == 402


def test_an_object_that_contains_itself_is_refused_with_the_path() -> None:
    outer = Node("outer")
    inner = Node("inner", outer)
    outer.members.append(inner)
    with pytest.raises(ConfigError, match="orchestration cycle: outer -> inner -> outer"):
        objects_below(outer)


def test_an_orchestrator_that_reaches_itself_by_name_is_refused_with_the_path() -> None:
    found = by_name(Node("a", "b"), Node("b", "c"), Node("c", "a"))
    with pytest.raises(ConfigError, match="orchestration cycle: a -> b -> c -> a"):
        check_orchestration("a", found.get)


def test_two_ways_to_one_agent_are_no_cycle_and_count_it_once() -> None:
    found = by_name(Node("a", "b", "c", max_agents=3), Node("b", "d"), Node("c", "d"), Node("d"))
    check_orchestration("a", found.get)


def test_more_agents_than_allowed_are_refused_nested_and_remote_ones_included() -> None:
    found = by_name(Node("a", "b", "far", max_agents=3), Node("b", "c", "d"))
    with pytest.raises(LimitExceeded) as caught:
        check_orchestration("a", found.get)
    assert (caught.value.limit, caught.value.value, caught.value.where) == ("max_agents", 3, "a")
