"""A JSON value of a given schema, filled from a text without a model.

Only the schema's shape and the text count: an enum takes the option that fits the text best, a string the
sentence or the pattern its format asks for, a number the one that stands nearest to the field's words.
Below: `_text`. Above: `offline`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

from aixgo.errors import RequestRejected
from aixgo.message import JSONValue
from aixgo.providers import _text as reading

__all__ = ["Filler"]

MAX_DEPTH = 12  # levels of a schema; a recursive one ends here
MANY = 5  # items of a list whose schema does not say
FORMATS = {
    "email": re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    "uri": re.compile(r"https?://[^\s<>\"')\]]+"),
    "date": re.compile(r"\b\d{4}-\d{2}-\d{2}\b"),
    "date-time": re.compile(
        r"\b\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2})?(?:\.\d+)?(?:Z|[+-]\d{2}:?\d{2})?"
    ),
    "time": re.compile(r"\b\d{1,2}:\d{2}(?::\d{2})?\b"),
}
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")
NEGATIONS = {"no", "not", "never", "without", "none", "cannot"}

Schema = Mapping[str, JSONValue]


class Filler:
    """Fills one schema from one text."""

    def __init__(self, text: str, root: Schema) -> None:
        self._text = text
        self._root = root
        self._sentences = reading.sentences(text)

    def fill(self) -> JSONValue:
        """The value of the whole schema.

        Raises:
            RequestRejected: the schema nests too deep or refers to what it does not hold.
        """
        return self.fill_part(self._root, 0)

    def fill_part(self, schema: Schema, depth: int) -> JSONValue:
        """The value of a part of the schema that stands `depth` levels down."""
        return self._value(schema, "", None, depth)

    def _value(
        self, schema: Schema, field: str, chosen: reading.Choice | None, depth: int
    ) -> JSONValue:
        if depth > MAX_DEPTH:
            raise RequestRejected(
                f"the output schema nests more than {MAX_DEPTH} levels",
                provider="offline",
                code="invalid_schema",
            )
        schema = self._resolved(schema)
        about = f"{_spoken(field)} {schema.get('description', '')}"
        if "x-offline" in schema:
            return schema["x-offline"]
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            names = cast("list[JSONValue]", schema["enum"])
            best = self._ranked(schema)[0].name
            return next(name for name in names if str(name) == best)
        match _type(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, about, chosen, depth)
            case "string":
                return self._string(schema, about, chosen)
            case "integer":
                return round(self._number(schema, about, chosen))
            case "number":
                return self._number(schema, about, chosen)
            case "boolean":
                return self._boolean(about)
        return None

    def _object(self, schema: Schema, depth: int) -> JSONValue:
        """Each property; strings and shares beside an enum tell about its choice."""
        properties = _mapping(schema.get("properties"))
        chosen: reading.Choice | None = None
        for inner in properties.values():
            resolved = self._resolved(_mapping(inner))
            if "enum" in resolved:
                chosen = self._ranked(resolved)[0]
                break
        return {
            name: self._value(_mapping(inner), name, chosen, depth + 1)
            for name, inner in properties.items()
        }

    def _array(
        self, schema: Schema, about: str, chosen: reading.Choice | None, depth: int
    ) -> JSONValue:
        least = int(cast("float", schema.get("minItems", 0)))
        most = max(least, int(cast("float", schema.get("maxItems", MANY))))
        items = self._resolved(_mapping(schema.get("items")))
        if "enum" in items:
            return [c.name for c in self._fitting(items, least)[:most]]
        if _type(items) == "object":
            return self._objects(items, least, most, chosen, depth)
        if _type(items) == "string" and "format" not in items:
            return list(reading.key_words(self._text, most))
        if _type(items) == "string":
            pattern = FORMATS.get(str(items["format"]))
            return list(dict.fromkeys(pattern.findall(self._text)))[:most] if pattern else []
        if _type(items) in ("number", "integer"):
            found = [float(number) for number in NUMBER.findall(self._text)[:most]]
            return [round(n) for n in found] if _type(items) == "integer" else list(found)
        return [self._value(items, about, chosen, depth + 1)] * least

    def _objects(
        self, items: Schema, least: int, most: int, chosen: reading.Choice | None, depth: int
    ) -> list[JSONValue]:
        """One object per option still open if the objects choose one, else one per telling sentence."""
        properties = _mapping(items.get("properties"))
        enum = next(
            (n for n, inner in properties.items() if "enum" in self._resolved(_mapping(inner))),
            None,
        )
        if enum is None:
            best = sorted(reading.rank_sentences(self._text)[:most])
            return [
                Filler(self._sentences[i], self._root).fill_part(items, depth + 1) for i in best
            ]
        taken = chosen.name if chosen is not None else ""
        open_ = [
            c
            for c in self._fitting(self._resolved(_mapping(properties[enum])), least)
            if c.name != taken
        ]
        found: list[JSONValue] = []
        for choice in open_[:most]:
            entry: dict[str, JSONValue] = {enum: choice.name}
            for name, inner in properties.items():
                if name != enum:
                    entry[name] = self._value(_mapping(inner), name, choice, depth + 1)
            found.append(entry)
        return found

    def _ranked(self, schema: Schema) -> list[reading.Choice]:
        more = _mapping(schema.get("x-options"))
        options = [
            _option(str(name), _mapping(more.get(str(name))))
            for name in cast("list[JSONValue]", schema["enum"])
        ]
        if not options:
            raise RequestRejected(
                "the output schema holds an empty enum", provider="offline", code="invalid_schema"
            )
        return reading.rank_options(self._text, options)

    def _fitting(self, schema: Schema, least: int) -> list[reading.Choice]:
        """The options with a good part of the best one's score, at least `least`."""
        ranked = self._ranked(schema)
        fitting = [c for c in ranked if c.score > 0 and c.score >= 0.25 * ranked[0].score]
        return fitting if len(fitting) >= least else ranked[:least]

    def _string(self, schema: Schema, about: str, chosen: reading.Choice | None) -> str:
        most = int(cast("float", schema.get("maxLength", 1000)))
        pattern = FORMATS.get(str(schema.get("format", "")))
        if pattern is not None:
            found = pattern.search(self._text)
            return found.group()[:most] if found else ""
        if chosen is not None:
            about = " ".join(chosen.matched)
        ranked = reading.rank_sentences(self._text, about)
        best = self._sentences[ranked[0]] if ranked else " ".join(self._text.split())
        return best if len(best) <= most else best[: max(0, most - 1)] + "…"[:most]

    def _number(self, schema: Schema, about: str, chosen: reading.Choice | None) -> float:
        low = cast("float | None", schema.get("minimum"))
        high = cast("float | None", schema.get("maximum"))
        if chosen is not None and low == 0 and high == 1:
            return round(chosen.share, 3)
        value = self._nearest_number(about)
        if value is None:
            value = float(low or 0)
        if low is not None:
            value = max(value, low)
        return min(value, high) if high is not None else value

    def _nearest_number(self, about: str) -> float | None:
        """The number of the sentence that shares most words with `about`; the first on a tie."""
        wanted = set(reading.words(about))
        numbered = [s for s in self._sentences if NUMBER.search(s)]
        if not numbered:
            return None
        best = max(numbered, key=lambda sentence: len(wanted & set(reading.words(sentence))))
        found = NUMBER.search(best)
        return float(found.group()) if found else None

    def _boolean(self, about: str) -> bool:
        """True if the text speaks of the field more often than it negates it, in the three words before."""
        wanted = set(reading.words(about))
        spoken = re.findall(r"[^\W_]+", self._text.lower())
        balance = 0
        for index, word in enumerate(spoken):
            if wanted.intersection(reading.words(word)):
                balance += -1 if NEGATIONS.intersection(spoken[max(0, index - 3) : index]) else 1
        return balance > 0

    def _resolved(self, schema: Schema) -> Schema:
        """The schema behind `$ref`, `anyOf`, `oneOf` and `allOf`, as far as one shape decides."""
        for _ in range(MAX_DEPTH):
            if isinstance(ref := schema.get("$ref"), str):
                schema = self._referred(ref)
                continue
            for word in ("anyOf", "oneOf", "allOf"):
                branches = schema.get(word)
                if isinstance(branches, list) and branches:
                    some = [_mapping(b) for b in branches]
                    schema = next((b for b in some if b.get("type") != "null"), some[0])
                    break
            else:
                return schema
        raise RequestRejected(
            "the output schema refers to itself without end",
            provider="offline",
            code="invalid_schema",
        )

    def _referred(self, ref: str) -> Schema:
        found: JSONValue = cast("JSONValue", self._root)
        for part in ref.removeprefix("#").strip("/").split("/") if ref != "#" else ():
            found = found.get(part) if isinstance(found, dict) else None
        if not isinstance(found, Mapping):
            raise RequestRejected(
                f"the output schema refers to {ref[:80]!r}, which it does not hold",
                provider="offline",
                code="invalid_schema",
            )
        return found


def _option(name: str, more: Schema) -> reading.Option:
    return reading.Option(
        name,
        str(more.get("description") or ""),
        _texts(more.get("keywords")),
        _texts(more.get("examples")),
    )


def _texts(value: JSONValue) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list) else ()


def _mapping(value: JSONValue) -> dict[str, JSONValue]:
    return value if isinstance(value, dict) else {}


def _type(schema: Schema) -> str:
    found = schema.get("type")
    if isinstance(found, list):
        found = next((kind for kind in found if kind != "null"), "null")
    if isinstance(found, str):
        return found
    return "object" if "properties" in schema else "array" if "items" in schema else "string"


def _spoken(field: str) -> str:
    """A field's name as words: `dueDate` and `due_date` are "due date"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", field)
