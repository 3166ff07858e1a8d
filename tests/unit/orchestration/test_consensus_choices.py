"""What agents of a consensus may say: how good an answer has to be, how new, and how many they may give."""

from __future__ import annotations

import pytest

from aixgo import Message
from aixgo.errors import AgentRefused, ConfigError
from aixgo.message import JSONValue
from aixgo.orchestration import Consensus, Limits
from aixgo.testing import RecordingAgent
from tests.unit.orchestration.consenting import (
    KEEP,
    asked,
    names,
    plain,
    result,
    revises,
    says,
    supports,
)

LONG = "the sky is blue because blue light is scattered most"
REWORDED = "the sky is blue since blue light is scattered most"  # 8 of 10 words are the same
HALF = "the sky is blue because air scatters short waves most"  # 6 of 12


def voting(agents: list[RecordingAgent], **options: object) -> Consensus:
    return plain("v", agents, protocol="vote", **options)


# -- how many ----------------------------------------------------------------------------------------------


async def test_an_agent_out_of_answers_is_told_so_and_may_only_vote() -> None:
    eager = says("a", "4", revises("7", "new_answer"), supports("5", "vote"))
    other = says("b", "5", supports("5", "vote"), supports("5", "vote"))
    await result(voting([eager, other], max_new_answers_per_agent=2))
    first, then = str(asked(eager, 1)["instructions"]), str(asked(eager, 2)["instructions"])
    assert "new_answer" in first
    assert "new_answer" not in then
    assert "You have given as many answers as you may" in then
    assert "new_answer" in str(asked(other, 2)["instructions"])  # it has given one


async def test_a_further_answer_is_corrected_and_then_counts_as_keeping() -> None:
    endless: list[JSONValue] = [revises(str(number), "new_answer") for number in range(10, 13)]
    eager = says("a", "4", *endless)
    other = says("b", "5", supports("5", "vote"))
    reply = await result(voting([eager, other], max_new_answers_per_agent=1))
    assert (reply.text, reply.metadata["votes"]) == ("4", {"a": "a", "b": "b"})
    assert "you have given as many answers as you may; now vote" in str(
        asked(eager, 2)["correction"]
    )
    assert len(eager.messages) == 4


async def test_without_a_bound_the_same_agents_never_settle() -> None:
    def agents() -> list[RecordingAgent]:
        answers: list[JSONValue] = [revises(str(n), "new_answer") for n in range(10, 13)]
        votes = [supports("5", "vote")] * 3
        return [says("a", "4", *answers), says("b", "5", *votes)]

    with pytest.raises(AgentRefused, match="no consensus"):
        await result(voting(agents()))
    bound = await result(voting(agents(), max_new_answers_per_agent=2))
    assert bound.metadata["rounds"] == 2


@pytest.mark.parametrize(("said", "kept"), [(None, {}), ("x" * 10_000, {"a": "x" * 4_000})])
async def test_of_a_reason_as_much_is_told_as_anybody_reads(
    said: JSONValue, kept: dict[str, str]
) -> None:
    def support(shown: Message) -> Message:
        return Message({"action": "support", "agent": names(shown, "5"), "reason": said})

    reply = await result(plain("c", [says("a", "4", support), says("b", "5", KEEP)]))
    assert reply.metadata["reasons"] == kept


async def test_supporting_is_no_answer_of_ones_own() -> None:
    agents = [
        says("a", "4", supports("5"), revises("5.5")),
        says("b", "5", revises("6"), KEEP),
        says("c", "6.5"),
    ]
    reply = await result(
        plain("c3", agents, max_new_answers_per_agent=2, error_strategy="continue")
    )
    assert reply.metadata["revisions"] == {"a": 1, "b": 1, "c": 0}


async def test_who_can_only_keep_is_not_asked() -> None:
    agents = [says("a", "4"), says("b", "5")]
    with pytest.raises(AgentRefused, match="after 0 of 3 rounds"):
        await result(plain("c", agents, convergence="exact", max_new_answers_per_agent=1))
    assert [len(one.messages) for one in agents] == [1, 1]


