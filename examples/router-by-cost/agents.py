"""Three ways to answer, from a sum to a look at the whole text; the first two can do less and cost less."""

import re
from collections import Counter

from aixgo import AgentRefused, agent

OPERATIONS = {
    "plus": lambda a, b: a + b,
    "minus": lambda a, b: a - b,
    "times": lambda a, b: a * b,
    "divided by": lambda a, b: a / b,
}
NUMBER = r"(-?\d+(?:\.\d+)?)"
SUM = re.compile(rf"{NUMBER}\s+({'|'.join(OPERATIONS)})\s+{NUMBER}", re.IGNORECASE)

TERMS = {
    "deadline": "the time by which a call has to be answered, over all agents it reaches",
    "budget": "what a call may spend, refused before it is spent",
    "agent": "something with a name that answers messages",
    "pattern": "an agent that answers through other agents",
}
COMMON = frozenset(
    ("the", "and", "that", "with", "from", "this", "have", "were", "they", "which", "each", "for")
)


@agent
async def calculator(text: str) -> dict:
    """The first sum in the text."""
    found = SUM.search(text)
    if found is None:
        raise AgentRefused("there is no sum of two numbers in it")
    left, name, right = float(found[1]), found[2].lower(), float(found[3])
    if name == "divided by" and right == 0:
        raise AgentRefused("nothing can be divided by zero")
    return {"by": "calculator", "sum": found[0], "result": round(OPERATIONS[name](left, right), 9)}


@agent
async def glossary(text: str) -> dict:
    """What the terms in the text mean."""
    words = re.findall(r"[a-z]+", text.lower())
    known = [term for term in TERMS if term in words or f"{term}s" in words]
    return {"by": "glossary", "terms": {term: TERMS[term] for term in known}}


@agent
async def analyst(text: str) -> dict:
    """The sentences that hold most of what the text is about."""
    sentences = re.split(r"(?<=[.!?])\s+", " ".join(text.split()))
    words = [word for word in re.findall(r"[a-z]{3,}", text.lower()) if word not in COMMON]
    weights = Counter(words)

    def weight(sentence: str) -> float:
        own = re.findall(r"[a-z]{3,}", sentence.lower())
        return sum(weights[word] for word in own) / (len(own) or 1)

    topics = [word for word, count in weights.most_common(3) if count > 1]
    return {"by": "analyst", "topics": topics, "key": max(sentences, key=weight)}
