"""Debate."""

from __future__ import annotations

import asyncio

import pytest

from aixgo import Message, agent
from aixgo.agents import ChatAgent
from aixgo.errors import AgentRefused, ConfigError
from aixgo.message import JSONValue
from aixgo.orchestration import Debate, Limits, Sequential
from aixgo.runtime.local import LocalRuntime
from aixgo.testing import RecordingAgent, ScriptedProvider
from tests.unit.orchestration.failing import Fails


def says(name: str, *replies: object) -> RecordingAgent:
    return RecordingAgent(name, replies)  # type: ignore[arg-type]  # text, objects, messages and errors


async def result(debate: Debate) -> Message:
    async with LocalRuntime(debate) as rt:
        return await rt.call(debate.name, "left or right?")


def asked(agent: RecordingAgent, number: int = 0) -> dict[str, JSONValue]:
    payload = agent.messages[number].payload
    assert isinstance(payload, dict)
    return payload


async def test_a_debater_gets_the_question_its_stance_and_what_was_said_before() -> None:
    pro, con = says("pro", "a", "b"), says("con", "c", "d")
    await result(Debate("d", [pro, con], stances={"pro": "for it"}, rounds=2))
    first, second = asked(pro), asked(pro, 1)
    assert (first["question"], first["stance"], first["round"]) == ("left or right?", "for it", 1)
    assert first["arguments"] == {}
    assert second["arguments"] == {"pro": "a", "con": "c"}
    assert asked(con)["stance"] == ""


async def test_debaters_of_a_round_speak_at_once_and_are_read_in_the_order_given() -> None:
    slow, fast = RecordingAgent("slow", ["a", "b"], gated=True), says("fast", "c", "d")
    async with LocalRuntime(Debate("d", [slow, fast], rounds=2)) as rt:
        call = asyncio.create_task(rt.call("d", "?"))
        await fast.finished.wait()
        slow.release()
        await call
    arguments = asked(fast, 1)["arguments"]
    assert isinstance(arguments, dict)
    assert list(arguments) == ["slow", "fast"]


async def test_it_ends_early_when_enough_agree() -> None:
    agents = [says("a", "x", "x"), says("b", "y", "X"), says("c", "z", "z")]
    reply = await result(Debate("d", agents, threshold=2 / 3))
    assert (reply.text, reply.metadata["rounds"]) == ("x", 2)
    assert reply.metadata["agreements"] == [pytest.approx(1 / 3), pytest.approx(2 / 3)]
    assert (reply.metadata["decided_by"], reply.metadata["converged"]) == ("consensus", True)


async def test_without_early_end_all_rounds_are_held_and_the_judge_is_asked_once() -> None:
    judge = says("j", "b")
    agents = [says("a", "x", "x", "x"), says("b", "y", "y", "y")]
    reply = await result(Debate("d", agents, judge=judge, early_end=False))
    assert (reply.metadata["rounds"], len(judge.messages)) == (3, 1)


async def test_without_a_judge_the_last_positions_are_put_to_the_vote() -> None:
    agents = [says("a", "x", "y"), says("b", "x", "y"), says("c", "z", "x")]
    reply = await result(Debate("d", agents, rounds=2))
    assert (reply.text, reply.metadata["decided_by"]) == ("y", "vote")
    assert (reply.metadata["winner"], reply.metadata["converged"]) == ("a", False)


async def test_a_tied_vote_goes_to_the_agent_given_first_and_says_so() -> None:
    reply = await result(Debate("d", [says("a", "x"), says("b", "y")], rounds=1))
    assert (reply.text, reply.metadata["tie_broken"]) == ("x", True)


@pytest.mark.parametrize(
    "verdict",
    [
        {"winner": "b", "reason": "because"},
        '```json\n{"winner": "b", "reason": "because"}\n```',
        Message({"reason": "because"}, metadata={"winner": "b"}),
    ],
)
async def test_a_judge_names_the_winner_whose_argument_is_the_answer(verdict: object) -> None:
    agents = [says("a", "x"), says("b", "y")]
    reply = await result(Debate("d", agents, judge=says("j", verdict)))
    assert (reply.text, reply.metadata["winner"]) == ("y", "b")
    assert (reply.metadata["reason"], reply.metadata["rounds"]) == ("because", 1)


