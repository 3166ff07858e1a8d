"""Others answer when a model or an agent fails: who, when, and how the answer says so."""

from __future__ import annotations

import pytest

from aixgo import Budget
from aixgo.errors import (
    AgentFailed,
    AgentRefused,
    AixgoError,
    ConfigError,
    LimitExceeded,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
    Unavailable,
)
from aixgo.providers import Model
from aixgo.resilience import CircuitBreaker, Fallback, Policy, Retry
from tests.unit.resilience.seams import Answer, Asker, Broken, JumpClock, Script, ScriptedModel


def down() -> ProviderUnavailable:
    return ProviderUnavailable("down", provider="acme", code="overloaded")


def fallback(asker: Asker, *names: str) -> Fallback:
    """The policy that has the `other` backends of those names stand in."""
    if asker.seam == "runtime":
        return Fallback(agents={"acme": names})
    found = {item.name: item for item in asker.others if isinstance(item, ScriptedModel)}
    return Fallback([found[name] for name in names])


def set_up(
    asker: Asker, answers: list[Answer], *inner: Policy, backup: list[Answer] | None = None
) -> Script:
    script = asker.other(backup or ["from backup"])
    asker.set_up([fallback(asker, "backup"), *inner], answers)
    return script


async def test_another_answers_and_the_reply_says_who_and_why(asker: Asker) -> None:
    script = set_up(asker, [RateLimited(provider="acme")])
    async with asker:
        got = await asker.ask()
    assert got.pieces == ["from backup"]
    assert got.source == "backup"
    assert got.facts["served_by"] == ("backup/m" if asker.seam == "model" else "backup")
    assert got.facts["fallback_for"] == asker.backend
    assert got.facts["fallback_error"] == "RateLimited"
    assert script.asked == 1


async def test_nobody_else_is_asked_when_it_answers(asker: Asker) -> None:
    script = set_up(asker, ["done"])
    async with asker:
        got = await asker.ask()
    assert got.pieces == ["done"]
    assert "served_by" not in got.facts
    assert script.asked == 0


async def test_others_are_asked_in_order_and_the_first_error_is_raised_when_all_fail(
    asker: Asker,
) -> None:
    scripts = [asker.other([down()], name) for name in ("one", "two")]
    first = RateLimited(provider="acme", retry_after=1.5)
    async with asker.set_up([fallback(asker, "one", "two")], [first]):
        with pytest.raises(RateLimited) as caught:
            await asker.ask()
    assert [script.asked for script in scripts] == [1, 1]
    assert caught.value.retry_after == 1.5


async def test_it_begins_where_retries_end(asker: Asker) -> None:
    script = set_up(asker, [down()], Retry(2, clock=JumpClock(), jitter=False))
    async with asker:
        got = await asker.ask()
    assert asker.script.asked == 3
    assert script.asked == 1
    assert got.pieces == ["from backup"]


async def test_an_open_circuit_is_passed_at_once(asker: Asker) -> None:
    script = set_up(asker, [down()], CircuitBreaker(1, clock=JumpClock()))
    async with asker:
        for _ in range(3):
            await asker.ask()
    assert asker.script.asked == 1
    assert script.asked == 3


async def test_after_the_first_piece_nobody_takes_over(asker: Asker) -> None:
    script = set_up(asker, [Broken(["It is"], down())])
    async with asker:
        if asker.streaming:
            with pytest.raises(ProviderUnavailable):
                await asker.ask()
            assert asker.seen == ["It is"]
        else:
            assert (await asker.ask()).pieces == ["from backup"]
    assert script.asked == (0 if asker.streaming else 1)


@pytest.mark.parametrize(
    ("code", "helps"),
    [
        ("quota", True),
        ("model_not_found", True),
        ("context_length", True),
        ("authentication", True),
        ("content_filtered", False),
        ("invalid_request", False),
    ],
)
async def test_another_model_is_asked_only_when_it_may_help(
    model_asker: Asker, code: str, helps: bool
) -> None:
    script = set_up(model_asker, [RequestRejected("no", provider="acme", code=code)])
    async with model_asker:
        if helps:
            await model_asker.ask()
        else:
            with pytest.raises(RequestRejected):
                await model_asker.ask()
    assert script.asked == int(helps)


@pytest.mark.parametrize(
    ("error", "helps"),
    [
        (Unavailable("acme", "gone"), True),
        (Unavailable("acme", "lost", outcome="unknown"), False),
        (AgentFailed("acme"), True),
        (RequestRejected("no", provider="p", code="quota"), True),
        (AgentRefused("not for you"), False),
        (LimitExceeded("max_depth", 3), False),
    ],
    ids=repr,
)
async def test_another_agent_is_asked_unless_it_would_fail_too_or_the_work_may_be_done(
    agent_asker: Asker, error: AixgoError, helps: bool
) -> None:
    script = set_up(agent_asker, [error])
    async with agent_asker:
        if helps:
            await agent_asker.ask()
        else:
            with pytest.raises(type(error)):
                await agent_asker.ask()
    assert script.asked == int(helps)


async def test_the_one_that_stands_in_has_the_path_of_the_call_and_its_loan(
    agent_asker: Asker,
) -> None:
    set_up(agent_asker, [down()])
    async with agent_asker:
        await agent_asker.ask(budget=Budget(tokens=100))
    assert [item.paths for item in agent_asker.others] == [[("backup",)]]  # type: ignore[union-attr]


async def test_what_failed_models_spent_is_part_of_what_the_answer_cost(model_asker: Asker) -> None:
    set_up(model_asker, [down()])
    async with model_asker:
        got = await model_asker.ask()
    assert (got.usage.calls, got.usage.retries) == (2, 0)
    assert model_asker.told == got.usage


async def test_a_model_of_its_own_middleware_keeps_it_and_is_asked_by_its_own_name(
    model_asker: Asker,
) -> None:
    script = Script([down(), "second try"])
    own = Retry(clock=JumpClock(), jitter=False)
    standby = Model(ScriptedModel(script, "standby"), [own], model="big")
    async with model_asker.set_up([Fallback([standby])], [down()]):
        got = await model_asker.ask()
    assert got.pieces == ["second try"]
    assert script.names == ["big", "big"]
    assert (got.usage.calls, got.usage.retries) == (3, 1)


def test_a_model_that_does_not_exist_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="opnai"):
        Fallback(["opnai:gpt"])


def test_nobody_to_ask_is_refused() -> None:
    with pytest.raises(ConfigError, match="name the models or the agents"):
        Fallback()
    with pytest.raises(ConfigError, match="others than 'a'"):
        Fallback(agents={"a": ["a"]})
