"""Events folded into a tree: whatever part of them there is, and in whatever process they were written."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aixgo.ledger import Usage
from aixgo.sessions.events import (
    ErrorRaised,
    Event,
    EventsDropped,
    PromptReceived,
    RunCompleted,
    RunStarted,
    Spent,
    ToolCallFailed,
    as_time,
)
from aixgo.sessions.fold import Node, Tree, fold
from tests.unit.sessions.made import BEGAN, RUN, Made, Writer, made


def shape(node: Node) -> tuple[object, ...]:
    """Names and ends of the calls below a node, without models and tools."""
    calls = [child for child in node.children if child.kind in ("call", "message")]
    return (node.name, node.status, *(shape(call) for call in calls))


def shape_of(call: Made) -> tuple[object, ...]:
    return (call.agent, call.ends, *(shape_of(inner) for inner in call.calls))


def counts(usage: Usage) -> tuple[int, int, int]:
    return usage.cost_nanos, usage.tokens_total, usage.calls


def check_sums(tree: Tree) -> None:
    """The `own` of all nodes add up to the `total` of the root, and so below every node."""
    for node in tree.root.walk():
        summed = Usage()
        for below in node.walk():
            summed.add(below.own)
        assert counts(summed) == counts(node.total)


@given(made)
def test_a_whole_run_folds_into_the_calls_that_were_made(call: Made) -> None:
    tree = fold(Writer().run(call), RUN)
    assert shape(tree.root) == (call.agent, "ok", shape_of(call))
    assert counts(tree.root.total) == counts(call.total())
    remote = [node for node in tree.root.walk() if node.process]
    assert all(node.process == 7 for node in remote)


@settings(max_examples=50)
@given(made, st.data())
def test_any_prefix_of_a_run_folds_and_its_sums_hold(call: Made, data: st.DataObject) -> None:
    events = Writer().run(call)
    end = data.draw(st.integers(0, len(events)))
    tree = fold(events[:end], RUN)
    check_sums(tree)
    assert all(node.seconds >= 0 for node in tree.root.walk())
    assert (tree.root.status == "running") == (end < len(events))


@settings(max_examples=50)
@given(made, st.data())
def test_any_part_of_a_run_in_any_order_folds_with_every_node_in_the_tree_once(
    call: Made, data: st.DataObject
) -> None:
    events = data.draw(st.permutations(Writer().run(call)))
    tree = fold(events[: data.draw(st.integers(0, len(events)))])
    check_sums(tree)
    nodes = list(tree.root.walk())
    assert len(set(map(id, nodes))) == len(nodes)
    assert all(child.parent is node for node in nodes for child in node.children)


@settings(max_examples=30)
@given(made)
def test_the_callers_agent_and_key_do_where_another_process_does_not_know_the_run(
    call: Made,
) -> None:
    blind: list[Event] = []
    for event in Writer().run(call):
        if isinstance(event, RunStarted) and event.parent_key:
            event = RunStarted(
                timestamp=event.timestamp,
                run_id=event.run_id,
                agent=event.agent,
                key=event.key,
                parent_agent=event.parent_agent,
                parent_key=event.parent_key,
            )
        blind.append(event)
    assert shape(fold(blind, RUN).root) == (call.agent, "ok", shape_of(call))


def test_a_call_that_is_under_way_goes_on_until_the_last_event() -> None:
    tree = fold(Writer().run(Made("a", calls=[Made("b")]))[:3], RUN)
    (a,) = tree.root.children
    assert (a.status, a.children[0].status) == ("running", "running")
    assert a.seconds == pytest.approx(0.001, abs=1e-5)


def test_an_error_keeps_its_class_its_id_and_its_words() -> None:
    events: list[Event] = [
        RunStarted(timestamp=as_time(BEGAN), run_id=RUN, agent="a"),
        ErrorRaised(
            timestamp=as_time(BEGAN + 1),
            run_id=RUN,
            error_type="AgentFailed",
            error_id="e1",
            error_message="agent 'a' failed",
        ),
    ]
    root = fold(events, RUN).root
    assert (root.status, root.error, root.error_id) == ("failed", "AgentFailed", "e1")
    assert root.error_text == "agent 'a' failed"


def test_a_second_end_of_a_run_changes_nothing() -> None:
    events = Writer().run(Made("a", cost=5))
    again = RunCompleted(timestamp=as_time(BEGAN + 9), run_id=RUN, usage=Spent(cost_nanos=99))
    assert fold([*events, again], RUN).root.total.cost_nanos == 5


def test_callers_in_a_circle_hang_from_the_whole_run() -> None:
    events = [
        RunStarted(timestamp=as_time(BEGAN), run_id="a", agent="a", key="a", parent_run_id="b"),
        RunStarted(timestamp=as_time(BEGAN), run_id="b", agent="b", key="b", parent_run_id="a"),
        RunStarted(timestamp=as_time(BEGAN), run_id="c", agent="c", key="c", parent_run_id="c"),
    ]
    tree = fold(events, RUN)
    assert {node.name for node in tree.root.walk()} == {"", "a", "b", "c"}


def test_a_tree_of_thousands_of_levels_folds() -> None:
    deep = [
        RunStarted(
            timestamp=as_time(BEGAN), run_id=str(n), agent="a", key="k", parent_run_id=str(n - 1)
        )
        for n in reversed(range(1, 3_000))
    ]
    assert sum(1 for _ in fold(deep, "0").root.walk()) == 3_000


def test_a_tool_that_fails_without_a_beginning_is_seen() -> None:
    event = ToolCallFailed(
        timestamp=as_time(BEGAN), run_id="nobody", tool_name="t", tool_id="1", duration_ms=250
    )
    (tool,) = fold([event], RUN).root.children
    assert (tool.kind, tool.name, tool.status, tool.seconds) == ("tool", "t", "failed", 0.25)


def test_messages_from_mailboxes_hang_from_the_run_and_add_to_it() -> None:
    events: list[Event] = [RunStarted(timestamp=as_time(BEGAN), run_id=RUN, agent="ticks")]
    for number in range(3):
        at = as_time(BEGAN + number)
        events += [
            RunStarted(timestamp=at, run_id=f"m{number}", agent="upper", key="upper", posted=True),
            RunCompleted(timestamp=at, run_id=f"m{number}", usage=Spent(cost_nanos=10)),
        ]
    root = fold(events, RUN).root
    assert [(node.kind, node.name) for node in root.children] == [("message", "upper")] * 3
    assert root.total.cost_nanos == 30


def test_what_was_dropped_adds_up() -> None:
    lost = [EventsDropped(timestamp=as_time(BEGAN), count=count) for count in (2, 3)]
    assert fold(lost, RUN).dropped == 5


def test_the_time_until_the_input_came_in_is_the_start() -> None:
    events: list[Event] = [
        RunStarted(timestamp=as_time(BEGAN), run_id=RUN, agent="a"),
        PromptReceived(timestamp=as_time(BEGAN + 4), run_id=RUN),
    ]
    assert fold(events, RUN).startup == 4.0


def span(name: str, began: float, ended: float, parent: str = RUN) -> list[Event]:
    return [
        RunStarted(
            timestamp=as_time(BEGAN + began),
            run_id=name,
            agent=name,
            key=name,
            parent_run_id=parent,
        ),
        RunCompleted(timestamp=as_time(BEGAN + ended), run_id=name),
    ]


def test_the_critical_path_goes_back_from_each_end_to_whoever_ended_last() -> None:
    events = [
        RunStarted(timestamp=as_time(BEGAN), run_id=RUN, agent="whole"),
        *span("first", 0, 2),
        *span("quick", 2, 3),
        *span("slow", 2, 6),
        *span("inner", 3, 5, "slow"),
        *span("beside", 2, 4, "slow"),
        *span("last", 6, 9),
        RunCompleted(timestamp=as_time(BEGAN + 10), run_id=RUN),
    ]
    path = [node.name for node in fold(events, RUN).critical_path]
    assert path == ["whole", "first", "slow", "inner", "last"]
