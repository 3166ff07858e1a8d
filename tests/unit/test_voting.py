"""aixgo.voting: formulas, ties and refusals."""

from __future__ import annotations

import pytest

from aixgo.errors import AgentRefused, ConfigError
from aixgo.voting import STRATEGIES, Ballot, vote


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_single_ballot_wins_with_full_agreement(strategy: str) -> None:
    verdict = vote([Ballot("a", "Yes")], strategy)
    assert (verdict.content, verdict.source, verdict.agreement) == ("Yes", "a", 1.0)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_vote_without_ballots_is_refused(strategy: str) -> None:
    with pytest.raises(ConfigError, match="at least one"):
        vote([], strategy)


def test_an_unknown_strategy_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'majority'"):
        vote([Ballot("a", "x")], "majorty")


def test_majority_ignores_case_and_blanks_and_keeps_the_first_spelling() -> None:
    verdict = vote([Ballot("a", "No"), Ballot("b", " The  SUN "), Ballot("c", "the sun")])
    assert verdict.content == " The  SUN "
    assert verdict.agreement == pytest.approx(2 / 3)
    assert verdict.votes == {"no": 1.0, "the sun": 2.0}


def test_a_majority_tie_goes_to_the_higher_mean_confidence_then_to_the_first() -> None:
    assert vote([Ballot("a", "x", 0.2), Ballot("b", "y", 0.9)]).content == "y"
    assert vote([Ballot("a", "x", 0.5), Ballot("b", "y", 0.5)]).content == "x"
    assert vote([Ballot("b", "y"), Ballot("a", "x")]).content == "y"


def test_unanimity_names_two_that_differ() -> None:
    assert vote([Ballot("a", "x"), Ballot("b", "X ")], "unanimous").agreement == 1.0
    with pytest.raises(AgentRefused, match="'a' and 'c' differ"):
        vote([Ballot("a", "x"), Ballot("b", "x"), Ballot("c", "secret")], "unanimous")


def test_weights_sum_and_a_missing_confidence_weighs_a_half() -> None:
    verdict = vote([Ballot("a", "x", 0.9), Ballot("b", "y"), Ballot("c", "y")], "weighted")
    assert verdict.content == "y"
    assert verdict.agreement == pytest.approx(1.0 / 1.9)


def test_confidence_takes_the_surest_and_the_first_of_equals() -> None:
    ballots = [Ballot("a", "x", 0.4), Ballot("b", "y", 0.8), Ballot("c", "z", 0.8)]
    verdict = vote(ballots, "confidence")
    assert verdict.source == "b"
    assert verdict.agreement == 1.0  # min(1, 0.8 / 2.0 * 3)


def test_negative_weights_give_an_agreement_of_zero_and_not_an_error() -> None:
    assert vote([Ballot("a", "x", -1.0)], "weighted").agreement == 0.0
