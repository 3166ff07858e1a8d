"""The table of costs after a run."""

from __future__ import annotations

import pytest

from aixgo.cli.view import costs_table, show_costs
from aixgo.ledger import Ledger, Line, Usage


def test_a_table_shows_agents_and_models_and_only_columns_that_count_something() -> None:
    costs = Ledger()
    spent = Usage(1_500_000, 1_200, 30, tokens_cached=1_000, calls=2, retries=1)
    costs.note(Line(("flow", "writer"), "large", "acme"), spent)
    costs.note(Line(("flow",)), Usage(cost_nanos=1_000, calls=1, unsettled=True))
    assert costs_table(costs) == [
        "              calls  retries  prompt  cached  completion             cost",
        "by agent",
        "  writer          2        1   1,200   1,000          30        $0.001500",
        "  flow            1        0       0       0           0  up to $0.000001",
        "by model",
        "  acme:large      2        1   1,200   1,000          30        $0.001500",
        "  no model        1        0       0       0           0  up to $0.000001",
        "total             3        1   1,200   1,000          30  up to $0.001501",
    ]


def test_a_run_that_cost_nothing_shows_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    show_costs(Ledger())
    assert capsys.readouterr().err == ""