# -- how new -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "answer", "refused"),
    [
        ("lenient", REWORDED, False),
        ("balanced", REWORDED, True),
        ("balanced", HALF, False),
        ("strict", REWORDED, True),
        ("strict", HALF, False),
        ("strict", LONG.replace("scattered most", "not absorbed"), True),
        ("strict", "grass is green", False),
    ],
)
async def test_an_answer_too_much_like_another_is_corrected(
    level: str, answer: str, *, refused: bool
) -> None:
    vote = supports(LONG, "vote")
    other = says("b", "no idea", revises(answer, "new_answer"), vote, vote)
    agents = [says("a", LONG, vote, vote, vote), other]
    reply = await result(voting(agents, answer_novelty_requirement=level))
    assert reply.text == LONG
    correction = str(asked(other, 2).get("correction", ""))
    assert ("too much like agent" in correction) == refused
    assert ("really another one" in str(asked(other, 1)["instructions"])) == (level != "lenient")


async def test_who_only_rewords_keeps_its_answer_in_the_end() -> None:
    agents = [says("a", LONG), says("b", "no idea", *[revises(REWORDED)] * 3)]
    reply = await result(
        plain(
            "c",
            agents,
            answer_novelty_requirement="balanced",
            max_rounds=1,
            error_strategy="continue",
        )
    )
    assert reply.metadata["revisions"] == {"a": 0, "b": 0}
    assert reply.metadata["history"][1]["moves"]["b"] == {"action": "keep", "unread": True}  # type: ignore[index,call-overload]  # objects


async def test_a_copy_is_a_revision_only_where_novelty_is_not_asked_for() -> None:
    for level, settles in (("lenient", True), ("balanced", False)):
        agents = [says("a", "4"), says("b", "5", *[revises("4")] * 3)]
        reply = await result(
            plain(
                "c",
                agents,
                answer_novelty_requirement=level,
                max_rounds=1,
                error_strategy="continue",
            )
        )
        assert reply.metadata["converged"] is settles


async def test_new_answers_of_one_round_are_not_held_against_each_other() -> None:
    vote = supports(LONG, "vote")
    agents = [
        says("a", "yes", revises(LONG, "new_answer"), vote),
        says("b", "no", revises(LONG, "new_answer"), vote),
    ]
    reply = await result(voting(agents, answer_novelty_requirement="strict"))
    assert (reply.text, reply.metadata["rounds"]) == (LONG, 2)


# -- how good ----------------------------------------------------------------------------------------------


async def test_how_good_an_answer_has_to_be_is_what_agents_are_told() -> None:
    told = {}
    for level in ("lenient", "balanced", "strict"):
        agents = [says("a", "4"), says("b", "5", supports("4"))]
        await result(plain("c", agents, voting_sensitivity=level))
        told[level] = str(asked(agents[1], 1)["instructions"])
    assert len(set(told.values())) == 3
    assert "high standard" in told["strict"]
    assert all('"action": "support"' in text for text in told.values())


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"max_new_answers_per_agent": 0}, "max_new_answers_per_agent is 0; it must be at least 1"),
        ({"max_new_answers_per_agent": 1.5}, "must be a whole number"),
        ({"answer_novelty_requirement": "strikt"}, "did you mean 'strict'"),
        ({"voting_sensitivity": 0.5}, "voting_sensitivity must be text"),
        (
            {"answer_novelty_requirement": "strict", "convergence": "exact"},
            "answer_novelty_requirement 'strict' goes with convergence 'vote'",
        ),
        (
            {"voting_sensitivity": "balanced", "convergence": "similarity"},
            "voting_sensitivity 'balanced' goes with convergence 'vote'",
        ),
    ],
)
def test_a_wrong_choice_is_refused_by_name(config: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Consensus.from_config("c", ["a"], config, Limits())
    with pytest.raises(ConfigError, match=says):
        Consensus("c", ["a"], **config)  # type: ignore[arg-type]  # wrong on purpose


# -- who does not vote ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("voters", [0, 1])
async def test_replies_that_cannot_be_read_are_no_votes(voters: int) -> None:
    nonsense = ["I like turtles"] * 9
    votes = [supports("4", "vote")] * 9
    agents = [says("a", "4", *(votes if voters else nonsense)), says("b", "5", *nonsense)]
    with pytest.raises(AgentRefused, match="no consensus"):
        await result(voting(agents, threshold=1.0))
