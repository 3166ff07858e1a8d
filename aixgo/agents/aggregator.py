"""AggregatorAgent: makes one answer of several, by vote or with a model.

The answers come as a JSON object source → content, a list of contents or of {source, content, confidence},
or a single text. A content may itself be an object with `content` (or `text`) and `confidence`.

The voting strategies need no model (aixgo.voting). The others ask one, each with its own emphasis, and rate the
result: consensus level = 0.6 · weighted mean similarity of the inputs to the result + 0.4 · mean pairwise
similarity of the inputs, where similarity is the Dice coefficient of two texts' words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Self, cast

from aixgo.agents._output import Checked
from aixgo.agents._similarity import cluster, consensus_level
from aixgo.agents._turn import Turn
from aixgo.agents.base import MODEL_KEYS, ModelUse, model_options, own_keys
from aixgo.contract import Caller
from aixgo.errors import ConfigError, InvalidMessage
from aixgo.keys import Key, check_given
from aixgo.message import JSONValue, Message, to_json_bytes
from aixgo.names import check_name
from aixgo.providers import Completion, ModelMiddleware, Provider
from aixgo.voting import STRATEGIES, Ballot, vote

__all__ = ["AGENT", "AggregatorAgent"]

EMPHASIS = {
    "consensus": "State what the sources agree on, and resolve where they differ.",
    "weighted": "The sources are listed by weight; where they differ, trust the heavier one.",
    "semantic": "The sources are grouped by similarity; give each group's point once.",
    "hierarchical": "The texts are summaries of groups of sources; combine them.",
    "rag_based": "Use only what the sources say, and name the source of each point.",
    "merge": "Keep every distinct point of every source.",
}
VOTING = tuple(f"voting_{name}" for name in STRATEGIES)
GROUP = 3  # sources summarised together by `hierarchical`
GROUP_TOKENS = 200  # of each such summary

AGGREGATOR_KEYS: Mapping[str, Key] = {
    "aggregation_strategy": Key("text", "how the answers become one", choices=(*EMPHASIS, *VOTING)),
    "source_weights": Key(
        "numbers",
        "source → how much it counts, before its own confidence; 0 leaves it out",
        minimum=0,
    ),
    "semantic_similarity_threshold": Key(
        "number", "from where on texts are of one group", minimum=0, maximum=1
    ),
    "consensus_threshold": Key(
        "number", "the level that metadata calls a consensus", minimum=0, maximum=1
    ),
    "max_input_sources": Key("integer", "sources taken, the most confident ones", minimum=1),
    "temperature": Key("number", "how freely the model answers", minimum=0, maximum=2),
    "max_tokens": Key("integer", "tokens one answer may have", minimum=1),
    "conflict_resolution": Key("text", "how conflicts are resolved", absent="conflict resolution"),
    "deduplication_method": Key("text", "how repetitions are found", absent="deduplication"),
    "summarization_enabled": Key("boolean", "summarise the result", absent="summarization"),
    "timeout_ms": Key(
        "number", "how long sent answers are collected", absent="collecting sent answers"
    ),
}
SCHEMA: Mapping[str, JSONValue] = {
    "type": "object",
    "properties": {
        "content": {"type": "string", "description": "the aggregated answer"},
        "conflicts": {
            "type": "array",
            "items": {"type": "string"},
            "description": "what the sources differ on",
        },
        "insights": {"type": "string", "description": "what the answers together show"},
    },
    "required": ["content", "conflicts", "insights"],
    "additionalProperties": False,
}


class AggregatorAgent:
    """Aggregates the answers in each message.

    The reply, of type `aggregation_result`, holds aggregated_content, sources, strategy_used, consensus_level,
    conflicts_resolved, summary_insights, tokens_used, and semantic_clusters for `semantic`.
    """

    role = "aggregator"
    takes_policies: ClassVar[bool] = True
    config_keys: ClassVar[Mapping[str, Key]] = {
        **MODEL_KEYS,
        **AGGREGATOR_KEYS,
        "aggregator_config": Key("mapping", "the aggregator's settings", fields=AGGREGATOR_KEYS),
    }

    def __init__(
        self,
        name: str,
        *,
        aggregation_strategy: str = "consensus",
        source_weights: Mapping[str, float] | None = None,
        semantic_similarity_threshold: float = 0.85,
        consensus_threshold: float = 0.7,
        max_input_sources: int | None = None,
        model: str = "",
        prompt: str = "",
        temperature: float | None = 0.5,
        max_tokens: int | None = 1500,
        description: str = "",
        provider: Provider | None = None,
        middleware: Sequence[ModelMiddleware] = (),
        api_key: str = "",
    ) -> None:
        self.name = check_name(name)
        self.description = description
        self.prompt = prompt
        if aggregation_strategy not in (*EMPHASIS, *VOTING):
            known = ", ".join((*EMPHASIS, *VOTING))
            raise ConfigError(
                f"aggregator {name!r}: there is no strategy {aggregation_strategy!r}; there are: {known}"
            )
        check_given(
            AGGREGATOR_KEYS,
            f"aggregator {name!r}",
            semantic_similarity_threshold=semantic_similarity_threshold,
            consensus_threshold=consensus_threshold,
            max_input_sources=max_input_sources,
            source_weights=source_weights,
        )
        self.strategy = aggregation_strategy
        self.source_weights = dict(source_weights or {})
        self.similarity_threshold = semantic_similarity_threshold
        self.consensus_threshold = consensus_threshold
        self.max_input_sources = max_input_sources
        self._use = ModelUse(
            model, temperature, max_tokens, provider, api_key, middleware=middleware, owner=name
        )

    @classmethod
    def from_config(cls, name: str, entry: Mapping[str, object]) -> Self:
        """The agent of a YAML entry; what `aggregator_config` says comes before the entry's own keys."""
        settings = own_keys(cls.config_keys, entry, f"agent {name!r}")
        settings |= cast("dict[str, object]", settings.pop("aggregator_config", {}))
        return cls(name, **model_options(entry), **cast("dict[str, str]", settings))  # type: ignore[arg-type]  # checked by their keys

    @property
    def model(self) -> str:
        """The model that aggregates; empty for a vote, which needs none."""
        return "" if self.strategy in VOTING else self._use.name

    async def start(self, caller: Caller) -> None:  # noqa: ARG002 - the contract's signature
        """Find the model's provider, so that a wrong model fails the start and not the first call."""
        if self.strategy not in VOTING:
            self._use.open()

    async def execute(self, message: Message) -> Message:
        """Aggregate the answers in `message`.

        Raises:
            InvalidMessage: there are none.
            AgentRefused: `voting_unanimous`, and two differ.
        """
        answers = self._chosen(_answers(message))
        if self.strategy in VOTING:
            result, facts = self._vote(answers)
        else:
            result, facts = await self._ask(answers)
        level = cast("float", result["consensus_level"])
        facts["consensus"] = level >= self.consensus_threshold
        return message.reply(
            result, type="aggregation_result", metadata={**facts, "confidence": level}
        )

    def _chosen(self, answers: Sequence[Ballot]) -> list[Ballot]:
        """The answers with their source's weight, the most confident ones if there are too many."""
        weighed = [
            Ballot(a.source, a.content, self.source_weights.get(a.source, a.confidence))
            for a in answers
        ]
        weighed = [a for a in weighed if self.source_weights.get(a.source) != 0]
        if not weighed:
            raise InvalidMessage("holds only sources of weight 0", "payload")
        if self.max_input_sources is not None:
            kept = sorted(weighed, key=lambda answer: -answer.confidence)[: self.max_input_sources]
            weighed = [answer for answer in weighed if answer in kept]
        return weighed

    def _vote(self, answers: Sequence[Ballot]) -> tuple[dict[str, JSONValue], dict[str, JSONValue]]:
        verdict = vote(answers, self.strategy.removeprefix("voting_"))
        result = self._result(
            verdict.content, answers, verdict.agreement, verdict.explanation, tokens=0
        )
        return result, {
            "winner": verdict.source,
            "agreement": verdict.agreement,
            "votes": dict(verdict.votes),
        }

    async def _ask(
        self, answers: Sequence[Ballot]
    ) -> tuple[dict[str, JSONValue], dict[str, JSONValue]]:
        texts, tokens = await self._texts(answers)
        instructions = "\n\n".join(
            filter(None, (f"Make one answer of several. {EMPHASIS[self.strategy]}", self.prompt))
        )
        request = self._use.request("\n\n".join(texts), instructions, WANTED.asked)
        turn = Turn(self._use.open(), request, output=WANTED)
        told = await turn.answer()
        answer, completion = cast("dict[str, JSONValue]", told.value), told.completion
        level = consensus_level(answers, str(answer["content"]))
        tokens += turn.usage.tokens_total
        insights = str(answer.get("insights", ""))
        if completion.offline:
            insights = f"extracted from {len(answers)} sources without a model"
        result = self._result(str(answer["content"]), answers, level, insights, tokens=tokens)
        if not completion.offline:  # what sources differ on takes a model to tell
            result["conflicts_resolved"] = answer.get("conflicts", [])
        if self.strategy == "semantic":
            groups = cluster(answers, self.similarity_threshold)
            result["semantic_clusters"] = {
                f"cluster_{index}": [answer.source for answer in group]
                for index, group in enumerate(groups)
            }
        return result, told.facts()

    async def _texts(self, answers: Sequence[Ballot]) -> tuple[list[str], int]:
        """What the model reads, as the strategy orders and groups it, and the tokens that took."""
        if self.strategy == "hierarchical" and len(answers) > GROUP:
            groups = [answers[start : start + GROUP] for start in range(0, len(answers), GROUP)]
            summaries = [await self._summary(group) for group in groups]
            return [c.text for c in summaries], sum(c.usage.tokens_total for c in summaries)
        if self.strategy == "weighted":
            heavy = sorted(answers, key=lambda answer: -answer.confidence)
            return [f"[{a.source}, weight {a.confidence:g}]\n\n{a.content}" for a in heavy], 0
        if self.strategy == "semantic":
            alike = enumerate(cluster(answers, self.similarity_threshold))
            return [
                f"[{a.source}, group {index}]\n\n{a.content}"
                for index, group in alike
                for a in group
            ], 0
        return [f"[{a.source}]\n\n{a.content}" for a in answers], 0

    async def _summary(self, answers: Sequence[Ballot]) -> Completion:
        use = self._use.with_max_tokens(GROUP_TOKENS)
        text = "\n\n".join(f"[{a.source}]\n\n{a.content}" for a in answers)
        return await use.open().complete(
            use.request(text, "Summarise what these sources say together.")
        )

    def _result(
        self, content: str, answers: Sequence[Ballot], level: float, insights: str, *, tokens: int
    ) -> dict[str, JSONValue]:
        return {
            "aggregated_content": content,
            "sources": [answer.source for answer in answers],
            "strategy_used": self.strategy,
            "consensus_level": level,
            "conflicts_resolved": [],
            "summary_insights": insights,
            "tokens_used": tokens,
        }


