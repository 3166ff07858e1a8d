"""What every store promises, over every store, with NumPy, without, and by sqlite-vec."""

from __future__ import annotations

import math
import random
import sqlite3
from collections.abc import AsyncIterator, Callable
from functools import partial, reduce
from pathlib import Path
from typing import Any, cast

import pytest

from aixgo.errors import ConfigError
from aixgo.loading import kinds
from aixgo.message import JSONValue
from aixgo.retrieval.stores import _nearest, _tables, sqlite
from aixgo.retrieval.stores._driver import INSTALL, driver
from aixgo.retrieval.stores.base import Record, Stats, Store
from aixgo.retrieval.stores.memory import MemoryStore
from aixgo.retrieval.stores.sqlite import Engine, SqliteStore

Make = Callable[..., Store]

RECORDS = [
    Record("a", "the cat sleeps", [1, 0], {"kind": "pet", "year": 1}),
    Record("b", "the dogs are running", [3, 3], {"kind": "pet", "year": 2}),
    Record("c", "a car drives", [0, 1], {"kind": "thing", "new": True}),
]

DEEP: JSONValue = reduce(lambda inner, _: [inner], range(100_000), cast("JSONValue", []))


@pytest.fixture(
    params=["memory-numpy", "memory-plain", "sqlite-numpy", "sqlite-plain", "sqlite-vec"]
)
def make(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """What makes a new store of one kind, searched in one way; those in a file share it."""
    kind, _, how = str(request.param).partition("-")
    if how == "vec" and driver().load_vectors is None:
        pytest.skip(f"{INSTALL} installs what this test needs")
    if how == "plain":
        monkeypatch.setattr(_nearest, "find_spec", lambda _: None)
    elif how == "numpy":
        pytest.importorskip("numpy")
    if kind == "memory":
        return MemoryStore
    engine: Engine = "sqlite-vec" if how == "vec" else "memory"
    return partial(SqliteStore, tmp_path / "i.db", engine=engine)


@pytest.fixture
async def store(make: Make) -> AsyncIterator[Store]:
    made = make()
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
    assert [hit.id for hit in await store.search_text("car or cat", 1, {"kind": "pet"})] == ["a"]


async def test_words_are_found_by_their_stems(store: Store) -> None:
    assert [hit.id for hit in await store.search_text("who runs", 5)] == ["b"]
    assert all(hit.score > 0 for hit in await store.search_text("sleeps", 5))


async def test_the_rarest_word_counts_most_and_common_ones_only_by_themselves(store: Store) -> None:
    await store.upsert([Record("d", "a dog eats", [1, 1]), Record("e", "dogs, dogs", [1, 1])])
    assert (await store.search_text("which dog sleeps?", 5))[0].id == "a"
    assert [hit.id for hit in await store.search_text("the cat", 5)] == ["a"]
    assert [hit.id for hit in await store.search_text("the", 5)] == ["a", "b"]


async def test_a_title_is_found_by_its_words_and_not_shown(store: Store) -> None:
    await store.upsert([Record("t", "leave them dry", [1, 1], {}, "Cacti")])
    (hit,) = await store.search_text("cactus cacti", 5)
    assert (hit.id, hit.text) == ("t", "leave them dry")


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
    [([1, 2, 3], "has 3 numbers; the store's have 2"), ([1e999, 0], "no finite number")],
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


@pytest.mark.parametrize("kind", ["vectors", "words"])
async def test_a_search_is_not_disturbed_by_what_is_deleted_meanwhile(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteStore(tmp_path / "i.db")
    await store.open()
    await store.upsert(RECORDS)
    other = sqlite3.connect(tmp_path / "i.db", isolation_level=None, check_same_thread=False)
    module: Any = _tables if kind == "vectors" else sqlite
    found = module.matches

    def meanwhile(*given: object) -> bool:
        other.execute("DELETE FROM records")
        return bool(found(*given))

    monkeypatch.setattr(module, "matches", meanwhile)
    where = {"kind": "pet"}
    if kind == "vectors":
        hits = await store.search([1, 0], 5, where)
    else:
        hits = await store.search_text("the", 5, where)
    assert sorted(hit.id for hit in hits) == ["a", "b"]
    assert await store.search([1, 0], 5) == []
    other.close()
    await store.close()


@pytest.mark.parametrize(
    ("metric", "found"),
    [
        ("cosine", [("a", 0.98058), ("b", 0.83205), ("c", 0.19612), ("0", 0.0)]),
        ("dot_product", [("b", 18.0), ("a", 5.0), ("c", 1.0), ("0", 0.0)]),
        ("euclidean", [("b", -2.82843), ("a", -4.12311), ("c", -5.0), ("0", -5.09902)]),
    ],
)
async def test_a_metric_decides_who_is_near(
    metric: Any, found: list[tuple[str, float]], make: Make
) -> None:
    if metric == "dot_product" and make_is_vec(make):
        with pytest.raises(ConfigError, match=r"knows no dot_product.*take the engine 'memory'"):
            make(metric=metric)
        return
    store = make(metric=metric)
    await store.open()
    await store.upsert([*RECORDS, Record("0", "", [0, 0])])
    assert [(hit.id, hit.score) for hit in await store.search([5, 1], 9)] == found
    assert await store.stats() == Stats(records=4, dimensions=2, metric=metric)
    await store.close()


@pytest.mark.parametrize("metric", ["euclidean", "dot_product"])
@pytest.mark.filterwarnings("error")
async def test_numbers_whose_products_single_precision_cannot_hold_are_compared_too(
    metric: Any, make: Make
) -> None:
    if metric == "dot_product" and make_is_vec(make):
        pytest.skip("sqlite-vec knows no dot_product")
    store = make(metric=metric)
    await store.open()
    await store.upsert([Record("far", "", [-1e30, 2e29]), Record("near", "", [1e30, 1e30])])
    assert await names(store, [1e30, 1e30]) == ["near", "far"]
    assert await names(store, [-1, 0]) == ["far", "near"]
    await store.close()


@pytest.mark.parametrize("metric", ["cosine", "dot_product", "euclidean"])
async def test_the_best_of_many_are_exactly_those_of_a_sum_by_hand(metric: Any, make: Make) -> None:
    if metric == "dot_product" and make_is_vec(make):
        pytest.skip("sqlite-vec has no such function")
    dice = random.Random(7)
    few = [[round(dice.gauss(0, 3), 1) for _ in range(16)] for _ in range(150)]
    rows = {f"{i:03}": few[i % 150] for i in range(400)}  # so that most have a double
    asked = [-x for x in few[7]]
    store = make(metric=metric)
    await store.open()
    await store.upsert(
        [Record(name, "", row, {"even": i % 2}) for i, (name, row) in enumerate(rows.items())]
    )

    def score(row: list[float]) -> float:
        dot = sum(a * b for a, b in zip(row, asked, strict=True))
        if metric == "cosine":
            return dot / math.hypot(*row) / math.hypot(*asked)
        return dot if metric == "dot_product" else -math.dist(row, asked)

    for where, names in (({}, rows), ({"even": 0}, list(rows)[::2])):
        wanted = sorted(names, key=lambda name: (-round(score(rows[name]), 4), name))
        for count in (1, 20, 33, 400):
            hits = await store.search(asked, count, where)
            assert [hit.id for hit in hits] == wanted[:count]
            assert all(hit.score == pytest.approx(score(rows[hit.id]), abs=2e-4) for hit in hits)
    await store.close()


async def test_more_ties_than_are_wanted_are_cut_by_their_ids(make: Make) -> None:
    store = make()
    await store.open()
    await store.upsert([Record(f"{i:03}", "", [1, 1]) for i in reversed(range(200))])
    assert [hit.id for hit in await store.search([2, 2], 3)] == ["000", "001", "002"]
    assert [hit.score for hit in await store.search([0, 0], 2)] == [0, 0]
    await store.close()


async def test_hits_come_in_pages(store: Store) -> None:
    assert [hit.id for hit in await store.search([1, 0], 1, offset=1)] == ["b"]
    assert [hit.id for hit in await store.search([1, 0], 9, offset=2)] == ["c"]
    assert await store.search([1, 0], 9, offset=3) == []
    assert [hit.id for hit in await store.search_text("the", 9, offset=1)] == ["b"]
    with pytest.raises(ConfigError, match="offset is -1"):
        await store.search([1, 0], 1, offset=-1)


async def test_what_is_not_near_enough_is_left_out(store: Store) -> None:
    assert [hit.id for hit in await store.search([1, 0], 9, min_score=0.5)] == ["a", "b"]
    assert [hit.id for hit in await store.search([-1, 0], 9, min_score=0)] == ["c"]
    assert await store.search_text("the", 9, min_score=100) == []


async def test_records_are_given_back_as_they_are_stored(store: Store) -> None:
    found = await store.get(["b", "nobody", "a", "b"])
    assert [record.id for record in found] == ["b", "a"]
    assert found[0].vector == pytest.approx([0.5**0.5] * 2)
    assert (found[1].text, found[1].metadata) == ("the cat sleeps", {"kind": "pet", "year": 1})


async def test_records_are_deleted_by_a_filter(store: Store) -> None:
    assert await store.delete_where({"year": {"gte": 2}}) == 1
    assert (await store.ids(), await store.count({"kind": "pet"})) == (["a", "c"], 1)
    assert await store.search_text("dogs", 5) == []
    wrong: list[tuple[Any, str]] = [({}, "use clear"), ({"kind": {}}, "'kind' takes")]
    for where, text in wrong:
        with pytest.raises(ConfigError, match=text):
            await store.delete_where(where)
    assert await store.count() == 2


async def test_a_cleared_store_is_as_new(store: Store) -> None:
    await store.note("n", "v")
    assert await store.clear() == 3
    assert (await store.ids(), await store.notes(), await store.search([1, 0], 5)) == ([], {}, [])
    await store.upsert([Record("x", "cat", [1, 2, 3])])
    assert await names(store, [1, 2, 3]) == ["x"]
    assert [hit.id for hit in await store.search_text("cat", 5)] == ["x"]


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (Record("", "", [1, 1]), "the id '' cannot be"),
        (Record("x" * 513, "", [1, 1]), "1 to 512 printable"),
        (Record("a\nb", "", [1, 1]), "printable"),
        (Record("m", "", [1, 1], {"k" * 257: 1}), "up to|1 to 256"),
        (Record("m", "", [1, 1], {"k": float("nan")}), "of 'm' is not JSON"),
        (Record("m", "", [1, 1], {"k": {1}}), "of 'm' is not JSON"),  # type: ignore[dict-item]
        (Record("m", "", [float("nan"), 1]), "of 'm' holds what is no finite number"),
        (Record("m", "", ["1", 1]), "of 'm' holds what is no finite number"),  # type: ignore[list-item]
        (Record("m", "", [10**400, 1]), "of 'm' holds what is no finite number"),
        (Record("m", "", []), "of 'm' has 0 numbers"),
        (Record("m", "a\ud800", [1, 1]), "the text of 'm' holds a lone surrogate at character 1"),
        (Record("m", "", [1, 1], title="\ud800"), "the title of 'm' holds a lone surrogate"),
        (Record("m", None, [1, 1]), "the text of 'm' is of type NoneType"),  # type: ignore[arg-type]
        (Record("m", "", [1, 1], {"k": "\ud800"}), "the metadata of 'm' holds a lone surrogate"),
        (Record("m", "", [1, 1], {"k": DEEP}), "of 'm' is not JSON"),
    ],
)
async def test_a_record_that_cannot_be_is_named_and_none_is_stored(
    store: Store, record: Record, text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        await store.upsert([Record("new", "", [1, 1]), record])
    assert await store.ids() == ["a", "b", "c"]


async def test_vectors_of_another_length_than_was_asked_for_are_refused(make: Make) -> None:
    store = make(dimensions=3)
    await store.open()
    with pytest.raises(ConfigError, match="'a' has 2 numbers; the store's have 3"):
        await store.upsert(RECORDS)
    assert (await store.stats()).dimensions == 3
    await store.close()


def test_a_metric_that_is_none_is_refused(make: Make) -> None:
    with pytest.raises(ConfigError, match="no metric 'manhattan'; there are: cosine, eucl"):
        make(metric="manhattan")


def make_is_vec(make: Make) -> bool:
    return isinstance(make, partial) and make.keywords["engine"] == "sqlite-vec"


@pytest.mark.parametrize("dimensions", [-1, True, 1.5, "3"])
@pytest.mark.parametrize("kind", [MemoryStore, partial(SqliteStore, "i.db")])
def test_a_length_that_no_vector_has_is_refused(kind: Make, dimensions: Any) -> None:
    with pytest.raises(ConfigError, match=f"dimensions is {dimensions!r}"):
        kind(dimensions=dimensions)
