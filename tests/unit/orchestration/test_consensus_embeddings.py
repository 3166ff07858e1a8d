"""A consensus that compares what a model of embeddings makes of the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from aixgo import Budget, CallContext, Message, Usage
from aixgo.errors import AgentRefused, BudgetExceeded, ConfigError, ProviderUnavailable
from aixgo.orchestration import Consensus, Limits
from aixgo.orchestration._embedding import Embedding
from aixgo.retrieval import HashingEmbedder
from aixgo.runtime.local import LocalRuntime
from aixgo.testing import RecordingAgent
from tests.unit.orchestration.consenting import plain, result, revises, says
from tests.unit.orchestration.failing import down


class Meanings:
    """An embedder that knows what words mean: each of its texts has a direction; a call costs one model call."""

    name = "meanings"

    def __init__(self, **vectors: Sequence[float]) -> None:
        self._vectors = vectors
        self.asked: list[list[str]] = []

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        context = CallContext.current()
        if context.purse is not None:  # as a vendor's embedder asks before it spends
            await context.purse.reserve((0, 0, 1), "embedder")
        context.charge(Usage(calls=1, tokens_prompt=7))
        self.asked.append([*texts])
        return [[*self._vectors[text]] for text in texts]


CAR = {"car": [1.0, 0.1], "automobile": [1.0, 0.0], "boat": [0.0, 1.0]}


def alike(agents: list[RecordingAgent], embedder: object, **options: object) -> Consensus:
    return plain("team", agents, convergence="similarity", embedding_model=embedder, **options)


async def test_answers_that_mean_the_same_are_one_whatever_their_words() -> None:
    agents = [says("a", "boat"), says("b", "car"), says("c", "automobile")]
    reply = await result(alike(agents, Meanings(**CAR)))
    assert (reply.text, reply.metadata["rounds"]) == ("car", 0)
    assert reply.metadata["agreement"] == pytest.approx(2 / 3)
    with pytest.raises(AgentRefused, match="no consensus"):  # by words they are three
        await result(plain("team", [says(n, t) for n, t in zip("abc", CAR, strict=True)]))


async def test_other_meanings_make_another_answer_win() -> None:
    other = Meanings(car=[1.0, 0.0], automobile=[0.0, 1.0], boat=[0.1, 1.0])
    agents = [says("a", "boat"), says("b", "car"), says("c", "automobile")]
    assert (await result(alike(agents, other))).text == "boat"


async def test_the_cut_says_how_alike_they_have_to_be() -> None:
    near = {"a": [1.0, 0.0], "b": [0.9, 0.5]}  # cosine 0.874
    for cut, converged in ((0.85, True), (0.9, False)):
        agents = [says("x", "a"), says("y", "b")]
        reply = await result(
            alike(agents, Meanings(**near), similarity=cut, error_strategy="continue")
        )
        assert reply.metadata["converged"] is converged


async def test_every_text_is_embedded_once_in_a_run() -> None:
    embedder = Meanings(**CAR)
    agents = [says("a", "boat", revises("car")), says("b", "car"), says("c", "boat")]
    await result(alike(agents, embedder, threshold=1, max_rounds=2, error_strategy="continue"))
    assert embedder.asked == [["boat", "car"]]


async def test_answers_that_are_the_same_need_no_embedding() -> None:
    embedder = Meanings(**CAR)
    assert (await result(alike([says("a", "Car"), says("b", "car")], embedder))).text == "Car"
    assert embedder.asked == []


async def test_what_the_embedder_used_is_in_the_costs_of_the_run() -> None:
    reply = await result(alike([says("a", "car"), says("b", "automobile")], Meanings(**CAR)))
    assert (reply.usage.calls, reply.metadata["tokens_total"]) == (1, 7)
    assert reply.metadata["agent_count"] == 2


async def test_a_budget_that_is_used_up_leaves_the_best_so_far() -> None:
    embedder = Meanings(**CAR)
    consensus = alike([says("a", "car"), says("b", "automobile")], embedder)
    async with LocalRuntime(consensus) as rt:
        reply = await rt.call("team", "?", budget=Budget(calls=0))
    assert (reply.text, reply.metadata["stopped_by"]) == ("car", "budget")
    assert reply.metadata["degraded"] is True
    assert embedder.asked == []
    strict = alike([says("a", "car"), says("b", "boat")], embedder, error_strategy="fail_fast")
    async with LocalRuntime(strict) as rt:
        with pytest.raises(BudgetExceeded):
            await rt.call("team", "?", budget=Budget(calls=0))


async def test_time_that_is_up_leaves_the_best_so_far() -> None:
    class Hangs(Meanings):
        async def embed(self, texts: Sequence[str]) -> list[list[float]]:
            await asyncio.Event().wait()
            return await super().embed(texts)

    agents = [says("a", "car"), says("b", "automobile")]
    reply = await result(alike(agents, Hangs(**CAR), limits=Limits(timeout=0.2)))
    assert (reply.text, reply.metadata["stopped_by"]) == ("car", "timeout")


async def test_a_model_that_does_not_answer_fails_the_run_or_is_told() -> None:
    class Fails(Meanings):
        async def embed(self, texts: Sequence[str]) -> list[list[float]]:
            raise down()

    def agents() -> list[RecordingAgent]:
        return [says("a", "car"), says("b", "automobile")]

    with pytest.raises(ProviderUnavailable):
        await result(alike(agents(), Fails()))
    reply = await result(alike(agents(), Fails(), error_strategy="continue"))
    assert (reply.text, reply.metadata["stopped_by"]) == ("car", "failures")
    assert list(reply.metadata["errors"]) == ["team.embedder"]  # type: ignore[arg-type]  # agent → error


async def test_vectors_that_do_not_fit_the_texts_are_refused_by_name() -> None:
    for wrong in ({"car": [1.0], "boat": [1.0, 0.0]}, {"car": [], "boat": [1.0]}):
        agents = [says("a", "car"), says("b", "boat")]
        with pytest.raises(AgentRefused, match=r"embedder 'team.embedder' did not give one vector"):
            await result(alike(agents, Meanings(**wrong)))


async def test_blank_answers_are_not_embedded_and_like_no_other() -> None:
    embedder = Meanings(**CAR)
    agents = [says("a", "car"), says("b", " "), says("c", "automobile")]
    reply = await result(alike(agents, embedder))
    assert reply.text == "car"
    assert embedder.asked == [["car", "automobile"]]


async def test_min_successes_counts_those_that_answer_and_not_the_embedder() -> None:
    agents = [
        says("a", "car"),
        says("b", "automobile"),
        says("d", AgentRefused("no")),
    ]
    settings = {"error_strategy": "continue", "min_successes": 3}
    consensus = Consensus.from_config(
        "c",
        agents,
        {**settings, "convergence": "similarity", "embedding_model": "hashing"},
        Limits(),
    )
    with pytest.raises(AgentRefused, match=r"only 2 of 3 agents of 'c' answered, 3 are needed"):
        await result(consensus)


async def test_a_file_names_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"convergence": "similarity", "embedding_model": "hashing", "similarity": 0.7}
    agents = [says("a", "the sky is blue"), says("b", "today the sky is blue")]
    consensus = Consensus.from_config("c", agents, settings, Limits())
    assert (await result(consensus)).metadata["converged"] is True
    monkeypatch.setenv("AIXGO_OFFLINE", "1")
    vendor = {**settings, "embedding_model": "openai:text-embedding-3-small"}
    agents = [says("a", "the sky is blue"), says("b", "today the sky is blue")]
    offline = Consensus.from_config("c", agents, vendor, Limits())
    assert (await result(offline)).metadata["converged"] is True


async def test_the_embedder_takes_texts_only() -> None:
    async with LocalRuntime(Embedding("e", HashingEmbedder(16))) as rt:
        vectors = (await rt.call("e", {"texts": ["x", "x"]})).payload
        assert isinstance(vectors, dict)
        assert isinstance(vectors["vectors"], list)
        assert vectors["vectors"][0] == vectors["vectors"][1]
        with pytest.raises(AgentRefused, match="takes an object with the list `texts`"):
            await rt.call("e", Message("x"))


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"embedding_model": "hashing"}, "goes with convergence 'similarity', not 'vote'"),
        ({"embedding_model": "nobody:x"}, "consensus 'c': .*nobody"),
        ({"embedding_model": "hashing:many"}, "consensus 'c': .*hashing:NUMBER"),
        ({"embedding_model": 5}, "embedding_model must be text"),
        ({"similarity": 0}, "similarity is 0; it must be above 0"),
    ],
)
def test_a_wrong_embedding_is_refused_by_name(config: dict[str, object], says: str) -> None:
    measured = {} if says.endswith("'vote'") else {"convergence": "similarity"}
    with pytest.raises(ConfigError, match=says):
        Consensus.from_config("c", ["a"], {**measured, **config}, Limits())
