"""What a classifier said: one category, or several, and how sure it is.

Below: message. Above: the patterns that choose agents by it.
"""

from __future__ import annotations

from collections.abc import Mapping

from aixgo.domain import number_of
from aixgo.message import JSONValue, Message
from aixgo.orchestration._facts import said_of_answer
from aixgo.orchestration._payloads import stated_in

__all__ = ["label_of", "labels_of"]


def label_of(verdict: Message) -> tuple[str, float | None]:
    """The category and confidence a classifier answered with."""
    places = _places(verdict)
    category = next(
        (found for place in places if isinstance(found := place.get("category"), str)), verdict.text
    )
    confidence: float | None = None
    for place in places:
        if confidence is None:
            confidence = number_of(place.get("confidence"))
    return category.strip(), confidence


def labels_of(verdict: Message) -> list[tuple[str, float | None]]:
    """All categories a classifier answered with, the surest first, or as listed when one states no confidence.

    They are the list `categories` of its metadata or payload, or a payload that is a list: texts, or objects of
    `category` and `confidence`. Of such a list the `category` beside it has the `confidence` beside it.
    """
    places = _places(verdict)
    payload = stated_in(verdict)
    listed = payload if isinstance(payload, list) else None
    for place in places:
        several = place.get("categories")
        if listed is None and isinstance(several, list):
            listed = several
    if listed is None:
        return [label_of(verdict)]
    first, sure = label_of(verdict) if not isinstance(payload, list) else ("", None)
    found: dict[str, float | None] = {}
    for item in listed:
        category = item.get("category") if isinstance(item, dict) else item
        if not isinstance(category, str):
            continue
        name = category.strip()
        confidence = number_of(item.get("confidence")) if isinstance(item, dict) else None
        found.setdefault(name, sure if confidence is None and name == first else confidence)
    if None in found.values():
        return list(found.items())
    return sorted(found.items(), key=lambda label: -(label[1] or 0))


def _places(verdict: Message) -> list[Mapping[str, JSONValue]]:
    payload = stated_in(verdict)
    return [said_of_answer(verdict), *([payload] if isinstance(payload, dict) else [])]
