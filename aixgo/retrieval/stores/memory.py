"""The store in memory: what is in it ends with it.

Below: base. Above: index.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Sequence

from aixgo.errors import ConfigError
from aixgo.retrieval.stores._nearest import Rows
from aixgo.retrieval.stores._words import WORDS, drop_words, put_words, search_words
from aixgo.retrieval.stores.base import Hit, Record, Where, check_where, matches, unit

__all__ = ["STORE", "MemoryStore"]


class MemoryStore:
    """Records in this process; for tests, and for documents that are read anew at each start."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}
        self._numbers: dict[str, int] = {}  # id → its row in the index of words
        self._next = itertools.count(1)
        self._rows = Rows()
        self._dimensions = 0
        self._notes: dict[str, str] = {}
        self._words: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Make it ready."""
        if self._words is None:
            self._words = sqlite3.connect(":memory:", isolation_level=None)
            self._words.execute(WORDS)

    async def close(self) -> None:
        """Let go of the records."""
        if self._words is not None:
            self._words.close()
        self.__init__()  # type: ignore[misc]  # as new

    async def upsert(self, records: Iterable[Record]) -> None:
        """Put `records` in, in place of those with the same ids; all of them or none."""
        words, dimensions = self._open(), self._dimensions
        checked = []
        for record in records:
            row = unit(record.vector, dimensions, repr(record.id))
            dimensions = len(row)
            checked.append((record, row))
        for record, row in checked:
            number = self._numbers.setdefault(record.id, next(self._next))
            put_words(words, number, record.id, record.text)
            self._records[record.id] = Record(record.id, record.text, (), dict(record.metadata))
            self._rows.put(record.id, row)
        self._dimensions = dimensions

    async def delete(self, ids: Iterable[str]) -> int:
        """Take records out; how many there were."""
        words = self._open()
        gone = [name for name in dict.fromkeys(ids) if self._records.pop(name, None) is not None]
        for name in gone:
            drop_words(words, self._numbers.pop(name))
            self._rows.drop(name)
        if not self._records:
            self._dimensions = 0
        return len(gone)

    async def search(
        self, vector: Sequence[float], top_k: int, where: Where | None = None
    ) -> list[Hit]:
        """The records nearest to `vector`."""
        self._open()
        among = await self.ids(where) if where else None
        if not self._records:
            return []
        asked = unit(vector, self._dimensions, "the query")
        return [self._hit(*found) for found in self._rows.nearest(asked, top_k, among)]

    async def search_text(self, query: str, top_k: int, where: Where | None = None) -> list[Hit]:
        """The records with words of `query`."""
        check_where(where)
        found = search_words(self._open(), query)
        fit = (hit for hit in found if matches(self._records[hit[0]].metadata, where or {}))
        return [self._hit(*hit) for hit in itertools.islice(fit, max(0, top_k))]

    async def ids(self, where: Where | None = None) -> list[str]:
        """The ids of the records, sorted."""
        self._open()
        check_where(where)
        return sorted(n for n, r in self._records.items() if matches(r.metadata, where or {}))

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
        if self._words is None:
            raise ConfigError("the store is not open: await its open() first")
        return self._words


STORE = MemoryStore
