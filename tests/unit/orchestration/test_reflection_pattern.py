"""Reflection."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aixgo import AgentRefused, LocalRuntime, Message
from aixgo.errors import ConfigError
from aixgo.orchestration import Limits, Reflection
from aixgo.testing import RecordingAgent


def team(scores: list[Any], **options: Any) -> tuple[Reflection, RecordingAgent, RecordingAgent]:
    """A writer of draft 1, 2, …, and a critic that answers `scores`."""
    writer = RecordingAgent("writer", [f"draft {i + 1}" for i in range(len(scores))])
    critic = RecordingAgent("critic", scores)
    return Reflection("r", writer, critic, **options), writer, critic


async def answer(flow: Reflection, task: str = "a poem") -> Message:
    async with LocalRuntime(flow) as rt, asyncio.timeout(5):
        return await rt.call("r", task)


async def test_a_draft_that_is_good_enough_ends_the_run() -> None:
    flow, writer, _ = team([0.4, 0.9, 0.1])
    reply = await answer(flow)
    assert reply.text == "draft 2"
    assert len(writer.messages) == 2
    assert reply.metadata["ended_by"] == "threshold"
    assert reply.metadata["scores"] == [0.4, 0.9]
    assert reply.metadata["agent_count"] == 2


async def test_the_best_draft_is_the_result_and_not_the_last() -> None:
    flow, _, _ = team([{"score": 0.8, "says": "fine"}, 0.2, 0.3])
    reply = await answer(flow)
    assert reply.text == "draft 1"
    assert (reply.metadata["score"], reply.metadata["best_iteration"]) == (0.8, 1)
    assert reply.metadata["critique"] == {"score": 0.8, "says": "fine"}
    assert (reply.metadata["ended_by"], reply.metadata["iterations"]) == ("max_iterations", 3)


async def test_of_equal_drafts_the_first_is_the_result() -> None:
    flow, _, _ = team([0.3, 0.7, 0.7])
    assert (await answer(flow)).text == "draft 2"


async def test_scores_that_stay_where_they_are_end_the_run() -> None:
    flow, _, _ = team([0.2, 0.5, 0.505, 0.9], max_iterations=9, convergence_window=2)
    reply = await answer(flow)
    assert reply.metadata["ended_by"] == "convergence"
    assert reply.text == "draft 3"


async def test_writer_and_critic_get_the_task_the_draft_and_the_critique() -> None:
    flow, writer, critic = team([{"score": 0, "says": "too short"}, 1])
    await answer(flow)
    task, refine = writer.messages
    assert task.payload == "a poem"
    assert refine.payload == {
        "task": "a poem",
        "draft": "draft 1",
        "critique": {"score": 0, "says": "too short"},
    }
    assert (refine.type, critic.messages[0].type) == ("refine", "critique")
    assert critic.messages[0].payload == {"task": "a poem", "draft": "draft 1"}


async def test_without_a_critic_the_writer_judges_itself() -> None:
    writer = RecordingAgent("writer", ["one", "score: 3/10", "two", "rating: 95%"])
    reply = await answer(Reflection("r", writer))
    assert reply.text == "two"
    assert reply.metadata["scores"] == [0.3, 0.95]
    assert [m.type for m in writer.messages][1:] == ["critique", "refine", "critique"]


async def test_of_several_critics_the_mean_counts() -> None:
    writer = RecordingAgent("writer", ["one", "two"])
    kind, harsh = RecordingAgent("kind", [0.9, 1.0]), RecordingAgent("harsh", [0.4, 0.9])
    reply = await answer(Reflection("r", writer, [kind, harsh]))
    assert reply.metadata["scores"] == [0.65, 0.95]
    assert reply.metadata["critique"] == {"kind": 1.0, "harsh": 0.9}
    assert writer.messages[1].payload["critique"] == {"kind": 0.9, "harsh": 0.4}  # type: ignore[index,call-overload]


async def test_a_critic_of_several_that_fails_is_left_out_with_its_reason() -> None:
    writer = RecordingAgent("writer", ["one"])
    critics = [RecordingAgent("a", [AgentRefused("no")]), RecordingAgent("b", [0.95])]
    reply = await answer(Reflection("r", writer, [*critics, RecordingAgent("c", ["lovely"])]))
    assert reply.metadata["score"] == 0.95
    errors = reply.metadata["errors"]
    assert isinstance(errors, dict)
    assert list(errors) == ["a", "c"]
    assert errors["a"] == {"class": "AgentRefused", "text": "no"}
    assert "'c' gave no usable score" in str(errors["c"])


async def test_when_all_critics_fail_the_run_fails_and_names_the_reasons() -> None:
    critics = [RecordingAgent("a", [AgentRefused("no ink")]), RecordingAgent("b", ["15/10"])]
    with pytest.raises(AgentRefused, match=r"no critic of 'r' gave a score: no ink; .*15/10"):
        await answer(Reflection("r", RecordingAgent("writer", ["one"]), critics))


@pytest.mark.parametrize(
    ("said", "score"),
    [
        (Message("bad", metadata={"score": 0.7}), 0.7),
        (Message({"score": 0.1}, metadata={"rating": 7}), 0.7),
        ({"quality": 0.5, "score": 0.6}, 0.6),
        ({"score": 0}, 0.0),
        ({"rating": "4/5"}, 0.8),
        (8, 0.8),
        ("0.75", 0.75),
        ("Score: 7/10. Not great, imperfect.", 0.7),
        ("**Rating**: 4 out of 5", 0.8),
        ("quality = .5", 0.5),
        ("I would give it 6/10.", 0.6),
        ('{"score": 9, "why": "short"}', 0.9),
        ("Score: 0/10", 0.0),
        ("score: 80%", 0.8),
        ("1", 1.0),
    ],
)
async def test_a_score_is_read_from_metadata_object_or_text(said: Any, score: float) -> None:
    flow, _, _ = team([said], max_iterations=1)
    assert (await answer(flow)).metadata["score"] == pytest.approx(score)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("Score: 15/10", r"its score is 15/10, outside its scale"),
        ({"score": 11}, r"its score is 11, outside its scale"),
        ({"score": -1}, r"its score is -1, outside its scale"),
        ("score: 120%", r"its score is 120%, outside its scale"),
        ("score: 1/0", r"its score is 1/0, outside its scale"),
        ({"score": True}, r"its score is 'True', not a number"),
        ({"verdict": "good"}, r"no score, rating, quality in its object"),
        ("Great work, excellent, perfect!", r"no score in its text"),
        ("written on 1/10/2025", r"no score in its text"),
    ],
)
async def test_a_score_that_cannot_be_read_is_refused_with_the_reason(said: Any, why: str) -> None:
    flow, _, _ = team([said])
    with pytest.raises(AgentRefused, match=rf"the critic 'critic' gave no usable score: {why}"):
        await answer(flow)


async def test_a_failed_round_ends_a_run_that_goes_on_with_the_best_draft() -> None:
    flow, _, _ = team([0.5, AgentRefused("asleep")], error_strategy="continue")
    reply = await answer(flow)
    assert (reply.text, reply.metadata["ended_by"]) == ("draft 1", "failures")
    assert reply.metadata["degraded"] is True


async def test_a_failed_round_fails_any_other_run() -> None:
    flow, _, _ = team([0.5, AgentRefused("asleep")])
    with pytest.raises(AgentRefused, match="asleep"):
        await answer(flow)


async def test_the_limit_of_iterations_goes_before_the_key() -> None:
    flow, _, _ = team([0.1, 0.2, 0.6], max_iterations=9, limits=Limits(max_iterations=2))
    reply = await answer(flow)
    assert (reply.text, reply.metadata["ended_by"]) == ("draft 2", "max_iterations")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"quality_threshold": 1.5},
            "quality_threshold is 1.5; it must be at least 0 and at most 1",
        ),
        ({"quality_threshold": float("nan")}, "quality_threshold is nan"),
        ({"max_iterations": 0}, "max_iterations is 0; it must be at least 1"),
        ({"convergence_window": 1}, "convergence_window is 1; it must be at least 2"),
        (
            {"convergence_epsilon": -1},
            "convergence_epsilon is -1; it must be at least 0 and at most 1",
        ),
        ({"limits": Limits(max_iterations=0)}, "limits.max_iterations is 0"),
        ({"critics": ["a", "a"]}, "the critic 'a' is given twice"),
        ({"critics": 3}, "needs an agent or the name of one, not int"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        Reflection("r", "writer", **options)


def test_a_file_names_the_places_or_lists_the_agents() -> None:
    made = Reflection.from_config("r", ["w", "a", "b"], {}, Limits())
    assert made.members == ("w", "a", "b")
    made = Reflection.from_config("r", ["a", "w"], {"generator": "w"}, Limits())
    assert made.members == ("w", "a")


@pytest.mark.parametrize(
    ("agents", "config", "text"),
    [
        ([], {}, "needs a generator"),
        ([], {"generator": "w", "critic": "a", "critics": ["b"]}, "critic or critics, not both"),
        (["w", "a", "b"], {"critic": "a"}, "'b' is neither its generator nor a critic"),
        (["w"], {"treshold": 1}, "no key 'treshold'"),
    ],
)
def test_a_file_that_fits_nowhere_is_refused(
    agents: list[str], config: dict[str, object], text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        Reflection.from_config("r", agents, config, Limits())


@pytest.mark.parametrize(("score", "stopped"), [(0.95, None), (0.1, "max_iterations")])
async def test_only_a_limit_or_failures_are_said_to_have_stopped_it(
    score: float, stopped: str | None
) -> None:
    flow, _, _ = team([score], max_iterations=1)
    assert (await answer(flow)).metadata.get("stopped_by") == stopped
