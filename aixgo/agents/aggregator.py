"""AggregatorAgent: makes one answer of several, by vote or with a model.

The answers come as a JSON object source → content, a list of contents or of {source, content, confidence},
or a single text. A content may itself be an object with `content` (or `text`) and `confidence`.

The voting strategies need no model (aixgo.voting). The others ask one, each with its own emphasis, and rate the
result: consensus level = 0.6 · weighted mean similarity of the inputs to the result + 0.4 · mean pairwise
similarity of the inputs, where similarity is the Dice coefficient of two texts' words. `rag_based` has points with
passages instead, and its level is their mean support.

Below: what finds repetitions, conflicts and passages. Above: patterns and programs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self, cast

from aixgo.agents._answers import DEDUPLICATION, OTHER_METHODS, read_answer, read_answers
from aixgo.agents._conflicts import MEDIATED, OTHER_WORDS, RULES
from aixgo.agents._writing import EMPHASIS, GROUNDED, Writing
from aixgo.agents.base import MODEL_KEYS, ModelUse, model_options, own_keys
from aixgo.agents.retriever import RetrieverAgent
from aixgo.contract import Caller, Gathers
from aixgo.errors import ConfigError, InvalidMessage
from aixgo.keys import Key, check_given
from aixgo.message import JSONValue, Message
from aixgo.names import check_name
from aixgo.providers import Embedder, ModelMiddleware, Provider, same_vendor
from aixgo.retrieval.index import Mode
from aixgo.voting import STRATEGIES, Ballot, vote

__all__ = ["AGENT", "AggregatorAgent"]

VOTING = tuple(f"voting_{name}" for name in STRATEGIES)
COLLECTING = 5000.0  # milliseconds
TASK = ("task", "question", "query")  # metadata that says what the answers are to

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
    "conflict_resolution": Key(
        "text",
        "what stands where sources contradict each other; a vote has its own rule",
        choices=(*RULES, *OTHER_WORDS),
        default=MEDIATED,
    ),
    "deduplication_method": Key(
        "text",
        "which answers the model reads once; a vote counts all",
        choices=(*DEDUPLICATION, *OTHER_METHODS),
        default="none",
    ),
    "summarization_enabled": Key(
        "boolean", "have the model say in `summary_insights` what the answers show", default=True
    ),
    "timeout_ms": Key(
        "number",
        "how long answers that are sent are collected; 0 for each by itself. 5000 with several `inputs`",
        minimum=0,
    ),
}
SEARCHED = ("index", "documents", "mode", "top_k", "where", "embedding_model")
SEARCH_KEYS: Mapping[str, Key] = {name: RetrieverAgent.config_keys[name] for name in SEARCHED}


class AggregatorAgent:
    """Aggregates the answers in each message.

    The reply, of type `aggregation_result`, holds aggregated_content, sources, strategy_used, consensus_level,
    conflicts_resolved, summary_insights, tokens_used, `duplicates` where some were found, semantic_clusters for
    `semantic`, `points` and `passages` for `rag_based`. `task` (or `question`, `query`) of a message's metadata is
    what the answers are to.

    Answers that are sent, not called with, are collected, one of each source, a newer one in place of an older:
    for `timeout_ms` from the first on, or until all `inputs` have answered. What they make goes to the agent's outputs.
    When the runtime stops, what is there is aggregated first.

    Args:
        name: what it is called.
        aggregation_strategy: how the answers become one.
        source_weights: source → how much it counts, before its own confidence; 0 leaves it out.
        semantic_similarity_threshold: similarity from where on texts are of one group.
        consensus_threshold: the level that metadata calls a consensus.
        max_input_sources: sources taken, the most confident ones.
        conflict_resolution: what stands where sources contradict each other: `llm_mediated`, what the model makes of
            it; the position of the `majority`, of the largest sum of confidences (`weighted`), of the surest source
            (`confidence`), or of the last one (`newest`); or all (`keep_all`). All but the first cost a request more,
            which names the contradictions.
        deduplication_method: which answers the model reads only once: `exact`, `normalized` (but for case and
            blanks), `semantic` (by the similarity threshold), or `none`.
        summarization_enabled: whether the model says in `summary_insights` what the answers together show.
        index: for `rag_based`, a file that `aixgo index` made, whose passages the points have to cite.
        documents: the same, for files and folders that are read at each start. Without either, the points cite
            passages of the sources.
        mode: how passages are searched.
        top_k: passages the model gets.
        where: metadata a passage must have.
        embedding_model: what compares passages. `api_key` goes to it too if it is of the model's vendor.
        embedder: the same, as an object.
        timeout_ms: how long sent answers are collected; 0 for each by itself. 5000 with several `inputs`, else 0.
        inputs: the agents whose answers are sent to it.
        model: the model that aggregates; votes ask none.
        prompt: what it is told besides.

    Raises:
        ConfigError: there is no such strategy, or a setting cannot be used.
    """

    role = "aggregator"
    takes_policies: ClassVar[bool] = True
    path_keys: ClassVar[Sequence[str]] = RetrieverAgent.path_keys
    config_keys: ClassVar[Mapping[str, Key]] = {
        **MODEL_KEYS,
        **AGGREGATOR_KEYS,
        **SEARCH_KEYS,
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
        conflict_resolution: str = MEDIATED,
        deduplication_method: str = "none",
        summarization_enabled: bool = True,
        index: str | Path = "",
        documents: Sequence[str | Path] = (),
        mode: str = "hybrid",
        top_k: int = 5,
        where: Mapping[str, JSONValue] | None = None,
        embedding_model: str = "",
        embedder: Embedder | None = None,
        timeout_ms: float | None = None,
        inputs: Sequence[str] = (),
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
        stated = f"aggregator {name!r}"
        if aggregation_strategy not in (*EMPHASIS, *VOTING):
            known = ", ".join((*EMPHASIS, *VOTING))
            raise ConfigError(
                f"{stated}: there is no strategy {aggregation_strategy!r}; there are: {known}"
            )
        check_given(
            {**AGGREGATOR_KEYS, **SEARCH_KEYS},
            stated,
            semantic_similarity_threshold=semantic_similarity_threshold,
            consensus_threshold=consensus_threshold,
            max_input_sources=max_input_sources,
            source_weights=source_weights,
            conflict_resolution=conflict_resolution,
            deduplication_method=deduplication_method,
            summarization_enabled=summarization_enabled,
            top_k=top_k,
            mode=mode,
            timeout_ms=timeout_ms,
        )
        if isinstance(inputs, str):
            raise ConfigError(f"{stated}: give a list of inputs, not one")
        if timeout_ms is None:
            timeout_ms = COLLECTING if len(inputs) > 1 else 0
        self.gathers = Gathers(timeout_ms / 1000, tuple(inputs)) if timeout_ms else None
        """How long sent answers are collected, and of whom."""
        self.strategy = aggregation_strategy
        self.source_weights = dict(source_weights or {})
        self.consensus_threshold = consensus_threshold
        self.max_input_sources = max_input_sources
        if (index or documents) and aggregation_strategy != GROUNDED:
            raise ConfigError(
                f"{stated}: {aggregation_strategy!r} searches in nothing; an index and documents "
                f"are for {GROUNDED!r}"
            )
        self._retriever: RetrieverAgent | None = None
        if index or documents:
            self._retriever = RetrieverAgent(
                name,
                index=index,
                documents=documents,
                mode=cast("Mode", mode),
                top_k=top_k,
                where=where,
                embedding_model=embedding_model,
                embedder=embedder,
                api_key=api_key if same_vendor(model, embedding_model) else "",
            )
        self._use = ModelUse(
            model, temperature, max_tokens, provider, api_key, middleware=middleware, owner=name
        )
        self._writing = Writing(
            strategy=aggregation_strategy,
            use=self._use,
            prompt=prompt,
            threshold=semantic_similarity_threshold,
            resolution=OTHER_WORDS.get(conflict_resolution, conflict_resolution),
            deduplication=OTHER_METHODS.get(deduplication_method, deduplication_method),
            insights=summarization_enabled,
            retriever=self._retriever,
            top_k=top_k,
        )

    @classmethod
    def from_config(cls, name: str, entry: Mapping[str, object]) -> Self:
        """The agent of a YAML entry; what `aggregator_config` says comes before the entry's own keys.

        `embedder` is what the configuration made of the file's keys.
        """
        settings = own_keys(cls.config_keys, entry, f"agent {name!r}")
        if entry.get("embedder") is not None:
            settings.pop("embedding_model", None)
            settings["embedder"] = entry["embedder"]
        settings |= cast("dict[str, object]", settings.pop("aggregator_config", {}))
        listed = cast("list[dict[str, str]]", entry.get("inputs") or [])
        settings["inputs"] = tuple(dict.fromkeys(item["source"] for item in listed))
        return cls(name, **model_options(entry), **cast("dict[str, str]", settings))  # type: ignore[arg-type]  # checked by their keys

    @classmethod
    def embeds(cls, entry: Mapping[str, object]) -> bool:
        """Whether the agent of a YAML entry searches documents."""
        return bool(entry.get("index") or entry.get("documents"))

    @property
    def model(self) -> str:
        """The model that aggregates; empty for a vote, which needs none."""
        return "" if self.strategy in VOTING else self._use.name

    async def start(self, caller: Caller) -> None:
        """Find the model's provider, so that a wrong model fails the start and not the first call; read documents."""
        if self.strategy not in VOTING:
            self._use.open()
        if self._retriever is not None:
            await self._retriever.start(caller)

    async def stop(self) -> None:
        """Close the index."""
        if self._retriever is not None:
            await self._retriever.stop()

    def gather(self, messages: Sequence[Message]) -> Message:
        """The message to aggregate that several answers make."""
        task = next((found for message in messages if (found := _task(message))), "")
        listed: JSONValue = [_sent(message, number) for number, message in enumerate(messages)]
        return Message(listed, type="answers", metadata={"task": task} if task else None)

    async def execute(self, message: Message) -> Message:
        """Aggregate the answers in `message`.

        Raises:
            InvalidMessage: there are none.
            AgentRefused: `voting_unanimous`, and two differ.
        """
        answers = self._chosen(read_answers(message))
        if self.strategy in VOTING:
            result, facts = self._vote(answers)
        else:
            result, facts = await self._write(answers, _task(message))
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
            surest = sorted(range(len(weighed)), key=lambda at: -weighed[at].confidence)
            weighed = [weighed[at] for at in sorted(surest[: self.max_input_sources])]
        return weighed

    def _vote(self, answers: Sequence[Ballot]) -> tuple[dict[str, JSONValue], dict[str, JSONValue]]:
        verdict = vote(answers, self.strategy.removeprefix("voting_"))
        result = self._result(
            verdict.content, answers, verdict.agreement, [], verdict.explanation, 0
        )
        return result, {
            "winner": verdict.source,
            "agreement": verdict.agreement,
            "votes": dict(verdict.votes),
        }

    async def _write(
        self, answers: Sequence[Ballot], task: str
    ) -> tuple[dict[str, JSONValue], dict[str, JSONValue]]:
        made = await self._writing.write(answers, task)
        result = self._result(
            made.content, answers, made.level, made.conflicts, made.insights, made.tokens
        )
        return {**result, **made.more}, dict(made.facts)

    def _result(
        self,
        content: str,
        answers: Sequence[Ballot],
        level: float,
        conflicts: Sequence[JSONValue],
        insights: str,
        tokens: int,
    ) -> dict[str, JSONValue]:
        return {
            "aggregated_content": content,
            "sources": [answer.source for answer in answers],
            "strategy_used": self.strategy,
            "consensus_level": level,
            "conflicts_resolved": list(conflicts),
            "summary_insights": insights,
            "tokens_used": tokens,
        }


def _task(message: Message) -> str:
    """What the answers are to, if the message says."""
    found = (message.metadata.get(name) for name in TASK)
    return next((text for text in found if isinstance(text, str) and text), "")


def _sent(message: Message, number: int) -> JSONValue:
    """An answer that was sent, as one of a list."""
    answer = read_answer(message.source or f"source_{number}", _content(message))
    source = message.source or answer.source
    return {"source": source, "content": answer.content, "confidence": answer.confidence}


def _content(message: Message) -> JSONValue:
    """What an answer says, and how sure it is where only its metadata tells."""
    payload = message.payload
    content = message.text if isinstance(payload, bytes) else payload
    sure = message.metadata.get("confidence")
    if sure is None or (isinstance(content, dict) and "confidence" in content):
        return content
    return (
        {**content, "confidence": sure}
        if isinstance(content, dict)
        else {"content": content, "confidence": sure}
    )


AGENT = AggregatorAgent
