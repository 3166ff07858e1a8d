"""Consensus."""

from __future__ import annotations

import asyncio

import pytest

from aixgo import Budget, CallContext, Message, Usage, agent
from aixgo.agents import ChatAgent
from aixgo.errors import AgentRefused, ConfigError
from aixgo.orchestration import Consensus, ErrorStrategy, Limits, Sequential
from aixgo.runtime.local import LocalRuntime
from aixgo.testing import RecordingAgent, ScriptedProvider
from tests.unit.orchestration.consenting import KEEP, asked, plain, result, revises, says, supports

# -- the rounds ------------------------------------------------------------------------------------------


async def test_agents_that_agree_at_once_are_asked_once() -> None:
    agents = [says("a", "4"), says("b", " 4"), says("c", "5")]
    reply = await result(plain("c3", agents))
    assert (reply.text, [len(one.messages) for one in agents]) == ("4", [1, 1, 1])
    told = {key: reply.metadata[key] for key in ("converged", "rounds", "winner", "tie_broken")}
    assert told == {"converged": True, "rounds": 0, "winner": "a", "tie_broken": False}
    assert reply.metadata["agreement"] == pytest.approx(2 / 3)  # and so reaches 2/3


async def test_the_first_answers_are_blind_and_then_all_are_shown_without_names() -> None:
    agents = [says("ann", "4"), says("ben", "5"), says("cat", "4"), says("dan", "6")]
    await result(plain("c", agents, max_rounds=1, error_strategy="continue"))
    assert [one.messages[0].text for one in agents] == ["how many?"] * 4
    shown = asked(agents[0], 1)
    assert isinstance(shown["answers"], dict)
    assert sorted(shown["answers"].values()) == ["4", "5", "6"]  # type: ignore[type-var]  # the same answer once
    assert set(shown["answers"]) == {"agent1", "agent2", "agent3"}
    assert shown["answers"][str(shown["yours"])] == "4"
    assert not any(name in str(shown) for name in ("ann", "ben", "cat", "dan"))


async def test_the_order_of_answers_comes_from_task_and_names_alone() -> None:
    orders = []
    for _ in range(3):
        agents = [says(name, name.upper()) for name in "abcdef"]
        await result(plain("room", agents, max_rounds=1, error_strategy="continue"))
        orders.append(str(asked(agents[0], 1)["answers"]))
    assert len(set(orders)) == 1
    assert orders[0] != str({f"agent{i}": name for i, name in enumerate("ABCDEF", 1)})


async def test_support_settles_it_and_another_support_settles_it_otherwise() -> None:
    for chosen in ("4", "5"):
        agents = [says("a", "4"), says("b", "5"), says("c", "6", supports(chosen))]
        reply = await result(plain("c3", agents))
        assert (reply.text, reply.metadata["rounds"]) == (chosen, 1)
        assert reply.metadata["reasons"] == {"c": "why"}
        assert reply.metadata["votes"]["c"] == {"4": "a", "5": "b"}[chosen]  # type: ignore[index,call-overload]  # an object


async def test_a_revision_can_settle_it_and_is_counted() -> None:
    agents = [says("a", "4"), says("b", "5", revises("4")), says("c", "6")]
    reply = await result(plain("c3", agents))
    assert (reply.text, reply.metadata["winner"]) == ("4", "a")
    assert reply.metadata["revisions"] == {"a": 0, "b": 1, "c": 0}


async def test_support_stays_with_the_answer_that_was_shown() -> None:
    agents = [
        says("a", "4", revises("7")),
        says("b", "5", supports("4")),
        says("c", "6", supports("4")),
    ]
    reply = await result(plain("c3", agents))
    assert (reply.text, reply.metadata["winner"]) == ("4", "a")


async def test_without_consensus_the_run_fails_and_says_how_far_it_came() -> None:
    agents = [says("a", "4"), says("b", "5")]
    with pytest.raises(
        AgentRefused,
        match=r"no consensus in 'c' after 3 of 3 rounds: 0.50 for '4', 0.67 is needed",
    ):
        await result(plain("c", agents))


