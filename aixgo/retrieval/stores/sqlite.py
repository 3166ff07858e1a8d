"""The store in one SQLite file: records last, and other processes may read while one writes.

Vectors are kept in memory too, read at the first search and again when another process has changed the file, unless
sqlite-vec searches them where they are. All work is done by one thread of its own, so that the loop goes on
meanwhile.

Below: base, _tables. Above: index.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar, cast, get_args

from aixgo.errors import ConfigError
from aixgo.retrieval.filters import check_where, matches
from aixgo.retrieval.stores import _vec
from aixgo.retrieval.stores._driver import INSTALL, driver
from aixgo.retrieval.stores._nearest import Rows, has_numpy
from aixgo.retrieval.stores._tables import READ, Tables, collections, transaction
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
)
from aixgo.threads import DaemonThreads, run_in

__all__ = ["ENGINES", "STORE", "Engine", "SqliteStore"]

T = TypeVar("T")
Engine: TypeAlias = Literal["auto", "memory", "sqlite-vec"]
ENGINES: tuple[Engine, ...] = get_args(Engine)

MARK = 0x61697867  # application_id of our files: "aixg"
VERSION = 1  # user_version
BUSY = 10.0  # seconds to wait for another process that writes
STATE = """
    SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master)
    FROM pragma_application_id, pragma_user_version