@pytest.mark.parametrize(("said", "kept"), [(None, ""), ("x" * 10_000, "x" * 4_000)])
async def test_of_a_judges_reason_as_much_is_told_as_anybody_reads(
    said: JSONValue, kept: str
) -> None:
    judge = says("j", {"winner": "b", "reason": said})
    reply = await result(Debate("d", [says("a", "x"), says("b", "y")], judge=judge))
    assert reply.metadata["reason"] == kept


@pytest.mark.parametrize("text", ["b", " B\n", "WINNER: b"])
async def test_a_name_as_text_is_a_judgement_too(text: str) -> None:
    reply = await result(Debate("d", [says("a", "x"), says("b", "y")], judge=says("j", text)))
    assert reply.text == "y"


async def test_a_judge_may_give_an_answer_of_its_own() -> None:
    agents = [says("a", "x"), says("b", "y")]
    reply = await result(Debate("d", agents, judge=says("j", {"answer": "z"})))
    assert (reply.text, reply.metadata["decided_by"]) == ("z", "judge")
    assert "winner" not in reply.metadata


async def test_a_judge_that_never_decides_is_an_error_that_says_what_it_said() -> None:
    judge = says("j", "hm", "hard to say", "still hard to say")
    debate = Debate("d", [says("a", "x", "x"), says("b", "y", "y")], rounds=2, judge=judge)
    with pytest.raises(
        AgentRefused,
        match=r"the judge 'j' of 'd' never decided: at last it said 'still hard to say'; it has to name one of a, b",
    ):
        await result(debate)
    assert [asked(judge, n)["final"] for n in range(3)] == [False, True, True]
    assert "hard to say" in str(asked(judge, 2)["correction"])


async def test_a_judge_that_names_a_stranger_decides_nothing() -> None:
    judge = says("j", {"winner": "nobody"}, {"winner": "a"})
    reply = await result(Debate("d", [says("a", "x"), says("b", "y")], rounds=1, judge=judge))
    assert (reply.text, len(judge.messages)) == ("x", 2)


async def test_a_judge_that_names_a_debater_who_never_spoke_is_asked_again() -> None:
    judge = says("j", {"winner": "c"}, {"winner": "b"})
    agents = [says("a", "x"), says("b", "y"), says("c", AgentRefused("no"))]
    reply = await result(Debate("d", agents, rounds=1, judge=judge))
    assert (reply.text, len(judge.messages)) == ("y", 2)


@pytest.mark.parametrize("early_end", [True, False])
async def test_a_judge_decides_on_what_was_said_when_nobody_is_left(*, early_end: bool) -> None:
    no = AgentRefused("no")
    judge = says("j", *(["not yet"] if early_end else []), {"winner": "b"})
    agents = [says("a", "x", no), says("b", "y", no)]
    reply = await result(Debate("d", agents, judge=judge, early_end=early_end))
    assert (reply.text, reply.metadata["decided_by"]) == ("y", "judge")
    assert (reply.metadata["stopped_by"], reply.metadata["rounds"]) == ("failures", 1)
    assert asked(judge, -1)["final"] is True


async def test_a_judge_that_never_answers_leaves_it_to_the_vote_where_the_run_goes_on() -> None:
    @agent(name="j")
    async def hangs(message: Message) -> str:
        await asyncio.Event().wait()
        return message.text

    agents = [says("a", "x"), says("b", "y")]
    limits = Limits(timeout=0.2)
    debate = Debate("d", agents, rounds=1, judge=hangs, limits=limits, error_strategy="continue")
    reply = await result(debate)
    assert (reply.text, reply.metadata["decided_by"]) == ("x", "vote")


async def test_a_judge_that_fails_ends_the_run_or_leaves_it_to_the_vote() -> None:
    agents = [says("a", "x", "x"), says("b", "y", "y")]
    no = AgentRefused("no")
    with pytest.raises(AgentRefused, match="no"):
        await result(Debate("d", agents, rounds=1, judge=says("j", no)))
    going_on = Debate("d", agents, rounds=1, judge=says("j", no), error_strategy="continue")
    reply = await result(going_on)
    assert (reply.text, reply.metadata["decided_by"]) == ("x", "vote")
    assert list(reply.metadata["missing"]) == ["j"]  # type: ignore[arg-type]  # agent → error