async def test_going_on_without_consensus_gives_the_heaviest_answer_marked_degraded() -> None:
    agents = [says("a", "4"), says("b", "5"), says("c", "5"), says("d", "6")]
    reply = await result(plain("c4", agents, error_strategy="continue"))
    assert (reply.text, reply.metadata["converged"], reply.metadata["degraded"]) == (
        "5",
        False,
        True,
    )


async def test_a_tie_goes_to_fewer_revisions_and_then_to_the_order_of_the_agents() -> None:
    once = ErrorStrategy("continue")
    agents = [says("a", "4", revises("7")), says("b", "5")]
    reply = await result(plain("c", agents, error_strategy=once, max_rounds=1))
    assert (reply.text, reply.metadata["tie_broken"]) == ("5", True)
    agents = [says("a", "4"), says("b", "5")]
    assert (await result(plain("c", agents, error_strategy=once, max_rounds=0))).text == "4"


async def test_weights_count_before_heads() -> None:
    agents = [says("a", "4"), says("b", "4"), says("c", "5")]
    assert (await result(plain("c3", agents, weights={"c": 5}))).text == "5"


async def test_a_single_agent_is_asked_once_and_agrees_with_itself() -> None:
    alone = says("a", "4")
    reply = await result(Consensus("c", [alone]))
    assert (reply.text, reply.metadata["converged"], len(alone.messages)) == ("4", True, 1)


async def test_exact_has_agents_keep_or_revise_only() -> None:
    agents = [says("a", "4"), says("b", "5", supports("4"), supports("4"), supports("4"))]
    reply = await result(
        plain("c", agents, convergence="exact", error_strategy="continue", max_rounds=1)
    )
    assert reply.metadata["converged"] is False
    assert "support" not in str(asked(agents[1], 1)["instructions"])


async def test_similarity_takes_answers_of_like_words_for_one() -> None:
    agents = [
        says("a", "the sky is blue today"),
        says("b", "Today, the sky is blue."),
        says("c", "no"),
    ]
    reply = await result(plain("c3", agents, convergence="similarity"))
    assert (reply.text, reply.metadata["rounds"]) == ("the sky is blue today", 0)


# -- how replies are read --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        revises("4"),
        '{"action": "revise", "answer": "4"}',
        '```json\n{"action": "revise", "answer": "4"}\n```',
        "REVISE: 4",
    ],
)
async def test_a_revision_is_read_from_json_and_text(reply: object) -> None:
    agents = [says("a", "4"), says("b", "5", reply)]
    assert (await result(plain("c", agents))).metadata["rounds"] == 1


async def test_support_is_read_from_text_with_its_reason() -> None:
    def spoken(message: Message) -> str:
        named = supports("4")(message).payload["agent"]  # type: ignore[index,call-overload]  # an object
        return f"Support {named}: it adds up"

    reply = await result(plain("c", [says("a", "4"), says("b", "5", spoken)]))
    assert reply.metadata["reasons"] == {"b": "it adds up"}


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ("Well, it depends.", "none of the replies asked for"),
        ("Keep in mind that it depends.", "none of the replies asked for"),
        ({"action": "support", "agent": "agent9"}, "'agent9' is nobody; there are agent1, agent2"),
        ({"action": "revise"}, "it gives no answer"),
        ({"action": "revise", "answer": "  "}, "it gives no answer"),
        ({"action": "revise", "answer": "4", "agent": "agent1"}, "do one of the two"),
    ],
)
async def test_a_reply_that_does_not_do_is_corrected(reply: object, why: str) -> None:
    other = says("b", "5", reply, revises("4"))
    assert (await result(plain("c", [says("a", "4"), other]))).metadata["rounds"] == 1
    assert why in str(asked(other, 2)["correction"])


async def test_after_two_corrections_it_counts_as_keeping() -> None:
    other = says("b", "5", "hm", "hm", "hm")
    reply = await result(
        plain("c", [says("a", "4"), other], max_rounds=1, error_strategy="continue")
    )
    assert len(other.messages) == 4
    assert reply.metadata["votes"] == {"a": "a", "b": "b"}


# -- the vote protocol -----------------------------------------------------------------------------------


