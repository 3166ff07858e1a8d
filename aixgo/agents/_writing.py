"""How a model makes one answer of several: what it reads, what it is asked, and how its answer is rated.

Below: the turn, and what finds repetitions, conflicts and passages. Above: `aggregator`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from aixgo.agents._answers import Answers, without_repeats
from aixgo.agents._conflicts import MEDIATED, Conflict, find_conflicts
from aixgo.agents._grounded import Grounded, Passage, passages_about, passages_of, wanted
from aixgo.agents._output import Checked
from aixgo.agents._similarity import cluster, consensus_level
from aixgo.agents._turn import Answer, Turn
from aixgo.agents.base import ModelUse
from aixgo.agents.retriever import RetrieverAgent
from aixgo.message import JSONValue
from aixgo.providers import Completion
from aixgo.voting import Ballot

__all__ = ["EMPHASIS", "GROUNDED", "Writing", "Written"]

GROUNDED = "rag_based"
EMPHASIS = {
    "consensus": "State what the sources agree on, and resolve where they differ.",
    "weighted": "The sources are listed by weight; where they differ, trust the heavier one.",
    "semantic": "The sources are grouped by similarity; give each group's point once.",
    "hierarchical": "The texts are summaries of groups of sources; combine them.",
    GROUNDED: "Use only what the passages say, and name the passages of each point.",
    "merge": "Keep every distinct point of every source.",
}
DECIDED = "Keep to what stands under 'Decided'."
GROUP = 3  # sources summarised together by `hierarchical`
GROUP_TOKENS = 200  # of each such summary
CONFLICTS: Mapping[str, JSONValue] = {
    "type": "array",
    "items": {"type": "string"},
    "description": "what the sources differ on",
}
INSIGHTS: Mapping[str, JSONValue] = {
    "type": "string",
    "description": "what the answers together show",
}


@dataclass(slots=True, frozen=True, kw_only=True)
class Written:
    """One answer made of several, and what is known of it."""

    content: str
    level: float
    conflicts: Sequence[JSONValue]
    insights: str
    tokens: int
    more: Mapping[str, JSONValue] = field(default_factory=dict)
    """What else the strategy tells."""
    facts: Mapping[str, JSONValue] = field(default_factory=dict)
    """What the model was, for the reply's metadata."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Writing:
    """The settings by which a model makes one answer of several."""

    strategy: str
    use: ModelUse
    prompt: str
    threshold: float
    """Similarity from where on texts are of one group."""
    resolution: str
    deduplication: str
    insights: bool
    retriever: RetrieverAgent | None
    top_k: int

    async def write(self, given: Sequence[Ballot], task: str) -> Written:
        """One answer of those `given`.

        Raises:
            ProviderError: the model did not answer, or not in the wanted shape.
        """
        answers = without_repeats(given, self.deduplication, self.threshold)
        conflicts, tokens = await self._conflicts(answers)
        passages: list[Passage] = []
        if self.strategy == GROUNDED:
            passages = await self._passages(answers.kept, task)
            texts, shape = self._grounds(answers, task, passages), wanted(passages, self._extra)
        else:
            texts, more = await self._texts(answers)
            tokens, shape = tokens + more, _wanted(self._extra)
        if conflicts:
            told = "\n".join(conflict.told() for conflict in conflicts)
            texts = [*texts, f"[Decided]\n\n{told}"]
        turn = Turn(self.use.open(), self.use.request(*self._asked(texts, conflicts), shape.asked))
        turn.output = shape
        answer = await turn.answer()
        return self._written(
            given, answers, answer, conflicts, passages, tokens + turn.usage.tokens_total
        )

    def _asked(self, texts: Sequence[str], conflicts: Sequence[Conflict]) -> tuple[str, str]:
        """Text and instructions of the question."""
        parts = (
            f"Make one answer of several. {EMPHASIS[self.strategy]}",
            DECIDED if conflicts else "",
            self.prompt,
        )
        return "\n\n".join(texts), "\n\n".join(filter(None, parts))

    @property
    def _extra(self) -> dict[str, JSONValue]:
        """What is asked for beside the answer."""
        found: dict[str, JSONValue] = {}
        if self.resolution == MEDIATED:
            found["conflicts"] = dict(CONFLICTS)
        if self.insights:
            found["insights"] = dict(INSIGHTS)
        return found

    def _written(
        self,
        given: Sequence[Ballot],
        answers: Answers,
        told: Answer,
        conflicts: Sequence[Conflict],
        passages: Sequence[Passage],
        tokens: int,
    ) -> Written:
        value, offline = cast("dict[str, JSONValue]", told.value), told.completion.offline
        more: dict[str, JSONValue] = {}
        if answers.repeats:
            more["duplicates"] = {name: list(found) for name, found in answers.repeats.items()}
        if self.strategy == "semantic":
            more["semantic_clusters"] = {
                f"cluster_{index}": [answer.source for answer in group]
                for index, group in enumerate(cluster(given, self.threshold))
            }
        if self.strategy == GROUNDED:
            grounded = Grounded(cast("list[dict[str, JSONValue]]", value["points"]))
            content, level = grounded.content, grounded.level
            more["points"] = list(grounded.points)
            more["passages"] = [passage.as_json() for passage in passages]
        else:
            content = str(value["content"])
            level = consensus_level(given, content)
        found: Sequence[JSONValue] = [conflict.as_json() for conflict in conflicts]
        if self.resolution == MEDIATED and not offline:  # what differs takes a model to tell
            named = value.get("conflicts")
            found = named if isinstance(named, list) else []
        return Written(
            content=content,
            level=level,
            conflicts=found,
            insights="" if offline else str(value.get("insights", "")) if self.insights else "",
            tokens=tokens,
            more=more,
            facts=told.facts(),
        )

    async def _conflicts(self, answers: Answers) -> tuple[list[Conflict], int]:
        """What the answers differ on, decided by the rule, and the tokens that took."""
        if self.resolution == MEDIATED or len(answers.kept) < 2:
            return [], 0
        text = "\n\n".join(f"[{answer.source}]\n\n{answer.content}" for answer in answers.kept)
        return await find_conflicts(self.use, text, answers.kept, self.resolution)

    async def _passages(self, answers: Sequence[Ballot], task: str) -> list[Passage]:
        if self.retriever is None:
            return await passages_of(answers, task, self.top_k)
        return await passages_about(self.retriever, answers, task, self.top_k)

    def _grounds(self, answers: Answers, task: str, passages: Sequence[Passage]) -> list[str]:
        """The passages, and the sources too where the passages are not theirs."""
        texts = [f"[Task]\n\n{task}"] if task else []
        if self.retriever is not None:
            texts += [f"[{answers.shown(a)}]\n\n{a.content}" for a in answers.kept]
        return texts + [f"[Passage {p.number}, of {p.source}]\n\n{p.content}" for p in passages]

    async def _texts(self, answers: Answers) -> tuple[list[str], int]:
        """What the model reads, as the strategy orders and groups it, and the tokens that took."""
        kept = answers.kept
        if self.strategy == "hierarchical" and len(kept) > GROUP:
            groups = [kept[start : start + GROUP] for start in range(0, len(kept), GROUP)]
            summaries = [await self._summary(answers, group) for group in groups]
            return [c.text for c in summaries], sum(c.usage.tokens_total for c in summaries)
        if self.strategy == "weighted":
            heavy = sorted(kept, key=lambda answer: -answer.confidence)
            return [
                f"[{answers.shown(a)}, weight {a.confidence:g}]\n\n{a.content}" for a in heavy
            ], 0
        if self.strategy == "semantic":
            alike = enumerate(cluster(kept, self.threshold))
            return [
                f"[{answers.shown(a)}, group {index}]\n\n{a.content}"
                for index, group in alike
                for a in group
            ], 0
        return [f"[{answers.shown(a)}]\n\n{a.content}" for a in kept], 0

    async def _summary(self, answers: Answers, group: Sequence[Ballot]) -> Completion:
        use = self.use.with_max_tokens(GROUP_TOKENS)
        text = "\n\n".join(f"[{answers.shown(a)}]\n\n{a.content}" for a in group)
        return await use.open().complete(
            use.request(text, "Summarise what these sources say together.")
        )


def _wanted(extra: Mapping[str, JSONValue]) -> Checked:
    """An answer in one text, with `extra` properties beside it."""
    content: JSONValue = {"type": "string", "description": "the aggregated answer"}
    properties: dict[str, JSONValue] = {"content": content, **extra}
    schema: dict[str, JSONValue] = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return Checked(schema, _check)


def _check(value: JSONValue) -> JSONValue:
    if not isinstance(value, dict) or not isinstance(value.get("content"), str):
        raise ValueError("it must be a JSON object with the text 'content'")  # noqa: TRY004 - the model's fault
    return value
