"""A consensus whose result is judged, and begun again; and what is told of how it went."""

from __future__ import annotations

import asyncio
import json

import pytest

from aixgo import Budget, CallContext, DistributedRuntime, Message, Usage, agent
from aixgo.errors import AgentRefused, ConfigError
from aixgo.message import JSONValue
from aixgo.middleware import CallNext, Request, Response
from aixgo.orchestration import Consensus, ErrorStrategy, Limits, Sequential
from aixgo.orchestration._presenting import TO_EVALUATOR
from aixgo.runtime.local import LocalRuntime
from aixgo.testing import RecordingAgent
from tests.unit.orchestration.consenting import KEEP, asked, plain, result, revises, says, supports

SUBMIT: JSONValue = {"action": "submit"}


def restarts(told: str, reason: str = "too short") -> JSONValue:
    return {"action": "restart", "reason": reason, "instructions": told}


def judged(agents: list[RecordingAgent], **options: object) -> Consensus:
    return Consensus("c", agents, **{"post_evaluation": True, "max_restarts": 1, **options})  # type: ignore[arg-type]  # options of its own


def told(reply: Message, *keys: str) -> list[JSONValue]:
    return [reply.metadata.get(key) for key in keys]


# -- judging -----------------------------------------------------------------------------------------------


async def test_the_presenter_judges_the_result_with_all_there_is_before_it() -> None:
    winner = says("a", "4", "It is 4.", SUBMIT)
    reply = await result(judged([winner, says("b", "4")]))
    assert reply.text == "It is 4."
    assert told(reply, "restarts", "evaluation") == [0, {"by": "a", "action": "submit"}]
    given = asked(winner, 2)
    assert winner.messages[2].type == "consensus_evaluation"
    assert (given["result"], given["restarts_left"]) == ("It is 4.", 1)
    assert (given["answers"], given["chosen"]) == ({"agent1": "4"}, "agent1")
    assert given["instructions"] == TO_EVALUATOR


async def test_a_result_turned_down_has_all_begin_again_with_what_was_said() -> None:
    first = says("a", "4", "It is 4.", restarts("show the sum"), "2+2=4", "It is 2+2=4.", SUBMIT)
    second = says("b", "4", "2+2=4")
    reply = await result(judged([first, second]))
    assert reply.text == "It is 2+2=4."
    assert told(reply, "restarts", "rounds", "evaluation") == [
        1,
        0,
        {"by": "a", "action": "submit"},
    ]
    again = "how many?\n\nAn earlier result was turned down.\n\nWhy: too short\n\nThis time: show the sum"
    assert [one.messages[place].text for one, place in ((first, 3), (second, 1))] == [again] * 2


async def test_an_object_has_what_was_said_beside_its_own_keys() -> None:
    first = says("a", "4", "It is 4.", restarts("show the sum"), "2+2=4", "It is so.", SUBMIT)
    second = says("b", "4", "2+2=4")
    async with LocalRuntime(judged([first, second])) as rt:
        await rt.call("c", {"question": "how many?"})
    said = {"number": 1, "reason": "too short", "instructions": "show the sum"}
    assert asked(second, 1) == {"question": "how many?", "restart": said}


async def test_restarts_are_bounded_and_the_last_judgement_is_told() -> None:
    one = says("a", "4", *["It is 4.", restarts("better"), "5"] * 2)
    reply = await result(judged([one, says("b", "4", "5", "6")]))
    assert told(reply, "restarts") == [1]
    assert reply.metadata["evaluation"] == {
        "by": "a",
        "action": "restart",
        "reason": "too short",
        "instructions": "better",
    }


async def test_without_restarts_a_judgement_is_only_told() -> None:
    one = says("a", "4", "It is 4.", restarts("better"))
    reply = await result(judged([one, says("b", "4")], max_restarts=0))
    assert (reply.text, len(one.messages)) == ("It is 4.", 3)
    assert reply.metadata["evaluation"]["action"] == "restart"  # type: ignore[index,call-overload]  # an object


