"""Keyword search: SQLite's full-text index FTS5, with BM25 scores, in any connection.

Below: sqlite3. Above: the stores.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator

__all__ = ["WORDS", "drop_words", "put_words", "search_words"]

WORDS = """
    CREATE VIRTUAL TABLE IF NOT EXISTS words
    USING fts5(id UNINDEXED, text, tokenize = "porter unicode61 remove_diacritics 2")
"""
PUT = "INSERT INTO words(rowid, id, text) VALUES (?, ?, ?)"
DROP = "DELETE FROM words WHERE rowid = ?"
SEARCH = """
    SELECT id, round(-bm25(words), 5) AS score FROM words WHERE words MATCH ?
    ORDER BY score DESC, id
"""
MOST_WORDS = 64  # of a query; the rest says little more


def put_words(connection: sqlite3.Connection, row: int, name: str, text: str) -> None:
    """Index `text` under `row`, in place of what is there."""
    connection.execute(DROP, (row,))
    connection.execute(PUT, (row, name, text))


def drop_words(connection: sqlite3.Connection, row: int) -> None:
    connection.execute(DROP, (row,))


def search_words(connection: sqlite3.Connection, query: str) -> Iterator[tuple[str, float]]:
    """Ids and scores of the texts with any word of `query`, best first. Nothing in it is taken for syntax."""
    words = list(dict.fromkeys(re.findall(r"\w+", query.lower())))[:MOST_WORDS]
    if words:
        asked = " OR ".join(f'"{word}"' for word in words)
        for name, score in connection.execute(SEARCH, (asked,)):
            yield str(name), float(score)
