"""An index, its embedder and its fusion."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from aixgo.errors import ConfigError
from aixgo.retrieval import (
    Document,
    HashingEmbedder,
    Index,
    MemoryStore,
    SqliteStore,
    embedder_of,
    fused,
)
from aixgo.retrieval.embedding import cosine
from aixgo.retrieval.filters import Where

GARDEN = Document("garden.md", "# Watering\n\nRoses drink a lot.\n\n# Soil\n\nDark earth is best.")
CARS = Document("cars.txt", "Engines need oil and a driver.", {"topic": "cars"})


class Counting(HashingEmbedder):
    """Counts the texts it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.texts += texts
        return await super().embed(texts)


@pytest.mark.parametrize("mode", ["semantic", "keyword", "hybrid"])
async def test_a_question_finds_what_it_is_about(mode: str) -> None:
    async with Index(MemoryStore()) as index:
        await index.add(GARDEN)
        await index.add(CARS)
        hits = await index.search("oil for engines", 2, mode=mode)  # type: ignore[arg-type]
        assert (hits[0].id, hits[0].metadata["topic"]) == ("cars.txt#0", "cars")
        assert "digest" not in hits[0].metadata


async def test_what_a_heading_says_is_found_by_meaning() -> None:
    async with Index(MemoryStore()) as index:
        await index.add(Document("g.md", "# Irrigation\n## Roses\nMuch.\n## Cacti\nLittle."))
        hits = await index.search("irrigation of cacti", 1, mode="semantic")
        assert hits[0].metadata["heading"] == "Irrigation > Cacti"


async def test_a_filter_holds_in_every_mode() -> None:
    async with Index(MemoryStore()) as index:
        await index.add(GARDEN)
        await index.add(CARS)
        for mode in ("semantic", "keyword", "hybrid"):
            hits = await index.search("dark oil", 5, mode=mode, where={"topic": "cars"})
            assert [hit.id for hit in hits] == ["cars.txt#0"]


async def test_a_document_that_did_not_change_is_not_embedded_again() -> None:
    embedder = Counting()
    async with Index(MemoryStore(), embedder) as index:
        assert await index.add(GARDEN) == await index.add(GARDEN) == 2
        assert len(embedder.texts) == 2


async def test_a_document_that_changed_takes_its_own_place() -> None:
    async with Index(MemoryStore()) as index:
        await index.add(GARDEN)
        assert await index.add(Document("garden.md", "# Watering\n\nNever.")) == 1
        assert await index.store.ids() == ["garden.md#0"]
        await index.add(Document("garden.md", ""))
        assert await index.size() == 0


async def test_a_document_can_be_taken_out() -> None:
    async with Index(MemoryStore()) as index:
        await index.add(GARDEN)
        assert (await index.remove("garden.md"), await index.remove("nobody")) == (2, 0)
        assert await index.search("roses") == []


async def test_an_index_of_another_embedder_is_refused(tmp_path: Path) -> None:
    async with Index(SqliteStore(tmp_path / "i.db"), HashingEmbedder(64)) as index:
        await index.add(GARDEN)
    with pytest.raises(ConfigError, match="made with the embedding model 'hashing:64'"):
        await Index(SqliteStore(tmp_path / "i.db")).open()


async def test_a_mode_nobody_knows_is_refused() -> None:
    async with Index(MemoryStore()) as index:
        with pytest.raises(ConfigError, match="there is no mode 'magic'"):
            await index.search("x", mode="magic")  # type: ignore[arg-type]


async def test_the_hashing_embedder_gives_the_same_everywhere() -> None:
    (vector,) = await HashingEmbedder(16).embed(["Roses drink"])
    assert [round(x, 3) for x in vector] == [
        0.0,
        0.0,
        0.0,
        -0.556,
        0.0,
        -0.278,
        0.0,
        -0.389,
        0.0,
        0.389,
        0.556,
        0.0,
        0.0,
        0.0,
        0.0,
        0.0,
    ]


