"""What answers differ on, and which of them is taken: found by a model, decided by a rule.

Below: the turn, voting. Above: `aggregator`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from aixgo.agents._output import Checked
from aixgo.agents._turn import Turn
from aixgo.agents.base import ModelUse
from aixgo.message import JSONValue
from aixgo.voting import Ballot, vote

__all__ = ["MEDIATED", "OTHER_WORDS", "RULES", "Conflict", "find_conflicts"]

MEDIATED = "llm_mediated"
RULES = (MEDIATED, "majority", "weighted", "confidence", "newest", "keep_all")
OTHER_WORDS = {
    "llm_arbitration": MEDIATED,
    "llm_reasoning": MEDIATED,
    "vote": "majority",
    "deterministic": "majority",
    "highest_weight_wins": "confidence",
    "merge": "keep_all",
}
"""What files for the Go design call the rules."""
INSTRUCTIONS = (
    "Name the points on which the sources contradict each other. For each give the position of every source that "
    "takes one, in the same words where they agree. A point that only some mention is no contradiction."
)


@dataclass(slots=True, frozen=True)
class Conflict:
    """A point on which answers differ."""

    point: str
    positions: Mapping[str, str]
    """Source → what it says of the point."""
    taken: str
    """The position that stands; empty where all do."""
    rule: str

    def as_json(self) -> dict[str, JSONValue]:
        """The conflict as a result shows it."""
        found: dict[str, JSONValue] = {"point": self.point, "positions": dict(self.positions)}
        return {**found, "resolution": self.taken or None, "by": self.rule}

    def told(self) -> str:
        """What the model that writes the answer has to keep to."""
        if self.taken:
            return f"- {self.point}: {self.taken}"
        listed = "; ".join(f"{source}: {said}" for source, said in self.positions.items())
        return f"- {self.point}: give every position and who holds it: {listed}"


async def find_conflicts(
    use: ModelUse, text: str, answers: Sequence[Ballot], rule: str
) -> tuple[list[Conflict], int]:
    """What `answers`, which `text` shows, differ on, each decided by `rule`; and the tokens it took.

    Raises:
        OutputInvalid: the model kept naming sources that there are not.
    """
    by_source = {answer.source: answer for answer in answers}

    def check(value: JSONValue) -> JSONValue:
        if not isinstance(value, dict) or not isinstance(value.get("conflicts"), list):
            raise ValueError("it must be a JSON object with the list 'conflicts'")  # noqa: TRY004 - the model's fault
        listed = cast("list[JSONValue]", value["conflicts"])
        return [{"point": point, "positions": said} for point, said in _read(listed, by_source)]

    request = use.request(text, INSTRUCTIONS, _schema(list(by_source)))
    turn = Turn(use.open(), request, output=Checked(request.output_schema or {}, check))
    told = await turn.answer()
    found = cast("list[dict[str, JSONValue]]", told.value)
    conflicts = [
        _decided(str(item["point"]), cast("dict[str, str]", item["positions"]), by_source, rule)
        for item in found
    ]
    return conflicts, turn.usage.tokens_total


def _read(
    listed: Sequence[JSONValue], known: Mapping[str, Ballot]
) -> list[tuple[str, dict[str, JSONValue]]]:
    found: list[tuple[str, dict[str, JSONValue]]] = []
    for item in listed:
        point = item.get("point") if isinstance(item, dict) else None
        taken = item.get("positions") if isinstance(item, dict) else None
        if not isinstance(point, str) or not point.strip() or not isinstance(taken, list):
            raise ValueError("each conflict needs a 'point' and a list of 'positions'")
        said: dict[str, JSONValue] = {}
        for position in taken:
            source = position.get("source") if isinstance(position, dict) else None
            if not isinstance(position, dict) or source not in known:
                raise ValueError(
                    f"a position is of {source!r}; the sources are: {', '.join(known)}"
                )
            said[str(source)] = str(position.get("says", ""))
        ordered = {source: said[source] for source in known if source in said}
        if len(set(map(str, ordered.values()))) > 1:
            found.append((point.strip(), ordered))
    return found


def _decided(
    point: str, positions: Mapping[str, str], answers: Mapping[str, Ballot], rule: str
) -> Conflict:
    ballots = [Ballot(name, said, answers[name].confidence) for name, said in positions.items()]
    if rule == "keep_all":
        taken = ""
    elif rule == "newest":
        taken = ballots[-1].content
    else:
        taken = vote(ballots, rule).content
    return Conflict(point, positions, taken, rule)


def _schema(sources: Sequence[str]) -> dict[str, JSONValue]:
    position: JSONValue = {
        "type": "object",
        "properties": {
            "source": {"type": "string", "enum": list(sources)},
            "says": {"type": "string"},
        },
        "required": ["source", "says"],
        "additionalProperties": False,
    }
    conflict: JSONValue = {
        "type": "object",
        "properties": {
            "point": {"type": "string", "description": "what they contradict each other on"},
            "positions": {"type": "array", "items": position},
        },
        "required": ["point", "positions"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"conflicts": {"type": "array", "items": conflict}},
        "required": ["conflicts"],
        "additionalProperties": False,
        "x-offline": {"conflicts": []},  # what sources differ on takes a model to tell
    }
