"""Three ways to look at a patient's words, and what happens when they disagree. An example of voting, not medicine."""

import math
import re

from aixgo import Message, agent

# How often a symptom is told of, by what people have.
LIKELIHOODS = {
    "flu": {"fever": 0.9, "cough": 0.8, "aches": 0.85, "chills": 0.7, "headache": 0.6},
    "cold": {"runny nose": 0.9, "sneezing": 0.8, "cough": 0.6, "sore throat": 0.6},
    "migraine": {"headache": 0.98, "nausea": 0.7, "light": 0.75, "aura": 0.3},
}
UNRELATED = 0.05  # of any symptom, where it is not listed
SUDDEN = ("suddenly", "overnight", "within hours", "since this morning")
SLOW = ("slowly", "for days", "since last week", "gradually")


def verdict(name: str, confidence: float, why: str) -> Message:
    return Message(
        {"assessment": name, "why": why},
        type="assessment",
        metadata={"category": name, "confidence": round(confidence, 3)},
    )


@agent
async def symptoms(text: str) -> Message:
    """What is most probable given the symptoms named and not named, all three being equally frequent."""
    said = text.lower()
    known = sorted({symptom for table in LIKELIHOODS.values() for symptom in table})
    scores = {}
    for name, table in LIKELIHOODS.items():
        chances = [table.get(symptom, UNRELATED) for symptom in known]
        found = [symptom in said for symptom in known]
        scores[name] = math.prod(
            chance if is_said else 1 - chance
            for chance, is_said in zip(chances, found, strict=True)
        )
    best = max(scores, key=lambda name: scores[name])
    heard = [symptom for symptom in known if symptom in said]
    return verdict(
        best, scores[best] / sum(scores.values()), f"named: {', '.join(heard) or 'none'}"
    )


@agent
async def vitals(text: str) -> Message:
    """What the temperature says."""
    found = re.search(r"(\d\d(?:\.\d)?) ?°C", text)
    if found is None:
        return verdict("migraine", 0.4, "nobody took the temperature")
    degrees = float(found[1])
    if degrees >= 38:
        return verdict("flu", min(1.0, 0.5 + (degrees - 38) / 2), f"{degrees} °C is a fever")
    if degrees >= 37.2:
        return verdict("cold", 0.6, f"{degrees} °C is a little high")
    return verdict("migraine", 0.6, f"{degrees} °C is normal")


@agent
async def course(text: str) -> Message:
    """How it began."""
    said = text.lower()
    if any(word in said for word in SUDDEN):
        what = "migraine" if "headache" in said and "cough" not in said else "flu"
        return verdict(what, 0.7, "it began suddenly")
    if any(word in said for word in SLOW):
        return verdict("cold", 0.7, "it came slowly")
    return verdict("cold", 0.34, "nothing is said of how it began")


@agent
async def doctor(text: str) -> Message:
    """Whom the undecided are sent to."""
    words = len(text.split())
    return Message(
        {"assessment": "see a doctor", "why": f"the three views of {words} words differ"},
        type="assessment",
    )
