"""The store in memory: what is in it ends with it.

Below: base. Above: index.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from aixgo.errors import ConfigError
from aixgo.retrieval.filters import check_where, matches
from aixgo.retrieval.stores._nearest import Rows
from aixgo.retrieval.stores._words import Words
from aixgo.retrieval.stores.base import (
    Hit,
    Metric,
    Record,
    Stats,
    Where,
    check_dimensions,
    check_metric,
    check_page,
    check_record,
    check_which,
    stored,
    words_of,
)

__all__ = ["STORE", "MemoryStore"]


class MemoryStore:
    """Records in this process; for tests, and for documents that are read anew at each start.

    Args:
        metric: how near is measured.
        dimensions: how many numbers a vector has; by default as many as the first one.

    Raises:
        ConfigError: there is no such metric.
    """

    def __init__(self, *, metric: Metric = "cosine", dimensions: int = 0) -> None:
        check_metric(metric)
        check_dimensions(dimensions)
        self._metric: Metric = metric
        self._wanted = self._dimensions = dimensions
        self._records: dict[str, Record] = {}
        self._numbers: dict[str, int] = {}  # id → its row in the index of words
        self._next = itertools.count(1)
        self._rows = Rows(metric=metric)
        self._notes: dict[str, str] = {}
        self._words = Words()
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Make it ready."""
        if self._connection is None:
            self._connection = sqlite3.connect(":memory:", isolation_level=None)
            self._connection.execute(self._words.make)

    async def close(self) -> None:
        """Let go of the records."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        for kept in (self._records, self._numbers, self._notes):
            kept.clear()
        self._rows = Rows(metric=self._metric)
        self._dimensions = self._wanted

    async def upsert(self, records: Iterable[Record]) -> None:
        """Put `records` in, in place of those with the same ids; all of them or none."""
        connection, dimensions = self._open(), self._dimensions
        checked = []
        for record in records:
            check_record(record)
            row = stored(record.vector, dimensions, repr(record.id), self._metric)
            dimensions = len(row)
            checked.append((record, row))
        for record, row in checked:
            number = self._numbers.setdefault(record.id, next(self._next))
            self._words.put(connection, number, record.id, words_of(record))
            self._records[record.id] = Record(record.id, record.text, (), dict(record.metadata))
            self._rows.put(record.id, row)
        self._dimensions = dimensions

    async def get(self, ids: Iterable[str]) -> list[Record]:
        """The records of these ids that there are, in that order."""
        self._open()
        found = [self._records[name] for name in dict.fromkeys(ids) if name in self._records]
        return [
            Record(one.id, one.text, list(self._rows[one.id]), dict(one.metadata)) for one in found
        ]

    async def delete(self, ids: Iterable[str]) -> int:
        """Take records out; how many there were."""
        connection = self._open()
        gone = [name for name in dict.fromkeys(ids) if self._records.pop(name, None) is not None]
        for name in gone:
            self._words.drop(connection, self._numbers.pop(name))
            self._rows.drop(name)
        if not self._records:
            self._dimensions = self._wanted
        return len(gone)

    async def delete_where(self, where: Where) -> int:
        """Take out the records that a filter fits; how many there were."""
        check_which(where)
        return await self.delete(await self.ids(where))

    async def clear(self) -> int:
        """Take all records and notes out; how many records there were."""
        self._notes.clear()
        return await self.delete(await self.ids())

    async def search(
        self,
        vector: Sequence[float],
        top_k: int,
        where: Where | None = None,
        *,
        offset: int = 0,
        min_score: float | None = None,
    ) -> list[Hit]:
        """The records nearest to `vector`."""
        self._open()
        check_page(where, offset)
        among = await self.ids(where) if where else None
        if not self._records or top_k < 1:
            return []
        asked = stored(vector, self._dimensions, "the query", self._metric)
        found = self._rows.nearest(asked, offset + top_k, among)[offset:]
        return [self._hit(*one) for one in found if min_score is None or one[1] >= min_score]

    async def search_text(
        self,
        query: str,
        top_k: int,
        where: Where | None = None,
        *,
        offset: int = 0,
        min_score: float | None = None,
    ) -> list[Hit]:
        """The records with words of `query`."""
        check_page(where, offset)
        found = self._words.search(self._open(), query)
        fit: Iterator[tuple[str, float]] = (
            hit
            for hit in found
            if matches(self._records[hit[0]].metadata, where or {})
            and (min_score is None or hit[1] >= min_score)
        )
        return [self._hit(*hit) for hit in itertools.islice(fit, offset, offset + max(0, top_k))]

    async def ids(self, where: Where | None = None) -> list[str]:
        """The ids of the records, sorted."""
        self._open()
        check_where(where)
        return sorted(n for n, r in self._records.items() if matches(r.metadata, where or {}))

    async def count(self, where: Where | None = None) -> int:
        """How many records there are."""
        return len(await self.ids(where))

    async def stats(self) -> Stats:
        """What is in it."""
        self._open()
        return Stats(records=len(self._records), dimensions=self._dimensions, metric=self._metric)

    async def notes(self) -> dict[str, str]:
        """What was noted about the whole."""
        return dict(self._notes)

    async def note(self, name: str, value: str) -> None:
        """Keep a fact about the whole."""
        self._notes[name] = value

    def _hit(self, name: str, score: float) -> Hit:
        record = self._records[name]
        return Hit(name, record.text, score, dict(record.metadata))

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise ConfigError("the store is not open: await its open() first")
        return self._connection


STORE = MemoryStore
