"""The ledger: exact sums, and budgets that make sense."""

from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aixgo.errors import ConfigError
from aixgo.ledger import OTHERS, Budget, Ledger, Line, Usage

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


@pytest.mark.parametrize("field", [field.name for field in fields(Usage) if field.name != "ledger"])
def test_a_usage_with_anything_in_it_counts_as_spent(field: str) -> None:
    assert Usage(**{field: 1})
    assert not Usage(**{field: 0})


@pytest.mark.parametrize("value", [1.5, "1", None])
def test_a_count_that_is_no_whole_number_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="tokens_prompt"):
        Usage(tokens_prompt=value).check()  # type: ignore[arg-type]


MODEL = {"model": "large", "provider": "acme"}
lines = st.builds(
    Line,
    path=st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(tuple),
    model=st.sampled_from(["", "large", "small"]),
    session=st.sampled_from(["", "s1"]),
)


@settings(deadline=None)
@given(st.lists(st.tuples(lines, usages)), st.integers(2, 5), st.booleans())
def test_a_ledger_loses_nothing_however_few_lines_it_keeps(
    spent: list[tuple[Line, Usage]], most: int, rolling: bool
) -> None:
    ledger = Ledger(most, rolling=rolling)
    for line, usage in spent:
        ledger.note(line, usage)
    assert ledger.total == total([usage for _, usage in spent])
    assert len(ledger) <= most + 1
    for side in ("agent", "model", "path", "pattern", "session"):
        assert total(list(ledger.by(side).values())) == ledger.total  # type: ignore[arg-type]


def test_a_ledger_adds_up_by_every_side() -> None:
    ledger = Ledger()
    ledger.note(Line(("flow", "first"), **MODEL, session="s"), Usage(cost_nanos=1, calls=1))
    ledger.note(Line(("flow", "second"), **MODEL, principal="p"), Usage(cost_nanos=2, calls=1))
    ledger.note(Line(("flow", "first"), "small", "acme"), Usage(cost_nanos=4, calls=1))

    def costs(side: str) -> dict[str, int]:
        return {name: usage.cost_nanos for name, usage in ledger.by(side).items()}  # type: ignore[arg-type]

    assert costs("agent") == {"first": 5, "second": 2}
    assert costs("model") == {"acme:small": 4, "acme:large": 3}
    assert costs("path") == {"flow → first": 5, "flow → second": 2}
    assert costs("session") == {"": 6, "s": 1}
    assert costs("principal") == {"": 5, "p": 2}
    assert list(ledger.by("agent")) == ["first", "second"]  # the dearest first


def test_what_is_folded_below_a_pattern_stays_below_the_innermost_one() -> None:
    inner, outer = Ledger(), Ledger()
    inner.note(Line(("flow", "fan", "a"), pattern="parallel"), Usage(calls=1))
    inner.note(Line(("flow", "b")), Usage(calls=2))
    outer.add(inner, "sequential")
    assert {name: usage.calls for name, usage in outer.by("pattern").items()} == {
        "parallel": 1,
        "sequential": 2,
    }


def test_a_rolling_ledger_keeps_the_lines_that_were_added_to_last() -> None:
    ledger = Ledger(2, rolling=True)
    for name in ("a", "b", "a", "c"):
        ledger.note(Line((name,)), Usage(calls=1))
    assert {line.agent: usage.calls for line, usage in ledger} == {
        "a": 2,
        "c": 1,
        OTHERS.agent: 1,
    }


def test_a_side_that_a_ledger_does_not_have_is_refused_by_its_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"no side 'models'.*did you mean 'model'"):
        Usage().by("models")  # type: ignore[arg-type]


def test_a_ledger_without_room_for_two_lines_is_refused() -> None:
    with pytest.raises(ConfigError, match="room for two"):
        Ledger(1)
