"""AggregatorAgent: repetitions, contradictions, insights, and points that rest on passages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aixgo import LocalRuntime, Message, load_config
from aixgo.agents import AggregatorAgent
from aixgo.config import open_runtime
from aixgo.config.build import assemble
from aixgo.errors import AixgoError, ConfigError, OutputInvalid
from aixgo.testing import ScriptedProvider

PLAIN = {"content": "one", "insights": "all agree"}
SAID: dict[str, Any] = {
    "a": {"content": "It opens at nine.", "confidence": 0.9},
    "b": {"content": "It opens at ten.", "confidence": 0.3},
    "c": {"content": "It opens at ten.", "confidence": 0.3},
    "d": {"content": "Opens at eleven.", "confidence": 0.2},
}


async def aggregated(agent: AggregatorAgent, payload: Any, **metadata: str) -> Any:
    async with LocalRuntime(agent) as rt:
        return await rt.call(agent.name, Message(payload).with_metadata(**metadata))


def opening(**positions: str) -> dict[str, Any]:
    listed = [{"source": source, "says": said} for source, said in positions.items()]
    return {"conflicts": [{"point": "opening time", "positions": listed}]}


DIFFER = opening(d="eleven", a="nine", b="ten", c="Ten")


@pytest.mark.parametrize(
    ("rule", "taken"),
    [("majority", "ten"), ("weighted", "nine"), ("confidence", "nine"), ("newest", "eleven")],
)
async def test_a_contradiction_is_decided_by_the_rule_and_told_to_the_model(
    rule: str, taken: str
) -> None:
    provider = ScriptedProvider([DIFFER, PLAIN])
    agent = AggregatorAgent("m", conflict_resolution=rule, provider=provider)
    reply = await aggregated(agent, SAID)
    [conflict] = reply.payload["conflicts_resolved"]
    assert conflict == {
        "point": "opening time",
        "positions": {"a": "nine", "b": "ten", "c": "Ten", "d": "eleven"},
        "resolution": taken,
        "by": rule,
    }
    last = provider.requests[-1]
    assert f"- opening time: {taken}" in last.text
    assert "Decided" in last.instructions
    assert "conflicts" not in last.output_schema["properties"]  # type: ignore[index,operator]
    assert reply.payload["tokens_used"] == 30


@pytest.mark.parametrize(
    ("word", "rule"),
    [("vote", "majority"), ("highest_weight_wins", "confidence"), ("merge", "keep_all")],
)
async def test_a_rule_of_the_go_design_is_known_by_its_word(word: str, rule: str) -> None:
    provider = ScriptedProvider([DIFFER, PLAIN])
    agent = AggregatorAgent("m", conflict_resolution=word, provider=provider)
    reply = await aggregated(agent, SAID)
    assert reply.payload["conflicts_resolved"][0]["by"] == rule


async def test_all_positions_can_be_kept() -> None:
    provider = ScriptedProvider([DIFFER, PLAIN])
    agent = AggregatorAgent("m", conflict_resolution="keep_all", provider=provider)
    reply = await aggregated(agent, SAID)
    assert reply.payload["conflicts_resolved"][0]["resolution"] is None
    assert "a: nine; b: ten; c: Ten; d: eleven" in provider.requests[-1].text


async def test_what_only_one_position_is_taken_on_is_no_contradiction() -> None:
    provider = ScriptedProvider([opening(a="nine", b="nine"), PLAIN])
    agent = AggregatorAgent("m", conflict_resolution="majority", provider=provider)
    reply = await aggregated(agent, SAID)
    assert reply.payload["conflicts_resolved"] == []
    assert "Decided" not in provider.requests[-1].text


async def test_a_position_of_nobody_is_asked_again() -> None:
    provider = ScriptedProvider([opening(z="nine"), DIFFER, PLAIN])
    agent = AggregatorAgent("m", conflict_resolution="majority", provider=provider)
    await aggregated(agent, SAID)
    assert "the sources are: a, b, c, d" in provider.requests[1].messages[-1].content


@pytest.mark.parametrize(
    ("method", "duplicates"),
    [
        ("none", None),
        ("exact", {"a": ["b"]}),
        ("normalized", {"a": ["b", "c"]}),
        ("semantic", {"a": ["b", "c", "d"]}),
        ("exact_match", {"a": ["b"]}),
        ("fuzzy", {"a": ["b", "c", "d"]}),
    ],
)
async def test_repetitions_are_read_once_and_named(
    method: str, duplicates: dict[str, list[str]] | None
) -> None:
    provider = ScriptedProvider([PLAIN])
    agent = AggregatorAgent(
        "m",
        deduplication_method=method,
        semantic_similarity_threshold=0.6,
        summarization_enabled=True,
        provider=provider,
    )
    said = {"a": "the sky is blue", "b": "the sky is blue", "c": "The  sky is BLUE"}
    reply = await aggregated(agent, {**said, "d": "the sky was blue"})
    assert reply.payload.get("duplicates") == duplicates
    assert reply.payload["sources"] == ["a", "b", "c", "d"]
    left = 4 - sum(map(len, (duplicates or {}).values()))
    assert provider.requests[0].text.lower().count("sky") == left
    if duplicates:
        assert "[a, " in provider.requests[0].text


async def test_insights_are_asked_for_only_if_wanted() -> None:
    for enabled in (True, False):
        provider = ScriptedProvider([{**PLAIN, "conflicts": []}])
        agent = AggregatorAgent("m", summarization_enabled=enabled, provider=provider)
        reply = await aggregated(agent, SAID)
        assert reply.payload["summary_insights"] == ("all agree" if enabled else "")
        asked: Any = provider.requests[0].output_schema
        assert ("insights" in asked["properties"]) is enabled


SOURCES = {
    "garden": "Roses need water every day. Tulips need little.",
    "engine": "An engine needs oil. A valve opens and closes.",
}


async def test_without_documents_points_rest_on_passages_of_the_sources() -> None:
    points = [
        {"text": "Roses need water daily.", "passages": [1]},
        {"text": "Bees make honey.", "passages": []},
    ]
    provider = ScriptedProvider([{"points": points, "insights": "", "conflicts": []}])
    agent = AggregatorAgent("m", aggregation_strategy="rag_based", top_k=1, provider=provider)
    reply = await aggregated(agent, SOURCES, task="How much water do roses need?")
    assert reply.payload["passages"] == [
        {"number": 1, "source": "garden", "content": SOURCES["garden"]}
    ]
    assert [point["support"] for point in reply.payload["points"]] == [0.75, 0.0]
    assert reply.payload["consensus_level"] == 0.375
    assert reply.payload["aggregated_content"] == (
        "Roses need water daily. [1]\nBees make honey. [no passage]"
    )
    request = provider.requests[0]
    assert "How much water do roses need?" in request.text
    assert "engine needs oil" not in request.text


async def test_with_documents_the_sources_claims_are_held_against_them(tmp_path: Path) -> None:
    (tmp_path / "garden.txt").write_text("Roses need water twice a week, not more.")
    (tmp_path / "engine.txt").write_text("An engine needs oil.")
    provider = ScriptedProvider(
        [{"points": [{"text": "Water roses twice a week.", "passages": [1]}], "insights": ""}]
    )
    agent = AggregatorAgent(
        "m",
        aggregation_strategy="rag_based",
        documents=[tmp_path],
        top_k=1,
        provider=provider,
    )
    reply = await aggregated(agent, {"a": "Roses need water every day."})
    assert [passage["source"] for passage in reply.payload["passages"]] == ["garden.txt"]
    assert reply.payload["points"][0]["support"] == 1.0
    text = provider.requests[0].text
    assert "[a]\n\nRoses need water every day." in text
    assert "[Passage 1, of garden.txt]\n\nRoses need water twice a week" in text


async def test_a_passage_that_is_not_there_is_asked_again_and_then_refused() -> None:
    wrong = {"points": [{"text": "Roses.", "passages": [7]}]}
    provider = ScriptedProvider([wrong], cycle=True)
    agent = AggregatorAgent("m", aggregation_strategy="rag_based", provider=provider)
    with pytest.raises(OutputInvalid):
        await aggregated(agent, SOURCES)
    assert len(provider.requests) == 3
    assert "there is no passage 7; there are 1 to 2" in provider.requests[1].messages[-1].content


async def test_offline_the_best_passages_are_quoted_with_their_numbers() -> None:
    agent = AggregatorAgent("m", aggregation_strategy="rag_based", top_k=1, model="offline")
    for task, quoted in (("water", "Roses need water every day."), ("oil", "An engine needs oil.")):
        reply = await aggregated(agent, SOURCES, task=task)
        assert reply.payload["aggregated_content"] == f"{quoted} [1]"
        assert reply.payload["consensus_level"] == 1.0
        assert reply.metadata["offline"] is True


async def test_a_file_gives_it_documents_beside_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "garden.txt").write_text("Roses need water twice a week.")
    (tmp_path / "c.yaml").write_text(
        "agents:\n- name: m\n  role: aggregator\n  model: offline\n  documents: [docs]\n"
        "  aggregator_config: {aggregation_strategy: rag_based, conflict_resolution: newest}\n"
    )
    monkeypatch.chdir("/")
    async with open_runtime(load_config(tmp_path / "c.yaml")) as rt:
        reply: Any = await rt.call("m", {"a": "Roses are thirsty."})
    assert reply.payload["aggregated_content"] == "Roses need water twice a week. [1]"


def test_a_file_sends_no_key_to_an_address_that_only_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIXGO_OFFLINE", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    (tmp_path / "c.yaml").write_text(
        "agents: [{name: m, role: aggregator, model: offline, aggregation_strategy: rag_based, documents: [d], "
        "embedding_model: 'openai:m@https://elsewhere.example/v1'}]"
    )
    with pytest.raises(ConfigError, match="may not send the key in OPENAI_API_KEY"):
        assemble(load_config(tmp_path / "c.yaml"))


async def test_documents_that_are_not_there_fail_the_start(tmp_path: Path) -> None:
    agent = AggregatorAgent("m", aggregation_strategy="rag_based", documents=[tmp_path / "none"])
    with pytest.raises(AixgoError, match="no file or folder"):
        await aggregated(agent, SOURCES)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"conflict_resolution": "coin"}, "llm_mediated, majority"),
        ({"deduplication_method": "exactly"}, "did you mean 'exact'"),
        ({"documents": ["d"]}, "searches in nothing"),
        ({"aggregation_strategy": "rag_based", "documents": ["d"], "index": "i"}, "one of the two"),
        ({"top_k": 0}, "top_k is 0"),
    ],
)
def test_wrong_settings_are_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        AggregatorAgent("m", **options)
