"""Documents as retrievers give them, and what others say about which of them count.

Below: message, retrieval.fusion. Above: rag.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from aixgo.domain import number_of
from aixgo.errors import AgentRefused
from aixgo.message import JSONValue, Message
from aixgo.orchestration._payloads import stated_in
from aixgo.retrieval.fusion import fused

__all__ = ["Found", "as_one", "by_words", "documents_of", "ordered", "relevant"]

MAX_NAME = 60  # characters of a document that it is called by
RULE = re.compile(r"^[ \t]*---+[ \t]*\r?$", re.MULTILINE)


@dataclass(slots=True, frozen=True)
class Found:
    """A document as a retriever gave it; `key` says which are the same."""

    key: str
    content: str
    source: str
    score: float | None

    def shown(self) -> dict[str, JSONValue]:
        found: dict[str, JSONValue] = {"id": self.key, "content": self.content}
        return {**found, "source": self.source} if self.source else found


def documents_of(reply: Message, who: str) -> list[Found]:
    """What a retriever gave.

    Raises:
        AgentRefused: it gave no documents.
    """
    payload = reply.payload
    given = payload.get("documents") if isinstance(payload, dict) else payload
    if isinstance(given, (str, bytes)):
        given = [part.strip() for part in RULE.split(reply.text) if part.strip()]
    if not isinstance(given, list):
        raise AgentRefused(
            f"the retriever {who} gave no documents: it gives a list, or an object with the list `documents`"
        )
    return [_document(item, who) for item in given]


def _document(item: JSONValue, who: str) -> Found:
    facts = {"content": item} if isinstance(item, str) else item
    content = facts.get("content", facts.get("text")) if isinstance(facts, dict) else None
    if not isinstance(facts, dict) or not isinstance(content, str):
        raise AgentRefused(
            f"the retriever {who} gave a document without `content`: {str(item)[:80]}"
        )
    source, score = facts.get("source"), facts.get("score")
    name = facts.get("id")
    return Found(
        _name_of(content) if name in (None, "") else str(name),
        content,
        source if isinstance(source, str) else "",
        number_of(score),
    )


def _name_of(content: str) -> str:
    """What a document without an id is called: what it says, of a long one the beginning and a digest."""
    if len(content) <= MAX_NAME:
        return content
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    return f"{' '.join(content[:MAX_NAME].split())}… {digest}"


def as_one(rankings: Sequence[Sequence[Found]]) -> list[Found]:
    """One ranking, each document once."""
    by_key: dict[str, Found] = {}
    for document in (document for ranking in rankings for document in ranking):
        by_key.setdefault(document.key, document)
    if len(rankings) == 1:
        return list(by_key.values())
    ranks = fused([document.key for document in ranking] for ranking in rankings)
    return [replace(by_key[key], score=score) for key, score in ranks]


def by_words(question: str, documents: Sequence[Found]) -> list[Found]:
    """Those first that have more words of the question."""
    words = _words(question)
    return sorted(documents, key=lambda found: -len(words & _words(found.content)))


def relevant(reply: Message, documents: Sequence[Found], who: str) -> list[Found]:
    """The documents that a relevance filter keeps, in the order they had.

    Raises:
        AgentRefused: it did not say which.
    """
    given = _listed(reply)
    if given is not None and given and all(isinstance(item, bool) for item in given):
        if len(given) == len(documents):
            return [document for document, keeps in zip(documents, given, strict=True) if keeps]
        given = None
    known = {document.key for document in documents}
    kept = None if given is None else {_id_of(item) for item in given}
    if kept is None or not kept <= known:
        raise AgentRefused(
            f"the relevance filter {who} did not say what is relevant: it gives the ids of the documents to keep, "
            "or true or false for each"
        )
    return [document for document in documents if document.key in kept]


def ordered(reply: Message, documents: Sequence[Found], who: str) -> list[Found]:
    """The documents in the order of a reranker.

    Raises:
        AgentRefused: it gave none.
    """
    given = _listed(reply)
    if given and all(number_of(item) is not None for item in given):
        if len(given) == len(documents):
            scored = zip(cast("list[float]", given), documents, strict=True)
            return [document for _, document in sorted(scored, key=lambda pair: -pair[0])]
        given = None
    by_key = {document.key: document for document in documents}
    ids = [""] if given is None else [_id_of(item) for item in given]
    if not all(key in by_key for key in ids):
        raise AgentRefused(
            f"the reranker {who} gave no order: it gives ids of the documents, or a score for each"
        )
    return [by_key[key] for key in dict.fromkeys(ids)]


def _listed(reply: Message) -> list[JSONValue] | None:
    """The list that an answer is, or holds as `documents`."""
    payload = stated_in(reply)
    given = payload.get("documents") if isinstance(payload, dict) else payload
    return given if isinstance(given, list) else None


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w{3,}", text.lower()))


def _id_of(item: JSONValue) -> str:
    found = item.get("id") if isinstance(item, dict) else item
    return found if isinstance(found, str) else ""