def voting(agents: list[RecordingAgent], **options: object) -> Consensus:
    return plain("v", agents, protocol="vote", **options)


async def test_it_ends_when_all_vote_and_most_votes_win() -> None:
    votes = [supports(text, "vote") for text in ("5", "5", "4")]
    agents = [says(name, text, vote) for name, text, vote in zip("abc", "456", votes, strict=True)]
    reply = await result(voting(agents))
    assert (reply.text, reply.metadata["winner"], reply.metadata["rounds"]) == ("5", "b", 1)
    assert reply.metadata["votes"] == {"a": "b", "b": "b", "c": "a"}


async def test_a_new_answer_clears_the_votes_of_its_round() -> None:
    agents = [
        says("a", "4", supports("4", "vote"), supports("7", "vote")),
        says("b", "5", revises("7", "new_answer"), supports("7", "vote")),
    ]
    reply = await result(voting(agents))
    assert (reply.text, reply.metadata["rounds"]) == ("7", 2)


async def test_tied_votes_go_to_the_agent_given_first() -> None:
    agents = [
        says("a", "4", supports("5", "vote")),
        says("b", "5", supports("4", "vote")),
    ]
    reply = await result(voting(agents))
    assert (reply.text, reply.metadata["tie_broken"]) == ("4", True)


async def test_an_answer_that_is_there_already_is_no_new_one() -> None:
    copies = says("b", "5", revises("4", "new_answer"), supports("4", "vote"))
    agents = [says("a", "4", supports("4", "vote")), copies]
    assert (await result(voting(agents))).text == "4"
    assert "is there already, as agent" in str(asked(copies, 2)["correction"])


async def test_agents_that_never_stop_answering_do_not_settle_it() -> None:
    endless = [revises(str(number), "new_answer") for number in range(10, 19)]
    agents = [says("a", "4", *endless[:4]), says("b", "5", *endless[4:])]
    with pytest.raises(AgentRefused, match="no consensus in 'v' after 3 of 3 rounds"):
        await result(voting(agents))


async def test_votes_and_new_answers_are_read_from_text() -> None:
    def spoken(message: Message) -> str:
        return f"VOTE {supports('7')(message).payload['agent']}: better"  # type: ignore[index,call-overload]  # an object

    agents = [says("a", "4", "NEW_ANSWER: 7", spoken), says("b", "5", "NEW_ANSWER: 6", spoken)]
    reply = await result(voting(agents))
    assert (reply.text, reply.metadata["reasons"]) == ("7", {"a": "better", "b": "better"})


# -- presenting ------------------------------------------------------------------------------------------


async def test_the_winner_presents_with_all_answers_and_votes_before_it() -> None:
    winner = says("b", "5", KEEP, "It is 5.")
    agents = [says("a", "4", supports("5", reason="adds up")), winner, says("c", "6")]
    reply = await result(Consensus("c3", agents))
    assert (reply.text, reply.metadata["presenter"]) == ("It is 5.", "b")
    given = asked(winner, 2)
    assert isinstance(given["answers"], dict)
    assert sorted(given["answers"].values()) == ["4", "5", "6"]  # type: ignore[type-var]  # texts
    assert given["answers"][str(given["chosen"])] == "5"
    assert [vote["reason"] for vote in given["votes"]] == ["adds up"]  # type: ignore[index,union-attr,call-overload]  # objects
    assert winner.messages[2].type == "consensus_result"


async def test_a_synthesizer_presents_in_its_place() -> None:
    agents = [says("a", "5"), says("b", "5")]
    reply = await result(Consensus("c", agents, synthesizer=RecordingAgent("s", ["all say 5"])))
    assert (reply.text, reply.metadata["presenter"]) == ("all say 5", "s")


async def test_a_presenter_that_fails_leaves_the_answer_as_it_was_given() -> None:
    agents = [says("a", "5", AgentRefused("no")), says("b", "5")]
    reply = await result(Consensus("c", agents))
    assert (reply.text, reply.metadata["presenter"]) == ("5", "verbatim")
    assert reply.metadata["errors"] == {"a": {"class": "AgentRefused", "text": "no"}}


# -- what goes wrong -------------------------------------------------------------------------------------


