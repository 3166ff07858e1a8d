"""RAG: what retrievers find about a question goes with it to a generator, who answers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self, cast

from aixgo.context import CallContext
from aixgo.contract import Caller
from aixgo.errors import AgentRefused, AixgoError, ConfigError
from aixgo.keys import Key, check_given
from aixgo.message import JSONValue, Message
from aixgo.orchestration._caller import all_or_first_failure
from aixgo.orchestration._found import (
    Found,
    as_one,
    by_words,
    documents_of,
    ordered,
    relevant,
)
from aixgo.orchestration._graph import END, START, Edge, Place
from aixgo.orchestration._partial import described
from aixgo.orchestration._payloads import stated_in
from aixgo.orchestration.base import (
    ErrorStrategy,
    Fact,
    Limits,
    OnFailure,
    Orchestrator,
    Slot,
    ends_run,
    slot_name,
)
from aixgo.purse import Share

__all__ = ["PATTERN", "RAG"]

WIDER = 3  # times as many documents are asked for when somebody picks among them
MAX_SESSIONS = 1_000  # whose turns are kept; the one used longest ago is forgotten
MAX_TURN = 4_000  # characters kept of a question and of an answer
MOST_QUERIES = 16


class RAG(Orchestrator):
    """Retrievers find documents, an optional reranker picks among them, and a generator answers from them.

    A retriever gets the question as text, with `top_k` in its metadata, and gives documents: a list, `documents` of
    an object, or text with a line `---` between them. One is text, or an object with `content` (or `text`) and maybe
    `id`, `source` and `score`. Of several rankings, of retrievers or of queries, one is made by reciprocal ranks;
    ties go by order of retrievers and queries. An `expander` gets the question and gives further queries, a list or
    a line each. A `relevance_filter` gets `{"question", "documents"}` and gives the ids of those to keep, objects
    with `id`, or true or false for each; what it keeps stays in its order. A `reranker` then gets the same and gives
    the ids in a better order, or objects with `id`, or a score for each; what it leaves out is dropped. Both may
    write their list as JSON in text. The generator gets `{"question", "documents"}` (type `rag_augmented`), and
    `history` when the run is `conversational`: the last turns of the call's session and principal, kept here; a call
    without a session has none. A search that fails is done without while another succeeded.
    """

    pattern = "rag"
    config_keys: ClassVar[Mapping[str, Key]] = {
        "retriever": Key("slot", "the agent that finds; by default the first of `agents`"),
        "retrievers": Key("slots", "several that find; their rankings are fused"),
        "generator": Key("slot", "the agent that answers; by default the next of `agents`"),
        "top_k": Key("integer", "documents the generator gets", minimum=1, default=5),
        "expander": Key("slot", "an agent that gives further queries"),
        "max_queries": Key(
            "integer", "queries, the question included", minimum=1, maximum=MOST_QUERIES, default=4
        ),
        "relevance_filter": Key("slot", "an agent that says which of what was found is relevant"),
        "reranker": Key("slot", "an agent that picks and orders what was found"),
        "rerank": Key("boolean", "without a reranker: by the question's words", default=False),
        "min_score": Key("number", "leave out what a retriever scores lower"),
        "conversational": Key("boolean", "go on with the turns of a session", default=False),
        "history_turns": Key("integer", "turns of a session that count", minimum=1, default=5),
        "on_empty": Key(
            "text",
            "what happens when nothing is found",
            choices=("generate", "refuse"),
            default="generate",
        ),
    }
    facts: ClassVar[Mapping[str, Fact]] = {
        "sources": Fact("of the documents the generator got", stays=True),
        "document_count": Fact("how many these were"),
        "queries": Fact("what was searched for"),
        "query_count": Fact("how many these were"),
        "filtered_count": Fact("documents that the relevance filter dropped"),
        "errors": Fact("search that failed → class and text"),
    }

    def __init__(
        self,
        name: str,
        retrievers: Slot | Sequence[Slot],
        generator: Slot,
        *,
        top_k: int = 5,
        expander: Slot | None = None,
        max_queries: int = 4,
        relevance_filter: Slot | None = None,
        reranker: Slot | None = None,
        rerank: bool = False,
        min_score: float | None = None,
        conversational: bool = False,
        history_turns: int = 5,
        on_empty: str = "generate",
        timeout: float | None = None,
        description: str = "",
        limits: Limits | None = None,
        error_strategy: ErrorStrategy | OnFailure | None = None,
    ) -> None:
        where = f"rag {name!r}"
        several = isinstance(retrievers, (list, tuple))
        found = list(cast("Sequence[Slot]", retrievers) if several else [cast("Slot", retrievers)])
        if not found:
            raise ConfigError(f"{where} needs a retriever")
        others = [
            slot for slot in (expander, relevance_filter, reranker, generator) if slot is not None
        ]
        super().__init__(
            name,
            [*found, *others],
            description=description,
            limits=limits,
            timeout=timeout,
            error_strategy=error_strategy,
        )
        self._retrievers = [slot_name(slot, where) for slot in found]
        twice = [one for one in self._retrievers if self._retrievers.count(one) > 1]
        if twice:
            raise ConfigError(f"{where}: the retriever {twice[0]!r} is given twice")
        self._generator = slot_name(generator, where)
        self._expander = "" if expander is None else slot_name(expander, where)
        self._filter = "" if relevance_filter is None else slot_name(relevance_filter, where)
        self._reranker = "" if reranker is None else slot_name(reranker, where)
        check_given(
            self.config_keys,
            where,
            top_k=top_k,
            max_queries=max_queries,
            rerank=rerank,
            min_score=min_score,
            conversational=conversational,
            history_turns=history_turns,
            on_empty=on_empty,
        )
        self.top_k, self.max_queries, self.min_score = top_k, max_queries, min_score
        self.rerank, self.conversational, self.on_empty = rerank, conversational, on_empty
        self.history_turns = history_turns
        self._turns: OrderedDict[tuple[str, str, str], list[JSONValue]] = OrderedDict()

    @classmethod
    def from_config(
        cls, name: str, agents: Sequence[Slot], config: Mapping[str, object], limits: Limits
    ) -> Self:
        """The pattern as YAML states it; `agents` fill the places that `config` leaves open, in their order."""
        where = f"rag {name!r}"
        settings = cls.settings(config, where)
        one = cast("Slot | None", settings.pop("retriever", None))
        several = cast("list[Slot] | None", settings.pop("retrievers", None))
        generator = cast("Slot | None", settings.pop("generator", None))
        if one is not None and several is not None:
            raise ConfigError(f"{where}: give retriever or retrievers, not both")
        chosen = [one] if one is not None else several
        optional = ("expander", "relevance_filter", "reranker")
        others = (*(settings.get(key) for key in optional), generator)
        taken = [*(chosen or ()), *(cast("Slot", slot) for slot in others if slot is not None)]
        placed = {slot_name(slot, where) for slot in taken}
        free = [slot for slot in agents if slot_name(slot, where) not in placed]
        if chosen is None:
            chosen = [free.pop(0)] if free else []
        if generator is None:
            if not free:
                raise ConfigError(f"{where} needs a retriever and a generator")
            generator = free.pop(0)
        if free:
            raise ConfigError(
                f"{where}: {slot_name(free[0], where)!r} has no place: name it in `retrievers`, or leave it out"
            )
        return cls(name, chosen, generator, limits=limits, **cast("dict[str, Any]", settings))

    def edges(self) -> Iterable[Edge]:
        """The question to all who find, what they found to who picks and who answers."""
        begin: Place = START
        if self._expander:
            yield Edge(START, self._expander)
            begin = self._expander
        picks = self._reranker or self._generator
        first = self._filter or picks
        for retriever in self._retrievers:
            yield Edge(begin, retriever, "queries" if self._expander else "")
            yield Edge(retriever, first, "documents")
        if self._filter:
            yield Edge(self._filter, picks, "what is relevant")
        if self._reranker:
            yield Edge(self._reranker, self._generator, f"the best {self.top_k}")
        yield Edge(self._generator, END)

    async def run(self, message: Message, caller: Caller) -> Message:
        """Find, pick, answer."""
        question = self._question(message)
        session = self._session()
        history = self._turns.get(session, []) if session else []
        asked = question
        if history:  # "and in winter?" is found by what was talked of
            asked = f"{cast('dict[str, str]', history[-1])['question']}\n{question}"
        queries = await self._queries(asked, caller)
        documents, errors = await self._retrieved(queries, caller)
        documents, dropped = await self._kept(question, documents, caller)
        documents = (await self._picked(question, documents, caller))[: self.top_k]
        if not documents and self.on_empty == "refuse":
            raise AgentRefused(f"rag {self.name!r} found no documents about {question[:80]!r}")
        request: dict[str, JSONValue] = {
            "question": question,
            "documents": [document.shown() for document in documents],
        }
        if history:
            request["history"] = [*history]
        given = Message(request, type="rag_augmented", metadata=message.metadata)
        reply = await caller.call(self._generator, given)
        if session:
            self._keep(session, question, reply.text)
        sources = dict.fromkeys(document.source or document.key for document in documents)
        return self.result(
            reply,
            sources=[*sources],
            document_count=len(documents),
            queries=[*queries],
            query_count=len(queries),
            filtered_count=dropped,
            errors=errors or None,
        )

    def _question(self, message: Message) -> str:
        payload = message.payload
        text: object = message.text
        if isinstance(payload, dict):
            text = payload.get("question", payload.get("query"))
        if not isinstance(text, str) or not text.strip():
            raise AgentRefused(
                f"rag {self.name!r} takes a question: text, or an object with `question`"
            )
        return text.strip()

    async def _queries(self, question: str, caller: Caller) -> list[str]:
        """The question, and what the expander makes of it."""
        if not self._expander:
            return [question]
        reply = await caller.call(self._expander, Message(question, type="expand"))
        stated = stated_in(reply)
        given = stated if isinstance(stated, list) else reply.text.splitlines()
        if isinstance(stated, dict) or not all(isinstance(query, str) for query in given):
            raise AgentRefused(
                f"the expander {self._expander!r} of {self.name!r} gave no queries: it gives a list of text"
            )
        wanted = [query.strip() for query in cast("list[str]", given)]
        return list(dict.fromkeys([question, *filter(None, wanted)]))[: self.max_queries]

    async def _retrieved(
        self, queries: Sequence[str], caller: Caller
    ) -> tuple[list[Found], dict[str, JSONValue]]:
        """What all searches found, as one ranking, and why some failed."""
        context = CallContext.current()
        searches = [(who, i, query) for i, query in enumerate(queries) for who in self._retrievers]
        labels = [who if len(queries) == 1 else f"{who}[{i}]" for who, i, _ in searches]
        keys = [context.child_key(label) for label in labels]
        later = (self._filter, self._reranker, self._generator)
        shares = context.shares(len(searches), after=sum(map(bool, later)))
        picks = self._filter or self._reranker or self.rerank
        count = self.top_k * (WIDER if picks else 1)

        async def search(at: int, share: Share) -> list[Found] | AixgoError:
            who, _, query = searches[at]
            request = Message(query, type="retrieve", metadata={"top_k": count})
            try:
                reply = await caller.call(who, request, key=keys[at], share=share)
                found = documents_of(reply, f"{who!r} of {self.name!r}")
                return [document for document in found if self._scores(document)][:count]
            except AixgoError as exc:
                goes_on = self.error_strategy is None or self.error_strategy.goes_on
                if not goes_on or len(searches) == 1 or ends_run(exc, context):
                    raise
                return exc

        found = await all_or_first_failure(
            [
                lambda at=at, share=share: search(at, share)  # type: ignore[misc]  # mypy infers no defaults
                for at, share in enumerate(shares)
            ]
        )
        failed = [
            (label, e) for label, e in zip(labels, found, strict=True) if isinstance(e, AixgoError)
        ]
        if len(failed) == len(searches):
            context.check_deadline()
            raise failed[0][1]
        rankings = [ranking for ranking in found if not isinstance(ranking, AixgoError)]
        errors: dict[str, JSONValue] = {label: described(error) for label, error in failed}
        return as_one(rankings), errors

    async def _kept(
        self, question: str, documents: list[Found], caller: Caller
    ) -> tuple[list[Found], int | None]:
        """The documents that are relevant, and how many were not; None if nobody was asked."""
        if not self._filter:
            return documents, None
        if not documents:
            return [], 0
        shown: list[JSONValue] = [document.shown() for document in documents]
        request = Message({"question": question, "documents": shown}, type="filter")
        reply = await caller.call(self._filter, request)
        kept = relevant(reply, documents, f"{self._filter!r} of {self.name!r}")
        return kept, len(documents) - len(kept)

    async def _picked(self, question: str, documents: list[Found], caller: Caller) -> list[Found]:
        """The documents in the order of the reranker."""
        if not documents or not (self._reranker or self.rerank):
            return documents
        if not self._reranker:
            return by_words(question, documents)
        shown: list[JSONValue] = [document.shown() for document in documents]
        request = Message({"question": question, "documents": shown}, type="rerank")
        reply = await caller.call(self._reranker, request)
        return ordered(reply, documents, f"{self._reranker!r} of {self.name!r}")

    def _scores(self, document: Found) -> bool:
        least = self.min_score
        return least is None or document.score is None or document.score >= least

    def _session(self) -> tuple[str, str, str] | None:
        """Whose turns these are; none for a call without a session."""
        context = CallContext.current()
        if not self.conversational or not context.session:
            return None
        return (context.tenant, context.principal, context.session)

    def _keep(self, session: tuple[str, str, str], question: str, answer: str) -> None:
        turn: JSONValue = {"question": question[:MAX_TURN], "answer": answer[:MAX_TURN]}
        self._turns[session] = [*self._turns.get(session, []), turn][-self.history_turns :]
        self._turns.move_to_end(session)
        while len(self._turns) > MAX_SESSIONS:
            self._turns.popitem(last=False)


PATTERN = RAG
