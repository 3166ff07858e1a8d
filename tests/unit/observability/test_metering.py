"""What is recorded of calls, models, tools and patterns; and that labels are names, and not too many."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Self

import pytest

from aixgo import Caller, LocalRuntime, Message, agent, measures, tool
from aixgo.agents import ChatAgent
from aixgo.errors import AgentFailed, AgentNotFound, ProviderUnavailable
from aixgo.ledger import Usage
from aixgo.orchestration import Parallel, Router, Sequential
from aixgo.orchestration.base import Fact, Limits, Orchestrator, Slot
from aixgo.providers import ChatMessage, CompletionRequest, Model
from aixgo.resilience import ResponseCache
from aixgo.testing import ScriptedProvider
from aixgo.tools.executor import Toolbox
from tests.unit.observability.collected import Collected

MODEL = ("chat", "scripted", "m", "m", "bot")  # the labels of a request to a model


@agent
async def upper(text: str) -> str:
    return text.upper()


@agent
async def fails(text: str) -> str:
    raise ValueError(text)


@pytest.fixture
def collected() -> Iterator[Collected]:
    with Collected() as made:
        yield made


def counts(collected: Collected, name: str) -> dict[tuple[object, ...], int]:
    """How often a histogram was recorded."""
    return {labels: count for labels, (_, count) in collected[name].items()}


def values(collected: Collected, name: str) -> dict[tuple[object, ...], float]:
    """A counter's values, or a histogram's sums."""
    return {labels: value for labels, (value, _) in collected[name].items()}


async def test_a_call_is_timed_where_it_is_made_and_where_its_agent_runs(
    collected: Collected,
) -> None:
    async with LocalRuntime(upper, fails) as rt:
        await rt.call_parallel(["upper", "fails", "upper"], "x")
    for name in ("aixgo.call.duration", "aixgo.agent.duration"):
        assert counts(collected, name) == {("upper",): 2, ("fails", "AgentFailed"): 1}
        assert all(0 < value < 5 for value in values(collected, name).values())


async def test_a_stream_says_when_its_first_chunk_came(collected: Collected) -> None:
    async with LocalRuntime(upper) as rt, rt.stream("upper", "x") as chunks:
        async for _ in chunks:
            pass
    assert counts(collected, "aixgo.call.time_to_first_chunk") == {("upper",): 1}
    assert counts(collected, "aixgo.call.duration") == {("upper",): 1}


async def test_a_cancelled_call_is_recorded_as_one(collected: Collected) -> None:
    inside = asyncio.Event()

    @agent
    async def hangs(text: str) -> str:
        inside.set()
        await asyncio.Event().wait()
        return text

    async with asyncio.timeout(5), LocalRuntime(hangs) as rt:
        call = asyncio.create_task(rt.call("hangs", "x"))
        await inside.wait()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
    assert counts(collected, "aixgo.call.duration") == {("hangs", "cancelled"): 1}


@pytest.mark.parametrize("streaming", [False, True], ids=["call", "stream"])
async def test_a_request_to_a_model_has_its_tokens_and_cost(
    collected: Collected, streaming: bool
) -> None:
    usage = Usage(tokens_prompt=100, tokens_completion=20, calls=1, cost_nanos=2_500_000_000)
    bot = ChatAgent("bot", model="m", provider=ScriptedProvider(["hello"], usage=usage))
    async with LocalRuntime(bot) as rt:
        if streaming:
            async with rt.stream("bot", "x") as chunks:
                async for _ in chunks:
                    pass
        else:
            await rt.call("bot", "x")
    assert counts(collected, "gen_ai.client.operation.duration") == {MODEL: 1}
    assert values(collected, "gen_ai.client.token.usage") == {
        (*MODEL, "input"): 100,
        (*MODEL, "output"): 20,
    }
    assert values(collected, "aixgo.model.cost_usd") == {MODEL: 2.5}
    first = counts(collected, "gen_ai.client.operation.time_to_first_chunk")
    assert first == ({MODEL: 1} if streaming else {})


async def test_a_request_that_failed_has_its_error_and_what_it_used(collected: Collected) -> None:
    down = ProviderUnavailable("down", provider="scripted", code="overloaded")
    down.usage = Usage(tokens_prompt=7, calls=1)
    bot = ChatAgent("bot", model="m", provider=ScriptedProvider([down]))
    async with LocalRuntime(bot) as rt:
        with pytest.raises(ProviderUnavailable):
            await rt.call("bot", "x")
    failed = ("chat", "scripted", "m", "bot")
    assert counts(collected, "gen_ai.client.operation.duration") == {
        (*failed, "ProviderUnavailable"): 1
    }
    assert values(collected, "gen_ai.client.token.usage")[*failed, "input"] == 7


async def test_an_answer_from_a_cache_is_no_request_to_a_model(collected: Collected) -> None:
    model = Model(ScriptedProvider(["hello"]), [ResponseCache()])
    request = CompletionRequest(model="m", messages=(ChatMessage("user", "x"),))
    for _ in range(3):
        await model.complete(request)
    assert sum(counts(collected, "gen_ai.client.operation.duration").values()) == 1
    assert sum(counts(collected, "gen_ai.client.token.usage").values()) == 2


async def test_tools_are_timed_and_their_failures_told_apart(collected: Collected) -> None:
    @tool
    def divide(by: int) -> float:
        """Divide."""
        return 1 / by

    executor = Toolbox([divide])
    await executor.run("divide", '{"by": 1}')
    await executor.run("divide", '{"by": 0}')
    await executor.run("invented-by-a-model", "{}")
    assert counts(collected, "aixgo.tool.duration") == {
        ("divide",): 1,
        ("divide", "tool_error"): 1,
        ("unknown", "tool_error"): 1,
    }


# -- patterns -------------------------------------------------------------------------------------------


async def test_a_pattern_counts_who_succeeded_and_who_failed(collected: Collected) -> None:
    team = Parallel("team", [upper, fails])
    async with LocalRuntime(team) as rt:
        await rt.call("team", "x")
    run = ("parallel", "team")
    assert counts(collected, "aixgo.orchestration.duration") == {run: 1}
    assert values(collected, "aixgo.orchestration.calls") == {
        (*run, "succeeded"): 1,
        (*run, "failed"): 1,
    }


async def test_a_pattern_says_how_long_the_first_of_several_replies_waited_for_the_last(
    collected: Collected,
) -> None:
    met = asyncio.Barrier(2)

    @agent
    async def meets(text: str) -> str:
        await met.wait()
        return text

    async with asyncio.timeout(5), LocalRuntime() as rt:
        await rt.register(meets, "a")
        await rt.register(meets, "b")
        await rt.register(Parallel("team", ["a", "b"]))
        await rt.call("team", "x")
    assert counts(collected, "aixgo.orchestration.wait") == {("parallel", "team"): 1}


async def test_a_run_that_failed_has_its_error(collected: Collected) -> None:
    async with LocalRuntime(Sequential("line", [upper, fails])) as rt:
        with pytest.raises(AgentFailed):
            await rt.call("line", "x")
    assert counts(collected, "aixgo.orchestration.duration") == {
        ("sequential", "line", "AgentFailed"): 1
    }


async def test_a_sequence_says_how_many_steps_it_took(collected: Collected) -> None:
    async with LocalRuntime(Sequential("line", [upper, upper])) as rt:
        await rt.call("line", "x")
    assert values(collected, "aixgo.orchestration.steps") == {("sequential", "line"): 2}


async def test_a_vote_says_how_far_they_agreed(collected: Collected) -> None:
    async with LocalRuntime(Parallel("vote", [upper], aggregation="voting")) as rt:
        await rt.call("vote", "x")
    assert values(collected, "aixgo.orchestration.agreement") == {("parallel", "vote"): 1}


async def test_a_router_says_what_it_chose_how_surely_and_how_long_either_part_took(
    collected: Collected,
) -> None:
    @agent
    async def judge(text: str) -> dict[str, str | float]:
        return {"category": text, "confidence": 0.75}

    router = Router("desk", judge, {"billing": upper}, fallback=upper)
    async with LocalRuntime(router) as rt:
        await rt.call("desk", "Billing")
        await rt.call("desk", "whatever a model made up")
    run = ("router", "desk")
    assert values(collected, "aixgo.orchestration.categories") == {
        (*run, "billing"): 1,
        (*run, "(fallback)"): 1,
    }
    assert values(collected, "aixgo.orchestration.confidence") == {run: 1.5}
    assert counts(collected, "aixgo.orchestration.classify") == {run: 2}
    assert counts(collected, "aixgo.orchestration.route") == {run: 2}


async def test_a_router_without_a_classifier_says_only_how_long_the_answer_took(
    collected: Collected,
) -> None:
    async with LocalRuntime(Router("desk", routes={"all": upper}, strategy="load")) as rt:
        await rt.call("desk", "x")
    assert counts(collected, "aixgo.orchestration.route") == {("router", "desk"): 1}
    assert not collected["aixgo.orchestration.classify"]


class Repeats(Orchestrator):
    """A pattern that says of itself what others will."""

    pattern = "repeats"
    facts: ClassVar[Mapping[str, Fact]] = {
        name: Fact(name) for name in ("rounds", "iterations", "handoffs", "confidence")
    }

    @classmethod
    def from_config(
        cls, name: str, agents: Sequence[Slot], config: Mapping[str, object], limits: Limits
    ) -> Self:
        return cls(name, agents, limits=limits)

    async def run(self, message: Message, caller: Caller) -> Message:
        return self.result(
            message,
            rounds=3,
            iterations=2,
            handoffs=1,
            stopped_by="max_iterations",
            confidence="very",
            agreement=1,
        )


async def test_rounds_iterations_handoffs_and_limits_are_those_the_pattern_declares(
    collected: Collected,
) -> None:
    async with LocalRuntime(Repeats("again", [])) as rt:
        await rt.call("again", "x")
    run = ("repeats", "again")
    found = {
        name: values(collected, f"aixgo.orchestration.{name}")
        for name in ("rounds", "iterations", "handoffs", "stopped", "confidence", "agreement")
    }
    assert found == {
        "rounds": {run: 3},
        "iterations": {run: 2},
        "handoffs": {run: 1},
        "stopped": {(*run, "max_iterations"): 1},
        "confidence": {},
        "agreement": {},
    }


# -- labels ---------------------------------------------------------------------------------------------


async def test_agents_spawned_for_a_moment_share_the_name_they_were_made_with(
    collected: Collected,
) -> None:
    async with LocalRuntime(upper) as rt:
        for _ in range(3):
            async with rt.spawn(upper) as name:
                assert name != "upper"
                await rt.call(name, "x")
    assert counts(collected, "aixgo.agent.duration") == {("upper",): 3}


async def test_names_that_nobody_has_share_a_label(collected: Collected) -> None:
    async with LocalRuntime(upper) as rt:
        for number in range(3):
            with pytest.raises(AgentNotFound):
                await rt.call(f"made-up-{number}", "x")
    assert counts(collected, "aixgo.call.duration") == {("(unknown)", "AgentNotFound"): 3}


async def test_more_labels_than_an_instrument_may_have_share_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aixgo.observability.metering.MAX_SERIES", 2)
    with Collected() as collected:
        async with LocalRuntime() as rt:
            for number in range(5):
                await rt.register(upper, f"agent-{number}")
                await rt.call(f"agent-{number}", "x")
        assert counts(collected, "aixgo.agent.duration") == {
            ("agent-0",): 1,
            ("agent-1",): 1,
            (True,): 3,  # otel.metric.overflow
        }


async def test_neither_sessions_nor_ids_nor_texts_are_labels(collected: Collected) -> None:
    async with LocalRuntime(upper, principal="marker-who") as rt:
        await rt.call("upper", "marker-text", session="marker-session", key="marker-key")
        await rt.register(fails)
        with pytest.raises(AgentFailed):
            await rt.call("fails", "marker-error")
    assert "marker" not in repr(collected.all())


def test_counts_kept_under_too_many_labels_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "counters", {})
    counter = measures.Counter("aixgo.breaker.opened", labels=1)
    monkeypatch.setattr("aixgo.observability.metering.MAX_SERIES", 10)
    for number in range(30):
        counter.add(f"backend-{number}")
    with Collected() as collected:
        shown = values(collected, "aixgo.breaker.opened")
    assert shown[True,] == 20
    assert len(shown) == 11
