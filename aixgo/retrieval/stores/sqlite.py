"""The store in one SQLite file: records last, and other processes may read while one writes.

Vectors are kept in memory too, read at the first search and again when another process has changed the file.
All work is done by one thread of its own, so that the loop goes on meanwhile.

Below: base. Above: index.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
from array import array
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar, cast

from aixgo.errors import ConfigError
from aixgo.message import JSONValue
from aixgo.retrieval.stores._nearest import Rows
from aixgo.retrieval.stores._words import WORDS, drop_words, put_words, search_words
from aixgo.retrieval.stores.base import Hit, Record, Where, check_where, matches, unit
from aixgo.threads import DaemonThreads, run_in

__all__ = ["STORE", "SqliteStore"]

T = TypeVar("T")

MARK = 0x61697867  # application_id of our files: "aixg"
VERSION = 1  # user_version
WRITE, READ = "BEGIN IMMEDIATE", "BEGIN"
BUSY = 10.0  # seconds to wait for another process that writes
RECORDS = """
    CREATE TABLE IF NOT EXISTS records (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, text TEXT NOT NULL,
        metadata TEXT NOT NULL, vector BLOB NOT NULL
    )
"""
NOTES = "CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL)"
PUT = """
    INSERT INTO records(id, text, metadata, vector) VALUES (?, ?, ?, ?)
    ON CONFLICT(id) DO UPDATE SET text = excluded.text, metadata = excluded.metadata, vector = excluded.vector
    RETURNING number
