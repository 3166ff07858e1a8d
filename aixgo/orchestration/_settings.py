"""How a consensus is come to: its keys in a file, and what of it goes together.

Below: `_refining`, `_agreement`. Above: `_settling`, consensus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from aixgo.errors import ConfigError
from aixgo.keys import Key
from aixgo.orchestration._agreement import Measure
from aixgo.orchestration._deliberation import check_part, check_weights
from aixgo.orchestration._refining import ACTIONS, Level

__all__ = ["CUT", "ROUNDS", "RULE_KEYS", "THRESHOLD", "Protocol", "Rules"]

Protocol: TypeAlias = Literal["rounds", "vote"]

THRESHOLD = 2 / 3
ROUNDS = 3
CUT = 0.9

RULE_KEYS: Mapping[str, Key] = {
    "threshold": Key(
        "number", "part of the weight one answer needs; 2/3 if not given", minimum=0, maximum=1
    ),
    "max_rounds": Key("integer", "times answers may be refined", default=ROUNDS, minimum=0),
    "convergence": Key("text", "what counts as support", choices=get_args(Measure), default="vote"),
    "similarity": Key(
        "number",
        "of convergence `similarity`: how alike those of one answer are",
        default=CUT,
        minimum=0,
        maximum=1,
    ),
    "embedding_model": Key(
        "text",
        "of convergence `similarity`: `hashing`, or vendor:model; without one, words are compared",
    ),
    "protocol": Key("text", "how it goes on", choices=get_args(Protocol), default="rounds"),
    "voting_sensitivity": Key(
        "text",
        "how good an answer has to be to be chosen, as models are told",
        choices=get_args(Level),
        default="lenient",
    ),
    "answer_novelty_requirement": Key(
        "text",
        "words a new answer may share with one that is there: all, 70 % or 50 %",
        choices=get_args(Level),
        default="lenient",
    ),
    "max_new_answers_per_agent": Key(
        "integer",
        "answers of one agent, its first included; then it may only choose",
        minimum=1,
    ),
    "weights": Key("numbers", "agent → what its voice counts"),
}


@dataclass(slots=True, frozen=True, kw_only=True)
class Rules:
    """How a deliberation goes."""

    threshold: float
    max_rounds: int
    convergence: Measure
    similarity: float
    protocol: Protocol
    weights: Mapping[str, float]
    max_answers: int | None
    """Of one agent, its first included."""
    novelty: Level
    sensitivity: Level

    @property
    def by_vote(self) -> bool:
        return self.protocol == "vote"

    @property
    def actions(self) -> Mapping[str, str]:
        """What an agent may say to the answers."""
        return ACTIONS["protocol" if self.by_vote else self.convergence]

    def check(self, where: str, agents: Sequence[str]) -> None:
        """Refuse what is out of bounds, or does not go together.

        Raises:
            ConfigError: something is; the text names it.
        """
        check_part(where, "threshold", self.threshold)
        check_part(where, "similarity", self.similarity)
        check_weights(where, self.weights, agents)
        if self.by_vote and self.convergence != "vote":
            raise ConfigError(
                f"{where}: convergence {self.convergence!r} goes with protocol 'rounds'; under 'vote' votes count"
            )
        levels = {
            "voting_sensitivity": self.sensitivity,
            "answer_novelty_requirement": self.novelty,
        }
        for key, level in levels.items():
            if level != "lenient" and self.convergence != "vote":
                raise ConfigError(
                    f"{where}: {key} {level!r} goes with convergence 'vote'; under {self.convergence!r} agents settle "
                    "by answering alike"
                )
