"""What a message has to be like for a route: conditions on its text and metadata, without a model.

Below: message. Above: router.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aixgo.errors import ConfigError
from aixgo.keys import Key
from aixgo.message import JSONValue, Message

__all__ = ["RULE_KEYS", "Rule"]

RULE_KEYS: Mapping[str, Key] = {
    "route": Key("text", "the category whose agent answers", required=True),
    "contains": Key("texts", "words or phrases; one of them is in the text, in any case"),
    "equals": Key("texts", "one of them is the whole text, but for case and outer blanks"),
    "metadata": Key("mapping", "keys of the message's metadata and the values they have"),
    "min_length": Key("integer", "characters the text has at least", minimum=0),
    "max_length": Key("integer", "characters the text has at most", minimum=0),
}


@dataclass(slots=True, frozen=True)
class Rule:
    """The messages that are for `route`: those all conditions of which hold.

    The text of a JSON payload is its compact JSON.

    Raises:
        ConfigError: it has no condition, one that never holds, or a list that is none.
    """

    route: str
    contains: Sequence[str] = ()
    """Words or phrases; one of them is in the text, in any case."""
    equals: Sequence[str] = ()
    """One of them is the whole text, but for case and outer blanks."""
    metadata: Mapping[str, JSONValue] = field(default_factory=dict)
    """Keys of the message's metadata and the values they have."""
    min_length: int | None = None
    """Characters the text has at least."""
    max_length: int | None = None
    """Characters the text has at most."""

    def __post_init__(self) -> None:
        where = f"the rule for {self.route!r}"
        for name in ("contains", "equals"):
            given: object = getattr(self, name)
            if not isinstance(given, (list, tuple)) or not all(isinstance(w, str) for w in given):
                raise ConfigError(f"{where}: {name} is {given!r}; it is a list of texts")
        if not all(word.strip() for word in self.contains):
            raise ConfigError(f"{where}: contains has an empty text, which is in every message")
        shortest, longest = self.min_length, self.max_length
        if shortest is not None and longest is not None and shortest > longest:
            raise ConfigError(
                f"{where}: min_length {shortest} is above max_length {longest}; it never holds"
            )
        limits = (shortest, longest) != (None, None)
        if not (self.contains or self.equals or self.metadata or limits):
            raise ConfigError(
                f"{where} has no condition; what fits no rule goes to the fallback of the router"
            )

    def holds(self, message: Message) -> bool:
        """Whether `message` is one of them."""
        text = message.text
        folded = text.casefold()
        if self.contains and not any(word.casefold() in folded for word in self.contains):
            return False
        if self.equals and folded.strip() not in {word.casefold().strip() for word in self.equals}:
            return False
        if self.min_length is not None and len(text) < self.min_length:
            return False
        if self.max_length is not None and len(text) > self.max_length:
            return False
        found = message.metadata
        return all(
            name in found and _same(found[name], value) for name, value in self.metadata.items()
        )

    @property
    def told(self) -> str:
        """The conditions in a few words."""
        parts = [
            " or ".join(self.contains) and f"has {' or '.join(self.contains)}",
            " or ".join(self.equals) and f"is {' or '.join(self.equals)}",
            *(f"{name} is {value}" for name, value in self.metadata.items()),
            "" if self.min_length is None else f"{self.min_length} characters or more",
            "" if self.max_length is None else f"{self.max_length} characters or fewer",
        ]
        return ", ".join(part for part in parts if part)


def _same(found: JSONValue, wanted: JSONValue) -> bool:
    """Equal as JSON is: true is not 1."""
    return found == wanted and isinstance(found, bool) == isinstance(wanted, bool)
