"""The contract of a vector store: texts with vectors and metadata, found by nearness or by words.

Every promise here holds for every store; one suite, tests/unit/retrieval/test_stores.py, runs on all.

Below: message. Above: index. Each other module of this folder is one store.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from aixgo.errors import ConfigError
from aixgo.message import JSONValue

__all__ = ["Hit", "Record", "Store", "Where", "check_where", "matches", "unit"]

Where: TypeAlias = Mapping[str, JSONValue]
"""Metadata a record must have: key → the value, or a list of which it is one."""


@dataclass(slots=True, frozen=True)
class Record:
    """What is stored under an id."""

    id: str
    text: str
    vector: Sequence[float]
    metadata: Mapping[str, JSONValue] = field(default_factory=dict)


@dataclass(slots=True, frozen=True)
class Hit:
    """What was found. A higher score is better; scores of the two kinds of search cannot be compared."""

    id: str
    text: str
    score: float
    metadata: Mapping[str, JSONValue] = field(default_factory=dict)


class Store(Protocol):
    """A place for records. Open it before use, and close it; closing twice is fine."""

    async def open(self) -> None:
        """Make it ready.

        Raises:
            ConfigError: it cannot be.
        """
        ...

    async def close(self) -> None: ...

    async def upsert(self, records: Iterable[Record]) -> None:
        """Put `records` in, in place of those with the same ids; all of them or none.

        Raises:
            ConfigError: a vector has another length than those there are, or a number that is not finite.
        """
        ...

    async def delete(self, ids: Iterable[str]) -> int:
        """Take records out; how many there were."""
        ...

    async def search(
        self, vector: Sequence[float], top_k: int, where: Where | None = None
    ) -> list[Hit]:
        """The records nearest to `vector`, by cosine, from -1 to 1; ties in the order of their ids."""
        ...

    async def search_text(self, query: str, top_k: int, where: Where | None = None) -> list[Hit]:
        """The records with words of `query`, by BM25, word stems compared; ties in the order of their ids."""
        ...

    async def ids(self, where: Where | None = None) -> list[str]:
        """The ids of the records, sorted."""
        ...

    async def notes(self) -> dict[str, str]:
        """What was noted about the whole."""
        ...

    async def note(self, name: str, value: str) -> None:
        """Keep a fact about the whole, such as what made its vectors."""
        ...


def unit(vector: Sequence[float], dimensions: int, of: str) -> array[float]:
    """`vector` at length one, as it is stored; without a direction it stays zero.

    Raises:
        ConfigError: it has not that many dimensions (0: any), or a number that is not finite.
    """
    if not vector or (dimensions and len(vector) != dimensions):
        wanted = f"the store's have {dimensions}" if dimensions else "it needs one at least"
        raise ConfigError(f"the vector of {of} has {len(vector)} numbers; {wanted}")
    length = math.sqrt(math.fsum(x * x for x in vector))
    if not math.isfinite(length):
        raise ConfigError(f"the vector of {of} holds a number that is not finite")
    return array("f", [x / length for x in vector] if length else vector)


def check_where(where: Where | None) -> None:
    """Refuse a filter that could match nothing by mistake.

    Raises:
        ConfigError: a value is an object, or an empty list.
    """
    for name, value in (where or {}).items():
        if isinstance(value, dict) or value == []:
            raise ConfigError(f"the filter {name!r} takes a value, or a list of values")


def matches(metadata: Mapping[str, JSONValue], where: Where) -> bool:
    """Whether `metadata` has all that `where` asks for; true is not 1."""
    for name, wanted in where.items():
        if name not in metadata:
            return False
        options = wanted if isinstance(wanted, list) else [wanted]
        found = metadata[name]
        if not any(
            found == option and isinstance(found, bool) == isinstance(option, bool)
            for option in options
        ):
            return False
    return True
