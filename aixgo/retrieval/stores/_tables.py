"""The tables of one collection in an index file, and every statement over them.

A collection has tables of its own, so that neither its records nor how often its words occur tell another one
anything. Those of the collection "" are `records`, `notes` and `words`; those of another are followed by its name
in hexadecimal, which differs wherever names do, unlike SQLite's own comparison of names.

Below: _words. Above: the store in a file.
"""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import cast

from aixgo.errors import ConfigError
from aixgo.message import JSONValue
from aixgo.retrieval.filters import Where, matches
from aixgo.retrieval.stores._words import Words
from aixgo.retrieval.stores.base import Hit, Record, words_of

__all__ = ["MAX_COLLECTION", "Tables", "collections", "transaction"]

WRITE, READ = "BEGIN IMMEDIATE", "BEGIN"
MAX_COLLECTION = 64  # characters of a collection's name
RECORDS = """
    CREATE TABLE IF NOT EXISTS {records} (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, text TEXT NOT NULL,
        metadata TEXT NOT NULL, vector BLOB NOT NULL
    )
"""
NOTES = "CREATE TABLE IF NOT EXISTS {notes} (name TEXT PRIMARY KEY, value TEXT NOT NULL)"
PUT = """
    INSERT INTO {records}(id, text, metadata, vector) VALUES (?, ?, ?, ?)
    ON CONFLICT(id) DO UPDATE SET text = excluded.text, metadata = excluded.metadata, vector = excluded.vector
    RETURNING number
"""
PUT_NOTE = (
    "INSERT INTO {notes} VALUES (?, ?) ON CONFLICT(name) DO UPDATE SET value = excluded.value "
    "WHERE value <> excluded.value"  # one that stays is not written
)


class Tables:
    """The tables of a collection.

    Raises:
        ConfigError: no collection can have that name.
    """

    def __init__(self, collection: str = "") -> None:
        given: object = collection
        fits = isinstance(given, str) and len(given) <= MAX_COLLECTION
        if not fits or (collection and not collection.isprintable()):
            raise ConfigError(
                f"the collection {str(given)[:MAX_COLLECTION]!r} cannot be: its name is text of up to {MAX_COLLECTION} "
                "printable characters"
            )
        end = f"_{collection.encode().hex()}" if collection else ""
        self.records, self._notes = f"records{end}", f"notes{end}"
        self._words = Words(f"words{end}")

    def make(self, connection: sqlite3.Connection) -> None:
        """Make those that are not there."""
        connection.execute(RECORDS.format(records=self.records))
        connection.execute(NOTES.format(notes=self._notes))
        connection.execute(self._words.make)

    def there(self, connection: sqlite3.Connection) -> bool:
        found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (self.records,))
        return found.fetchone() is not None

    def put(
        self, connection: sqlite3.Connection, record: Record, facts: str, row: array[float]
    ) -> None:
        values = (record.id, record.text, facts, row.tobytes())
        (number,) = connection.execute(PUT.format(records=self.records), values).fetchone()
        self._words.put(connection, number, record.id, words_of(record))

    def drop(self, connection: sqlite3.Connection, ids: Iterable[str]) -> list[str]:
        """Take out those of `ids` that there are, and say which."""
        statement = f"DELETE FROM {self.records} WHERE id = ? RETURNING number"  # noqa: S608 - our own name
        gone = []
        for name in ids:
            found = connection.execute(statement, (name,)).fetchone()
            if found is not None:
                self._words.drop(connection, found[0])
                gone.append(name)
        return gone

    def clear(self, connection: sqlite3.Connection) -> int:
        found = self.count(connection)
        connection.execute(f"DELETE FROM {self.records}")  # noqa: S608 - our own name
        connection.execute(f"DELETE FROM {self._notes}")  # noqa: S608 - our own name
        self._words.clear(connection)
        return found

    def count(self, connection: sqlite3.Connection) -> int:
        (found,) = connection.execute(f"SELECT count(*) FROM {self.records}").fetchone()  # noqa: S608 - our own name
        return int(found)

    def dimensions(self, connection: sqlite3.Connection) -> int:
        """How many numbers a vector has; 0 while there is none."""
        statement = f"SELECT length(vector) FROM {self.records} LIMIT 1"  # noqa: S608 - our own name
        found = connection.execute(statement).fetchone()
        return int(found[0]) // 4 if found else 0

    def ids(self, connection: sqlite3.Connection, where: Where | None) -> list[str]:
        """The ids of the records that a filter fits, sorted."""
        found = connection.execute(f"SELECT id, metadata FROM {self.records} ORDER BY id")  # noqa: S608 - our own name
        return [name for name, facts in found if not where or matches(json.loads(facts), where)]

    def vectors(self, connection: sqlite3.Connection) -> Iterator[tuple[str, array[float]]]:
        """All ids and their vectors."""
        found = connection.execute(f"SELECT id, vector FROM {self.records} ORDER BY id")  # noqa: S608 - our own name
        return ((name, array("f", blob)) for name, blob in found)

    def hit(self, connection: sqlite3.Connection, name: str, score: float) -> Hit:
        statement = f"SELECT text, metadata FROM {self.records} WHERE id = ?"  # noqa: S608 - our own name
        text, facts = connection.execute(statement, (name,)).fetchone()
        return Hit(name, text, score, _metadata(facts))

    def get(self, connection: sqlite3.Connection, ids: Sequence[str]) -> Iterator[Record]:
        statement = f"SELECT text, vector, metadata FROM {self.records} WHERE id = ?"  # noqa: S608 - our own name
        for name in ids:
            for text, blob, facts in connection.execute(statement, (name,)):
                yield Record(name, text, list(array("f", blob)), _metadata(facts))

    def with_words(self, connection: sqlite3.Connection, query: str) -> Iterator[Hit]:
        """The records with any word of `query`, best first."""
        return (self.hit(connection, *found) for found in self._words.search(connection, query))

    def notes(self, connection: sqlite3.Connection) -> dict[str, str]:
        return dict(connection.execute(f"SELECT name, value FROM {self._notes}").fetchall())  # noqa: S608 - our own name

    def note(self, connection: sqlite3.Connection, name: str, value: str) -> None:
        connection.execute(PUT_NOTE.format(notes=self._notes), (name, value))


def collections(connection: sqlite3.Connection) -> list[str]:
    """The names of all collections in a file but "", sorted."""
    begin = "records_"
    found = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB ?", (f"{begin}*",)
    )
    return sorted(bytes.fromhex(name.removeprefix(begin)).decode() for (name,) in found)


class transaction:  # noqa: N801 - used like a function
    """All that is executed within, or nothing; to read, the file as it was at the first look."""

    def __init__(self, connection: sqlite3.Connection, begin: str = WRITE) -> None:
        self._connection = connection
        self._begin = begin

    def __enter__(self) -> None:
        self._connection.execute(self._begin)

    def __exit__(self, kind: object, exc: object, trace: object) -> None:
        try:
            if kind is None:
                self._connection.execute("COMMIT")
        finally:  # what could not be committed would stand in the way of all that follows
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def _metadata(facts: str) -> dict[str, JSONValue]:
    return cast("dict[str, JSONValue]", json.loads(facts))
