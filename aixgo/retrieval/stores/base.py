"""The contract of a vector store: texts with vectors and metadata, found by nearness or by words.

Every promise here holds for every store; one suite, tests/unit/retrieval/test_stores.py, runs on all.

Below: message, filters. Above: index. Each other module of this folder is one store.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from aixgo.errors import ConfigError
from aixgo.message import JSONValue
from aixgo.retrieval.filters import Where, check_where
from aixgo.retrieval.stores._nearest import METRICS, Metric

__all__ = [
    "MAX_ID",
    "MAX_KEY",
    "METRICS",
    "Hit",
    "Metric",
    "Record",
    "Stats",
    "Store",
    "Where",
    "check_dimensions",
    "check_metric",
    "check_page",
    "check_record",
    "check_text",
    "check_which",
    "stored",
    "words_of",
]

MAX_ID = 512  # characters of an id
MAX_KEY = 256  # characters of a key of metadata


@dataclass(slots=True, frozen=True)
class Record:
    """What is stored under an id of 1 to 512 printable characters; metadata is JSON, its keys up to 256 characters."""

    id: str
    text: str
    vector: Sequence[float]
    metadata: Mapping[str, JSONValue] = field(default_factory=dict)
    title: str = ""
    """What it is found by besides its text, by words only; a store need not give it back."""


@dataclass(slots=True, frozen=True)
class Hit:
    """What was found. A higher score is better; scores of the two kinds of search cannot be compared."""

    id: str
    text: str
    score: float
    metadata: Mapping[str, JSONValue] = field(default_factory=dict)


@dataclass(slots=True, frozen=True, kw_only=True)
class Stats:
    """What is in a store."""

    records: int
    dimensions: int
    """Numbers of each vector; 0 while there is none and none was asked for."""
    metric: Metric


class Store(Protocol):
    """A place for records. Open it before use, and close it; closing twice is fine."""

    async def open(self) -> None:
        """Make it ready.

        Raises:
            ConfigError: it cannot be, or it holds vectors of another length or metric than was asked for.
        """
        ...

    async def close(self) -> None: ...

    async def upsert(self, records: Iterable[Record]) -> None:
        """Put `records` in, in place of those with the same ids; all of them or none.

        Raises:
            ConfigError: which record cannot be stored: its vector has another length than those there are, or a
                    number that is not finite; its id is empty, too long or not printable; its text is none that UTF-8
                can hold; its metadata is not JSON.
        """
        ...

    async def get(self, ids: Iterable[str]) -> list[Record]:
        """The records of these ids that there are, in that order; with the metric `cosine` vectors have length one."""
        ...

    async def delete(self, ids: Iterable[str]) -> int:
        """Take records out; how many there were."""
        ...

    async def delete_where(self, where: Where) -> int:
        """Take out the records that a filter fits; how many there were.

        Raises:
            ConfigError: the filter is none, or empty: `clear` takes out all.
        """
        ...

    async def clear(self) -> int:
        """Take all records and notes out; how many records there were. Vectors of any length may follow."""
        ...

    async def search(
        self,
        vector: Sequence[float],
        top_k: int,
        where: Where | None = None,
        *,
        offset: int = 0,
        min_score: float | None = None,
    ) -> list[Hit]:
        """The records nearest to `vector`, by the store's metric; ties in the order of their ids.

        Scores are cosines from -1 to 1, inner products (`dot_product`), or distances with a minus (`euclidean`).
        The filter holds before anything is cut; then `offset` hits are passed over, and those below `min_score`
        left out.

        Raises:
            ConfigError: the vector has another length than the store's, or the filter is none.
        """
        ...

    async def search_text(
        self,
        query: str,
        top_k: int,
        where: Where | None = None,
        *,
        offset: int = 0,
        min_score: float | None = None,
    ) -> list[Hit]:
        """The records with words of `query`, by BM25, word stems compared; ties in the order of their ids.

        English words that say little, such as "how" and "the", are looked for only if there are no others.
        """
        ...

    async def ids(self, where: Where | None = None) -> list[str]:
        """The ids of the records, sorted."""
        ...

    async def count(self, where: Where | None = None) -> int:
        """How many records there are."""
        ...

    async def stats(self) -> Stats:
        """What is in it."""
        ...

    async def notes(self) -> dict[str, str]:
        """What was noted about the whole."""
        ...

    async def note(self, name: str, value: str) -> None:
        """Keep a fact about the whole, such as what made its vectors."""
        ...


def stored(vector: Sequence[float], dimensions: int, of: str, metric: Metric) -> array[float]:
    """`vector` as it is stored: for `cosine` at length one; without a direction it stays zero.

    Raises:
        ConfigError: it has not that many dimensions (0: any), or a number that is not finite.
    """
    if not vector or (dimensions and len(vector) != dimensions):
        wanted = f"the store's have {dimensions}" if dimensions else "it needs one at least"
        raise ConfigError(f"the vector of {of} has {len(vector)} numbers; {wanted}")
    try:
        length = math.hypot(*vector)
    except (TypeError, OverflowError):
        length = math.nan
    scale = length if length and metric == "cosine" else 1.0
    row = array("f", [x / scale for x in vector]) if math.isfinite(length) else array("f")
    if not row or not math.isfinite(sum(row)):  # or too large for the four bytes of a number
        raise ConfigError(f"the vector of {of} holds what is no finite number")
    return row


def check_record(record: Record) -> str:
    """Refuse what no store takes; the metadata as JSON.

    Raises:
        ConfigError: what is wrong with which record.
    """
    name: object = record.id
    if not isinstance(name, str) or not 0 < len(name) <= MAX_ID or not name.isprintable():
        shown = f"{name[:40]!r}…" if isinstance(name, str) and len(name) > 40 else repr(name)
        raise ConfigError(
            f"the id {shown} cannot be: an id is text of 1 to {MAX_ID} printable characters"
        )
    check_text(record.text, f"the text of {name!r}")
    check_text(record.title, f"the title of {name!r}")
    keys: Iterable[object] = record.metadata
    for key in keys:
        if not isinstance(key, str) or not 0 < len(key) <= MAX_KEY:
            raise ConfigError(
                f"the metadata of {name!r} has the key {str(key)[:40]!r}: a key is text of 1 to {MAX_KEY} characters"
            )
    try:
        facts = json.dumps(dict(record.metadata), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as exc:
        raise ConfigError(f"the metadata of {name!r} is not JSON: {exc}") from exc
    check_text(facts, f"the metadata of {name!r}")
    return facts


def check_text(text: object, of: str) -> None:
    """Refuse what no store can keep as text.

    Raises:
        ConfigError: it is none, or holds a lone surrogate.
    """
    if not isinstance(text, str):
        raise ConfigError(f"{of} is of type {type(text).__name__}, and must be text")
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise ConfigError(f"{of} holds a lone surrogate at character {exc.start}") from None


def words_of(record: Record) -> str:
    """What a search by words looks at."""
    return f"{record.title}\n{record.text}" if record.title else record.text


def check_metric(metric: str | None) -> None:
    """Refuse a metric that there is not.

    Raises:
        ConfigError: the text lists those that there are.
    """
    if metric is not None and metric not in METRICS:
        raise ConfigError(f"there is no metric {metric!r}; there are: {', '.join(METRICS)}")


def check_dimensions(dimensions: object) -> None:
    """Refuse a length that no vector has; 0 stands for any.

    Raises:
        ConfigError: it is one.
    """
    if not isinstance(dimensions, int) or isinstance(dimensions, bool) or dimensions < 0:
        raise ConfigError(
            f"dimensions is {dimensions!r}; it is how many numbers a vector has, or 0 for any"
        )


def check_which(where: Where) -> None:
    """Refuse a filter to delete by that asks for nothing.

    Raises:
        ConfigError: it is empty, or none.
    """
    if not where:
        raise ConfigError("an empty filter fits every record; to take out all, use clear()")
    check_where(where)


def check_page(where: Where | None, offset: int) -> None:
    """Refuse what no search takes.

    Raises:
        ConfigError: the filter is none, or the offset below zero.
    """
    check_where(where)
    if offset < 0:
        raise ConfigError(f"offset is {offset}; it is how many hits are passed over, from 0 on")
