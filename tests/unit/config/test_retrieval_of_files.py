"""`embeddings` and `vectorstore`: what a file's retrievers are built with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aixgo.config import assemble, load_config, open_runtime, rehearse
from aixgo.errors import ConfigError
from aixgo.retrieval import Document, HashingEmbedder, Index, MemoryStore, SqliteStore


@pytest.fixture(autouse=True)
def docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIXGO_OFFLINE", raising=False)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "bees.txt").write_text("Bees make honey.")
    (tmp_path / "docs" / "cars.txt").write_text("Engines need oil.")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "ants.txt").write_text("Ants build hills of honey.")


FILE = "vectorstore: {provider: sqlite, path: ./know.db}\n"
BEES = "agents:\n- {name: r, role: retriever, documents: [./docs]}\n"


def written(tmp_path: Path, text: str) -> Path:
    (tmp_path / "c.yaml").write_text(text)
    return tmp_path / "c.yaml"


async def asked(tmp_path: Path, text: str, who: str = "r", question: Any = "honey") -> list[str]:
    async with open_runtime(load_config(written(tmp_path, text))) as rt:
        reply: Any = (await rt.call(who, question)).payload
    return [found["id"] for found in reply["documents"]]


async def test_the_files_number_of_passages_holds_unless_the_agent_says_its_own(
    tmp_path: Path,
) -> None:
    store = "vectorstore: {default_top_k: 1}\n"
    assert await asked(tmp_path, store + BEES) == ["bees.txt#0"]
    own = "agents:\n- {name: r, role: retriever, documents: [docs], top_k: 2}\n"
    assert len(await asked(tmp_path, store + own)) == 2


async def test_documents_are_kept_in_the_files_store_and_follow_the_folder(tmp_path: Path) -> None:
    assert await asked(tmp_path, FILE + BEES) == ["bees.txt#0", "cars.txt#0"]
    (tmp_path / "docs" / "cars.txt").unlink()
    (tmp_path / "docs" / "bees.txt").write_text("Bees sting.")
    assert await asked(tmp_path, FILE + BEES, question="sting") == ["bees.txt#0"]
    only_searched = FILE + "agents:\n- {name: r, role: retriever}\n"
    assert await asked(tmp_path, only_searched, question="sting") == ["bees.txt#0"]


async def test_what_did_not_change_is_not_embedded_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asked(tmp_path, FILE + BEES)
    given: list[str] = []
    vector = HashingEmbedder.vector

    def counted(self: HashingEmbedder, text: str) -> list[float]:
        given.append(text)
        return vector(self, text)

    monkeypatch.setattr(HashingEmbedder, "vector", counted)
    await asked(tmp_path, FILE + BEES, question="oil")
    assert given == ["oil"]


async def test_agents_search_collections_of_their_own(tmp_path: Path) -> None:
    text = FILE + (
        "agents:\n- {name: a, role: retriever, documents: [docs], collection: a}\n"
        "- {name: b, role: retriever, documents: [more], collection: b}\n"
    )
    assert await asked(tmp_path, text, "a") == ["bees.txt#0", "cars.txt#0"]
    assert await asked(tmp_path, text, "b") == ["ants.txt#0"]


async def test_an_agents_own_store_stands_over_the_files(tmp_path: Path) -> None:
    own = "vector_store: {default_distance_metric: euclidean, path: own.db}"
    entry = f"agents:\n- {{name: r, role: retriever, documents: [docs], mode: semantic, {own}}}\n"
    await asked(tmp_path, FILE + entry)
    store = SqliteStore(tmp_path / "own.db")
    await store.open()
    assert (await store.stats()).metric == "euclidean"
    await store.close()
    assert not (tmp_path / "know.db").exists()
    await asked(tmp_path, FILE + entry.replace(own, "vector_store: memory"))
    assert not (tmp_path / "know.db").exists()


async def test_the_length_of_vectors_is_that_of_the_file(tmp_path: Path) -> None:
    await asked(tmp_path, FILE.replace("}", ", embedding_dimensions: 64}") + BEES)
    async with Index(SqliteStore(tmp_path / "know.db"), HashingEmbedder(64)) as index:
        assert (await index.store.stats()).dimensions == 64
    with pytest.raises(ConfigError, match=r"have 64 numbers, and 32 are asked for"):
        await asked(tmp_path, FILE.replace("}", ", embedding_dimensions: 32}") + BEES)


async def test_offline_a_model_is_replaced_by_hashing_of_the_same_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIXGO_OFFLINE", "1")
    text = "embeddings: {provider: openai, openai: {dimensions: 256}}\n" + FILE + BEES
    await asked(tmp_path, text)
    async with Index(SqliteStore(tmp_path / "know.db"), HashingEmbedder(256)) as index:
        assert await index.size() == 2


async def test_an_index_of_a_collection_is_searched(tmp_path: Path) -> None:
    async with Index(SqliteStore(tmp_path / "i.db", collection="acme")) as index:
        await index.add(Document("a.txt", "honey"))
    entry = "agents:\n- {name: r, role: retriever, index: i.db, collection: acme}\n"
    assert await asked(tmp_path, entry) == ["a.txt#0"]
    with pytest.raises(ConfigError, match="no collection 'acne'; it has: 'acme'"):
        await asked(tmp_path, entry.replace("acme", "acne"))


async def test_a_question_may_narrow_the_search_and_never_widen_it(tmp_path: Path) -> None:
    entry = "agents:\n- {name: r, role: retriever, documents: [docs], where: {source: bees.txt}}\n"
    where = {"source": {"ends_with": ".txt"}}
    assert await asked(tmp_path, entry, question={"query": "oil", "where": where}) == ["bees.txt#0"]
    where = {"source": "cars.txt"}  # type: ignore[dict-item]
    assert await asked(tmp_path, entry, question={"query": "oil", "where": where}) == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("vectorstore: {provider: firestore}\n" + BEES, r"'firestore', not one of memory, sqlite"),
        ("vectorstore: {default_distance_metric: manhattan}\n" + BEES, "not one of cosine, eucl"),
        ("embeddings: {provider: cohere}\n" + BEES, "not one of hashing, openai, huggingface"),
        ("embeddings: {openai: {dimensions: 0}}\n" + BEES, "dimensions"),
    ],
)
def test_what_there_is_not_is_refused_by_line_with_what_there_is(
    text: str, wrong: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=rf"c\.yaml:1: .*{wrong}"):
        load_config(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("embeddings: {provider: huggingface}\n" + BEES, "not in this version.*huggingface_tei"),
        (
            "embeddings: {provider: huggingface_tei, huggingface_tei: {normalize: false}}\n" + BEES,
            "normalize is false",
        ),
        (
            "embeddings: {provider: openai, openai: {dimensions: 256}}\n"
            "vectorstore: {embedding_dimensions: 64}\n" + BEES,
            "dimensions is 256, and vectorstore.embedding_dimensions 64",
        ),
        ("vectorstore: {provider: sqlite}\n" + BEES, "the provider sqlite needs a path"),
        ("vectorstore: {provider: memory}\nagents: [{name: r, role: retriever}]", "neither doc"),
        ("agents: [{name: r, role: retriever}]", "searches an index, or documents"),
        (BEES.replace("]}", "], collection: x}"), "'x' is one of a file"),
        (BEES.replace("]}", "], vector_store: [1]}"), "vector_store is the name of a provider"),
        (BEES.replace("]}", "], vector_store: redis}"), "'redis', not one of memory, sqlite"),
        (BEES.replace("]}", "], vector_store: {pth: x}}"), "pth"),
        (
            FILE + BEES + "- {name: s, role: retriever, documents: [./more], "
            "vector_store: {path: more/../know.db}}\n",
            "'s' keeps other documents in the same place",
        ),
        (
            FILE + BEES + "- {name: s, role: retriever, documents: [./more]}\n",
            "'s' keeps other documents in the same place",
        ),
        (
            "embeddings: {provider: openai, openai: {base_url: 'http://evil.example/v1'}}\n" + BEES,
            "a file may not send the key in OPENAI_API_KEY to 'evil.example'",
        ),
    ],
)
async def test_what_does_not_fit_is_refused_with_the_agents_line(
    text: str, wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    with pytest.raises(ConfigError, match=rf"(?s)c\.yaml:\d+: 'r': .*{wrong}"):
        await asked(tmp_path, text)


def test_validate_finds_what_is_wrong_with_a_retriever_and_wants_no_key_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    good = "embeddings: {provider: openai}\n" + FILE + BEES
    rehearse(load_config(written(tmp_path, good)))
    bad = good + "- {name: s, role: retriever, collection: s, where: {year: {gtt: 1}}}\n"
    with pytest.raises(ConfigError, match=r"^\S+c\.yaml:5: 's': the filter 'year' has no operator"):
        rehearse(load_config(written(tmp_path, bad)))
    assert not (tmp_path / "know.db").exists()


async def test_an_agents_embedding_model_sends_no_key_to_an_address_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    model = "embedding_model: 'openai:m@http://evil.example/v1'"
    with pytest.raises(ConfigError, match="a file may not send the key in OPENAI_API_KEY"):
        await asked(tmp_path, BEES.replace("]}", f"], {model}}}"))


@pytest.mark.parametrize(
    ("variable", "model", "text"),
    [
        (
            "OPENAI_API_KEY",
            "openai:m@http://evil.example/v1",
            "may not send the key in OPENAI_API_KEY",
        ),
        ("VLLM_API_KEY", "vllm:m@http://evil.example/v1", "the key in the environment is not for"),
    ],
)
def test_neither_does_that_of_a_pattern(
    variable: str, model: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "secret")
    team = f"config: {{convergence: similarity, embedding_model: '{model}'}}"
    path = written(
        tmp_path,
        f"orchestration: {{name: t, pattern: consensus, agents: [a, b], {team}}}\n"
        "agents: [{name: a, role: logger}, {name: b, role: logger}]\n",
    )
    with pytest.raises(ConfigError, match=rf"c\.yaml:1: 't': .*{text}"):
        assemble(load_config(path))
    monkeypatch.delenv(variable)
    if variable == "VLLM_API_KEY":
        assemble(load_config(path))


def test_a_file_without_a_retriever_says_that_its_store_is_without_effect(tmp_path: Path) -> None:
    text = "embeddings: {provider: huggingface, huggingface: {model: m}}\nvectorstore: {firestore: {project_id: x}}\n"
    found = load_config(written(tmp_path, text + "agents: [{name: a, role: react}]")).warnings
    assert [line for line in found if "no agent of the file has the role retriever" in line] != []
    assert any("Hugging Face" in line for line in found)
    assert any("Firestore" in line for line in found)


async def test_a_store_and_an_embedder_of_ones_own_are_taken() -> None:
    from aixgo.agents import RetrieverAgent

    with pytest.raises(ConfigError, match="leave out the index"):
        RetrieverAgent("r", store=MemoryStore(), index="i.db")
    with pytest.raises(ConfigError, match="embedder or embedding_model, not both"):
        RetrieverAgent("r", documents=["d"], embedder=HashingEmbedder(), embedding_model="hashing")
    with pytest.raises(ConfigError, match="the collection 'x' is one of an index"):
        RetrieverAgent("r", documents=["d"], collection="x")