def test_texts_that_share_words_are_nearer() -> None:
    make = HashingEmbedder().vector
    asked, near, far = map(make, ("watering roses", "how I watered a rose", "engine oil"))
    dot = [sum(a * b for a, b in zip(asked, other, strict=True)) for other in (near, far)]
    assert dot[0] > dot[1] + 0.1


def test_a_text_without_words_has_no_direction() -> None:
    assert not any(HashingEmbedder().vector(" … "))


def test_the_default_embedder_needs_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    assert embedder_of().name == embedder_of("hashing").name == "hashing:512"
    assert embedder_of("hashing:64").name == "hashing:64"
    monkeypatch.setenv("AIXGO_OFFLINE", "1")
    assert embedder_of("openai:text-embedding-3-small").name == "hashing:512"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hashing:x", "write hashing:NUMBER"),
        ("hashing:3", "from 16 to 65536"),
        ("hashing:99999999999999", "from 16 to 65536"),
        (5, "named by text such as 'hashing'"),
        ("nobody:x", "does not tell its vendor"),
        ("openai:", "does not tell its vendor"),
        ("anthropic:claude", "'anthropic' has no embeddings"),
    ],
)
def test_an_embedder_that_cannot_be_is_refused(
    name: Any, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIXGO_OFFLINE", raising=False)
    with pytest.raises(ConfigError, match=text):
        embedder_of(name)


def test_fusion_prefers_what_several_rankings_have() -> None:
    assert [name for name, _ in fused([["a", "b", "c"], ["c", "b"]])] == ["c", "b", "a"]
    assert fused([["a"], ["a"]]) == [("a", round(2 / 61, 9))]


def test_ties_of_a_fusion_are_in_the_order_they_were_met() -> None:
    assert [name for name, _ in fused([["x", "y"], ["y", "x"], ["z"]])] == ["x", "y", "z"]


def test_an_id_counts_once_a_ranking() -> None:
    assert fused([["a", "a", "b"]]) == [("a", round(1 / 61, 9)), ("b", round(1 / 62, 9))]


@pytest.mark.parametrize("count", [1, 255, 256, 257, 600])
async def test_a_document_of_many_chunks_takes_its_own_place_without_a_look_at_the_others(
    count: int,
) -> None:
    class Seen(MemoryStore):
        async def ids(self, where: Where | None = None) -> list[str]:
            assert where is None, "who adds a document looks through all of the store"
            return await super().ids()

    def words(number: int) -> Document:
        return Document("a.txt", " ".join(f"w{i:06}" for i in range(number)))

    embedder = Counting()
    async with Index(Seen(), embedder, chunk_size=8, chunk_overlap=0) as index:
        await index.add(Document("a", "not a.txt"))
        more = await index.size()
        assert await index.add(words(count)) == await index.add(words(count)) == count
        assert len(embedder.texts) == count + more
        assert await index.add(words(3)) == 3
        await index.store.delete(["a.txt#1"])
        assert await index.size() == 2 + more
        assert (await index.remove("a.txt"), await index.size()) == (2, more)


async def test_others_get_their_turn_while_a_long_document_is_embedded() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    working = asyncio.create_task(others())
    await HashingEmbedder(16).embed(["rain"] * 1_000)
    working.cancel()
    assert turns >= 10


@pytest.mark.parametrize("dimensions", [15, 65_537, 10**14, 64.0, "64"])
def test_hashing_takes_as_many_numbers_as_a_vector_can_have(dimensions: Any) -> None:
    with pytest.raises(ConfigError, match="a whole number from 16 to 65536"):
        HashingEmbedder(dimensions)


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ([3.0, 4.0], [6.0, 8.0], 1.0),
        ([1.0, 0.0], [-2.0, 0.0], -1.0),
        ([1e200, 1e200], [1e200, 0.0], 0.5**0.5),
        ([0.0, 0.0], [1.0, 0.0], 0.0),
        ([math.nan, 1.0], [1.0, 0.0], 0.0),
        ([math.inf, 1.0], [1.0, 0.0], 0.0),
        ([], [], 0.0),
    ],
)
def test_any_two_vectors_of_one_length_have_a_cosine(
    one: list[float], other: list[float], alike: float
) -> None:
    assert cosine(one, other) == pytest.approx(alike)
