"""Aggregation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from aixgo import Budget, CallContext, Message, agent
from aixgo.errors import AgentRefused, BudgetExceeded, ConfigError
from aixgo.message import JSONValue
from aixgo.orchestration import Aggregation, ErrorStrategy, Limits
from aixgo.runtime.local import LocalRuntime
from aixgo.testing import RecordingAgent


@agent
async def yes(_: str) -> str:
    return "yes"


@agent
async def also_yes(_: str) -> str:
    return " YES "


@agent
async def no(_: str) -> str:
    return "no"


@agent
async def refuses(_: object) -> str:
    raise AgentRefused("not today")


async def answer(pattern: Aggregation, given: JSONValue = "?") -> Message:
    async with LocalRuntime(pattern) as rt, asyncio.timeout(5):
        return await rt.call(pattern.name, given)


async def test_a_vote_gives_the_winning_reply_in_its_own_words() -> None:
    reply = await answer(Aggregation("a", [no, also_yes, yes], strategy="vote"))
    assert reply.text == " YES "
    assert (reply.metadata["winner"], reply.metadata["agreement"]) == ("also_yes", 2 / 3)


async def test_a_tied_vote_goes_to_the_agent_that_was_given_first() -> None:
    for agents in ([yes, no], [no, yes]):
        reply = await answer(Aggregation("a", agents, strategy="vote"))
        assert reply.metadata["winner"] == agents[0].name


async def test_a_vote_that_has_to_be_unanimous_names_who_differ() -> None:
    pattern = Aggregation("a", [yes, no], strategy="vote", voting_strategy="unanimous")
    with pytest.raises(AgentRefused, match="'yes' and 'no' differ"):
        await answer(pattern)


async def test_answers_are_in_the_order_of_the_agents_whoever_ends_first() -> None:
    slow, fast = RecordingAgent("slow", ["1"], gated=True), RecordingAgent("fast", ["2"])
    async with LocalRuntime(Aggregation("a", [slow, fast])) as rt, asyncio.timeout(5):
        call = asyncio.create_task(rt.call("a", "?"))
        await fast.finished.wait()
        slow.release()
        assert (await call).text == "[slow]: 1\n---\n[fast]: 2"


@pytest.mark.parametrize("agents", [[yes, no], [no, yes]])
async def test_of_equal_scores_the_first_agent_has_the_best(agents: list[object]) -> None:
    scorer = RecordingAgent("scorer", ["7/10", "0.7"])
    reply = await answer(Aggregation("a", agents, strategy="best", scorer=scorer))  # type: ignore[arg-type]
    assert reply.text == agents[0].name  # type: ignore[attr-defined]
    assert reply.metadata["score"] == 0.7


async def test_an_answer_without_a_score_cannot_win_and_says_why() -> None:
    @agent
    async def scorer(asked: dict[str, str]) -> str:
        return "15/10" if asked["answer"] == "yes" else "score: 2/10"

    reply = await answer(Aggregation("a", [yes, no], strategy="best", scorer=scorer))
    assert reply.text == "no"
    unscored = reply.metadata["unscored"]
    assert isinstance(unscored, dict)
    assert "its score is 15/10, outside its scale" in unscored["yes"]["text"]  # type: ignore[index,call-overload,operator]


async def test_a_scorer_that_scores_nothing_fails_the_run() -> None:
    scorer = RecordingAgent("scorer", ["fine", "good"])
    with pytest.raises(AgentRefused, match=r"'scorer' scored no answer of 'a': .*no score in its"):
        await answer(Aggregation("a", [yes, no], strategy="best", scorer=scorer))


async def test_a_summarizer_that_fails_fails_the_run() -> None:
    with pytest.raises(AgentRefused, match="not today"):
        await answer(Aggregation("a", [yes, no], strategy="summarize", summarizer=refuses))


async def test_a_failed_agent_is_left_out_and_named() -> None:
    reply = await answer(Aggregation("a", [yes, refuses]))
    assert reply.text == "[yes]: yes"
    assert reply.metadata["errors"] == {"refuses": {"class": "AgentRefused", "text": "not today"}}


async def test_with_fewer_answers_than_needed_the_run_fails_and_says_who_failed() -> None:
    with pytest.raises(AgentRefused, match=r"only 1 of 2 agents of 'a' answered.*refuses"):
        await answer(Aggregation("a", [yes, refuses], min_responses=2))


async def test_an_error_strategy_says_what_a_failure_does() -> None:
    with pytest.raises(AgentRefused, match="not today"):
        await answer(Aggregation("a", [yes, refuses], error_strategy="fail_fast"))
    instead = ErrorStrategy("retry", retry_delay=0, fallbacks={"refuses": [no]})
    with pytest.raises(AgentRefused, match="not today"):  # who refuses is not asked otherwise
        await answer(Aggregation("a", [yes, refuses], error_strategy=instead))


async def test_a_budget_that_is_exceeded_ends_the_run() -> None:
    class Costly(RecordingAgent):
        async def execute(self, message: Message) -> Message:
            purse = CallContext.current().purse
            assert purse is not None
            await purse.reserve((0, 0, 5), self.name)
            return message

    limits = Limits(budget=Budget(calls=4))
    with pytest.raises(BudgetExceeded):
        await answer(Aggregation("a", [yes, Costly("costly")], limits=limits))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Aggregation("a", []), "needs at least one agent"),
        (lambda: Aggregation("a", [yes, yes]), "'yes' is given twice"),
        (lambda: Aggregation("a", [yes], strategy="mean"), "strategy is 'mean', not one of merge"),
        (lambda: Aggregation("a", [yes], strategy="best"), "strategy 'best' needs a scorer"),
        (lambda: Aggregation("a", [yes], strategy="summarize"), "'summarize' needs a summarizer"),
        (lambda: Aggregation("a", [yes], scorer=no), "strategy 'merge' has no use for a scorer"),
        (
            lambda: Aggregation("a", [yes], voting_strategy="loud"),
            "voting_strategy is 'loud', not one of majority",
        ),
        (lambda: Aggregation("a", [yes], min_responses=2), "min_responses is 2 of 1 agents"),
        (lambda: Aggregation("a", [yes], min_responses=0), "min_responses is 0"),
    ],
)
def test_what_does_not_fit_together_is_refused(make: Callable[[], Aggregation], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        make()