"""
PUT_NOTE = "INSERT INTO notes VALUES (?, ?) ON CONFLICT(name) DO UPDATE SET value = excluded.value"


class SqliteStore:
    """Records in a file. Without `create` a file that is not there is an error."""

    def __init__(self, path: str | Path, *, create: bool = True) -> None:
        self.path = Path(path)
        self._create = create
        self._threads: DaemonThreads | None = None
        self._connection: sqlite3.Connection | None = None
        self._rows: Rows | None = None
        self._seen = -1  # the file's version that the rows are of

    async def open(self) -> None:
        """Open the file, and make it if it is not there.

        Raises:
            ConfigError: it is not there, not ours, or cannot be read.
        """
        if self._threads is None:
            self._threads = DaemonThreads(1, "aixgo-store")
            try:
                self._connection = await run_in(self._threads, self._connected)
            except BaseException:
                self._threads.shutdown()
                self._threads = None
                raise

    async def close(self) -> None:
        """Close the file."""
        threads, connection = self._threads, self._connection
        self._threads = self._connection = self._rows = None
        if threads is not None and connection is not None:
            try:
                await run_in(threads, connection.close)
            finally:
                threads.shutdown()

    async def upsert(self, records: Iterable[Record]) -> None:
        """Put `records` in, in place of those with the same ids; all of them or none."""
        given = list(records)
        await self._do(lambda connection: self._put(connection, given))

    async def delete(self, ids: Iterable[str]) -> int:
        """Take records out; how many there were."""
        gone = list(dict.fromkeys(ids))
        return await self._do(lambda connection: self._drop(connection, gone))

    async def search(
        self, vector: Sequence[float], top_k: int, where: Where | None = None
    ) -> list[Hit]:
        """The records nearest to `vector`."""
        check_where(where)

        def work(connection: sqlite3.Connection) -> list[Hit]:
            with _transaction(connection, READ):
                rows = self._current(connection)
                if not len(rows):
                    return []
                among = _ids(connection, where) if where else None
                asked = unit(vector, _dimensions(connection), "the query")
                return [_hit(connection, *found) for found in rows.nearest(asked, top_k, among)]

        return await self._do(work)

    async def search_text(self, query: str, top_k: int, where: Where | None = None) -> list[Hit]:
        """The records with words of `query`."""
        check_where(where)

        def work(connection: sqlite3.Connection) -> list[Hit]:
            with _transaction(connection, READ):
                hits = (_hit(connection, *found) for found in search_words(connection, query))
                fit = (hit for hit in hits if matches(hit.metadata, where or {}))
                return list(itertools.islice(fit, max(0, top_k)))

        return await self._do(work)

    async def ids(self, where: Where | None = None) -> list[str]:
        """The ids of the records, sorted."""
        check_where(where)
        return await self._do(lambda connection: _ids(connection, where or {}))

    async def notes(self) -> dict[str, str]:
        """What was noted about the whole."""
        return await self._do(lambda c: dict(c.execute("SELECT name, value FROM notes").fetchall()))

    async def note(self, name: str, value: str) -> None:
        """Keep a fact about the whole."""
        await self._do(lambda connection: connection.execute(PUT_NOTE, (name, value)))

    # -- in the thread --------------------------------------------------------------------------------

    async def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        threads, connection = self._threads, self._connection
        if threads is None or connection is None:
            raise ConfigError("the store is not open: await its open() first")
        try:
            return await run_in(threads, lambda: work(connection))
        except sqlite3.Error as exc:
            raise ConfigError(f"the index {str(self.path)!r} cannot be used: {exc}") from exc

    def _connected(self) -> sqlite3.Connection:
        if not self._create and not self.path.is_file():
            raise ConfigError(
                f"there is no index {str(self.path)!r}; make it with `aixgo index PATH --to {self.path}`"
            )
        connection: sqlite3.Connection | None = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self.path, timeout=BUSY, isolation_level=None, check_same_thread=False
            )
            self._prepare(connection)
        except (sqlite3.Error, OSError) as exc:
            if connection is not None:
                connection.close()
            raise ConfigError(f"the index {str(self.path)!r} cannot be opened: {exc}") from exc
        except ConfigError:
            if connection is not None:
                connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        (mark,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and mark != MARK:
            raise ConfigError(f"{str(self.path)!r} is a database of something else, and no index")
        if tables and version != VERSION:
            raise ConfigError(
                f"the index {str(self.path)!r} has version {version}, and this aixgo reads {VERSION}; index anew"
            )
        if not tables:
            connection.execute("PRAGMA journal_mode = WAL")
            with _transaction(connection):
                for statement in (RECORDS, NOTES, WORDS):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {MARK}")
                connection.execute(f"PRAGMA user_version = {VERSION}")

    def _put(self, connection: sqlite3.Connection, records: Sequence[Record]) -> None:
        self._current(connection)
        stored = []
        with _transaction(connection):
            dimensions = _dimensions(connection)
            for record in records:
                row = unit(record.vector, dimensions, repr(record.id))
                dimensions = len(row)
                facts = json.dumps(dict(record.metadata), ensure_ascii=False)
                values = (record.id, record.text, facts, row.tobytes())
                (number,) = connection.execute(PUT, values).fetchone()
                put_words(connection, number, record.id, record.text)
                stored.append((record.id, row))
        if self._rows is not None:
            for name, row in stored:
                self._rows.put(name, row)

    def _drop(self, connection: sqlite3.Connection, ids: Sequence[str]) -> int:
        self._current(connection)
        gone = []
        with _transaction(connection):
            for name in ids:
                found = connection.execute(
                    "DELETE FROM records WHERE id = ? RETURNING number", (name,)
                ).fetchone()
                if found is not None:
                    drop_words(connection, found[0])
                    gone.append(name)
        for name in gone if self._rows is not None else ():
            cast("Rows", self._rows).drop(name)
        return len(gone)

    def _current(self, connection: sqlite3.Connection) -> Rows:
        """The vectors, read again when another connection has written."""
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        if self._rows is None or version != self._seen:
            found = connection.execute("SELECT id, vector FROM records ORDER BY id")
            self._rows = Rows((name, array("f", blob)) for name, blob in found)
            self._seen = version
        return self._rows


class _transaction:  # noqa: N801 - used like a function
    """All that is executed within, or nothing; to read, the file as it was at the first look."""

    def __init__(self, connection: sqlite3.Connection, begin: str = WRITE) -> None:
        self._connection = connection
        self._begin = begin

    def __enter__(self) -> None:
        self._connection.execute(self._begin)

    def __exit__(self, kind: object, exc: object, trace: object) -> None:
        self._connection.execute("COMMIT" if kind is None else "ROLLBACK")


def _dimensions(connection: sqlite3.Connection) -> int:
    found = connection.execute("SELECT length(vector) FROM records LIMIT 1").fetchone()
    return int(found[0]) // 4 if found else 0


def _ids(connection: sqlite3.Connection, where: Where | None) -> list[str]:
    found = connection.execute("SELECT id, metadata FROM records ORDER BY id")
    return [name for name, facts in found if not where or matches(json.loads(facts), where)]


def _hit(connection: sqlite3.Connection, name: str, score: float) -> Hit:
    text, facts = connection.execute(
        "SELECT text, metadata FROM records WHERE id = ?", (name,)
    ).fetchone()
    return Hit(name, text, score, cast("dict[str, JSONValue]", json.loads(facts)))


STORE = SqliteStore
