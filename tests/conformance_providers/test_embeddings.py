"""Embeddings through OpenAI's real SDK, against a server of our own."""

from __future__ import annotations

from pathlib import Path

import pytest

from aixgo import Budget, LocalRuntime, agent
from aixgo.config import load_config, open_runtime
from aixgo.errors import BudgetExceeded, ConfigError, ProviderUnavailable, RequestRejected
from aixgo.orchestration import Consensus
from aixgo.providers import resolve_embedder, resolve_model
from tests.conformance_providers.wire import WireServer, as_json

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODEL = "openai:text-embedding-3-small"


def reply(*vectors: list[float], tokens: int = 7) -> object:
    """The vectors as the API gives them, the last first: order is by index."""
    data = [{"object": "embedding", "index": i, "embedding": v} for i, v in enumerate(vectors)]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data[::-1], "model": "m", "usage": usage}


async def test_each_text_gets_its_vector(wire: WireServer) -> None:
    wire.answers = [as_json(reply([1, 0], [0, 1]))]
    embedder = resolve_embedder(f"{MODEL}@{wire.url}", api_key="k")
    assert await embedder.embed(["one", "two"]) == [[1, 0], [0, 1]]
    assert embedder.name == MODEL
    assert wire.asked[0].path == "/embeddings"
    assert wire.asked[0].body["input"] == ["one", "two"]
    assert wire.asked[0].body["model"] == "text-embedding-3-small"


async def test_many_texts_are_asked_for_in_batches(wire: WireServer) -> None:
    wire.decide = lambda asked: as_json(reply(*([float(t)] for t in asked.body["input"])))
    embedder = resolve_embedder(f"{MODEL}@{wire.url}", api_key="k")
    texts = [str(i) for i in range(300)]
    assert await embedder.embed(texts) == [[float(i)] for i in range(300)]
    assert [len(asked.body["input"]) for asked in wire.asked] == [128, 128, 44]


async def test_no_texts_are_no_request(wire: WireServer) -> None:
    assert await resolve_embedder(f"{MODEL}@{wire.url}", api_key="k").embed([]) == []
    assert wire.asked == []


async def test_what_it_used_is_charged_and_refused_before_it_is_spent(wire: WireServer) -> None:
    wire.answers = [as_json(reply([1.0], tokens=1000))]
    embedder = resolve_embedder(f"{MODEL}@{wire.url}", api_key="k")

    @agent
    async def embeds(text: str) -> int:
        return len(await embedder.embed([text]))

    async with LocalRuntime(embeds) as rt:
        usage = (await rt.call("embeds", "hi")).usage
        assert (usage.tokens_prompt, usage.calls) == (1000, 1)
        assert usage.cost_nanos > 0
        asked = len(wire.asked)
        with pytest.raises(BudgetExceeded):
            await rt.call("embeds", "hi", budget=Budget(tokens=1))
        assert len(wire.asked) == asked


async def test_a_consensus_compares_meanings_and_pays_for_it(
    wire: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    wire.answers = [as_json(reply([1.0, 0.0], [0.99, 0.1], tokens=1000))]

    @agent
    async def one(text: str) -> str:
        return "a car"

    @agent
    async def two(text: str) -> str:
        return "an automobile"

    team = Consensus(
        "team",
        [one, two],
        convergence="similarity",
        embedding_model=f"{MODEL}@{wire.url}",
        presenter="verbatim",
    )
    async with LocalRuntime(team) as rt:
        found = await rt.call("team", "what is it?")
        assert (found.text, found.metadata["converged"]) == ("a car", True)
        assert (found.usage.tokens_prompt, found.usage.calls) == (1000, 1)
        assert found.usage.cost_nanos > 0
        assert wire.asked[0].body["input"] == ["a car", "an automobile"]
        asked = len(wire.asked)
        poor = await rt.call("team", "what is it?", budget=Budget(tokens=1))
        assert (poor.metadata["stopped_by"], poor.metadata["degraded"]) == ("budget", True)
        assert len(wire.asked) == asked


async def test_an_answer_that_is_none_is_called_so(wire: WireServer) -> None:
    embedder = resolve_embedder(f"{MODEL}@{wire.url}", api_key="k")
    wire.answers = [as_json(reply([1.0]))]
    with pytest.raises(ProviderUnavailable, match="not one vector for each text"):
        await embedder.embed(["one", "two"])
    wire.answers = [as_json({"error": {"message": "bad key"}}, 401)]
    with pytest.raises(RequestRejected):
        await embedder.embed(["one"])


async def test_without_a_key_it_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match=r"text-embedding-3-small.*OPENAI_API_KEY"):
        resolve_embedder(MODEL)


async def test_a_model_that_can_is_asked_for_fewer_numbers(wire: WireServer) -> None:
    wire.answers = [as_json(reply([1, 0])), as_json(reply([1, 0]))]
    await resolve_embedder(f"{MODEL}@{wire.url}", api_key="k", dimensions=2).embed(["one"])
    await resolve_embedder(f"{MODEL}@{wire.url}", api_key="k").embed(["one"])
    assert wire.asked[0].body["dimensions"] == 2
    assert "dimensions" not in wire.asked[1].body


async def test_a_server_of_text_embeddings_inference_needs_no_key_and_costs_nothing(
    wire: WireServer, tmp_path: Path
) -> None:
    wire.decide = lambda asked: as_json(reply(*([1.0, len(t)] for t in asked.body["input"])))
    (tmp_path / "a.txt").write_text("bees")
    (tmp_path / "c.yaml").write_text(
        f"""
embeddings: {{provider: huggingface_tei, huggingface_tei: {{endpoint: "{wire.url}", model: bge}}}}
vectorstore: {{provider: sqlite, path: i.db, embedding_dimensions: 2}}
agents: [{{name: r, role: retriever, documents: [a.txt]}}]
"""
    )
    async with open_runtime(load_config(tmp_path / "c.yaml")) as rt:
        found = await rt.call("r", "honey", budget=Budget(usd=0.01))
    assert found.metadata["document_count"] == 1
    assert found.usage.cost_nanos == 0
    assert {asked.path for asked in wire.asked} == {"/v1/embeddings"}
    assert [asked.body["input"] for asked in wire.asked] == [["bees"], ["honey"]]
    assert {asked.body["model"] for asked in wire.asked} == {"bge"}


async def test_the_key_of_an_agents_model_is_not_sent_to_who_embeds(
    wire: WireServer, tmp_path: Path
) -> None:
    wire.decide = lambda asked: as_json(reply(*([1.0, len(t)] for t in asked.body["input"])))
    (tmp_path / "c.yaml").write_text(
        f"""
embeddings: {{provider: openai, openai: {{base_url: "{wire.url}", api_key: of-embeddings}}}}
agents:
- name: c
  role: classifier
  model: offline
  api_key: of-the-model
  classifier_config:
    use_embeddings: true
    confidence_threshold: 0
    categories: [{{name: bee, examples: [bee]}}, {{name: rose, examples: [roses]}}]
"""
    )
    async with open_runtime(load_config(tmp_path / "c.yaml")) as rt:
        await rt.call("c", "a bee")
    assert {asked.headers["authorization"] for asked in wire.asked} == {"Bearer of-embeddings"}


async def test_who_only_embeds_is_no_model_to_talk_to() -> None:
    with pytest.raises(ConfigError, match="huggingface_tei"):
        resolve_model("huggingface_tei:bge")