async def test_who_fails_later_keeps_its_argument_and_is_asked_no_more() -> None:
    agents = [
        says("a", "x", "x", "x"),
        says("b", "y", AgentRefused("no")),
        says("c", "y", "z", "z"),
    ]
    reply = await result(Debate("d", agents, rounds=3))
    assert len(agents[1].messages) == 2
    assert reply.metadata["votes"] == {"x": 1.0, "y": 1.0, "z": 1.0}
    assert reply.metadata["errors"] == {"b": {"class": "AgentRefused", "text": "no"}}


async def test_a_debate_needs_two_that_speak() -> None:
    agents = [says("a", "x"), says("b", AgentRefused("no"))]
    with pytest.raises(AgentRefused, match="only 1 of 2 agents of 'd' answered, 2 are needed: b:"):
        await result(Debate("d", agents))


async def test_when_one_is_left_the_round_is_the_last() -> None:
    agents = [says("a", "x", "x"), says("b", "y", AgentRefused("no"))]
    reply = await result(Debate("d", agents))
    assert (reply.text, reply.metadata["stopped_by"]) == ("x", "failures")
    assert reply.metadata["rounds"] == 2


async def test_a_limit_of_rounds_ends_it_with_the_best_so_far() -> None:
    agents = [says("a", "x"), says("b", "y")]
    reply = await result(Debate("d", agents, limits=Limits(max_iterations=1)))
    assert (reply.text, reply.metadata["stopped_by"]) == ("x", "max_iterations")


async def test_time_that_is_up_ends_it_with_the_best_so_far() -> None:
    @agent(name="a")
    async def once(asked: dict[str, object]) -> str:
        if asked["round"] != 1:
            await asyncio.Event().wait()
        return "x"

    debate = Debate(
        "d",
        [once, agent(name="b")(once.function)],
        limits=Limits(timeout=0.2),
        threshold=1,
        early_end=False,
    )
    reply = await result(debate)
    assert (reply.text, reply.metadata["stopped_by"]) == ("x", "timeout")


async def test_long_arguments_are_shown_by_their_beginning() -> None:
    agents = [says("a", "x" * 900), says("b", "y")]
    reply = await result(Debate("d", agents, rounds=1))
    assert reply.metadata["votes"] == {"x" * 200 + "…": 1.0, "y": 1.0}


async def test_a_model_judges_by_what_the_message_tells_it() -> None:
    model = ScriptedProvider(['{"winner": "b", "reason": "clear"}'])
    judge = ChatAgent("j", provider=model)
    reply = await result(Debate("d", [says("a", "x"), says("b", "y")], judge=judge))
    assert (reply.text, reply.metadata["reason"]) == ("y", "clear")
    assert "Decide who argued best" in str(model.requests[0].messages[-1].content)


async def test_its_calls_have_keys_that_tell_rounds_and_agents_apart() -> None:
    agents = [Fails("a"), Fails("b")]
    await result(Debate("d", agents, rounds=2))
    assert agents[0].keys == ["d/round[1]/a", "d/round[2]/a"]


async def test_it_nests() -> None:
    inner = Debate("inner", [says("a", "x"), says("b", "x")])
    outer = Debate("outer", [inner, says("c", "x")])
    async with LocalRuntime(Sequential("s", [outer])) as rt:
        reply = await rt.call("s", "?")
    assert reply.text == "x"


@pytest.mark.parametrize(
    ("agents", "config", "says"),
    [
        (["a"], {}, "debate 'd' needs at least 2 agents, and has 1"),
        (["a", "a"], {}, "'a' is given twice"),
        (["a", "b"], {"stances": {"c": "x"}}, "it has no agent 'c'; it has: a, b"),
        (["a", "b"], {"stances": {"a": 1}}, "the stance of 'a' is 1; it is a text"),
        (["a", "b"], {"rounds": 0}, "rounds"),
        (["a", "b"], {"threshold": 0}, "threshold is 0; it must be above 0 and at most 1"),
        (["a", "b"], {"judge": "a"}, "'a' is judge and debater"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(
    agents: list[str], config: dict[str, object], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        Debate.from_config("d", agents, config, Limits())
