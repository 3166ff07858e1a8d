"""RetrieverAgent."""

from __future__ import annotations

from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from aixgo import AgentRefused, LocalRuntime, Message
from aixgo.agents import RetrieverAgent
from aixgo.config import load_config, open_runtime
from aixgo.errors import AixgoError, ConfigError
from aixgo.retrieval import Document, Index, SqliteStore


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "garden.md").write_text("# Roses\n\nWater them daily.\n\n# Cacti\n\nLeave them dry.")
    (docs / "cars.txt").write_text("Engines need oil.")
    return docs


async def found(agent: RetrieverAgent, asked: Any, **metadata: Any) -> Message:
    async with LocalRuntime(agent) as rt:
        return await rt.call(agent.name, Message(asked, metadata=metadata))


async def test_a_question_is_answered_with_passages_and_their_sources(folder: Path) -> None:
    reply = await found(RetrieverAgent("r", documents=[folder]), "oil for engines")
    assert isinstance(reply.payload, dict)
    best: Any = reply.payload["documents"][0]  # type: ignore[index,call-overload]
    assert (best["id"], best["content"], best["source"]) == (
        "cars.txt#0",
        "Engines need oil.",
        "cars.txt",
    )
    assert reply.payload["query"] == "oil for engines"
    assert reply.metadata["mode"] == "hybrid"


@pytest.mark.parametrize("mode", ["semantic", "keyword", "hybrid"])
async def test_each_mode_finds_the_heading_of_its_passage(folder: Path, mode: Any) -> None:
    agent = RetrieverAgent("r", documents=[folder], mode=mode, top_k=1)
    reply: Any = await found(agent, {"query": "is water for roses"})
    assert [d["metadata"]["heading"] for d in reply.payload["documents"]] == ["Roses"]


async def test_who_asks_may_say_how_many(folder: Path) -> None:
    agent = RetrieverAgent("r", documents=[folder], mode="semantic")
    assert (await found(agent, "dry", top_k=2)).metadata["document_count"] == 2
    assert (await found(agent, "dry", top_k=10**30)).metadata["document_count"] == 3
    assert (await found(agent, "dry", top_k=True)).metadata["document_count"] == 3


async def test_a_filter_of_the_agent_holds_for_every_question(folder: Path) -> None:
    agent = RetrieverAgent("r", documents=[folder], where={"source": "garden.md"})
    reply: Any = await found(agent, "engines")
    assert {d["source"] for d in reply.payload["documents"]} == {"garden.md"}


async def test_an_index_file_is_searched(tmp_path: Path) -> None:
    async with Index(SqliteStore(tmp_path / "i.db")) as index:
        await index.add(Document("a.txt", "Bees make honey."))
    reply: Any = await found(RetrieverAgent("r", index=tmp_path / "i.db"), "honey")
    assert reply.payload["documents"][0]["content"] == "Bees make honey."


async def test_paths_of_a_file_are_meant_from_its_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text(
        "agents: [{name: r, role: retriever, documents: [docs], top_k: 1}]"
    )
    monkeypatch.chdir("/")
    async with open_runtime(load_config(tmp_path / "c.yaml")) as rt:
        assert (await rt.call("r", "oil")).payload["query"] == "oil"  # type: ignore[index,call-overload]


@pytest.mark.parametrize("asked", ["  ", {"question": 1}, [1]])
async def test_who_asks_nothing_is_refused(folder: Path, asked: Any) -> None:
    if asked == [1]:
        asked = {"query": ""}
    with pytest.raises(AgentRefused, match="takes a question"):
        await found(RetrieverAgent("r", documents=[folder]), asked)


async def test_a_retriever_without_documents_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(AixgoError, match="'r' has no documents to search in"):
        await found(RetrieverAgent("r", documents=[tmp_path]), "x")


async def test_two_documents_of_one_name_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "garden.md").write_text("another")
    agent = RetrieverAgent("r", documents=[folder, tmp_path / "garden.md"])
    with pytest.raises(AixgoError, match=r"two of its documents are called 'garden\.md'"):
        await found(agent, "x")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "give one of the two"),
        ({"index": "i", "documents": ["d"]}, "give one of the two"),
        ({"documents": "docs"}, "documents is a list"),
        ({"documents": ["d"], "mode": "semantik"}, "did you mean 'semantic'"),
        ({"documents": ["d"], "top_k": 0}, "top_k is 0"),
        ({"documents": ["d"], "where": {"a": {}}}, "the filter 'a'"),
        ({"documents": ["d"], "chunk_size": 10}, "chunk_overlap is 100"),
    ],
)
def test_settings_that_cannot_be_are_refused(options: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        RetrieverAgent("r", **options)


@pytest.mark.parametrize(
    "where",
    [
        {"source": ["x"] * 10_000},
        {"source": {"has": 1}},
        "garden.md",
        reduce(lambda inner, _: {"not": inner}, range(20), {"source": "x"}),
    ],
)
async def test_a_filter_that_nobody_means_is_refused(folder: Path, where: Any) -> None:
    agent = RetrieverAgent("r", documents=[folder], where={"source": "garden.md"})
    with pytest.raises(AgentRefused, match="retriever 'r': the filter"):
        await found(agent, {"query": "oil", "where": where})


async def test_of_a_long_question_the_beginning_counts(folder: Path) -> None:
    agent = RetrieverAgent("r", documents=[folder], mode="keyword")
    reply: Any = await found(agent, "oil " + "of " * 4_000 + "roses")
    assert [d["id"] for d in reply.payload["documents"]] == ["cars.txt#0"]