def _answers(message: Message) -> list[Ballot]:
    """The answers a message holds.

    Raises:
        InvalidMessage: it holds none.
    """
    payload = message.payload
    if isinstance(payload, dict):
        found = [_answer(source, content) for source, content in payload.items()]
    elif isinstance(payload, list):
        found = [_answer(f"source_{index}", content) for index, content in enumerate(payload)]
    else:
        found = [_answer(message.source or "source_0", message.text)]
    if not found or not any(answer.content.strip() for answer in found):
        raise InvalidMessage("holds no answers to aggregate", "payload")
    return found


def _answer(source: str, content: JSONValue) -> Ballot:
    confidence: JSONValue = 0.0
    if isinstance(content, dict):
        source = str(content.get("source") or source)
        confidence = content.get("confidence", 0.0)
        content = next(
            (content[key] for key in ("content", "text", "category") if key in content), content
        )
    text = content if isinstance(content, str) else to_json_bytes(content).decode()
    return Ballot(source, text, float(confidence) if isinstance(confidence, (int, float)) else 0.0)


def _check(value: JSONValue) -> JSONValue:
    if not isinstance(value, dict) or not isinstance(value.get("content"), str):
        raise ValueError("it must be a JSON object with the text 'content'")  # noqa: TRY004 - the model's fault
    return value


WANTED = Checked(SCHEMA, _check)
AGENT = AggregatorAgent
