"""The answers an aggregator gets: read from a message, and told apart from repetitions.

Below: voting. Above: `aggregator` and what it is made of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from aixgo.agents._similarity import cluster
from aixgo.domain import number_of
from aixgo.errors import InvalidMessage
from aixgo.message import JSONValue, Message, to_json_bytes
from aixgo.voting import Ballot

__all__ = [
    "DEDUPLICATION",
    "OTHER_METHODS",
    "Answers",
    "read_answer",
    "read_answers",
    "without_repeats",
]


@dataclass(slots=True, frozen=True)
class Answers:
    """Answers without those that repeat an earlier one."""

    kept: Sequence[Ballot]
    repeats: Mapping[str, Sequence[str]]
    """Source of a kept answer → sources that said the same, where there are any."""

    def shown(self, answer: Ballot) -> str:
        """Who gave `answer`."""
        return ", ".join((answer.source, *self.repeats.get(answer.source, ())))


def without_repeats(answers: Sequence[Ballot], method: str, threshold: float) -> Answers:
    """The first of all answers that say the same by `method`, with the highest confidence among them."""
    groups = DEDUPLICATION[method](answers, threshold)
    kept = [
        Ballot(group[0].source, group[0].content, max(answer.confidence for answer in group))
        for group in groups
    ]
    repeats = {
        group[0].source: [answer.source for answer in group[1:]] for group in groups if group[1:]
    }
    return Answers(kept, repeats)


def read_answers(message: Message) -> list[Ballot]:
    """The answers a message holds.

    Raises:
        InvalidMessage: it holds none.
    """
    payload = message.payload
    if isinstance(payload, dict):
        found = [read_answer(source, content) for source, content in payload.items()]
    elif isinstance(payload, list):
        found = [read_answer(f"source_{index}", content) for index, content in enumerate(payload)]
    else:
        found = [read_answer(message.source or "source_0", message.text)]
    if not found or not any(answer.content.strip() for answer in found):
        raise InvalidMessage("holds no answers to aggregate", "payload")
    return found


def read_answer(source: str, content: JSONValue) -> Ballot:
    """An answer as its source or an object in its stead says it."""
    confidence: JSONValue = None
    if isinstance(content, dict):
        source = str(content.get("source") or source)
        confidence = content.get("confidence")
        content = next(
            (content[key] for key in ("content", "text", "category") if key in content), content
        )
    text = content if isinstance(content, str) else to_json_bytes(content).decode()
    return Ballot(source, text, number_of(confidence) or 0.0)


def _same(key: Callable[[str], str]) -> Callable[[Sequence[Ballot], float], list[list[Ballot]]]:
    def group(answers: Sequence[Ballot], threshold: float) -> list[list[Ballot]]:  # noqa: ARG001 - one shape for all
        found: dict[str, list[Ballot]] = {}
        for answer in answers:
            found.setdefault(key(answer.content), []).append(answer)
        return list(found.values())

    return group


DEDUPLICATION: Mapping[str, Callable[[Sequence[Ballot], float], list[list[Ballot]]]] = {
    "none": lambda answers, _: [[answer] for answer in answers],
    "exact": _same(lambda text: text),
    "normalized": _same(lambda text: " ".join(text.lower().split())),
    "semantic": cluster,
}
"""How repetitions are found: word for word, but for case and blanks, or by similarity."""
OTHER_METHODS = {"exact_match": "exact", "fuzzy": "semantic"}
"""What files for the Go design call them."""
