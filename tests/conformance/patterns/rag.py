"""RAG."""

from __future__ import annotations

from aixgo.message import JSONValue
from aixgo.orchestration import RAG
from tests.conformance.patterns.base import Case

__all__ = ["CASES"]

ROSE: JSONValue = {"id": "r", "content": "roses are red", "source": "garden.md"}
SKY: JSONValue = {"id": "s", "content": "the sky is blue", "source": "sky.md"}


def garden(_: JSONValue) -> JSONValue:
    return {"documents": [ROSE, SKY]}


def heaven(_: JSONValue) -> JSONValue:
    return [SKY]


def first_word(asked: JSONValue) -> JSONValue:
    assert isinstance(asked, dict)
    documents = asked["documents"]
    assert isinstance(documents, list)
    return " | ".join(str(d["content"]) for d in documents)  # type: ignore[index,call-overload]


def also(question: JSONValue) -> JSONValue:
    return [f"{question} at night"]


def backwards(asked: JSONValue) -> JSONValue:
    assert isinstance(asked, dict)
    documents = asked["documents"]
    assert isinstance(documents, list)
    return [d["id"] for d in reversed(documents)]  # type: ignore[index,call-overload]


def about_the_sky(asked: JSONValue) -> JSONValue:
    assert isinstance(asked, dict)
    documents = asked["documents"]
    assert isinstance(documents, list)
    return ["sky" in str(d["content"]) for d in documents]  # type: ignore[index,call-overload]


CASES = [
    Case(
        name="look up",
        build=lambda: RAG("look up", "rag.garden", "rag.tell", top_k=1),
        config="{name: look up, pattern: rag, agents: [rag.garden, rag.tell], config: {top_k: 1}}",
        agents={"rag.garden": garden, "rag.tell": first_word},
        given="what is red?",
        gives="roses are red",
        calls=[
            ("rag.garden", "what is red?"),
            ("rag.tell", {"question": "what is red?", "documents": [ROSE]}),
        ],
        metadata={
            "pattern": "rag",
            "sources": ["garden.md"],
            "document_count": 1,
            "query_count": 1,
            "agent_count": 2,
        },
        flips={
            "rag.garden": (lambda _: "snow is white", "snow is white"),
            "rag.tell": (lambda _: "no", "no"),
        },
    ),
    Case(
        name="look everywhere",
        build=lambda: RAG(
            "look everywhere",
            ["rag.garden", "rag.heaven"],
            "rag.tell",
            expander="rag.also",
            reranker="rag.backwards",
        ),
        config="{name: look everywhere, pattern: rag, config: {retrievers: [rag.garden, rag.heaven], "
        "generator: rag.tell, expander: rag.also, reranker: rag.backwards}}",
        agents={
            "rag.garden": garden,
            "rag.heaven": heaven,
            "rag.tell": first_word,
            "rag.also": also,
            "rag.backwards": backwards,
        },
        given="what is blue?",
        gives="roses are red | the sky is blue",
        calls=[
            ("rag.also", "what is blue?"),
            ("rag.garden", "what is blue?"),
            ("rag.heaven", "what is blue?"),
            ("rag.garden", "what is blue? at night"),
            ("rag.heaven", "what is blue? at night"),
            ("rag.backwards", {"question": "what is blue?", "documents": [SKY, ROSE]}),
            ("rag.tell", {"question": "what is blue?", "documents": [ROSE, SKY]}),
        ],
        metadata={"query_count": 2, "sources": ["garden.md", "sky.md"], "agent_count": 5},
        flips={
            "rag.backwards": (lambda _: ["s"], "the sky is blue"),
            "rag.heaven": (lambda _: [ROSE], "the sky is blue | roses are red"),
        },
        survives={
            "rag.garden": "the sky is blue",
            "rag.heaven": "the sky is blue | roses are red",
        },
    ),
    Case(
        name="look closely",
        build=lambda: RAG(
            "look closely", "rag.garden", "rag.tell", relevance_filter="rag.about_the_sky"
        ),
        config="{name: look closely, pattern: rag, config: {retriever: rag.garden, "
        "generator: rag.tell, relevance_filter: rag.about_the_sky}}",
        agents={
            "rag.garden": garden,
            "rag.tell": first_word,
            "rag.about_the_sky": about_the_sky,
        },
        given="what is blue?",
        gives="the sky is blue",
        calls=[
            ("rag.garden", "what is blue?"),
            ("rag.about_the_sky", {"question": "what is blue?", "documents": [ROSE, SKY]}),
            ("rag.tell", {"question": "what is blue?", "documents": [SKY]}),
        ],
        metadata={"filtered_count": 1, "sources": ["sky.md"], "agent_count": 3},
        flips={"rag.about_the_sky": (lambda _: [True, False], "roses are red")},
    ),
]
