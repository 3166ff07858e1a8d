"""Who rephrases a question, judges what was found, and answers in the documents' own sentences.

Everything is computed from the question and the documents; a model can take each place.
"""

from __future__ import annotations

import math
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
    """The passages that share words with the question, those that share most of them first; rare ones count more."""
    asked = worth(found)
    shares = {p["id"]: about(asked, p["content"]) for p in found["documents"]}
    return sorted((name for name in shares if shares[name]), key=lambda name: -shares[name])


@agent
def writer(found: Found) -> str:
    """The sentences that say most about the question, each with the place it stands in."""
    asked = worth(found)
    lines = {
        sentence: passage.get("source", passage["id"])
        for passage in reversed(found["documents"])  # of a sentence in two, the better one's place
        for sentence in sentences(passage["content"])
    }
    best = sorted(lines.items(), key=lambda line: -share(asked, line[0]))[:SENTENCES]
    return "\n".join(f"{sentence} [{source}]" for sentence, source in best)


def worth(found: Found) -> dict[str, float]:
    """The words of the question, and how much each tells: the fewer passages have it, the more."""
    texts = [set(words(passage["content"])) for passage in found["documents"]]
    return {
        word: math.log(1 + len(texts) / (1 + sum(word in text for text in texts)))
        for word in words(found["question"])
    }


def about(asked: dict[str, float], text: str) -> float:
    """How much of what was asked a text has."""
    said = set(words(text))
    return sum(value for word, value in asked.items() if word in said)


def share(asked: dict[str, float], sentence: str) -> float:
    """How much of a sentence is about what was asked; of two that say as much, the shorter is better."""
    return about(asked, sentence) / (8 + len(words(sentence)))


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
