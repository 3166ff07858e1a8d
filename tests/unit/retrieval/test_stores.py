"""What every store promises, over every store, with NumPy and without."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aixgo.errors import ConfigError
from aixgo.loading import kinds
from aixgo.retrieval.stores import _nearest, sqlite
from aixgo.retrieval.stores.base import Record, Store
from aixgo.retrieval.stores.memory import MemoryStore
from aixgo.retrieval.stores.sqlite import SqliteStore

RECORDS = [
    Record("a", "the cat sleeps", [1, 0], {"kind": "pet", "year": 1}),
    Record("b", "the dogs are running", [3, 3], {"kind": "pet", "year": 2}),
    Record("c", "a car drives", [0, 1], {"kind": "thing", "new": True}),
]


@pytest.fixture(params=["numpy", "plain"])
def arithmetic(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "plain":
        monkeypatch.setattr(_nearest, "find_spec", lambda _: None)
    else:
        pytest.importorskip("numpy")
    return str(request.param)


@pytest.fixture(params=["memory", "sqlite"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, arithmetic: str
) -> AsyncIterator[Store]:
    made: Store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "i.db")
    await made.open()
    await made.upsert(RECORDS)
    yield made
    await made.close()


async def names(store: Store, vector: list[float], **options: object) -> list[str]:
    return [hit.id for hit in await store.search(vector, 10, **options)]  # type: ignore[arg-type]


def test_every_store_is_in_the_suite() -> None:
    assert kinds("retrieval.stores") == ["memory", "sqlite"]


async def test_the_nearest_come_first_whatever_their_length(store: Store) -> None:
    hits = await store.search([5, 1], 2)
    assert [(hit.id, hit.score) for hit in hits] == [("a", 0.98058), ("b", 0.83205)]
    assert (hits[0].text, hits[0].metadata) == ("the cat sleeps", {"kind": "pet", "year": 1})


async def test_ties_are_in_the_order_of_ids_whenever_they_came(store: Store) -> None:
    await store.upsert([Record("z", "", [2, 0]), Record("0", "", [4, 0])])
    assert (await names(store, [1, 0]))[:3] == ["0", "a", "z"]
    assert [hit.id for hit in await store.search([1, 0], 2)] == ["0", "a"]


async def test_a_filter_takes_a_value_or_several(store: Store) -> None:
    assert await names(store, [1, 0], where={"kind": "pet"}) == ["a", "b"]
    assert await names(store, [1, 0], where={"year": [2, 3]}) == ["b"]
    assert await names(store, [1, 0], where={"kind": "pet", "year": 1}) == ["a"]
    assert await names(store, [1, 0], where={"new": 1}) == []
    assert await names(store, [1, 0], where={"new": True}) == ["c"]


async def test_a_filter_holds_before_the_best_are_picked(store: Store) -> None:
    assert [hit.id for hit in await store.search([1, 0], 1, {"kind": "thing"})] == ["c"]
    assert [hit.id for hit in await store.search_text("the car", 1, {"kind": "pet"})] == ["a"]


async def test_words_are_found_by_their_stems_and_the_rarest_counts_most(store: Store) -> None:
    assert [hit.id for hit in await store.search_text("who runs", 5)] == ["b"]
    assert [hit.id for hit in await store.search_text("the cat", 5)] == ["a", "b"]
    assert all(hit.score > 0 for hit in await store.search_text("sleeps", 5))


@pytest.mark.parametrize("query", ['"', "cat OR (", "NEAR(", "text:*", "", "…", "cat' --"])
async def test_nothing_in_a_query_is_syntax(store: Store, query: str) -> None:
    found = await store.search_text(query, 5)
    assert [hit.id for hit in found] == (["a"] if "cat" in query else [])


async def test_a_record_takes_the_place_of_one_with_its_id(store: Store) -> None:
    await store.upsert([Record("a", "a bird sings", [0, 1], {"kind": "bird"})])
    assert await store.ids() == ["a", "b", "c"]
    assert await names(store, [0, 1]) == ["a", "c", "b"]
    assert await store.search_text("cat", 5) == []
    assert [hit.id for hit in await store.search_text("bird", 5, {"kind": "bird"})] == ["a"]


async def test_what_is_deleted_is_found_no_more(store: Store) -> None:
    assert await store.delete(["a", "nobody", "a"]) == 1
    assert await names(store, [1, 0]) == ["b", "c"]
    assert await store.search_text("cat", 5) == []
    assert await store.delete(["b", "c"]) == 2
    assert await store.search([1, 0], 5) == []


async def test_an_empty_store_takes_vectors_of_another_length(store: Store) -> None:
    await store.delete(["a", "b", "c"])
    await store.upsert([Record("x", "", [1, 2, 3])])
    assert await names(store, [1, 2, 3]) == ["x"]


@pytest.mark.parametrize(
    ("vector", "text"),
    [([1, 2, 3], "has 3 numbers; the store's have 2"), ([1e999, 0], "not finite")],
)
async def test_a_wrong_vector_stores_none_of_its_batch(
    store: Store, vector: list[float], text: str
) -> None:
    with pytest.raises(ConfigError, match=f"'bad'.*{text}"):
        await store.upsert([Record("new", "fresh", [1, 1]), Record("bad", "", vector)])
    assert await store.ids() == ["a", "b", "c"]
    assert await store.search_text("fresh", 5) == []
    with pytest.raises(ConfigError, match="the query has 3"):
        await store.search([1, 2, 3], 5)


async def test_a_vector_without_direction_is_near_to_nothing(store: Store) -> None:
    await store.upsert([Record("0", "", [0, 0])])
    assert {hit.id: hit.score for hit in await store.search([1, 0], 9)}["0"] == 0


async def test_a_filter_that_is_none_is_refused(store: Store) -> None:
    with pytest.raises(ConfigError, match="'kind' takes a value"):
        await store.search([1, 0], 5, {"kind": {}})


async def test_asking_for_none_gives_none(store: Store) -> None:
    assert await store.search([1, 0], 0) == await store.search_text("cat", 0) == []


async def test_notes_are_kept(store: Store) -> None:
    await store.note("embedder", "one")
    await store.note("embedder", "two")
    assert await store.notes() == {"embedder": "two"}


async def test_a_closed_store_says_so(store: Store) -> None:
    await store.close()
    await store.close()
    with pytest.raises(ConfigError, match="not open"):
        await store.search([1, 0], 1)


async def test_a_file_holds_what_was_put_into_it(tmp_path: Path) -> None:
    first, second = SqliteStore(tmp_path / "i.db"), SqliteStore(tmp_path / "i.db", create=False)
    await first.open()
    await first.upsert(RECORDS)
    await first.note("n", "v")
    await first.close()
    await second.open()
    assert await names(second, [1, 0]) == ["a", "b", "c"]
    assert [hit.id for hit in await second.search_text("cat", 5)] == ["a"]
    assert await second.notes() == {"n": "v"}
    await second.close()


async def test_what_another_connection_writes_is_found(tmp_path: Path) -> None:
    writer, reader = SqliteStore(tmp_path / "i.db"), SqliteStore(tmp_path / "i.db")
    await writer.open()
    await reader.open()
    await writer.upsert(RECORDS)
    assert await names(reader, [0, 1]) == ["c", "b", "a"]
    await writer.delete(["c"])
    await reader.upsert([Record("d", "", [0, 1])])
    assert await names(reader, [0, 1]) == await names(writer, [0, 1]) == ["d", "b", "a"]
    await writer.close()
    await reader.close()


async def test_a_file_that_is_no_index_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello, this is no database, and long enough to be seen as none")
    with pytest.raises(ConfigError, match="cannot be opened"):
        await SqliteStore(tmp_path / "text").open()
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE t (x)")
    other.close()
    with pytest.raises(ConfigError, match="something else"):
        await SqliteStore(tmp_path / "other.db").open()
    with pytest.raises(ConfigError, match=r"there is no index .*`aixgo index"):
        await SqliteStore(tmp_path / "none.db", create=False).open()


async def test_numpy_and_plain_arithmetic_find_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("numpy")
    dice = random.Random(7)
    records = [Record(f"{i}", "", [dice.gauss(0, 1) for _ in range(16)]) for i in range(300)]
    asked = [dice.gauss(0, 1) for _ in range(16)]
    found = []
    for plain in (False, True):
        if plain:
            monkeypatch.setattr(_nearest, "find_spec", lambda _: None)
        store = MemoryStore()
        await store.open()
        await store.upsert(records)
        found.append([hit.id for hit in await store.search(asked, 20)])
        await store.close()
    assert found[0] == found[1]


@pytest.mark.parametrize("kind", ["vectors", "words"])
async def test_a_search_is_not_disturbed_by_what_is_deleted_meanwhile(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteStore(tmp_path / "i.db")
    await store.open()
    await store.upsert(RECORDS)
    other = sqlite3.connect(tmp_path / "i.db", isolation_level=None, check_same_thread=False)
    found = sqlite.matches

    def meanwhile(*given: object) -> bool:
        other.execute("DELETE FROM records")
        return found(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(sqlite, "matches", meanwhile)
    where = {"kind": "pet"}
    if kind == "vectors":
        hits = await store.search([1, 0], 5, where)
    else:
        hits = await store.search_text("the", 5, where)
    assert sorted(hit.id for hit in hits) == ["a", "b"]
    assert await store.search([1, 0], 5) == []
    other.close()
    await store.close()
