"""Children that each want the whole budget cannot together spend more of it, whoever is killed meanwhile.

The processes stay over all examples of a transport; only the one that is killed is started again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from aixgo import Budget, DistributedRuntime, agent
from aixgo.contract import Caller
from aixgo.errors import AixgoError
from aixgo.ledger import Usage
from aixgo.message import JSONValue
from tests.integration.budget_fleet import Fleet

EXAMPLES = int(os.environ.get("AIXGO_GREEDY", "4"))  # of each test, for each transport
ALL = 1_000  # model calls, more than any budget here pays for
RESERVED = 18  # tokens, besides those of its answer, that a model call sets aside for its prompt
LONGEST = 60  # tokens of an answer


@dataclass(frozen=True)
class Alone:
    """A call beside the parallel one, of an agent that spends all it gets."""

    target: str
    tokens: int
    share: float


@dataclass(frozen=True)
class Spending:
    """What is asked of `a`, `b` and `c` at once, and whether `b` is killed in the middle of a model call."""

    budget: int
    tokens: tuple[int, int, int]
    few: int
    nested: bool
    alone: tuple[Alone, ...]
    kill: bool

    @property
    def tasks(self) -> dict[str, JSONValue]:
        """What each has to do of the parallel call, by its name."""
        a, b, c = self.tokens
        hands_on: dict[str, JSONValue] = {
            "calls": self.few,
            "tokens": a,
            "then": ["c"],
            "most": ALL,
        }
        holds: dict[str, JSONValue] = {"calls": self.few, "tokens": b, "hold": True}
        return {
            "a": hands_on if self.nested else {"calls": ALL, "tokens": a},
            "b": holds if self.kill else {"calls": ALL, "tokens": b},
            "c": {"calls": ALL, "tokens": c},
        }

    @property
    def remnants(self) -> int:
        """What is left at most: of each child's share, less than one more of its model calls."""
        spenders = [*self.tokens, *(each.tokens for each in self.alone)]
        return sum(tokens + RESERVED for tokens in spenders)


_tokens = st.integers(20, LONGEST)
_alone = st.builds(
    Alone, st.sampled_from(["a", "b", "c"]), _tokens, st.sampled_from([0.2, 0.3, 0.5])
)
_whole = st.builds(
    Spending,
    budget=st.integers(4_000, 8_000),  # enough for `b` to come to the call it is killed in
    tokens=st.tuples(_tokens, _tokens, _tokens),
    few=st.integers(1, 3),
    nested=st.booleans(),
    alone=st.lists(_alone, max_size=2).map(tuple),
    kill=st.just(False),
)
_with_a_kill = _whole.map(lambda spending: replace(spending, kill=True))


@pytest.fixture(scope="module", params=["stream", "unary"])
def fleet(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    tally = tmp_path_factory.mktemp("greedy") / "tally"
    tally.touch()
    fleet = Fleet(tally, request.param)
    yield fleet
    fleet.end()


few_examples = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="AIXGO_GREEDY" not in os.environ,
    database=None,
    phases=[Phase.generate],  # each example takes processes
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.mark.timeout(60)
@few_examples
@given(spending=_whole)
def test_greedy_children_in_three_processes_together_spend_the_budget_and_no_more(
    fleet: Fleet, spending: Spending
) -> None:
    billed, usage = asyncio.run(_spent(fleet, spending))
    assert billed == usage.tokens_total
    assert not usage.unsettled
    assert spending.budget - spending.remnants < billed <= spending.budget


@pytest.mark.timeout(60)
@few_examples
@given(spending=_with_a_kill)
def test_they_do_not_spend_more_when_one_is_killed_with_a_share_in_hand(
    fleet: Fleet, spending: Spending
) -> None:
    billed, usage = asyncio.run(_spent(fleet, spending))
    assert billed <= usage.tokens_total <= spending.budget
    assert usage.unsettled  # its share is taken for spent


async def _spent(fleet: Fleet, spending: Spending) -> tuple[int, Usage]:
    """Make the calls: the tokens that were billed, and what the one above them all was told."""
    before = fleet.billed[0]

    @agent
    async def boss(caller: Caller) -> str:
        async with asyncio.TaskGroup() as calls:
            for each in spending.alone:
                calls.create_task(_alone_call(caller, each))
            together = calls.create_task(caller.call_parallel(list(spending.tasks), spending.tasks))
            if spending.kill:
                await asyncio.to_thread(fleet.b.said)
                await asyncio.to_thread(fleet.b.kill)
        assert len(together.result().errors) == 3 - spending.nested
        return "done"

    async with DistributedRuntime(boss, peers=fleet.peers, transport=fleet.transport) as rt:
        reply = await rt.call(
            "boss", "go", timeout=30, budget=Budget(tokens=spending.budget, calls=5 * ALL)
        )
    if spending.kill:
        fleet.replace_b()
    return fleet.billed[0] - before, reply.usage


async def _alone_call(caller: Caller, alone: Alone) -> None:
    with pytest.raises(AixgoError):  # it spends all, or it is killed
        await caller.call(alone.target, {"calls": ALL, "tokens": alone.tokens}, share=alone.share)
