"""`rag_based` aggregation: every point of the answer cites the passages it rests on.

The passages are those an index, or documents, hold about the sources' claims; without either, the best ones of the
sources themselves. A point's support is the share of its longer words that the passages it cites hold, which is
counted here and asked of nobody.

Below: retrieval, the turn, the retriever. Above: `aggregator`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from aixgo.agents._output import Checked
from aixgo.agents.retriever import RetrieverAgent
from aixgo.message import JSONValue, Message
from aixgo.retrieval import Document, Index, MemoryStore
from aixgo.voting import Ballot

__all__ = ["Grounded", "Passage", "passages_about", "passages_of", "wanted"]

PASSAGE = 400  # characters of a passage of a source
OVERLAP = 40  # characters it repeats
LONG = 4  # letters of a word that says something
MAX_ASKED = 2_000  # characters of an answer that are searched for
WORD = re.compile(r"\w+")
SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")


@dataclass(slots=True, frozen=True)
class Passage:
    """A piece of text that a point can rest on."""

    number: int
    source: str
    content: str

    def as_json(self) -> dict[str, JSONValue]:
        """The passage as a result shows it."""
        return {"number": self.number, "source": self.source, "content": self.content}


@dataclass(slots=True, frozen=True)
class Grounded:
    """A checked answer: its points, and how well they are supported."""

    points: Sequence[dict[str, JSONValue]]

    @property
    def content(self) -> str:
        """The points, each with the numbers of its passages."""
        return "\n".join(f"{point['text']} {_cited(point)}" for point in self.points)

    @property
    def level(self) -> float:
        """The mean support of the points."""
        support = [cast("float", point["support"]) for point in self.points]
        return round(sum(support) / len(support), 4) if support else 0.0


async def passages_of(answers: Sequence[Ballot], task: str, top_k: int) -> list[Passage]:
    """The passages of the answers themselves that `task` is about; without one, that most of them are about."""
    sources = {str(number): answer.source for number, answer in enumerate(answers)}
    async with Index(MemoryStore(), chunk_size=PASSAGE, chunk_overlap=OVERLAP) as index:
        for number, answer in enumerate(answers):
            await index.add(Document(str(number), answer.content))
        asked = task or "\n".join(answer.content[:MAX_ASKED] for answer in answers)
        hits = await index.search(asked, top_k)
    return [
        Passage(number, sources[str(hit.metadata["document"])], hit.text)
        for number, hit in enumerate(hits, 1)
    ]


async def passages_about(
    retriever: RetrieverAgent, answers: Sequence[Ballot], task: str, top_k: int
) -> list[Passage]:
    """What `retriever` finds about the task and each answer, in turn the best of each, each passage once."""
    asked = [text[:MAX_ASKED] for text in (task, *(answer.content for answer in answers)) if text]
    rankings = []
    for text in asked:
        reply = await retriever.execute(Message(text).with_metadata(top_k=top_k))
        found = cast("dict[str, list[dict[str, str]]]", reply.payload)
        rankings.append(found["documents"])
    best: dict[str, dict[str, str]] = {}
    for rank in range(top_k):
        for ranking in rankings:
            if rank < len(ranking):
                best.setdefault(ranking[rank]["id"], ranking[rank])
    return [
        Passage(number, found["source"], found["content"])
        for number, found in enumerate(list(best.values())[:top_k], 1)
    ]


def wanted(passages: Sequence[Passage], extra: Mapping[str, JSONValue]) -> Checked:
    """The answer asked for, with `extra` properties beside its points."""
    number: dict[str, JSONValue] = {"type": "integer"}
    if passages:
        number["enum"] = [passage.number for passage in passages]
    point: JSONValue = {
        "type": "object",
        "properties": {
            "text": {"type": "string", "description": "one point of the answer"},
            "passages": {
                "type": "array",
                "items": number,
                "description": "numbers of the passages it rests on",
            },
        },
        "required": ["text", "passages"],
        "additionalProperties": False,
    }
    properties: dict[str, JSONValue] = {"points": {"type": "array", "items": point}, **extra}
    schema: dict[str, JSONValue] = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
        "x-offline": {"points": [_extracted(passage) for passage in passages]},
    }
    known = {passage.number: passage for passage in passages}
    return Checked(schema, lambda value: _check(value, known))


def _check(value: JSONValue, known: Mapping[int, Passage]) -> JSONValue:
    listed = value.get("points") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(listed, list) or not listed:
        raise ValueError("it must be a JSON object with the list 'points', at least one")
    points: list[JSONValue] = []
    for point in listed:
        text = point.get("text") if isinstance(point, dict) else None
        cited = point.get("passages") if isinstance(point, dict) else None
        if not isinstance(text, str) or not text.strip() or not isinstance(cited, list):
            raise ValueError("each point needs a 'text' and a list of 'passages'")
        for number in cited:
            if isinstance(number, bool) or number not in known:
                raise ValueError(f"there is no passage {number!r}; there are 1 to {len(known)}")
        numbers = sorted(set(cast("list[int]", cited)))
        support = _support(text, [known[number].content for number in numbers])
        points.append(
            {"text": text.strip(), "passages": cast("JSONValue", numbers), "support": support}
        )
    return {**value, "points": points}


def _support(text: str, passages: Sequence[str]) -> float:
    """The share of the longer words of `text` that `passages` hold; 0 for none cited."""
    held = _words(" ".join(passages))
    words = _words(text)
    return round(len(words & held) / len(words), 4) if words and held else 0.0


def _words(text: str) -> set[str]:
    words = [word.lower() for word in WORD.findall(text)]
    long = {word for word in words if len(word) >= LONG or word.isdecimal()}
    return long or set(words)


def _cited(point: Mapping[str, JSONValue]) -> str:
    numbers = cast("list[int]", point["passages"])
    return "".join(f"[{number}]" for number in numbers) or "[no passage]"


def _extracted(passage: Passage) -> JSONValue:
    """The first sentence of a passage, as what it says."""
    lines = [line for line in SENTENCE.split(passage.content) if _words(line)]
    return {"text": lines[0] if lines else passage.content, "passages": [passage.number]}
