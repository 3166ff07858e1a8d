"""Keyword search: SQLite's full-text index FTS5, with BM25 scores, in any connection.

Below: sqlite3. Above: the stores.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator

from aixgo.retrieval.stores._common import COMMON

__all__ = ["WORDS", "Words"]

WORDS = """
    CREATE VIRTUAL TABLE IF NOT EXISTS {words}
    USING fts5(id UNINDEXED, text, tokenize = "porter unicode61 remove_diacritics 2")
"""
PUT = "INSERT INTO {words}(rowid, id, text) VALUES (?, ?, ?)"
DROP = "DELETE FROM {words} WHERE rowid = ?"
CLEAR = "DELETE FROM {words}"
SEARCH = """
    SELECT id, round(-bm25({words}), 5) AS score FROM {words} WHERE {words} MATCH ?
    ORDER BY score DESC, id
"""
MOST_WORDS = 64  # of a query; the rest says little more


class Words:
    """The statements over one table of words; `table` is a name that needs no quotes."""

    def __init__(self, table: str = "words") -> None:
        self.make = WORDS.format(words=table)
        self._put = PUT.format(words=table)
        self._drop = DROP.format(words=table)
        self._clear = CLEAR.format(words=table)
        self._search = SEARCH.format(words=table)

    def put(self, connection: sqlite3.Connection, row: int, name: str, text: str) -> None:
        """Index `text` under `row`, in place of what is there."""
        connection.execute(self._drop, (row,))
        connection.execute(self._put, (row, name, text))

    def drop(self, connection: sqlite3.Connection, row: int) -> None:
        connection.execute(self._drop, (row,))

    def clear(self, connection: sqlite3.Connection) -> None:
        connection.execute(self._clear)

    def search(self, connection: sqlite3.Connection, query: str) -> Iterator[tuple[str, float]]:
        """Ids and scores of the texts with any word of `query`, best first. Nothing in it is taken for syntax."""
        asked_for = dict.fromkeys(re.findall(r"\w+", query.lower()))
        words = [word for word in asked_for if word not in COMMON] or list(asked_for)
        words = words[:MOST_WORDS]
        if words:
            asked = " OR ".join(f'"{word}"' for word in words)
            for name, score in connection.execute(self._search, (asked,)):
                yield str(name), float(score)
