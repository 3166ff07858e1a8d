"""Four ways to let several answers decide, the same for aggregators and patterns.

Contents are compared after trimming, lower-casing and collapsing blanks. A confidence of 0 or none counts
as 0.5 where confidence is summed. A tie that a strategy's own rule leaves is broken by input order, and the
first spelling of the winning content is returned, so equal ballots always give an equal verdict.

- majority: most ballots; a tie goes to the higher mean confidence. Agreement: votes / ballots.
- unanimous: all the same, else `AgentRefused` names two that differ. Agreement: 1.
- weighted: the largest sum of confidences. Agreement: best / total, at most 1.
- confidence: the single most confident ballot. Agreement: best / sum · ballots, at most 1; it says little.

Below: errors. Above: agents.aggregator, orchestration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from aixgo.errors import AgentRefused, ConfigError, nearest

__all__ = ["STRATEGIES", "Ballot", "Verdict", "vote"]

DEFAULT_CONFIDENCE = 0.5


@dataclass(slots=True, frozen=True)
class Ballot:
    """One answer: who gave it, what it says, how sure they are."""

    source: str
    content: str
    confidence: float = 0.0


@dataclass(slots=True, frozen=True)
class Verdict:
    """What was decided. `source` cast the ballot whose spelling `content` is."""

    content: str
    source: str
    agreement: float
    strategy: str
    explanation: str
    votes: Mapping[str, float] = field(default_factory=dict)
    """Normalised content → ballots, summed weight or highest confidence, by strategy."""


def vote(ballots: Sequence[Ballot], strategy: str = "majority") -> Verdict:
    """The verdict of `ballots` by `strategy`.

    Raises:
        ConfigError: there are no ballots, or no such strategy.
        AgentRefused: `unanimous`, and two differ.
    """
    decide = STRATEGIES.get(strategy)
    if decide is None:
        near = nearest(strategy, STRATEGIES)
        hint = f"did you mean {near!r}?" if near else f"there are: {', '.join(STRATEGIES)}"
        raise ConfigError(f"there is no voting strategy {strategy!r}; {hint}")
    if not ballots:
        raise ConfigError(f"a vote by {strategy} needs at least one ballot")
    return decide(ballots)


def _majority(ballots: Sequence[Ballot]) -> Verdict:
    groups = _groups(ballots)
    winner = max(groups.values(), key=lambda group: (len(group), sum(b.confidence for b in group) / len(group)))
    votes = {content: float(len(group)) for content, group in groups.items()}
    text = f"{len(winner)} of {len(ballots)} agree"
    return _verdict(winner[0], len(winner) / len(ballots), "majority", text, votes)


def _unanimous(ballots: Sequence[Ballot]) -> Verdict:
    first = ballots[0]
    for ballot in ballots[1:]:
        if _normal(ballot.content) != _normal(first.content):
            raise AgentRefused(f"the vote is not unanimous: {first.source!r} and {ballot.source!r} differ")
    votes = {_normal(first.content): float(len(ballots))}
    return _verdict(first, 1.0, "unanimous", f"all {len(ballots)} agree", votes)


def _weighted(ballots: Sequence[Ballot]) -> Verdict:
    groups = _groups(ballots)
    votes = {content: sum(_weight(b) for b in group) for content, group in groups.items()}
    best = max(votes, key=lambda content: votes[content])
    total = sum(votes.values())
    text = f"weight {votes[best]:.2f} of {total:.2f}"
    return _verdict(groups[best][0], _share(votes[best], total), "weighted", text, votes)


def _confidence(ballots: Sequence[Ballot]) -> Verdict:
    winner = max(ballots, key=_weight)
    total = sum(_weight(b) for b in ballots)
    votes = {content: max(_weight(b) for b in group) for content, group in _groups(ballots).items()}
    agreement = _share(_weight(winner) * len(ballots), total)
    text = f"{winner.source!r} is the most confident with {_weight(winner):.2f}"
    return _verdict(winner, agreement, "confidence", text, votes)


STRATEGIES: Mapping[str, Callable[[Sequence[Ballot]], Verdict]] = {
    "majority": _majority,
    "unanimous": _unanimous,
    "weighted": _weighted,
    "confidence": _confidence,
}


def _verdict(winner: Ballot, agreement: float, strategy: str, explanation: str, votes: Mapping[str, float]) -> Verdict:
    return Verdict(winner.content, winner.source, agreement, strategy, explanation, votes)


def _groups(ballots: Sequence[Ballot]) -> dict[str, list[Ballot]]:
    found: dict[str, list[Ballot]] = {}
    for ballot in ballots:
        found.setdefault(_normal(ballot.content), []).append(ballot)
    return found


def _normal(content: str) -> str:
    return " ".join(content.lower().split())


def _weight(ballot: Ballot) -> float:
    return ballot.confidence or DEFAULT_CONFIDENCE


def _share(part: float, total: float) -> float:
    # Weights may be negative, so the sum may be anything.
    return min(1.0, max(0.0, part / total)) if total > 0 else 0.0
