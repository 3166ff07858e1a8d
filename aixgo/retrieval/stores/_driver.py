"""Which SQLite index files are opened with, and whether it can load sqlite-vec.

Two copies of SQLite in one process would break each other's locks on a file. So one is chosen, once, for all files:
Python's own, but for a Python whose own cannot load extensions where sqlite-vec and `pysqlite3` are installed.

Below: sqlite3. Above: the store in a file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple, Protocol, cast

__all__ = ["INSTALL", "Driver", "driver"]

INSTALL = "pip install 'aixgo[sqlite-vec]'"


class _Connect(Protocol):
    def __call__(
        self, path: str, *, timeout: float, isolation_level: None, check_same_thread: bool
    ) -> sqlite3.Connection: ...


class Driver(NamedTuple):
    """A module for SQLite."""

    connect: _Connect
    error: type[Exception]
    load_vectors: Callable[[sqlite3.Connection], None] | None
    """Loads sqlite-vec into a connection; None when it cannot be."""


@cache
def driver() -> Driver:
    """The one of this process."""
    own = Driver(cast("_Connect", sqlite3.connect), sqlite3.Error, None)
    if find_spec("sqlite_vec") is None:
        return own
    if hasattr(sqlite3.Connection, "enable_load_extension"):
        return own._replace(load_vectors=_load) if _loads(own) else own
    if find_spec("pysqlite3") is None:
        return own
    try:
        module = import_module("pysqlite3.dbapi2")
    except ImportError:  # built for another Python
        return own
    other = Driver(cast("_Connect", module.connect), cast("type[Exception]", module.Error), _load)
    return other if _loads(other) else own


def _loads(found: Driver) -> bool:
    connection = found.connect(":memory:", timeout=0, isolation_level=None, check_same_thread=True)
    try:
        _load(connection)
    except (found.error, ImportError, OSError, AttributeError):
        return False  # built for another machine, or its Python may load nothing
    finally:
        connection.close()
    return True


def _load(connection: sqlite3.Connection) -> None:
    connection.enable_load_extension(True)
    try:
        import_module("sqlite_vec").load(connection)
    finally:
        connection.enable_load_extension(False)