async def test_who_fails_at_first_takes_no_part_and_who_fails_later_keeps_its_answer() -> None:
    agents = [
        says("a", AgentRefused("no")),
        says("b", "5", AgentRefused("no")),
        says("c", "6", KEEP, supports("5")),
    ]
    reply = await result(plain("c3", agents))
    assert (reply.text, reply.metadata["rounds"]) == ("5", 2)
    assert (reply.metadata["agent_count"], reply.metadata["success_count"]) == (3, 2)
    assert list(reply.metadata["errors"]) == ["a", "b"]  # type: ignore[arg-type]  # agent → error


async def test_when_all_fail_the_error_names_them() -> None:
    agents = [says("a", AgentRefused("no")), says("b", AgentRefused("no"))]
    with pytest.raises(AgentRefused, match="all 2 agents of 'c' failed: a: AgentRefused; b:"):
        await result(plain("c", agents))


async def test_a_limit_of_rounds_ends_it_with_the_best_so_far() -> None:
    agents = [says("a", "4"), says("b", "5")]
    reply = await result(plain("c", agents, limits=Limits(max_iterations=1)))
    assert (reply.text, reply.metadata["stopped_by"], reply.metadata["degraded"]) == (
        "4",
        "max_iterations",
        True,
    )


async def test_time_that_is_up_ends_it_with_the_best_so_far() -> None:
    async def answers_then_hangs(asked: Message, context: CallContext) -> str:
        if asked.type == "consensus":
            await asyncio.Event().wait()
        return context.agent

    both = [agent(name=name)(answers_then_hangs) for name in ("a", "b")]
    reply = await result(Consensus("c", both, limits=Limits(timeout=0.2)))
    assert (reply.text, reply.metadata["stopped_by"]) == ("a", "timeout")


async def test_a_budget_that_is_used_up_ends_it_with_the_best_so_far() -> None:
    async def spends(asked: Message, context: CallContext) -> str:
        assert context.purse is not None
        await context.purse.reserve((0, 0, 1), context.agent)  # as a provider asks before it spends
        context.charge(Usage(calls=1))
        return context.agent

    both = [agent(name=name)(spends) for name in ("a", "b")]
    async with LocalRuntime(Consensus("c", both)) as rt:
        reply = await rt.call("c", "?", budget=Budget(calls=2))
    assert (reply.text, reply.metadata["stopped_by"]) == ("a", "budget")


async def test_models_take_part_by_what_the_messages_tell_them() -> None:
    def model(name: str, *replies: str) -> ChatAgent:
        return ChatAgent(name, provider=ScriptedProvider(replies))

    cat, dan = model("cat", "It is 4.", "KEEP", "It is 4!"), model("dan", "no", "REVISE: it is 4.")
    reply = await result(Consensus("d", [cat, dan]))
    assert (reply.text, reply.metadata["winner"]) == ("It is 4!", "cat")


async def test_it_nests() -> None:
    inner = plain("inner", [says("a", "x"), says("b", "x")])
    outer = Consensus("outer", [inner], presenter="verbatim")
    async with LocalRuntime(Sequential("s", [outer])) as rt:
        assert (await rt.call("s", "?")).text == "x"


@pytest.mark.parametrize(
    ("agents", "config", "says"),
    [
        ([], {}, "consensus 'c' needs at least one agent"),
        (["a", "a"], {}, "'a' is given twice"),
        (["a"], {"threshold": 0}, "threshold is 0; it must be above 0 and at most 1"),
        (["a"], {"threshold": 1.5}, "threshold"),
        (["a"], {"weights": {"b": 1}}, "weights: it has no agent 'b'; it has: a"),
        (["a"], {"max_rounds": -1}, "max_rounds"),
        (["a"], {"presenter": "synthesis"}, "a synthesizer go together"),
        (["a"], {"presenter": "winner", "synthesizer": "s"}, "a synthesizer go together"),
        (["a"], {"protocol": "vote", "convergence": "exact"}, "goes with protocol 'rounds'"),
        (["a"], {"convergence": "exactly"}, "exact"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(
    agents: list[str], config: dict[str, object], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        Consensus.from_config("c", agents, config, Limits())
