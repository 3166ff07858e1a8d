"""The patterns' work as graphs of langgraph: `PATTERN`; runs in an environment that has it and not aixgo.

Nodes that echo; compiled once, no checkpointer, `ainvoke`.
"""

import operator
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

from tests.benchmarks.side import Work, measure, works_of
from tests.benchmarks.sides.graphs import CALLS, EXPECTED, LINES, NAMES, TEXT


class Fan(TypedDict, total=False):
    text: str
    replies: Annotated[list[str], operator.add]
    whole: str


class Chain(TypedDict):
    whole: str


class Chunk(TypedDict):
    text: str


async def echo(state: Fan) -> Fan:
    return {"replies": [state["text"]]}


def parallel() -> StateGraph:
    """Each node gets the text; the join waits for all."""

    async def join(state: Fan) -> Fan:
        return {"whole": "\n\n".join(state["replies"])}

    graph = StateGraph(Fan)
    graph.add_node("join", join)
    for name in NAMES:
        graph.add_node(name, echo)
        graph.add_edge(START, name)
    graph.add_edge(NAMES, "join")
    graph.add_edge("join", END)
    return graph


def sequential() -> StateGraph:
    """Each node gets what the one before it gave."""

    async def step(state: Chain) -> Chain:
        return {"whole": state["whole"]}

    graph = StateGraph(Chain)
    graph.add_sequence([(name, step) for name in NAMES])
    graph.add_edge(START, NAMES[0])
    graph.add_edge(NAMES[-1], END)
    return graph


def mapreduce() -> StateGraph:
    """Each line is sent to the same node."""

    def split(state: Fan) -> list[Send]:
        return [Send("mapper", {"text": line}) for line in state["text"].splitlines()]

    async def reduce(state: Fan) -> Fan:
        return {"whole": "\n".join(state["replies"])}

    graph = StateGraph(Fan)
    graph.add_node("mapper", echo, input_schema=Chunk)
    graph.add_node("reduce", reduce)
    graph.add_conditional_edges(START, split, ["mapper"])
    graph.add_edge("mapper", "reduce")
    graph.add_edge("reduce", END)
    return graph


GRAPHS = {"parallel": parallel, "sequential": sequential, "mapreduce": mapreduce}
GIVEN = {"parallel": {"text": TEXT}, "sequential": {"whole": TEXT}, "mapreduce": {"text": LINES}}


@asynccontextmanager
async def graphs() -> AsyncIterator[Mapping[str, Work]]:
    name = sys.argv[1]
    graph, given = GRAPHS[name]().compile(), GIVEN[name]
    settings = {
        "recursion_limit": 2 * CALLS[name]
    }  # of steps; its own is lower than our chain is long

    async def once() -> object:
        return await graph.ainvoke(given, settings)

    assert (await once())["whole"] == EXPECTED[name]
    yield works_of(lambda _target, _text: once, lambda _: "")


if __name__ == "__main__":
    measure(graphs)
