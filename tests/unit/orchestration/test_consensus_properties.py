"""What holds for every consensus, whatever its agents say and whoever answers first."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping
from itertools import combinations
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from aixgo import Message
from aixgo.message import JSONValue
from aixgo.orchestration import Consensus
from aixgo.orchestration._agreement import Words, clusters, groups_of
from aixgo.orchestration._deliberation import TOLERANCE
from aixgo.orchestration._refining import Answer
from aixgo.runtime.local import LocalRuntime

NAMES = ("zora", "yann", "xenia", "wim", "vera")
TEXTS = ("four", "FOUR ", "about four", "five", "five or six", "none")
TASK = "how many?"

texts = st.lists(st.sampled_from(TEXTS), min_size=1, max_size=8)
cuts = st.sampled_from([0.1, 0.4, 0.5, 0.7, 0.9, 1.0])
weights = st.dictionaries(st.sampled_from(NAMES), st.floats(0.01, 100), max_size=3)
teams: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries(
        {
            "convergence": st.sampled_from(["vote", "exact", "similarity"]),
            "similarity": cuts,
            "max_new_answers_per_agent": st.sampled_from([None, 1, 2]),
        }
    ),
    st.fixed_dictionaries(
        {
            "protocol": st.sampled_from(["vote", "rounds"]),
            "answer_novelty_requirement": st.sampled_from(["lenient", "balanced", "strict"]),
            "max_new_answers_per_agent": st.sampled_from([None, 1, 2]),
        }
    ),
)


class Whim:
    """Says something else to each message, the same to the same one; when is another matter."""

    role = "whim"

    def __init__(self, name: str, seed: int, turns: int) -> None:
        self.name = name
        self.heard: list[Message] = []
        self._seed = seed
        self._turns = turns

    async def execute(self, message: Message) -> Message:
        self.heard.append(message)
        for _ in range(self._turns * len(self.heard) % 7):
            await asyncio.sleep(0)
        said = json.dumps(message.payload, sort_keys=True)
        draw = random.Random(f"{self._seed} {self.name} {said}")
        return Message(self._says(message, draw))

    @staticmethod
    def _says(message: Message, draw: random.Random) -> JSONValue:
        asked = message.payload
        text = draw.choice(TEXTS)
        if not isinstance(asked, dict) or message.type == "consensus_result":
            return text
        if message.type == "consensus_evaluation":
            told: JSONValue = {"action": "restart", "instructions": text}
            return draw.choice([{"action": "submit"}, told, "hm"])
        answers = cast("Mapping[str, JSONValue]", asked["answers"])
        named = draw.choice(sorted(answers))
        moves: list[JSONValue] = [
            {"action": action, "agent": named, "reason": "so"} for action in ("support", "vote")
        ]
        moves += [{"action": action, "answer": text} for action in ("revise", "new_answer")]
        return draw.choice([*moves, {"action": "keep"}, "hm"])


def held(
    count: int, seed: int, turns: list[int], options: dict[str, Any]
) -> tuple[Message, list[Whim]]:
    """A run of `count` agents, of which each lets the loop turn as often before it answers."""
    agents = [
        Whim(name, seed, turn) for name, turn in zip(NAMES[:count], turns[:count], strict=True)
    ]
    given = {k: v for k, v in options.items() if k != "weights"}
    known = {k: v for k, v in options.get("weights", {}).items() if k in NAMES[:count]}

    async def run() -> Message:
        team = Consensus(
            "team",
            agents,
            weights=known,
            post_evaluation=True,
            max_restarts=1,
            error_strategy="continue",
            **given,
        )
        async with LocalRuntime(team) as rt:
            return await rt.call("team", TASK)

    return asyncio.run(run()), agents


runs = given(
    count=st.integers(1, len(NAMES)),
    seed=st.integers(0, 1 << 16),
    turns=st.lists(st.integers(0, 6), min_size=5, max_size=5),
    options=teams,
    weights=weights,
)


@runs
@settings(max_examples=60, deadline=None)
def test_who_answers_first_never_changes_the_result(
    count: int, seed: int, turns: list[int], options: dict[str, Any], weights: dict[str, float]
) -> None:
    options = {**options, "weights": weights}
    one, _ = held(count, seed, turns, options)
    other, _ = held(count, seed, turns[::-1], options)
    assert (one.payload, one.metadata) == (other.payload, other.metadata)


@runs
@settings(max_examples=60, deadline=None)
def test_nobody_is_shown_a_name_and_the_first_answers_are_blind(
    count: int, seed: int, turns: list[int], options: dict[str, Any], weights: dict[str, float]
) -> None:
    reply, agents = held(count, seed, turns, {**options, "weights": weights})
    shown = [json.dumps([m.payload, m.metadata, m.type]) for agent in agents for m in agent.heard]
    assert not [name for name in NAMES for text in shown if name in text]
    assert [agent.heard[0].payload for agent in agents] == [TASK] * count
    again = [m for agent in agents for m in agent.heard if "turned down" in str(m.payload)]
    blind = [m.text for m in again if m.type == "message"]
    assert len(set(blind)) == (1 if reply.metadata["restarts"] else 0)
    assert not [text for text in blind if "agent1" in text]


@runs
@settings(max_examples=60, deadline=None)
def test_an_agreement_is_a_part_and_who_converged_reached_the_threshold(
    count: int, seed: int, turns: list[int], options: dict[str, Any], weights: dict[str, float]
) -> None:
    reply, agents = held(count, seed, turns, {**options, "weights": weights})
    facts = reply.metadata
    agreement, votes = cast("float", facts["agreement"]), cast("dict[str, str]", facts["votes"])
    assert 0 < agreement <= 1
    assert list(votes) == [agent.name for agent in agents]
    assert facts["winner"] in votes.values()
    if facts["converged"] and options.get("protocol") != "vote":
        assert agreement >= 2 / 3 - TOLERANCE
    most = options["max_new_answers_per_agent"]
    if most is not None:
        assert max(cast("dict[str, int]", facts["revisions"]).values()) < most


@given(texts, cuts)
def test_all_of_one_cluster_are_alike_and_no_two_clusters_could_be_one(
    found: list[str], cut: float
) -> None:
    words = Words()
    groups = clusters(found, words, cut)
    assert sorted(place for group in groups for place in group) == list(range(len(found)))
    alike = [
        words.alike(found[i], found[j]) >= cut - TOLERANCE
        for group in groups
        for i, j in combinations(group, 2)
    ]
    assert all(alike)
    for one, other in combinations(groups, 2):
        assert not all(
            words.alike(found[i], found[j]) >= cut - TOLERANCE for i in one for j in other
        )


@given(texts, weights, cuts)
def test_every_agent_stands_in_one_group_and_no_group_outweighs_all(
    found: list[str], weights: dict[str, float], cut: float
) -> None:
    answers = {name: Answer(Message(t), name) for name, t in zip(NAMES, found, strict=False)}
    groups = groups_of(answers, weights, Words(), cut)
    assert sorted(agent for group in groups for agent in group.backers) == sorted(answers)
    total = sum(weights.get(agent, 1.0) for agent in answers)
    assert groups[0].weight <= total * (1 + TOLERANCE)
    assert all(groups[0].weight >= group.weight - TOLERANCE for group in groups)


def test_the_closest_are_joined_first_whoever_comes_first() -> None:
    class Near:
        def alike(self, one: str, other: str) -> float:
            return {"ab": 0.9, "bc": 0.95, "ac": 0.1}["".join(sorted(one + other))]

    assert clusters(["a", "b", "c"], Near(), 0.8) == [[0], [1, 2]]
    assert clusters(["c", "b", "a"], Near(), 0.8) == [[0, 1], [2]]
