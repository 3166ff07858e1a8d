"""ClassifierAgent with `use_embeddings`."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from aixgo import LocalRuntime, Message, load_config
from aixgo.agents import Category, ClassifierAgent, FewShot
from aixgo.agents._nearness import Nearest
from aixgo.config import open_runtime
from aixgo.config.build import assemble
from aixgo.errors import AgentRefused, ConfigError
from aixgo.retrieval import HashingEmbedder

CATEGORIES = [
    Category("technical_issue", "Problems with the system", ["error", "crash"], ["It is slow"]),
    Category("billing", "Payments", ["invoice", "refund"]),
]


def classifier(**options: object) -> ClassifierAgent:
    return ClassifierAgent("c", CATEGORIES, use_embeddings=True, **options)  # type: ignore[arg-type]


async def classified(agent: ClassifierAgent, text: str) -> Message:
    async with LocalRuntime(agent) as rt:
        return await rt.call("c", text)


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("Where is the refund for my invoice?", "billing"),
        ("There was an error and a crash.", "technical_issue"),
        ("It is so slow today", "technical_issue"),
        ("A question on payments", "billing"),
    ],
)
async def test_keywords_examples_and_descriptions_decide_without_a_model(
    text: str, category: str
) -> None:
    agent = classifier()
    reply = await classified(agent, text)
    assert agent.model == ""
    assert reply.metadata["category"] == category
    assert reply.metadata["embedding_model"] == "hashing:512"
    assert reply.usage.calls == 0
    assert "offline" not in reply.metadata


async def test_few_shot_examples_are_compared_too() -> None:
    agent = classifier(few_shot_examples=[FewShot("my parcel has vanished", "Billing")])
    reply = await classified(agent, "A parcel vanished")
    assert reply.metadata["category"] == "billing"
    assert "my parcel has vanished" in reply.payload["reasoning"]  # type: ignore[index,call-overload,operator]


async def test_the_confidence_follows_its_formula() -> None:
    class Known:
        name = "known"

        async def embed(self, texts: Sequence[str]) -> list[list[float]]:
            places = {"x": [1.0, 0.0], "near": [3.0, 4.0], "far": [-1.0, 0.0]}
            return [places[text] for text in texts]

    near, far = await Nearest(Known(), {"f": ["far"], "n": ["far", "near"]}).rank("x")
    assert (near.category, near.similarity, near.by) == ("n", 0.6, "near")
    assert (far.category, far.similarity) == ("f", 0.0)
    assert near.confidence == round(math.exp(6) / (1 + math.exp(6) + 1), 4)


@pytest.mark.parametrize("sizes", [[1, 1], [1, 1, 2], [1, 1, 1, 1]])
async def test_an_embedder_that_gives_something_else_than_a_vector_for_each_text_is_named(
    sizes: list[int],
) -> None:
    class Odd:
        name = "odd"

        async def embed(self, texts: Sequence[str]) -> list[list[float]]:
            return [[1.0] * size for size in sizes]

    with pytest.raises(AgentRefused, match="'odd' did not give one vector of one size"):
        await Nearest(Odd(), {"a": ["a"], "b": ["b"]}).rank("x")


async def test_a_text_near_nothing_has_no_confidence_and_the_first_category() -> None:
    reply = await classified(classifier(multi_label=True), "zzz qqq")
    assert (reply.metadata["category"], reply.metadata["confidence"]) == ("technical_issue", 0.0)
    assert reply.metadata["confident"] is False
    assert reply.payload["categories"] == ["technical_issue"]  # type: ignore[index,call-overload]
    assert reply.payload["alternatives"] == []  # type: ignore[index,call-overload]


async def test_ties_go_to_the_category_that_comes_first() -> None:
    for names in (["b", "a"], ["a", "b"]):
        same = [Category(name, keywords=["refund"]) for name in names]
        reply = await classified(ClassifierAgent("c", same, use_embeddings=True), "refund")
        assert reply.metadata["category"] == names[0]
        assert reply.metadata["confidence"] == 0.5


async def test_several_labels_are_those_nearly_as_near_as_the_nearest() -> None:
    text = "The refund failed: an error"
    wide = await classified(classifier(multi_label=True, confidence_threshold=0.5), text)
    narrow = await classified(classifier(multi_label=True, confidence_threshold=1), "crash")
    assert set(wide.payload["categories"]) == {"technical_issue", "billing"}  # type: ignore[index,call-overload,arg-type]
    assert narrow.payload["categories"] == ["technical_issue"]  # type: ignore[index,call-overload]


async def test_the_threshold_says_who_is_confident() -> None:
    text = "crash"
    assert (await classified(classifier(), text)).metadata["confident"] is True
    strict = classifier(confidence_threshold=1)
    assert (await classified(strict, text)).metadata["confident"] is False


async def test_the_categories_are_embedded_once_whoever_asks_first() -> None:
    asked: list[int] = []

    class Counting:
        name = "counting"

        async def embed(self, texts: Sequence[str]) -> list[list[float]]:
            asked.append(len(texts))
            await asyncio.sleep(0)
            return [[1.0, 0.0] for _ in texts]

    nearest = Nearest(Counting(), {"a": ["one", "two"], "b": ["three"]})
    await asyncio.gather(*(nearest.rank("x") for _ in range(3)))
    assert asked == [4, 1, 1]


async def test_a_file_turns_it_on_and_names_the_embeddings(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "agents:\n- name: c\n  role: classifier\n  categories: [{name: a, keywords: [tea]}, {name: b}]\n"
        "  classifier_config: {use_embeddings: true}\n  embedding_model: hashing:64\n"
    )
    config = load_config(tmp_path / "c.yaml")
    assert config.warnings == ()
    async with open_runtime(config) as rt:
        reply = await rt.call("c", "a cup of tea")
    assert (reply.metadata["category"], reply.metadata["embedding_model"]) == ("a", "hashing:64")


async def test_what_the_file_says_of_embeddings_holds_for_it(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "vectorstore: {embedding_dimensions: 128}\nembeddings: {provider: hashing}\nagents:\n"
        "- {name: c, role: classifier, categories: [{name: a}, {name: b}], use_embeddings: true}\n"
    )
    config = load_config(tmp_path / "c.yaml")
    assert [line for line in config.warnings if "embeddings" in line] == []
    async with open_runtime(config) as rt:
        assert (await rt.call("c", "a")).metadata["embedding_model"] == "hashing:512"


def test_a_file_sends_no_key_to_an_address_that_only_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIXGO_OFFLINE", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    (tmp_path / "c.yaml").write_text(
        "agents: [{name: c, role: classifier, categories: [{name: a}], use_embeddings: true, "
        "embedding_model: 'openai:m@https://elsewhere.example/v1'}]"
    )
    with pytest.raises(ConfigError, match="may not send the key in OPENAI_API_KEY"):
        assemble(load_config(tmp_path / "c.yaml"))


def test_wrong_embeddings_are_refused() -> None:
    with pytest.raises(ConfigError, match="not both"):
        classifier(embedding_model="hashing", embedder=HashingEmbedder())
    with pytest.raises(ConfigError, match="hashing:NUMBER"):
        classifier(embedding_model="hashing:many")
