"""What can be read off a text without a model: sentences, telling words, the best fitting option.

Deterministic and linear in the text. Below: nothing. Above: `offline`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

__all__ = [
    "Choice",
    "Option",
    "key_words",
    "rank_options",
    "rank_sentences",
    "sentences",
    "tokens",
    "words",
]

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
TOKEN = re.compile(r"\w+|[^\w\s]")
SENTENCE_END = re.compile(
    r"(?<=[.!?…])[\"'”’)\]]*\s+(?=[\"'“‘(\[]?[^\sa-z])|\n\s*\n|\n(?=\s*(?:[-*#•]|\d+[.)]\s))"
)
DOUBT = 0.5  # score that no option gets: one weak match among nothing else is not certainty
SUFFIXES = ("ations", "ation", "ings", "ing", "edly", "ed", "ies", "es", "s", "ly")
COMMON = frozenset(
    """
    a about above after again all also am an and any are as at be because been before being below between both but by
    can could did do does doing down during each few for from further had has have having he her here hers him his how
    i if in into is it its itself just me more most must my no nor not of off on once only or other our ours out over
    own s same shall she should so some such t than that the their them then there these they this those through to
    too under until up upon us very was we were what when where which while who whom why will with would you your yours
    """.split()  # noqa: SIM905 - one word a line would fill two screens
)
NOT_PROSE = re.compile(
    r"^```.*?^```|^[ \t]*#{1,6} [^\n]*$|^[ \t]*\|[^\n]*$", re.MULTILINE | re.DOTALL
)  # code, headings, tables


@dataclass(slots=True, frozen=True)
class Option:
    """Something a text may be about: its name, and words and examples that tell."""

    name: str
    description: str = ""
    keywords: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()


@dataclass(slots=True, frozen=True)
class Choice:
    """How well an option fits a text. `share` is its part of all options' score; `matched` are the words."""

    name: str
    score: float
    share: float
    matched: tuple[str, ...]


def tokens(text: str) -> list[str]:
    """The words and signs of `text`, what this provider counts as tokens."""
    return TOKEN.findall(text)


def words(text: str) -> list[str]:
    """The telling words of `text`, lower-case and without endings, in order."""
    return [_stem(word) for word in WORD.findall(text.lower()) if word not in COMMON]


def sentences(text: str) -> list[str]:
    """The sentences of `text` in order, blanks collapsed.

    Headings, code and tables of Markdown are left out unless there is nothing else.
    """

    def split(prose: str) -> list[str]:
        parts = SENTENCE_END.split(prose)
        return [" ".join(part.split()) for part in parts if part and WORD.search(part)]

    return split(NOT_PROSE.sub("\n\n", text)) or split(text)


def rank_sentences(text: str, about: str = "") -> list[int]:
    """Indexes of `sentences(text)`, best first.

    A sentence scores by how frequent its words are in the text, by the words it shares with `about`, and a
    little by standing early.
    """
    parts = [words(sentence) for sentence in sentences(text)]
    counts = Counter(word for part in parts for word in set(part))
    wanted = set(words(about))

    def score(index: int) -> float:
        part = set(parts[index])
        if not part:
            return 0.0
        frequent = sum(counts[word] for word in part) / (
            len(part) + 4
        )  # + 4: short sentences say little
        return frequent * (1 + 0.3 / (index + 1)) + 2.0 * len(part & wanted)

    scores = [score(index) for index in range(len(parts))]
    return sorted(range(len(parts)), key=lambda index: (-scores[index], index))


def key_words(text: str, limit: int) -> list[str]:
    """The most frequent telling words of `text`, each as it is first written; ties in order of appearance."""
    spelling: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for word in WORD.findall(text):
        lower = word.lower()
        if lower in COMMON or len(lower) < 3 or lower.isdigit():
            continue
        stem = _stem(lower)
        spelling.setdefault(stem, lower)
        counts[stem] += 1
    return [spelling[stem] for stem, _ in counts.most_common(limit)]


def rank_options(text: str, options: Sequence[Option]) -> list[Choice]:
    """The options by how well they fit `text`, best first, ties in the order given.

    A word of an option's name weighs 3, of a keyword 2, of the description 1, of an example 0.5, divided by
    the number of options that have it. When nothing fits, all shares are equal.
    """
    present = set(words(text))
    padded = f" {' '.join(words(text))} "
    weights = [_weights(option) for option in options]
    spread = Counter(term for found in weights for term in found)
    choices: list[Choice] = []
    for option, found in zip(options, weights, strict=True):
        hits = {
            term: w / spread[term]
            for term, w in found.items()
            if term in present or f" {term} " in padded
        }
        choices.append(
            Choice(
                option.name,
                sum(hits.values()),
                0.0,
                tuple(sorted(hits, key=lambda t: (-hits[t], t))),
            )
        )
    total = sum(choice.score for choice in choices) + DOUBT
    even = 1 / len(choices) if choices else 0.0
    shared = [
        Choice(c.name, c.score, c.score / total if total > DOUBT else even, c.matched)
        for c in choices
    ]
    return sorted(shared, key=lambda choice: -choice.score)  # stable: ties keep their order


def _weights(option: Option) -> Mapping[str, float]:
    """What each word, or phrase of a keyword, tells for `option`."""
    found: dict[str, float] = {}

    def add(terms: Iterable[str], weight: float) -> None:
        for term in terms:
            found[term] = max(found.get(term, 0.0), weight)

    for example in option.examples:
        add(words(example), 0.5)
    add(words(option.description), 1.0)
    add((" ".join(words(keyword)) for keyword in option.keywords if words(keyword)), 2.0)
    add(words(re.sub(r"[_\-.]+", " ", option.name)), 3.0)
    return found


def _stem(word: str) -> str:
    for suffix in SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3 and not word.endswith("ss"):
            return word[: -len(suffix)]
    return word
