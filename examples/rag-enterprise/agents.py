"""Who rephrases a question, judges what was found, and answers in the documents' own sentences.

Everything is computed from the question and the documents; a model can take each place.
"""

from __future__ import annotations

import re
from typing import NotRequired, TypedDict

from aixgo import agent

WORD = re.compile(r"[a-z][a-z_]{2,}")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`\"])")
MARKS = re.compile(r"^[#>|\-*\s]+|\[([^\]]*)\]\([^)]*\)|[*]")
WHOLE = re.compile(r"[A-Z`].*[.!?]$")
CODE = re.compile(r" [|=] |\b(await|import|assert|def) |==")  # of a block that was cut
COMMON = re.compile(
    r"(and|are|but|can|does|for|from|has|have|how|into|its|not|that|the|their|then|there|this|what|when|where|which|"
    r"who|why|will|with|you|your)$"
)
SENTENCES = 3  # of an answer


class Passage(TypedDict):
    id: str
    content: str
    source: NotRequired[str]


class Found(TypedDict):
    question: str
    documents: list[Passage]


@agent
def rephrase(question: str) -> list[str]:
    """The question without the words that every question has."""
    return [" ".join(words(question))]


@agent
def judge(found: Found) -> list[str]:
    """The passages that share words with the question, those that share most of them first."""
    asked = set(words(found["question"]))
    shares = {p["id"]: len(asked & set(words(p["content"]))) for p in found["documents"]}
    return sorted((name for name in shares if shares[name]), key=lambda name: -shares[name])


@agent
def writer(found: Found) -> str:
    """The sentences that say most about the question, each with the place it stands in."""
    asked = set(words(found["question"]))
    lines = [
        (sentence, passage.get("source", passage["id"]))
        for passage in found["documents"]
        for sentence in sentences(passage["content"])
    ]
    best = sorted(lines, key=lambda line: -share(asked, line[0]))[:SENTENCES]
    return "\n".join(f"{sentence} [{source}]" for sentence, source in best)


def share(asked: set[str], sentence: str) -> float:
    """How much of a sentence is about what was asked; of two that say as much, the shorter is better."""
    said = words(sentence)
    return len(asked & set(said)) / (8 + len(said))


def words(text: str) -> list[str]:
    """The words that say something, without their plural, in their order."""
    found = (word.rstrip("s") for word in WORD.findall(text.lower()) if not COMMON.match(word))
    return list(dict.fromkeys(found))


def sentences(passage: str) -> list[str]:
    """The sentences of a passage: no code, no tables, no headings, no links."""
    prose = re.sub(r"^```.*?(^```|\Z)", "", passage, flags=re.MULTILINE | re.DOTALL)
    paragraphs = re.split(r"\n\s*\n|\n(?=[-*] )", prose)
    texts = (p for p in paragraphs if p.strip() and not p.lstrip().startswith(("#", "|")))
    plain = (" ".join(MARKS.sub(lambda m: m[1] or "", text.strip()).split()) for text in texts)
    found = (sentence for text in plain for sentence in SENTENCE_END.split(text))
    return [s for s in found if WHOLE.match(s) and len(s.split()) > 4 and not CODE.search(s)]
