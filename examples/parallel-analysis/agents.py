"""Four analysts of a business text, and a writer who makes one brief of what they found."""

import re

from aixgo import AgentRefused, agent
from aixgo.message import JSONValue

GOOD = (
    "better exceeded gained good grew grow growth improved increase profit record rose strong won"
)
BAD = "bad closed decline declined delay drop fall fell lost loss missed shortage slow weak worse"
NOT = {"no", "not", "never", "without", "hardly"}
RISKS = {
    "supply": ("supplier", "shortage", "delivery", "stock"),
    "money": ("debt", "loan", "credit", "interest", "currency"),
    "law": ("court", "claim", "lawsuit", "regulator", "licence"),
    "people": ("strike", "resigned", "vacancies", "hiring"),
}
FIGURE = re.compile(
    r"(?:(?:the|and|but|while) )?(?P<what>\w+(?: (?!and )\w+)?) (?P<way>rose|grew|fell|dropped)(?: by)? "
    r"(?P<number>\d+(?:\.\d+)?)(?:%| percent)",
    re.IGNORECASE,
)


def sentences(text: str) -> list[str]:
    found = [part for part in re.split(r"(?<=[.!?])\s+", " ".join(text.split())) if part]
    if not found:
        raise AgentRefused("there is nothing to analyse")
    return found


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


@agent
def figures(text: str) -> dict[str, float]:
    """What rose and what fell, in percent."""
    found = {
        match["what"].lower(): float(match["number"])
        * (1 if match["way"].lower() in ("rose", "grew") else -1)
        for match in FIGURE.finditer(" ".join(text.split()))
    }
    if not found:
        raise AgentRefused("the text states no change in percent")
    return found


@agent
def tone(text: str) -> dict[str, JSONValue]:
    """Good words less bad ones, as part of both; a word after a negation counts as its opposite."""
    good = bad = 0
    for sentence in sentences(text):
        said = words(sentence)
        for index, word in enumerate(said):
            liked, disliked = word in GOOD.split(), word in BAD.split()
            if NOT.intersection(said[max(0, index - 2) : index]):
                liked, disliked = disliked, liked
            good, bad = good + liked, bad + disliked
    score = round((good - bad) / (good + bad), 2) if good + bad else 0.0
    return {"score": score, "good": good, "bad": bad}


@agent
def risks(text: str) -> dict[str, list[str]]:
    """The sentences that speak of a risk, by its kind."""
    found: dict[str, list[str]] = {}
    for sentence in sentences(text):
        for kind, signs in RISKS.items():
            if any(word.startswith(signs) for word in words(sentence)):
                found.setdefault(kind, []).append(sentence)
    return found


@agent
def readability(text: str) -> dict[str, float]:
    """Flesch's reading ease: 100 is easy, 30 is for graduates (R. Flesch, 1948)."""
    said = words(text)
    length = len(said) / len(sentences(text))
    syllables = sum(max(1, len(re.findall(r"[aeiouy]+", word.removesuffix("e")))) for word in said)
    ease = 206.835 - 1.015 * length - 84.6 * syllables / len(said)
    return {"ease": round(ease, 1), "words_per_sentence": round(length, 1)}


@agent
def brief(found: dict[str, dict[str, JSONValue]]) -> str:
    """One page of what the analysts found; those that failed are named."""
    lines = ["# Brief"]
    for name, analysis in found.items():
        lines += ["", f"## {name.capitalize()}", ""]
        if isinstance(error := analysis.get("error"), dict):
            lines.append(f"missing: {error['text']}")
            continue
        for key, value in analysis.items():
            lines += [
                f"- {key}: {item}" for item in (value if isinstance(value, list) else [value])
            ]
        if not analysis:
            lines.append("none")
    return "\n".join(lines)
