"""The demo's own agents: plain functions that read a document. `config.yaml` says how they work together.

Nothing here knows whether it runs in one process or in twelve. Each function computes its answer from the text
it gets, by the rules its docstring names, so another document gives another answer.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from statistics import fmean

from aixgo import AgentRefused, agent

WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+(?=[\"'“‘(\[]?[^\sa-z])|\n\s*\n")
VOWELS = re.compile(r"[aeiouyáàâäéèêëíìîïóòôöúùûü]+")
FENCE = re.compile(r"^(```|~~~)[^\n]*\n.*?^\1[ \t]*$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^(#{1,6})\s+(.+?)\s*#*$", re.MULTILINE)
NUMBERED = re.compile(r"(?:^|\n\s*\n)[ \t]*(\d+(?:\.\d+)*)\.?[ \t]+([A-Z][^.\n]{2,70})")
DATE = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")
DUTY = re.compile(
    r"\b(must not|must|shall not|shall|may not|cannot|is required to|are required to)\b"
)
QUOTE = re.compile(r"“([^”]{2,160})”|\"([^\"\n]{2,160})\"")
NAME = re.compile(r"(?<![.!?…:\"“”]\s)(?<![\"“])(?<!^)\b[A-Z][a-z]+(?: [A-Z][a-z]+)*\b")

WORDS_A_MINUTE = 238  # silent reading of English non-fiction: Brysbaert, Journal of Memory and Language 109 (2019)
SHOWN = 12  # entries of any list; the report says how many there are in all
STOP_WORDS = frozenset(
    """
    a about above after again all also an and any are as at be because been before being below between both but by can
    could did do does doing down during each either else ever every few for from further had has have having he her here
    hers him his how however i if in into is it its itself just like many may me might more most much must my no nor not
    now of off on once one only or other our ours out over own same shall she should since so some such than that the
    their theirs them then there these they this those through thus to too two under until up upon us use used very was
    we were what when where whether which while who whom whose why will with within without would yes yet you your yours
    """.split()  # noqa: SIM905 - one word a line would fill two screens
)


@dataclass(frozen=True)
class Statistics:
    words: int
    sentences: int
    paragraphs: int
    words_per_sentence: float
    longest_sentence: int
    distinct_words: int
    syllables_per_word: float
    reading_ease: float
    school_grade: float
    minutes: float


@dataclass(frozen=True)
class Keyword:
    word: str
    count: int


@dataclass(frozen=True)
class Outline:
    title: str
    source: str
    total: int
    entries: list[tuple[int, str]] = field(default_factory=list)
    """Level, from 1, and title."""


@dataclass(frozen=True)
class Inspection:
    """What the agent for one kind of document found: `title` says what `points` are, `total` how many there are."""

    kind: str
    title: str
    total: int
    points: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Findings:
    """What `report` is made from: one field per slot of the `reading` step, under its name."""

    statistics: Statistics
    keywords: list[Keyword]
    outline: Outline
    summary: str
    inspection: Inspection


# -- the first step ---------------------------------------------------------------------------------------


@agent(role="cleaner")
def clean(text: str) -> str:
    """One spelling of line ends and characters, without front matter, comments and trailing blanks."""
    text = (
        unicodedata.normalize("NFC", text)
        .replace("\r\n", "\n")
        .replace("\r", "\n")
        .lstrip("\ufeff")
    )
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)
    text = re.sub(r"\n{3,}", "\n\n", text).strip("\n")
    if not WORD.search(text):
        raise AgentRefused("the document holds no words")
    return text


# -- the second step: each reads the same cleaned text ------------------------------------------------------


@agent(role="analyst")
def statistics(text: str) -> Statistics:
    """Counts, and how hard the text is to read.

    Reading ease is 206.835 - 1.015 words/sentence - 84.6 syllables/word (Flesch, "A new readability yardstick",
    Journal of Applied Psychology 32, 1948); the school grade is 0.39 words/sentence + 11.8 syllables/word - 15.59
    (Kincaid et al., Research Branch Report 8-75, US Navy, 1975). Both were made for English. Syllables are counted
    as groups of vowels, a final silent e left out.
    """
    running = prose(text)
    parts = [count for part in sentences(running) if (count := len(WORD.findall(part)))]
    words = [word.lower() for word in WORD.findall(running)]
    if not words:
        raise AgentRefused("the document holds code and tables, but no sentences")
    per_sentence = fmean(parts)
    per_word = fmean(syllables(word) for word in words)
    return Statistics(
        words=len(words),
        sentences=len(parts),
        paragraphs=sum(bool(WORD.search(part)) for part in re.split(r"\n\s*\n", running)),
        words_per_sentence=round(per_sentence, 1),
        longest_sentence=max(parts),
        distinct_words=len(set(words)),
        syllables_per_word=round(per_word, 2),
        reading_ease=round(206.835 - 1.015 * per_sentence - 84.6 * per_word, 1),
        school_grade=round(0.39 * per_sentence + 11.8 * per_word - 15.59, 1),
        minutes=round(len(words) / WORDS_A_MINUTE, 1),
    )


@agent(role="analyst")
def keywords(text: str) -> list[Keyword]:
    """The most frequent words that are no stop words, singular and plural as one; ties by first appearance."""
    spelled = [word.lower() for word in WORD.findall(prose(text))]
    known = set(spelled)
    counts = Counter(
        word[:-1] if word.endswith("s") and word[:-1] in known else word
        for word in spelled
        if len(word) > 2 and word not in STOP_WORDS
    )
    return [Keyword(word, count) for word, count in counts.most_common(SHOWN)]


@agent(role="analyst")
def outline(text: str) -> Outline:
    """The headings; in a text without any the numbered sections, or else the first sentence of each paragraph."""
    unfenced = FENCE.sub("", text)
    found = [(len(marks), spoken(title)) for marks, title in HEADING.findall(unfenced)]
    source = "headings"
    if not found:
        source = "numbered sections"
        found = [
            (number.count(".") + 1, title.strip()) for number, title in NUMBERED.findall(unfenced)
        ]
    if not found:
        source = "first sentences"
        paragraphs = re.split(r"\n\s*\n", prose(text))
        found = [(1, shortened(sentences(part)[0])) for part in paragraphs if WORD.search(part)]
    title = (
        found[0][1]
        if source == "headings"
        else next(line for line in text.splitlines() if WORD.search(line))
    )
    return Outline(shortened(title), source, len(found), found[:SHOWN])


@agent(role="cleaner")
def plain(text: str) -> str:
    """The running text alone, which is what there is to summarise."""
    return prose(text)


# -- one of these finishes the inspection: the router picks it by the kind of document ----------------------


@agent(role="inspector")
def commands(text: str) -> Inspection:
    """For a guide: its code blocks by language, and the names it writes as code most often."""
    languages = Counter(
        (found[0].splitlines()[0].strip("`~ \t") or "plain") for found in FENCE.finditer(text)
    )
    names = Counter(re.findall(r"(?<!`)`([^`\n]{2,40})`(?!`)", FENCE.sub("", text)))
    points = [f"{language} blocks ({count})" for language, count in languages.most_common()]
    points += [f"`{name}` ({count})" for name, count in names.most_common(SHOWN - len(points))]
    return Inspection("guide", "Code in it", languages.total() + len(names), points)


@agent(role="inspector")
def duties(text: str) -> Inspection:
    """For a legal text: the sentences that oblige or forbid."""
    found = [sentence for sentence in sentences(prose(text)) if DUTY.search(sentence)]
    return Inspection(
        "legal text", "What it demands", len(found), [shortened(s) for s in found[:SHOWN]]
    )


@agent(role="inspector")
def timeline(text: str) -> Inspection:
    """For a record: its dates in order, each with the rest of the line that names it."""
    dated = [(found[0], line) for line in text.splitlines() if (found := DATE.search(line))]
    points = [
        f"{date}: {shortened(spoken(line).replace(date, '').strip(' -–*+:[]()'))}".rstrip(": ")
        for date, line in sorted(dated)
    ]
    return Inspection("record", "Dates in it", len(points), points[:SHOWN])


@agent(role="inspector")
def voices(text: str) -> Inspection:
    """For prose, and what fits nothing else: the names it mentions most, and what is quoted."""
    running = " ".join(prose(text).split())
    names = Counter(name for name in NAME.findall(running) if name.lower() not in STOP_WORDS)
    quotes = [shortened(curly or straight) for curly, straight in QUOTE.findall(running)]
    points = [f"{name} ({count})" for name, count in names.most_common(SHOWN // 2)]
    points += [f"“{quote}”" for quote in quotes[: SHOWN // 2]]
    return Inspection("piece of prose", "Names and quotes", len(names) + len(quotes), points)


# -- the last step ------------------------------------------------------------------------------------------


@agent(role="writer")
def report(findings: Findings) -> str:
    """All findings as one Markdown text."""
    facts, found, outlined = findings.statistics, findings.inspection, findings.outline
    indent = min((level for level, _ in outlined.entries), default=1)
    measures = (
        f"A {found.kind} of {facts.words:,} words in {facts.sentences:,} sentences, about {facts.minutes:g} minutes "
        f"to read.\nFlesch reading ease {facts.reading_ease:g} ({ease(facts.reading_ease)}), school grade "
        f"{facts.school_grade:g}; {facts.words_per_sentence:g} words a sentence, the longest has "
        f"{facts.longest_sentence}."
    )
    sections = {
        f"# {outlined.title}": measures,
        "## Summary": findings.summary,
        f"## Outline, from {outlined.source}{part(len(outlined.entries), outlined.total)}": "\n".join(
            f"{'  ' * (level - indent)}- {title}" for level, title in outlined.entries
        ),
        "## Keywords": ", ".join(f"{item.word} ({item.count})" for item in findings.keywords),
        f"## {found.title}{part(len(found.points), found.total)}": "\n".join(
            f"- {point}" for point in found.points
        ),
    }
    return "\n\n".join(f"{heading}\n\n{body or 'none'}" for heading, body in sections.items())


# -- reading --------------------------------------------------------------------------------------------------


def prose(text: str) -> str:
    """The text without code, headings, tables and the marks of Markdown."""
    text = FENCE.sub("\n", text)
    text = re.sub(r"^(?:#{1,6} [^\n]*|[ \t]*\|[^\n]*)$", "\n", text, flags=re.MULTILINE)
    text = re.sub(r"^[ \t]*(?:[-*+]|\d+[.)])[ \t]+", "\n", text, flags=re.MULTILINE)
    return spoken(text)


def spoken(text: str) -> str:
    """The text with links by their words and without the marks of code and emphasis."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r"[`*]|(?<!\w)_|_(?!\w)|^#+ ", "", text)


def sentences(running: str) -> list[str]:
    """The sentences of a text that `prose` made."""
    return [" ".join(part.split()) for part in SENTENCE_END.split(running) if WORD.search(part)]


def syllables(word: str) -> int:
    """The groups of vowels of a lower-case word, without a final silent e; at least one."""
    groups = len(VOWELS.findall(word))
    silent = word.endswith("e") and not word.endswith(("le", "ee")) and groups > 1
    return max(1, groups - silent)


def ease(score: float) -> str:
    """Flesch's word for a reading ease."""
    bounds = (
        (90, "very easy"),
        (80, "easy"),
        (70, "fairly easy"),
        (60, "standard"),
        (50, "fairly difficult"),
    )
    words = (word for bound, word in bounds if score >= bound)
    return next(words, "difficult" if score >= 30 else "very difficult")


def shortened(sentence: str, size: int = 100) -> str:
    """The sentence, cut after a word when it is longer than `size` characters."""
    sentence = " ".join(sentence.split())
    return sentence if len(sentence) <= size else sentence[:size].rsplit(" ", 1)[0] + " …"


def part(count: int, total: int) -> str:
    """Says so when a list is not the whole one."""
    return f" (the first {count} of {total})" if count < total else ""
