"""The agent of `agents/keywords`: the words and pairs of words a text uses most, stop words left out."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

from aixgo import Agent, agent
from aixgo.errors import ConfigError

WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
SENTENCE_END = re.compile(r"[.!?…:;]\s|\n\s*\n")
SHORTEST = 3  # letters of a word that is counted
STOP_WORDS = {
    "en": """
        about above after again all also and any are because been before being between both but can cannot could did
        does doing done down during each either for from further had has have having her here hers him his how into its
        itself just like may might more most much must nor not now off once one only other our ours out over own same
        shall she should since some such than that the their them then there these they this those through too two under
        until upon use used very was were what when where whether which while who whose why will with within without
        would you your yours
    """,
    "de": """
        aber alle allem allen aller alles als also andere anderen auch auf aus bei beim bin bis bist dabei
        dadurch daher damit dann daran darauf das dass dein dem den denn der des deshalb die dies diese diesem
        diesen dieser dieses dir doch dort durch ein eine einem einen einer eines euch für hat hatte hier hinter
        ihm ihn ihnen ihr ihre ihrem ihren ihrer immer ist jede jedem jeden jeder jedes jetzt kann kein keine
        keinem keinen keiner können man mehr mein mich mir mit muss müssen nach nicht noch nun nur oder ohne
        sehr sein seine seinem seinen seiner sich sie sind soll sollen über und uns unser unter vom von vor war
        waren warum was weil wenn wer werden wie wieder wird wir wurde wurden zum zur zwischen
    """,
}


def make(limit: object = 10, language: object = "en") -> Agent:
    """The agent, as `agent.yaml` sets it."""
    listed = STOP_WORDS.get(language) if isinstance(language, str) else None
    if listed is None:
        known = ", ".join(STOP_WORDS)
        raise ConfigError(f"keywords: there are no stop words for {language!r}, only for: {known}")
    if not isinstance(limit, int) or limit < 1:
        raise ConfigError(f"keywords: limit is {limit!r}; it must be a number from 1 up")
    stop_words = frozenset(listed.split())

    @agent(role="keywords")
    def keywords(text: str) -> list[dict[str, str | int]]:
        """The most frequent words and pairs, {"keyword", "count"}; ties by first appearance."""
        counts: Counter[str] = Counter()
        for sentence in SENTENCE_END.split(text):
            words = [word.lower() for word in WORD.findall(sentence)]
            telling = [len(word) >= SHORTEST and word not in stop_words for word in words]
            counts.update(word for word, tells in zip(words, telling, strict=True) if tells)
            pairs = pairwise(zip(words, telling, strict=True))
            counts.update(f"{a} {b}" for (a, tells), (b, too) in pairs if tells and too)
        repeated = {word: n for word, n in counts.items() if n > 1 or " " not in word}
        found = Counter(repeated).most_common(limit)
        return [{"keyword": keyword, "count": count} for keyword, count in found]

    return keywords
