"""Several collections in one file, and what a file was made for."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from aixgo.errors import ConfigError
from aixgo.retrieval import HashingEmbedder, Index
from aixgo.retrieval.documents import Document
from aixgo.retrieval.stores import sqlite
from aixgo.retrieval.stores._driver import INSTALL, Driver, driver
from aixgo.retrieval.stores._tables import transaction
from aixgo.retrieval.stores.base import Record
from aixgo.retrieval.stores.sqlite import SqliteStore

FILE = "i.db"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


async def opened(**settings: object) -> SqliteStore:
    store = SqliteStore(FILE, **settings)  # type: ignore[arg-type]
    await store.open()
    return store


async def test_collections_of_a_file_do_not_see_each_other() -> None:
    names = ["", "acme", "ACME", 'a"; DROP TABLE records; --', "é"]
    stores = {name: await opened(collection=name) for name in names}
    for i, (name, store) in enumerate(stores.items()):
        await store.upsert([Record("same", f"cat of {name}", [1.0] * (i + 1), {"of": name})])
        await store.note("n", name)
    for name, store in stores.items():
        (hit,) = await store.search_text("cat", 9)
        assert (hit.metadata, await store.notes()) == ({"of": name}, {"n": name})
        assert await store.ids() == ["same"]
    assert await stores["acme"].clear() == 1
    assert await stores["ACME"].count() == await stores[""].count() == 1
    assert await stores["é"].collections() == sorted(names[1:])
    for store in stores.values():
        await store.close()


async def test_how_often_others_use_a_word_changes_no_score() -> None:
    one, other = await opened(collection="one"), await opened(collection="other")
    await one.upsert([Record("a", "the cat", [1]), Record("b", "a dog", [1])])
    before = await one.search_text("cat", 1)
    await other.upsert([Record(f"{i}", "cat cat", [1]) for i in range(50)])
    assert await one.search_text("cat", 1) == before
    await one.close()
    await other.close()


async def test_a_collection_that_is_not_there_is_named_with_those_that_are() -> None:
    await (await opened(collection="acme")).close()
    with pytest.raises(ConfigError, match="has no collection 'acne'; it has: 'acme'"):
        await opened(collection="acne", create=False)


@pytest.mark.parametrize("name", ["x" * 65, "a\nb", 5, None])
def test_a_name_no_collection_can_have_is_refused(name: Any) -> None:
    with pytest.raises(ConfigError, match="up to 64 printable"):
        SqliteStore(FILE, collection=name)


async def test_an_index_with_collections_keeps_the_embedder_of_each() -> None:
    async with Index(SqliteStore(FILE, collection="small"), HashingEmbedder(16)) as index:
        await index.add(Document("a.txt", "bees"))
    async with Index(SqliteStore(FILE, collection="large"), HashingEmbedder(64)) as index:
        await index.add(Document("a.txt", "bees"))
    with pytest.raises(ConfigError, match="made with the embedding model 'hashing:16'"):
        await Index(SqliteStore(FILE, collection="small"), HashingEmbedder(64)).open()


async def test_a_file_is_asked_by_the_metric_it_was_made_for() -> None:
    store = await opened(metric="euclidean")
    await store.upsert([Record("a", "", [3, 4])])
    await store.close()
    again = await opened()
    assert [hit.score for hit in await again.search([0, 0], 1)] == [-5]
    await again.close()
    with pytest.raises(ConfigError, match="made for the metric 'euclidean', and is asked for 'cos"):
        await opened(metric="cosine")


async def test_a_file_without_a_note_is_one_of_cosines() -> None:
    store = await opened()
    await store.upsert([Record("a", "", [3, 4])])
    await store.close()
    with pytest.raises(ConfigError, match="made for the metric 'cosine'"):
        await opened(metric="dot_product")


async def test_a_file_of_vectors_of_another_length_is_refused_when_it_is_opened() -> None:
    store = await opened()
    await store.upsert([Record("a", "", [3, 4])])
    await store.close()
    with pytest.raises(ConfigError, match="have 2 numbers, and 384 are asked for"):
        await opened(dimensions=384)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
async def test_a_file_written_with_sqlite_vec_opens_without_and_the_other_way(metric: str) -> None:
    if driver().load_vectors is None:
        pytest.skip(f"{INSTALL} installs what this test needs")
    first = await opened(engine="sqlite-vec", metric=metric)
    await first.upsert([Record("a", "", [1, 0]), Record("b", "", [0, 2])])
    await first.close()
    second = await opened(engine="memory")
    await second.upsert([Record("c", "", [1, 1])])
    found = await second.search([1, 0.1], 3)
    await second.close()
    third = await opened(engine="sqlite-vec")
    assert await third.search([1, 0.1], 3) == found
    await third.close()


async def test_sqlite_vec_searches_by_itself_only_where_numpy_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if driver().load_vectors is None:
        pytest.skip(f"{INSTALL} installs what this test needs")
    for numpy in (True, False):
        monkeypatch.setattr(sqlite, "has_numpy", lambda numpy=numpy: numpy)
        store = await opened()
        assert store._by_vec is not numpy
        await store.close()


def test_without_sqlite_vec_asking_for_it_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain: Driver = driver()._replace(load_vectors=None)
    monkeypatch.setattr(sqlite, "driver", lambda: plain)
    with pytest.raises(ConfigError, match=r"cannot be loaded: pip install 'aixgo\[sqlite-vec\]'"):
        SqliteStore(FILE, engine="sqlite-vec")
    with pytest.raises(ConfigError, match="no engine 'faiss'; there are: auto, memory, sqlite-vec"):
        SqliteStore(FILE, engine="faiss")  # type: ignore[arg-type]


async def test_many_may_make_one_file_at_the_same_time(tmp_path: Path) -> None:
    for turn in range(5):
        stores = [SqliteStore(tmp_path / f"{turn}.db", collection=f"c{i % 4}") for i in range(8)]
        await asyncio.gather(*(store.open() for store in stores))
        await asyncio.gather(*(s.upsert([Record(f"{i}", "", [1])]) for i, s in enumerate(stores)))
        assert [await store.count() for store in stores] == [2] * 8
        for store in stores:
            await store.close()


def test_what_cannot_be_committed_is_taken_back_and_the_next_can_begin(tmp_path: Path) -> None:
    writer, reader = (
        sqlite3.connect(tmp_path / "f.db", isolation_level=None, timeout=0) for _ in range(2)
    )
    writer.execute("CREATE TABLE t (n)")
    with transaction(reader, "BEGIN"):
        reader.execute("SELECT * FROM t").fetchall()
        with pytest.raises(sqlite3.OperationalError, match="locked"), transaction(writer):
            writer.execute("INSERT INTO t VALUES (1)")
    with transaction(writer):
        writer.execute("INSERT INTO t VALUES (2)")
    assert reader.execute("SELECT n FROM t").fetchall() == [(2,)]
    writer.close()
    reader.close()