async def test_a_synthesizer_judges_what_it_made_and_the_winner_what_nobody_presented() -> None:
    synthesizer = RecordingAgent("s", ["all say 5", SUBMIT])
    reply = await result(judged([says("a", "5"), says("b", "5")], synthesizer=synthesizer))
    assert reply.metadata["evaluation"] == {"by": "s", "action": "submit"}
    agents = [says("a", "5", SUBMIT), says("b", "5")]
    reply = await result(judged(agents, presenter="verbatim"))
    assert reply.metadata["evaluation"] == {"by": "a", "action": "submit"}


@pytest.mark.parametrize(
    ("reply", "restarted"),
    [
        ("SUBMIT", 0),
        ("Submit.", 0),
        ("RESTART: show the sum", 1),
        ('{"action": "restart", "instructions": "show the sum"}', 1),
        ('```json\n{"action": "submit"}\n```', 0),
    ],
)
async def test_a_judgement_is_read_from_json_and_text(reply: str, restarted: int) -> None:
    first = says("a", "4", "It is 4.", reply, "5", "It is 5.", SUBMIT)
    found = await result(judged([first, says("b", "4", "5")]))
    assert told(found, "restarts") == [restarted]


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ("Submit it to nobody.", "none of the replies asked for"),
        ({"action": "restart"}, "neither what is wrong nor what to do otherwise"),
        ({"grade": 5}, "none of the replies asked for"),
    ],
)
async def test_a_judgement_that_does_not_do_is_corrected_and_then_submits(
    reply: JSONValue, why: str
) -> None:
    first = says("a", "4", "It is 4.", reply, reply, reply)
    found = await result(judged([first, says("b", "4")]))
    assert why in str(asked(first, 3)["correction"])
    assert len(first.messages) == 5
    assert found.metadata["evaluation"] == {"by": "a", "action": "submit", "unread": True}


async def test_who_fails_to_judge_leaves_the_result_or_fails_a_strict_run() -> None:
    def agents() -> list[RecordingAgent]:
        return [says("a", "4", "It is 4.", AgentRefused("no")), says("b", "4")]

    reply = await result(judged(agents()))
    assert (reply.text, reply.metadata.get("evaluation")) == ("It is 4.", None)
    assert list(reply.metadata["errors"]) == ["a"]  # type: ignore[arg-type]  # agent → error
    with pytest.raises(AgentRefused, match="no"):
        await result(judged(agents(), error_strategy="fail_fast"))


async def test_a_single_answer_is_not_judged() -> None:
    alone = says("a", "4")
    reply = await result(judged([alone]))
    assert (len(alone.messages), told(reply, "restarts", "evaluation")) == (1, [0, None])


# -- what a restart comes to -------------------------------------------------------------------------------


async def test_when_deliberating_again_comes_to_nothing_the_result_before_it_stands() -> None:
    def agents() -> list[RecordingAgent]:
        first = says("a", "4", "It is 4.", restarts("better"), AgentRefused("no"))
        return [first, says("b", "4", AgentRefused("no"))]

    reply = await result(judged(agents()))
    assert told(reply, "restarts", "stopped_by", "degraded") == [1, "failures", True]
    assert reply.text == "It is 4."
    with pytest.raises(AgentRefused, match="no"):
        await result(judged(agents(), error_strategy=ErrorStrategy("retry", max_retries=0)))


async def test_a_restart_that_does_not_settle_leaves_the_result_before_it() -> None:
    first = says("a", "4", "It is 4.", restarts("better"), "5")
    reply = await result(judged([first, says("b", "4", "6")], max_rounds=1))
    assert (reply.text, reply.metadata["stopped_by"]) == ("It is 4.", "failures")


async def test_time_that_is_up_in_a_restart_leaves_the_result_before_it() -> None:
    async def member(message: Message, context: CallContext) -> object:
        if message.type == "consensus_evaluation":
            return restarts("better")
        if "turned down" in message.text:
            await asyncio.Event().wait()
        return "4"

    both = [agent(name=name)(member) for name in ("a", "b")]
    consensus = Consensus(
        "c", both, post_evaluation=True, max_restarts=5, limits=Limits(timeout=0.2)
    )
    reply = await result(consensus)
    assert (reply.text, *told(reply, "restarts", "stopped_by")) == ("4", 1, "timeout")


