"""What turns rounds into the page."""

from tests.benchmarks.harness import Ratio, Row, Table, by_turns, compare, row_of, shown


def test_sides_take_turns_round_by_round() -> None:
    order: list[str] = []

    def run(name: str) -> int:
        order.append(name)
        return len(order)

    columns = by_turns([lambda: run("a"), lambda: run("b")], 3)
    assert order == ["a", "b"] * 3
    assert columns == [[1, 3, 5], [2, 4, 6]]


def test_a_ratio_is_of_each_round_and_not_of_the_medians() -> None:
    assert Ratio.of([2.0, 40.0, 6.0], [1.0, 10.0, 1.0]).median == 4.0


def test_a_ratio_of_one_round_has_no_spread() -> None:
    assert Ratio.of([3.0], [2.0]) == Ratio(1.5, 1.5, 1.5)


def test_faster_says_how_many_times_the_other_takes() -> None:
    row = row_of("w", [1.0, 1.0, 1.0], "a", [4.0, 4.0, 4.0], goal="≥ 2×", faster=True)
    assert row.ratio == Ratio(4.0, 4.0, 4.0)
    assert row.markdown() == "| w | a | 4.00× (4.00–4.00) | ≥ 2× | 1000.0 ms | 4000.0 ms |"


def test_the_first_round_of_a_comparison_is_not_counted() -> None:
    ours, theirs = iter([9.0, 1.0, 1.0]), iter([9.0, 2.0, 2.0])
    row = compare(
        "w", lambda: next(ours), "a", lambda: next(theirs), goal="–", rounds=2, faster=False
    )
    assert (row.ours, row.theirs) == (1.0, 2.0)


def test_a_row_without_figures_says_why() -> None:
    row = Row(work="w", against="a", goal="≥ 2×", note="could not be installed")
    assert row.markdown() == "| w | a | could not be installed | ≥ 2× | – | – |"


def test_a_table_is_markdown() -> None:
    table = Table("Title", ("a", "b"), "What it means.")
    table.add("1", "2")
    assert table.markdown() == (
        "## Title\n\nWhat it means.\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n"
    )


def test_times_are_shown_in_a_unit_that_fits() -> None:
    assert [shown(0.000_012_34), shown(0.0123)] == ["12.3 µs", "12.3 ms"]
