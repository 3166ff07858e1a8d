"""Two runs of one pattern at once: neither sees anything of the other, whatever pattern it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest

from aixgo import Agent, LocalRuntime, Message
from aixgo.context import CallContext
from aixgo.loading import kinds
from aixgo.message import JSONValue
from aixgo.orchestration import (
    RAG,
    Aggregation,
    Classification,
    Consensus,
    Debate,
    Ensemble,
    Hierarchical,
    MapReduce,
    Orchestrator,
    Parallel,
    Planning,
    Reflection,
    Router,
    Sequential,
    Supervisor,
    Swarm,
)

TURNS = 5  # of the loop that an answer takes, so that both runs are under way
OWN = ("pattern", "cost_usd", "tokens_total")

at_work: set[str] = set()
together: list[int] = []


class Part:
    """Answers with `says` of the message's text, by default with that behind its own name.

    `at_work` has the sessions of the runs it works for, and `together` how many those were each time it began.
    """

    role = "part"

    def __init__(self, name: str, says: Callable[[str], JSONValue | Message] | None = None) -> None:
        self.name = name
        self._says = says or (lambda text: f"{name} of {text}")

    async def execute(self, message: Message) -> Message:
        run = CallContext.current().session
        at_work.add(run)
        together.append(len(at_work))
        for _ in range(TURNS):
            await asyncio.sleep(0)
        at_work.discard(run)
        return Message.of(self._says(message.text))


def part(name: str, *said: JSONValue | Message) -> Agent:
    return Part(name, (lambda _: said[0]) if said else None)


def assigned(text: str) -> JSONValue:
    return f"all of {text}" if "results" in text else {"team_assignments": {"t": text, "u": text}}


PLAN: JSONValue = [
    {"id": "a", "agent": "x"},
    {"id": "b", "agent": "y", "input": "{a} and {input}"},
]
TEAMS: Mapping[str, Callable[[], Orchestrator]] = {
    "aggregation": lambda: Aggregation("p", [part("x"), part("y")]),
    "classification": lambda: Classification(
        "p",
        part("c", ["k", "l"]),
        {"k": part("x"), "l": part("y")},
        multi_label=True,
    ),
    "classifier": lambda: Classification("p", part("c", "k"), {"k": part("x"), "l": part("y")}),
    "consensus": lambda: Consensus("p", [part("x"), part("y")], threshold=0.5),
    "debate": lambda: Debate("p", [part("x"), part("y")], rounds=2),
    "ensemble": lambda: Ensemble("p", [part("x"), part("y")], threshold=0.1),
    "hierarchical": lambda: Hierarchical(
        "p", Part("m", assigned), {"t": part("x"), "u": [part("y"), part("z")]}
    ),
    "mapreduce": lambda: MapReduce(
        "p", [part("x"), part("y")], split="words", size=1, reducer=part("r"), max_parallel=2
    ),
    "parallel": lambda: Parallel("p", [part("x"), part("y")]),
    "planning": lambda: Planning("p", part("m", PLAN), [part("x"), part("y")], max_replans=1),
    "rag": lambda: RAG("p", [part("x"), part("y")], part("g"), conversational=True),
    "reflection": lambda: Reflection("p", part("x"), part("y", {"score": 0.5})),
    "router": lambda: Router("p", part("c", "k"), {"k": part("x"), "l": part("y")}),
    "sequential": lambda: Sequential("p", [part("x"), part("y"), part("z")]),
    "supervisor": lambda: Supervisor(
        "p",
        [part("x"), Part("y", lambda text: {"done": False, "said": text})],
        routing_strategy="round_robin",
        max_rounds=4,
    ),
    "swarm": lambda: Swarm(
        "p",
        [Part("x", lambda text: Message(text, metadata={"handoff_to": "y"})), part("y")],
    ),
}


def told(reply: Message) -> tuple[JSONValue | bytes, dict[str, JSONValue]]:
    return reply.payload, {k: v for k, v in reply.metadata.items() if k not in OWN}


async def run(rt: LocalRuntime, given: str) -> tuple[JSONValue | bytes, dict[str, JSONValue]]:
    return told(await rt.call("p", given, session=given))


def test_every_pattern_is_run_twice_at_once() -> None:
    assert sorted(TEAMS) == sorted(kinds("orchestration"))


@pytest.mark.parametrize("kind", TEAMS)
async def test_two_runs_at_once_give_what_each_gives_alone(kind: str) -> None:
    given = ("red alpha", "blue beta")
    async with asyncio.timeout(10):
        alone = []
        for text in given:
            async with LocalRuntime(TEAMS[kind]()) as rt:
                alone.append(await run(rt, text))
        together.clear()
        async with LocalRuntime(TEAMS[kind]()) as rt:
            at_once = await asyncio.gather(*(run(rt, text) for text in given))
    assert max(together) == 2
    assert at_once == alone
    assert "beta" not in str(alone[0])
    assert "beta" in str(alone[1])
