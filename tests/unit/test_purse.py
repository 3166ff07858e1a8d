"""The arithmetic of lending: shares in whole units, what comes back, and that the sum never exceeds the budget."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aixgo import Budget, Usage
from aixgo.errors import BudgetExceeded, ConfigError
from aixgo.purse import STREAM_SHARE, Purse, check_share, parallel_shares

BOUND = 5.0  # seconds after which a wait that should end counts as a hang


def tokens(count: int) -> Usage:
    return Usage(tokens_completion=count)


async def test_a_call_is_lent_all_and_what_it_did_not_spend_comes_back() -> None:
    purse = Purse.of(Budget(tokens=100))
    child = await purse.lend(1)
    assert child.free == (None, 100, None)
    assert purse.free == (None, 0, None)
    child.spend(tokens(30))
    purse.spend(tokens(30))  # the runtime counts what a callee reports
    child.give_back()
    assert purse.free == (None, 70, None)


async def test_a_stream_is_lent_half_and_at_least_one_unit() -> None:
    purse = Purse.of(Budget(tokens=100, calls=1))
    assert (await purse.lend(STREAM_SHARE)).free == (None, 50, 1)


@given(st.integers(0, 1_000), st.integers(1, 20))
def test_parallel_calls_get_equal_shares_with_the_remainder_in_order(free: int, count: int) -> None:
    async def lend() -> list[int | None]:
        purse = Purse.of(Budget(tokens=free))
        found = []
        for share in parallel_shares(count):
            if purse.free[1] == 0:
                break  # the next one would wait for a return
            found.append((await purse.lend(share)).free[1])
        return found

    whole, rest = divmod(free, count)
    expected = [whole + 1] * rest + [whole] * (count - rest)
    assert asyncio.run(lend()) == [share for share in expected if share]


@given(st.integers(0, 1_000), st.integers(1, 20), st.integers(0, 20))
def test_what_is_left_for_later_calls_is_as_much_as_each_call_got_but_for_what_cannot_be_divided(
    free: int, count: int, after: int
) -> None:
    async def lend() -> tuple[list[int], int]:
        purse = Purse.of(Budget(tokens=free))
        found = []
        for share in parallel_shares(count, after):
            lent = purse.free[1] and (await purse.lend(share)).free[1]
            found.append(lent or 0)
        return found, purse.free[1] or 0

    whole, rest = divmod(free, count + after)
    expected = [whole + (i < rest) for i in range(count)]
    assert asyncio.run(lend()) == (expected, free - sum(expected))


def test_later_calls_are_a_number() -> None:
    with pytest.raises(ConfigError, match="after=-1: give the number of calls to be made later"):
        parallel_shares(2, -1)


async def test_a_call_that_finds_everything_lent_waits_for_a_return() -> None:
    purse = Purse.of(Budget(tokens=10))
    first = await purse.lend(1)
    second = asyncio.ensure_future(purse.lend(1))
    await asyncio.sleep(0)
    assert not second.done()
    first.give_back()
    async with asyncio.timeout(BOUND):
        assert (await second).free == (None, 10, None)


async def test_with_nothing_left_and_nothing_lent_a_call_goes_on_with_an_empty_purse() -> None:
    purse = Purse.of(Budget(tokens=10))
    purse.spend(tokens(10))
    async with asyncio.timeout(BOUND):
        assert (await purse.lend(1)).free == (None, 0, None)


async def test_a_budget_on_an_inner_call_can_only_lower_its_share() -> None:
    purse = Purse.of(Budget(tokens=100))
    lower = await purse.lend(0.5, Budget(tokens=10, calls=2))
    assert lower.free == (None, 10, 2)
    assert (await purse.lend(1, Budget(tokens=1_000))).free == (None, 90, None)


async def test_a_reservation_that_fits_only_after_a_return_waits_for_it() -> None:
    purse = Purse.of(Budget(tokens=10))
    child = await purse.lend(1)
    waiting = asyncio.ensure_future(purse.reserve((0, 5, 1), "here"))
    await asyncio.sleep(0)
    assert not waiting.done()
    child.give_back()
    async with asyncio.timeout(BOUND):
        await waiting


async def test_a_reservation_that_can_never_fit_is_refused_and_says_where_and_what_was_spent() -> (
    None
):
    purse = Purse.of(Budget(usd=0.5, tokens=10))
    purse.spend(Usage(cost_nanos=100_000_000, tokens_prompt=6, calls=1), "writer")
    with pytest.raises(BudgetExceeded) as caught:
        await purse.reserve((0, 5, 1), "flow → writer")
    error = caught.value
    assert (error.limit, error.value, error.where) == ("tokens", 10, "flow → writer")
    assert error.spent == "writer $0.100000 and 6 tokens in 1 calls"
    assert str(error) == (
        "the budget of 10 (tokens) would be exceeded at 'flow → writer'; spent: " + error.spent
    )


async def test_what_is_out_when_a_call_ends_is_charged_whole_and_marked() -> None:
    purse = Purse.of(Budget(tokens=10))
    child = await purse.lend(0.4)
    usage = purse.close()
    assert usage == Usage(tokens_completion=4, unsettled=True)
    child.give_back()  # too late: it has been paid
    assert purse.free == (None, 10, None)  # until the host charges `usage`


async def test_what_is_in_doubt_stays_out_after_the_rest_is_given_back() -> None:
    purse = Purse.of(Budget(tokens=10))
    child = await purse.lend(1, Budget(tokens=8))
    doubt = child.hold((0, 3, 0))
    child.give_back()
    assert purse.free == (None, 7, None)
    child.release(doubt)
    child.give_back()
    assert purse.free == (None, 10, None)


def test_what_is_carved_out_is_not_more_than_is_free() -> None:
    purse = Purse.of(Budget(tokens=10))
    held, carved = purse.carve(Budget(tokens=4), "here")
    assert held.amounts == (0, 4, 0)
    assert carved.free == (None, 4, None)
    with pytest.raises(BudgetExceeded):
        purse.carve(Budget(tokens=7), "here")


def test_pressure_is_that_of_the_side_where_the_least_is_left() -> None:
    purse = Purse.of(Budget(tokens=100, calls=4))
    assert purse.pressure == 0.0
    purse.spend(Usage(tokens_prompt=10, calls=3))
    assert purse.pressure == 0.75
    assert Purse.of(Budget(tokens=0)).pressure == 1.0
    assert Purse.of(Budget()).pressure == 0.0


@pytest.mark.parametrize("share", [0, -0.5, 1.5, float("nan")])
def test_a_share_is_above_nothing_and_at_most_all(share: float) -> None:
    with pytest.raises(ConfigError, match="share"):
        check_share(share)


Tree = st.recursive(
    st.integers(0, 40),  # a model call of so many tokens, if there is money for it
    lambda children: st.lists(
        st.tuples(st.sampled_from(["call", "stream", "lost"]), children), max_size=4
    ),
    max_leaves=25,
)


@given(st.integers(0, 200), Tree, st.integers(0, 3))
def test_no_tree_of_calls_spends_more_than_its_root_was_given(
    budget: int, tree: object, after: int
) -> None:
    """Every call runs its children at once; "lost" ones spend without ever reporting it."""
    billed = 0

    async def run(purse: Purse, node: object) -> int:
        nonlocal billed
        if isinstance(node, int):
            try:
                await purse.reserve((0, node, 1), "leaf")
            except BudgetExceeded:
                return 0
            held = purse.hold((0, node, 1))
            billed += node
            await asyncio.sleep(0)
            purse.spend(tokens(node))
            purse.release(held)
            return node
        assert isinstance(node, list)
        shares = parallel_shares(len(node), after)
        spent = await asyncio.gather(
            *(
                one(purse, kind, child, share)
                for (kind, child), share in zip(node, shares, strict=True)
            )
        )
        return sum(spent)

    async def one(purse: Purse, kind: str, child: object, share: float) -> int:
        lent = await purse.lend(STREAM_SHARE if kind == "stream" else share)
        given = lent.free[1]
        assert given is not None
        spent = await run(lent, child)
        if kind == "lost":
            spent = given
        purse.spend(tokens(spent))
        lent.give_back()
        return spent

    async def root() -> int | None:
        purse = Purse.of(Budget(tokens=budget))
        async with asyncio.timeout(BOUND):
            await run(purse, tree)
        assert not purse.is_out
        return purse.free[1]

    left = asyncio.run(root())
    assert left is not None
    assert billed + left <= budget


async def test_a_purse_that_was_given_back_gives_nothing_any_more() -> None:
    purse = Purse.of(Budget(tokens=10))
    child = await purse.lend(1)
    child.give_back()
    with pytest.raises(BudgetExceeded):
        await child.reserve((0, 1, 0), "here")
    assert purse.free == (None, 10, None)