"""
METRIC = "metric"  # the note that says how near is measured, if not by cosine


class SqliteStore:
    """Records in a file. Without `create` a file or collection that is not there is an error.

    Args:
        path: the file.
        create: make it if it is not there.
        collection: which of the file's collections; each has its own records, and sees no other's.
        metric: how near is measured; by default as the collection is, `cosine` for a new one.
        dimensions: how many numbers a vector has; by default as many as those there are.
        engine: what finds the nearest: `memory` keeps all vectors in memory, `sqlite-vec` reads them from the file
            at each search. `auto` is sqlite-vec where it can be loaded and NumPy is not installed, else memory.

    Raises:
        ConfigError: a setting that cannot be, or `sqlite-vec` cannot be loaded, or has no such metric.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        create: bool = True,
        collection: str = "",
        metric: Metric | None = None,
        dimensions: int = 0,
        engine: Engine = "auto",
    ) -> None:
        check_metric(metric)
        check_dimensions(dimensions)
        if engine not in ENGINES:
            raise ConfigError(f"there is no engine {engine!r}; there are: {', '.join(ENGINES)}")
        self.path = Path(path)
        self.collection = collection
        self._create = create
        self._tables = Tables(collection)
        self._asked_metric: Metric | None = metric
        self._metric: Metric = metric or "cosine"
        self._dimensions = dimensions
        self._engine: Engine = engine
        if engine == "sqlite-vec":
            self._check_vectors()
        self._threads: DaemonThreads | None = None
        self._connection: sqlite3.Connection | None = None
        self._rows: Rows | None = None
        self._seen = -1  # the file's version that the rows are of
        self._by_vec = False

    async def open(self) -> None:
        """Open the file, and make it if it is not there.

        Raises:
            ConfigError: it is not there, not ours, or cannot be read, or its vectors are of another length or metric.
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
        given = [(record, check_record(record)) for record in records]
        await self._do(lambda connection: self._put(connection, given))

    async def get(self, ids: Iterable[str]) -> list[Record]:
        """The records of these ids that there are, in that order."""
        names = list(dict.fromkeys(ids))
        return await self._do(lambda connection: list(self._tables.get(connection, names)))

    async def delete(self, ids: Iterable[str]) -> int:
        """Take records out; how many there were."""
        gone = list(dict.fromkeys(ids))
        return await self._do(lambda connection: self._drop(connection, lambda: gone))

    async def delete_where(self, where: Where) -> int:
        """Take out the records that a filter fits; how many there were."""
        check_which(where)
        tables = self._tables
        return await self._do(lambda c: self._drop(c, lambda: tables.ids(c, where)))

    async def clear(self) -> int:
        """Take all records and notes out; how many records there were."""
        return await self._do(self._clear)

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
        check_page(where, offset)

        def work(connection: sqlite3.Connection) -> list[Hit]:
            with transaction(connection, READ):
                dimensions = self._tables.dimensions(connection)
                if not dimensions or top_k < 1:
                    return []
                asked = stored(vector, dimensions, "the query", self._metric)
                count = offset + top_k
                if self._by_vec:
                    table = self._tables.records
                    found = _vec.nearest(connection, table, self._metric, asked, count, where)
                else:
                    rows = self._current(connection)
                    among = self._tables.ids(connection, where) if where else None
                    found = rows.nearest(asked, count, among)
                near = (one for one in found[offset:] if min_score is None or one[1] >= min_score)
                return [self._tables.hit(connection, *one) for one in near]

        return await self._do(work)

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

        def work(connection: sqlite3.Connection) -> list[Hit]:
            with transaction(connection, READ):
                fit = (
                    hit
                    for hit in self._tables.with_words(connection, query)
                    if matches(hit.metadata, where or {})
                    and (min_score is None or hit.score >= min_score)
                )
                return list(itertools.islice(fit, offset, offset + max(0, top_k)))

        return await self._do(work)

    async def ids(self, where: Where | None = None) -> list[str]:
        """The ids of the records, sorted."""
        check_where(where)
        return await self._do(lambda connection: self._tables.ids(connection, where))

    async def count(self, where: Where | None = None) -> int:
        """How many records there are."""
        return len(await self.ids(where)) if where else await self._do(self._tables.count)

    async def stats(self) -> Stats:
        """What is in it."""

        def work(connection: sqlite3.Connection) -> Stats:
            with transaction(connection, READ):
                return Stats(
                    records=self._tables.count(connection),
                    dimensions=self._tables.dimensions(connection) or self._dimensions,
                    metric=self._metric,
                )

        return await self._do(work)

    async def notes(self) -> dict[str, str]:
        """What was noted about the whole."""
        return await self._do(self._tables.notes)

    async def note(self, name: str, value: str) -> None:
        """Keep a fact about the whole."""
        await self._do(lambda connection: self._tables.note(connection, name, value))

    async def collections(self) -> list[str]:
        """The names of all collections in the file, sorted; the one without a name is not among them."""
        return await self._do(collections)

    # -- in the thread --------------------------------------------------------------------------------

    async def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        threads, connection = self._threads, self._connection
        if threads is None or connection is None:
            raise ConfigError("the store is not open: await its open() first")
        try:
            return await run_in(threads, lambda: work(connection))
        except driver().error as exc:
            raise ConfigError(f"the index {str(self.path)!r} cannot be used: {exc}") from exc

    def _connected(self) -> sqlite3.Connection:
        if not self._create and not self.path.is_file():
            raise ConfigError(
                f"there is no index {str(self.path)!r}; make it with `aixgo index PATH --to {self.path}`"
            )
        connection: sqlite3.Connection | None = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = driver().connect(
                str(self.path), timeout=BUSY, isolation_level=None, check_same_thread=False
            )
            self._prepare(connection)
        except (driver().error, OSError) as exc:
            if connection is not None:
                connection.close()
            raise ConfigError(f"the index {str(self.path)!r} cannot be opened: {exc}") from exc
        except ConfigError:
            if connection is not None:
                connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        if self._is_new(connection):
            with transaction(connection):
                if self._is_new(connection):  # others may be here at the same time
                    Tables().make(connection)
                    connection.execute(f"PRAGMA application_id = {MARK}")
                    connection.execute(f"PRAGMA user_version = {VERSION}")
        if self._create:
            with suppress(
                driver().error
            ):  # while another does the same; the next to open it tries again
                connection.execute("PRAGMA journal_mode = WAL")
        if not self._tables.there(connection):
            if not self._create:
                named = ", ".join(map(repr, collections(connection))) or "none"
                raise ConfigError(
                    f"the index {str(self.path)!r} has no collection {self.collection!r}; it has: {named}"
                )
            with transaction(connection):
                self._tables.make(connection)
        self._check_vectors_of(connection)
        self._by_vec = self._uses_vec()
        if self._by_vec:
            cast("Callable[[sqlite3.Connection], None]", driver().load_vectors)(connection)

    def _is_new(self, connection: sqlite3.Connection) -> bool:
        """Whether there is nothing in the file; what is must be ours.

        Raises:
            ConfigError: it is not.
        """
        mark, version, tables = connection.execute(STATE).fetchone()
        if tables and mark != MARK:
            raise ConfigError(f"{str(self.path)!r} is a database of something else, and no index")
        if tables and version != VERSION:
            raise ConfigError(
                f"the index {str(self.path)!r} has version {version}, and this aixgo reads {VERSION}; index anew"
            )
        return not tables

    def _check_vectors_of(self, connection: sqlite3.Connection) -> None:
        """Refuse vectors that are not what was asked for."""
        dimensions = self._tables.dimensions(connection)
        noted = self._tables.notes(connection).get(METRIC)
        if dimensions or noted:
            metric = cast("Metric", noted or "cosine")
            check_metric(metric)
            if self._asked_metric not in (None, metric):
                raise ConfigError(
                    f"the index {str(self.path)!r} was made for the metric {metric!r}, and is asked for "
                    f"{self._asked_metric!r}; name the same, or index anew"
                )
            self._metric = metric
        if dimensions and self._dimensions not in (0, dimensions):
            raise ConfigError(
                f"the vectors of the index {str(self.path)!r} have {dimensions} numbers, and {self._dimensions} are "
                "asked for; name the same, or index anew"
            )

    def _uses_vec(self) -> bool:
        if self._engine == "sqlite-vec":
            self._check_vectors()
            return True
        there = driver().load_vectors is not None and self._metric in _vec.FUNCTIONS
        return self._engine == "auto" and there and not has_numpy()

    def _check_vectors(self) -> None:
        if driver().load_vectors is None:
            raise ConfigError(f"sqlite-vec is not installed, or cannot be loaded: {INSTALL}")
        if self._metric not in _vec.FUNCTIONS:
            raise ConfigError(
                f"sqlite-vec knows no {self._metric}, only {', '.join(_vec.FUNCTIONS)}; "
                "take the engine 'memory'"
            )

    def _put(self, connection: sqlite3.Connection, records: Sequence[tuple[Record, str]]) -> None:
        if self._rows is not None:
            self._current(connection)
        new = []
        with transaction(connection):
            dimensions = self._tables.dimensions(connection) or self._dimensions
            for record, facts in records:
                row = stored(record.vector, dimensions, repr(record.id), self._metric)
                dimensions = len(row)
                self._tables.put(connection, record, facts, row)
                new.append((record.id, row))
            if self._metric != "cosine" and new:
                self._tables.note(connection, METRIC, self._metric)
        for name, row in new if self._rows is not None else ():
            cast("Rows", self._rows).put(name, row)

    def _drop(self, connection: sqlite3.Connection, which: Callable[[], Sequence[str]]) -> int:
        if self._rows is not None:
            self._current(connection)
        with transaction(connection):
            gone = self._tables.drop(connection, which())
        for name in gone if self._rows is not None else ():
            cast("Rows", self._rows).drop(name)
        return len(gone)

    def _clear(self, connection: sqlite3.Connection) -> int:
        with transaction(connection):
            found = self._tables.clear(connection)
        self._rows = None
        return found

    def _current(self, connection: sqlite3.Connection) -> Rows:
        """The vectors, read again when another connection has written."""
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        if self._rows is None or version != self._seen:
            self._rows = Rows(self._tables.vectors(connection), self._metric)
            self._seen = version
        return self._rows


STORE = SqliteStore
