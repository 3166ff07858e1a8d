"""What an agent thinks of a piece of work, as a number from 0 to 1.

Below: message. Above: the patterns that improve or compare what agents wrote.
"""

from __future__ import annotations

import re

from aixgo.message import JSONValue, Message
from aixgo.orchestration._facts import said_of_answer
from aixgo.orchestration._payloads import stated_in

__all__ = ["NAMES", "score_of"]

NAMES = ("score", "rating", "quality")
"""Where a score stands, in this order of preference."""

# Of "0,8" and "1.2.3" the first digits are not what is meant.
_NUMBER = r"(-?(?:\d+(?:\.\d+)?|\.\d+)(?:e[+-]?\d+)?(?![.,]?\d))"
_SCALE = r"(?:\s*(?:/|out\s+of)\s*(\d+(?:\.\d+)?)|\s*(%))?"
_NAMED = re.compile(
    rf"\b(?:{'|'.join(NAMES)})\b[\s\"'*_`]*[:=][\s\"'*_`]*{_NUMBER}{_SCALE}", re.IGNORECASE
)
_OF = re.compile(rf"(?<![\d.,/-]){_NUMBER}\s*(?:/|out\s+of)\s*(10|100)\b(?![\d/])", re.IGNORECASE)
_ALONE = re.compile(rf"\s*{_NUMBER}{_SCALE}\s*", re.IGNORECASE)


def score_of(reply: Message) -> float:
    """The score `reply` states: in its metadata, in its JSON payload, or in its text.

    A number up to 1 is the score itself, a larger one up to 10 is of ten; "4/5", "7 out of 10" and "80%" name their
    scale.

    Raises:
        ValueError: there is none, or it lies outside its scale; the text says which.
    """
    payload = stated_in(reply)
    places: list[dict[str, JSONValue]] = [said_of_answer(reply)]
    if isinstance(payload, dict):
        places.append(payload)
    for place in places:
        for name in NAMES:
            if (value := place.get(name)) is not None:
                return _of_value(value)
    if isinstance(reply.payload, dict):
        raise ValueError(f"no {', '.join(NAMES)} in its object")  # noqa: TRY004 - it is of the right type
    if isinstance(payload, (int, float)) and not isinstance(payload, bool):
        return _of_value(payload)
    text = reply.text
    found = _ALONE.fullmatch(text) or _NAMED.search(text)
    if found is not None:
        return _scaled(*found.groups())
    found = _OF.search(text)
    if found is not None:
        return _scaled(found[1], found[2], None)
    raise ValueError("no score in its text")


def _of_value(value: JSONValue) -> float:
    if isinstance(value, str) and (found := _ALONE.fullmatch(value)):
        return _scaled(*found.groups())
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _scaled(str(value), None, None)
    raise ValueError(f"its score is {str(value)[:40]!r}, not a number")


def _scaled(number: str, scale: str | None, percent: str | None) -> float:
    value = float(number)
    most = 100.0 if percent else float(scale) if scale else 1.0 if value <= 1 else 10.0
    if not 0 <= value <= most or most == 0:
        shown = f"{number}%" if percent else f"{number}/{scale}" if scale else number
        raise ValueError(f"its score is {shown}, outside its scale")
    return value / most
