"""Orders of what waits for what."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from itertools import chain, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aixgo.graphs import Circle, in_order, levels

Graph = dict[str, list[str]]

graphs = st.dictionaries(
    st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdefg"), max_size=3), max_size=6
)


@given(graphs)
def test_there_is_an_order_exactly_if_there_is_no_circle(graph: Graph) -> None:
    inner = {name: [one for one in needed if one in graph] for name, needed in graph.items()}
    try:
        TopologicalSorter(inner).prepare()
    except CycleError:
        with pytest.raises(Circle) as caught:
            in_order(graph)
        path = caught.value.path
        assert path[0] == path[-1]
        assert all(after in graph[name] for name, after in pairwise(path))
        return
    found = in_order(graph)
    assert sorted(found) == sorted(graph)
    assert all(found.index(one) < found.index(name) for name in graph for one in inner[name])
    assert sorted(chain.from_iterable(levels(graph))) == sorted(graph)


def test_what_may_be_anywhere_stays_where_it_is() -> None:
    assert in_order({"c": [], "b": ["a"], "a": [], "d": ["gone"]}) == ["c", "a", "b", "d"]
    assert levels({"b": ["a"], "c": [], "a": []}) == [["c", "a"], ["b"]]
    assert levels({}) == in_order({}) == []


def test_a_circle_is_found_behind_those_who_wait_for_it() -> None:
    with pytest.raises(Circle, match="b → c → b"):
        in_order({"a": ["b"], "b": ["c"], "c": ["b"]})


def test_a_long_chain_takes_no_recursion() -> None:
    long = {str(n): [str(n + 1)] for n in range(20_000)}
    assert in_order(long)[0] == "19999"
