"""MapReduce."""

from __future__ import annotations

from aixgo.message import JSONValue
from aixgo.orchestration import MapReduce
from tests.conformance.patterns.base import Case

__all__ = ["CASES"]


def sentences(text: JSONValue) -> JSONValue:
    return [part.strip() for part in str(text).split(".") if part.strip()]


def words(text: JSONValue) -> JSONValue:
    return len(str(text).split())


def longest(counts: JSONValue) -> JSONValue:
    assert isinstance(counts, list)
    return max(int(str(count)) for count in counts)


CASES = [
    Case(
        name="longest sentence",
        build=lambda: MapReduce(
            "longest sentence",
            "words of a chunk",
            splitter="sentences",
            reducer="longest",
            max_parallel=2,
        ),
        config="{name: longest sentence, pattern: mapreduce, config: {mapper: words of a chunk, "
        "splitter: sentences, reducer: longest, max_parallel: 2}}",
        agents={"sentences": sentences, "words of a chunk": words, "longest": longest},
        given="It rains. It rains a lot here. It stops.",
        gives=5,
        calls=[
            ("sentences", "It rains. It rains a lot here. It stops."),
            ("words of a chunk", "It rains"),
            ("words of a chunk", "It rains a lot here"),
            ("words of a chunk", "It stops"),
            ("longest", [2, 5, 2]),
        ],
        metadata={"pattern": "mapreduce", "chunk_count": 3, "success_count": 3, "agent_count": 3},
        flips={
            "sentences": (lambda _: ["a b c"], 3),
            "words of a chunk": (lambda text: len(str(text)), 19),
            "longest": (lambda counts: counts[0], 2),  # type: ignore[index,call-overload]
        },
    ),
    Case(
        name="by turns",
        build=lambda: MapReduce(
            "by turns", ["even chunks", "odd chunks"], split="words", size=1, on_error="drop"
        ),
        config="{name: by turns, pattern: mapreduce, agents: [even chunks, odd chunks], "
        "config: {split: words, size: 1, on_error: drop}}",
        agents={
            "even chunks": lambda text: str(text).upper(),
            "odd chunks": lambda text: str(text)[::-1],
        },
        given="rain in spain",
        gives=["RAIN", "ni", "SPAIN"],
        calls=[("even chunks", "rain"), ("odd chunks", "in"), ("even chunks", "spain")],
        flips={"odd chunks": (lambda text: text, ["RAIN", "in", "SPAIN"])},
        survives={"even chunks": ["ni"], "odd chunks": ["RAIN", "SPAIN"]},
    ),
]
