"""Three ways to summarise a text by its own sentences, and a measure of how much of it a summary covers."""

import re
from collections import Counter

from aixgo import AgentRefused, agent

LENGTH = 2  # sentences of a summary
COMMON = """
a an and are as at be but by for from has have if in is it its no not of on or so that the their them then there they
this to was were when which who will with you your
"""


def sentences(text: str) -> list[str]:
    found = [part.strip() for part in re.split(r"(?<=[.!?])\s+", " ".join(text.split()))]
    if not any(found):
        raise AgentRefused("there is nothing to summarise")
    return found


def terms(text: str) -> Counter[str]:
    """The words that carry the text, and how often each stands in it."""
    return Counter(
        word for word in re.findall(r"[a-z]{3,}", text.lower()) if word not in COMMON.split()
    )


@agent
def opening(text: str) -> str:
    """The first sentences: news puts first what matters."""
    return " ".join(sentences(text)[:LENGTH])


@agent
def frequent(text: str) -> str:
    """The sentences whose words are the most frequent on average, in their order (Luhn, 1958)."""
    weights, listed = terms(text), sentences(text)

    def weight(sentence: str) -> float:
        words = terms(sentence)
        return sum(weights[word] for word in words) / (len(words) or 1)

    best = sorted(range(len(listed)), key=lambda i: (-weight(listed[i]), i))[:LENGTH]
    return " ".join(listed[i] for i in sorted(best))


@agent
def spread(text: str) -> str:
    """Sentence by sentence the one that adds the most frequent words not yet said."""
    weights, listed = terms(text), sentences(text)
    chosen: list[int] = []
    said: set[str] = set()
    for _ in range(min(LENGTH, len(listed))):
        gains = {
            i: sum(weights[word] for word in set(terms(listed[i])) - said)
            for i in range(len(listed))
            if i not in chosen
        }
        best = max(gains, key=lambda i: (gains[i], -i))
        chosen.append(best)
        said |= set(terms(listed[best]))
    return " ".join(listed[i] for i in sorted(chosen))


@agent
def coverage(asked: dict[str, str]) -> dict[str, float]:
    """The part of the text's words, by how often they stand in it, that the summary has; long ones pay for it."""
    weights, said = terms(asked["task"]), set(terms(asked["answer"]))
    covered = sum(count for word, count in weights.items() if word in said)
    share = covered / (sum(weights.values()) or 1)
    return {"score": round(share * (1 - len(asked["answer"]) / (2 * len(asked["task"]))), 4)}