async def test_time_that_is_up_while_it_is_presented_leaves_the_answer_as_given() -> None:
    async def member(message: Message) -> str:
        if message.type == "consensus_result":
            await asyncio.Event().wait()
        return "4"

    both = [agent(name=name)(member) for name in ("a", "b")]
    reply = await result(Consensus("c", both, limits=Limits(timeout=0.2)))
    assert (reply.text, reply.metadata["presenter"]) == ("4", "verbatim")


async def test_a_budget_that_is_used_up_in_a_restart_leaves_the_result_before_it() -> None:
    async def member(message: Message, context: CallContext) -> object:
        assert context.purse is not None
        await context.purse.reserve((0, 0, 1), context.agent)  # as a provider asks before it spends
        context.charge(Usage(calls=1))
        return restarts("better") if message.type == "consensus_evaluation" else "4"

    both = [agent(name=name)(member) for name in ("a", "b")]
    consensus = Consensus("c", both, post_evaluation=True, max_restarts=5)
    async with LocalRuntime(consensus) as rt:
        reply = await rt.call("c", "?", budget=Budget(calls=4))
    assert (reply.text, *told(reply, "restarts", "stopped_by")) == ("4", 1, "budget")


async def test_max_iterations_bounds_the_rounds_of_all_deliberations() -> None:
    first = says("a", "4", KEEP, "It is 4.", restarts("better"), "5")
    second = says("b", "5", supports("4"), "6")
    consensus = judged([first, second], limits=Limits(max_iterations=1))
    reply = await result(consensus)
    assert told(reply, "restarts", "rounds", "stopped_by") == [1, 0, "max_iterations"]
    assert reply.text == "5"


async def test_every_call_has_a_key_of_its_own() -> None:
    keys: list[str] = []

    async def watch(call_next: CallNext[Request, Response], request: Request) -> Response:
        keys.append(request.context.key)
        return await call_next(request)

    first = says("a", "4", KEEP, "It is 4.", restarts("better"), "5", "It is 5.", SUBMIT)
    second = says("b", "5", supports("4"), "5")
    async with LocalRuntime(judged([first, second]), middleware=[watch]) as rt:
        await rt.call("c", "?")
    assert keys[1:] == [
        "c/answer/a",
        "c/answer/b",
        "c/refine[1]/a",
        "c/refine[1]/b",
        "c/present/a",
        "c/evaluate/a",
        "c/again[1]/answer/a",
        "c/again[1]/answer/b",
        "c/again[1]/present/a",
        "c/again[1]/evaluate/a",
    ]


# -- what is told of it ------------------------------------------------------------------------------------


async def test_its_history_tells_who_did_what_in_which_round() -> None:
    agents = [
        says("a", "4", revises("7", "new_answer"), supports("7", "vote")),
        says("b", "5", supports("5", "vote"), supports("7", "vote")),
        says("d", "6", AgentRefused("no")),
        says("e", AgentRefused("no")),
    ]
    reply = await result(plain("c", agents, protocol="vote"))
    assert reply.metadata["history"] == [
        {
            "round": 0,
            "moves": {
                "a": {"action": "answer"},
                "b": {"action": "answer"},
                "d": {"action": "answer"},
                "e": {"action": "failed"},
            },
        },
        {
            "round": 1,
            "moves": {
                "a": {"action": "new_answer"},
                "b": {"action": "vote", "for": "b", "cleared": True},
                "d": {"action": "failed"},
            },
        },
        {
            "round": 2,
            "moves": {
                "a": {"action": "vote", "for": "a"},
                "b": {"action": "vote", "for": "a"},
                "d": {"action": "failed"},
            },
        },
    ]


