"""A desk that answers letters: one agent tells what a letter is about, one for each matter answers it."""

import re
from collections.abc import Mapping

from aixgo import agent

TOPICS: Mapping[str, tuple[str, ...]] = {
    "money": ("refund", "invoice", "charged", "paid", "price", "money"),
    "parcel": ("parcel", "delivery", "arrived", "shipped", "tracking", "late"),
    "account": ("account", "password", "login", "address", "email"),
}
ENOUGH = 3  # words of a topic that make it certain


@agent
def topics(text: str) -> list[dict[str, str | float]]:
    """Each topic, as sure as the letter has words of it."""
    words = set(re.findall(r"[a-z]+", text.lower()))
    return [
        {"category": topic, "confidence": round(min(1, len(words & set(known)) / ENOUGH), 2)}
        for topic, known in TOPICS.items()
    ]


@agent
def refunds(text: str) -> str:
    """What the letter says about sums."""
    sums = re.findall(r"(?:€|EUR) ?(\d+(?:\.\d\d)?)", text)
    total = sum(float(one) for one in sums)
    asked = f"You write of {total:.2f} EUR in all." if sums else "You name no sum."
    return f"{asked} We check your payments and come back to you."


@agent
def parcels(text: str) -> str:
    """What the letter says about a parcel."""
    numbers = re.findall(r"\b[A-Z]{2}\d{6,}\b", text)
    if not numbers:
        return "Please tell us the number of your parcel: two letters, then digits."
    return f"We have asked the carrier about {' and '.join(numbers)}."


@agent
def accounts(text: str) -> str:
    """What to do about an account; never by letter."""
    found = re.search(r"\b[\w.]+@[\w.]+\w\b", text)
    return f"We have sent a link to {found[0] if found else 'the address we know'}; it changes nothing by itself."


@agent
def general(text: str) -> str:
    """For what is of no topic."""
    return f"We have read your letter of {len(text.split())} words, and a person will answer it."


@agent
def letter(answers: str | dict[str, str]) -> str:
    """One letter of all answers."""
    parts = [answers] if isinstance(answers, str) else list(answers.values())
    return "\n".join(["Dear customer,", *parts, "Your desk"])
