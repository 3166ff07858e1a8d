"""The ledger: exact sums, and budgets that make sense."""

from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aixgo.errors import ConfigError
from aixgo.ledger import Budget, Usage

counts = st.integers(min_value=0, max_value=10**15)
usages = st.builds(
    Usage, cost_nanos=counts, tokens_prompt=counts, tokens_completion=counts, calls=counts
)


def total(usages: list[Usage]) -> Usage:
    found = Usage()
    for usage in usages:
        found.add(usage)
    return found


@settings(deadline=None)  # how long one example takes says nothing on a busy machine
@given(st.lists(usages), st.randoms(use_true_random=False))
def test_a_sum_is_the_same_in_any_order(found: list[Usage], random: object) -> None:
    shuffled = sorted(found, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert total(shuffled) == total(found)


def test_adding_counts_every_side() -> None:
    usage = Usage(1, 2, 3, 4, 5, 6)
    usage.add(Usage(10, 20, 30, 40, 50, 60))
    assert usage == Usage(11, 22, 33, 44, 55, 66)
    assert usage.tokens_total == 22 + 33


def test_ten_cents_ten_times_are_exactly_a_dollar() -> None:
    assert total([Usage(cost_nanos=100_000_000)] * 10).cost_usd == 1.0


def test_a_usage_is_true_when_anything_was_spent() -> None:
    assert not Usage()
    for spent in (
        Usage(cost_nanos=1),
        Usage(tokens_prompt=1),
        Usage(tokens_completion=1),
        Usage(calls=1),
    ):
        assert spent


@pytest.mark.parametrize(
    "limits",
    [{"usd": -0.01}, {"tokens": -1}, {"calls": -1}, {"usd": float("nan")}, {"usd": float("inf")}],
)
def test_a_budget_that_makes_no_sense_is_refused_and_named(limits: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=rf"Budget\({next(iter(limits))}="):
        Budget(**limits)  # type: ignore[arg-type]


def test_a_budget_counts_money_in_whole_nano_dollars() -> None:
    assert Budget(usd=0.1).nanos == 100_000_000
    assert Budget(usd=0).nanos == 0
    assert Budget(tokens=5).nanos is None


@pytest.mark.parametrize("field", [field.name for field in fields(Usage)])
def test_a_usage_with_anything_in_it_counts_as_spent(field: str) -> None:
    assert Usage(**{field: 1})
    assert not Usage(**{field: 0})


@pytest.mark.parametrize("value", [1.5, "1", None])
def test_a_count_that_is_no_whole_number_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="tokens_prompt"):
        Usage(tokens_prompt=value).check()  # type: ignore[arg-type]