async def test_its_history_keeps_the_last_rounds_only() -> None:
    agents = [
        RecordingAgent(name, [text, *[KEEP] * 40])  # type: ignore[list-item]  # text and objects
        for name, text in (("a", "4"), ("b", "5"))
    ]
    limits = Limits(max_iterations=100)
    reply = await result(
        plain("c", agents, max_rounds=40, limits=limits, error_strategy="continue")
    )
    rounds = [entry["round"] for entry in reply.metadata["history"]]  # type: ignore[index,union-attr,call-overload]  # objects
    assert rounds == list(range(9, 41))


@pytest.mark.parametrize("strategy", [None, "fail_fast", "retry"])
async def test_without_consensus_the_error_tells_who_stood_for_what_and_why(
    strategy: str | None,
) -> None:
    agents = [says("a", "4"), says("b", "5", supports("4")), says("d", "6"), says("e", "7")]
    with pytest.raises(AgentRefused, match="no consensus") as refused:
        await result(plain("c", agents, error_strategy=strategy, max_rounds=1))
    assert refused.value.partial == [
        {"agent": "a", "reply": "4", "stands_for": "a"},
        {"agent": "b", "reply": "5", "stands_for": "a", "reason": "why"},
        {"agent": "d", "reply": "6", "stands_for": "d"},
        {"agent": "e", "reply": "7", "stands_for": "e"},
    ]


async def test_the_error_tells_the_same_from_another_process_and_names_who_failed() -> None:
    agents = [says("a", "4"), says("b", "5"), says("d", AgentRefused("no"))]
    async with (
        DistributedRuntime(plain("c", agents, max_rounds=0), address="127.0.0.1:0") as there,
        DistributedRuntime(peers={"c": there.address}) as here,
    ):
        with pytest.raises(AgentRefused, match="no consensus") as refused:
            await here.call("c", "how many?")
    assert refused.value.partial == [
        {"agent": "a", "reply": "4", "stands_for": "a"},
        {"agent": "b", "reply": "5", "stands_for": "b"},
        {"agent": "d", "error": {"class": "AgentRefused", "text": "no"}},
    ]


async def test_a_pattern_around_it_passes_on_what_the_error_tells() -> None:
    def inner() -> Consensus:
        return plain("c", [says("a", "4"), says("b", "5")], max_rounds=0)

    answers: list[JSONValue] = [
        {"agent": "a", "reply": "4", "stands_for": "a"},
        {"agent": "b", "reply": "5", "stands_for": "b"},
    ]
    async with LocalRuntime(Sequential("s", [inner()])) as rt:
        with pytest.raises(AgentRefused, match="no consensus") as refused:
            await rt.call("s", "?")
    assert refused.value.partial == answers
    async with LocalRuntime(Sequential("s", [inner()], error_strategy="fail_fast")) as rt:
        with pytest.raises(AgentRefused, match="no consensus") as refused:
            await rt.call("s", "?")
    assert isinstance(refused.value.partial, list)
    assert isinstance(entry := refused.value.partial[0], dict)
    assert (entry["agent"], entry["partial"]) == ("c", answers)


async def test_what_an_error_tells_is_bounded() -> None:
    agents = [says(f"a{i}", str(i) * 5_000) for i in range(20)]
    with pytest.raises(AgentRefused) as refused:
        await result(plain("c", agents, max_rounds=0))
    assert refused.value.partial is not None
    assert len(json.dumps(refused.value.partial)) <= 4096
    assert [entry["agent"] for entry in refused.value.partial] == [one.name for one in agents]  # type: ignore[index,call-overload]  # objects


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"max_restarts": 1}, "max_restarts is 1 without post_evaluation"),
        ({"post_evaluation": True, "max_restarts": -1}, "max_restarts is -1"),
        ({"post_evaluation": "yes"}, "post_evaluation must be true or false"),
        (
            {"error_strategy": "continue", "min_successes": 2, "synthesizer": "s"},
            "min_successes is 2 of 1 agents that answer",
        ),
    ],
)
def test_a_wrong_setting_is_refused_by_name(config: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Consensus.from_config("c", ["a"], config, Limits())
