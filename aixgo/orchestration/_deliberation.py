"""What patterns share whose agents decide together: asking a panel, answers and their weight, who stands for what.

The order agents answer in never shows: whoever asks gets replies in the order the agents were given, and every inner
call has its key before the first is made.

Below: voting, and the caller a pattern is given. Above: ensemble, debate, consensus; parallel for its votes.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from functools import partial
from typing import TypeAlias, TypeVar

from aixgo.context import CallContext
from aixgo.contract import Caller
from aixgo.domain import number_of
from aixgo.errors import (
    AgentRefused,
    AixgoError,
    BudgetExceeded,
    ConfigError,
    DeadlineExceeded,
    LimitExceeded,
    nearest,
)
from aixgo.message import JSONValue, Message, Payload
from aixgo.orchestration._attempts import ends_run
from aixgo.orchestration._caller import all_or_first_failure
from aixgo.orchestration._facts import Fact, said_of_answer
from aixgo.orchestration._partial import described
from aixgo.orchestration._payloads import stated_in
from aixgo.orchestration._strategy import ErrorStrategy
from aixgo.purse import Share
from aixgo.voting import Ballot, Verdict

__all__ = [
    "MAX_TEXT",
    "TOLERANCE",
    "VOTE_FACTS",
    "Ask",
    "Panel",
    "ballots_of",
    "check_known",
    "check_part",
    "check_voices",
    "check_weights",
    "choice",
    "confidence",
    "facts_of",
    "fields_of",
    "is_tied",
    "reaches",
    "reason_in",
    "stop_of",
    "votes_of",
]

T = TypeVar("T")

MAX_TEXT = 4_000  # characters of a reason, and of other texts that an agent adds to its decision
TOLERANCE = 1e-9
"""How far below a threshold an agreement may be and still reach it: 2/3 of 3 agents are 2."""

MAX_SHOWN = 200  # characters of an answer in a result's metadata

STOPS: Mapping[type[AixgoError], str] = {
    DeadlineExceeded: "timeout",
    BudgetExceeded: "budget",
    LimitExceeded: "limit",
}

MOST = 0.9
"""Of the time left, what a round may take that could be done without: the rest is for giving an answer."""

Ask: TypeAlias = Callable[[Message | Payload, str], Awaitable[Message]]
"""Asks one agent of a panel: the message, and what is put behind the key of its turn."""


# -- what a reply says -----------------------------------------------------------------------------------


def choice(reply: Message) -> str:
    """What a reply votes for: the category of its metadata, or of its JSON payload, else its text."""
    return _choice(reply, _places(reply))


def confidence(reply: Message) -> float:
    """How sure a reply says it is, in its metadata or its JSON payload; 0 when it does not."""
    return _confidence(_places(reply))


def fields_of(reply: Message) -> dict[str, JSONValue]:
    """The JSON object a reply is, or is the text of, in a code fence too; empty when there is none."""
    found = stated_in(reply)
    return found if isinstance(found, dict) else {}


def reason_in(fields: Mapping[str, JSONValue]) -> str:
    """Why somebody decided so, if they say; a result's metadata has it, so what is longer than MAX_TEXT is cut."""
    return str(fields.get("reason") or "")[:MAX_TEXT]


def ballots_of(
    replies: Mapping[str, Message], weights: Mapping[str, float] | None = None
) -> list[Ballot]:
    """A ballot for each reply; with `weights` they count in place of what the replies state, 1 for the others."""
    found = []
    for agent, reply in replies.items():
        places = _places(reply)  # read once: a text may be long
        weight = weights.get(agent, 1.0) if weights else _confidence(places)
        found.append(Ballot(agent, _choice(reply, places), weight))
    return found


def _places(reply: Message) -> tuple[Mapping[str, JSONValue], ...]:
    """Where a reply says what it stands for."""
    return said_of_answer(reply), fields_of(reply)


def _choice(reply: Message, places: Iterable[Mapping[str, JSONValue]]) -> str:
    stated = (place.get("category") for place in places)
    return next((category for category in stated if isinstance(category, str)), reply.text)


def _confidence(places: Iterable[Mapping[str, JSONValue]]) -> float:
    stated = (number_of(place.get("confidence")) for place in places)
    return next((found for found in stated if found is not None), 0.0)


def votes_of(verdict: Verdict) -> dict[str, JSONValue]:
    """The votes of a verdict for a result's metadata: answer → votes or weight, of long answers the beginning."""
    found: dict[str, float] = {}
    for content, votes in verdict.votes.items():
        shown = content if len(content) <= MAX_SHOWN else f"{content[:MAX_SHOWN]}…"
        found[shown] = found.get(shown, 0.0) + votes
    return dict(found)


VOTE_FACTS: Mapping[str, Fact] = {
    "voting_strategy": Fact("how the vote was decided"),
    "agreement": Fact("the winner's part of the votes, from 0 to 1"),
    "votes": Fact("answer → votes or weight"),
    "winner": Fact("the agent whose reply won"),
    "explanation": Fact("how the vote went, in a sentence", seen=False),
}
"""What a result says of a vote."""


def facts_of(verdict: Verdict) -> dict[str, JSONValue]:
    """VOTE_FACTS of a verdict."""
    return {
        "voting_strategy": verdict.strategy,
        "agreement": verdict.agreement,
        "votes": votes_of(verdict),
        "winner": verdict.source,
        "explanation": verdict.explanation,
    }


def is_tied(votes: Iterable[float]) -> bool:
    """Whether more than one has the most votes."""
    found = list(votes)
    return sum(math.isclose(one, max(found), abs_tol=TOLERANCE) for one in found) > 1


def reaches(agreement: float, threshold: float) -> bool:
    """Whether an agreement is at least a threshold, but for rounding."""
    return agreement >= threshold - TOLERANCE


def stop_of(error: BaseException | None) -> str:
    """What ended a run early, by the error or its cause: `timeout`, `budget`, `limit`, or `failures`."""
    for one in (error, error.__cause__ if error is not None else None):
        for kind, name in STOPS.items():
            if isinstance(one, kind):
                return name
    return "failures"


# -- asking ----------------------------------------------------------------------------------------------


class Panel:
    """The agents of one run, asked together; who fails is noted in `errors` and asked no more.

    With an error strategy that does not go on, the first failure is raised. A turn leaves as much of the budget as one
    of them gets for each of `after` calls that are made beside the turns.
    """

    def __init__(
        self,
        caller: Caller,
        agents: Sequence[str],
        strategy: ErrorStrategy | None,
        after: int = 0,
    ) -> None:
        self.agents = list(agents)
        """Those that can still be asked, in the order they were given."""
        self.asked = len(agents)
        self.errors: dict[str, JSONValue] = {}
        self.ended: AixgoError | None = None
        """What ended the run while it was asked: a limit, a budget, or that its time is up."""
        self._caller = caller
        self._after = after
        self._strict = strategy is not None and not strategy.goes_on
        self.goes_on = strategy is not None and strategy.goes_on
        """Whether somebody said that a failure does not end the run."""
        self._last: AixgoError | None = None

    async def hear(
        self, step: str, message: Mapping[str, Message] | Message, *, extra: bool = False
    ) -> dict[str, Message]:
        """The replies to `message`, or to the one of each agent."""

        async def read(agent: str, ask: Ask) -> Message:
            return await ask(message if isinstance(message, Message) else message[agent], "")

        return await self.turn(step, read, extra=extra)

    async def turn(
        self,
        step: str,
        read: Callable[[str, Ask], Awaitable[T]],
        *,
        extra: bool = False,
    ) -> dict[str, T]:
        """What `read` makes of each agent, all at once; it may ask its agent more than once.

        An `extra` turn could be done without, and so leaves some of the time that is left.
        """
        context = CallContext.current()
        agents = list(self.agents)
        keys = [context.child_key(f"{step}/{agent}") for agent in agents]
        timeout = self.spare if extra else None
        found: dict[str, T] = {}

        async def one(agent: str, key: str, share: Share) -> None:
            async def ask(message: Message | Payload, suffix: str) -> Message:
                part = share if not suffix else Fraction(1, len(agents) + self._after)
                return await self._caller.call(
                    agent,
                    message,
                    timeout=timeout,
                    key=f"{key}{suffix}",
                    share=part,
                )

            try:
                found[agent] = await read(agent, ask)
            except AixgoError as exc:
                if self._strict:
                    raise
                failed[agent] = exc

        failed: dict[str, AixgoError] = {}
        shares = context.shares(len(agents), self._after)
        calls = zip(agents, keys, shares, strict=True)
        await all_or_first_failure([partial(one, *call) for call in calls])
        for agent in agents:
            if (error := failed.get(agent)) is not None:
                self._note(agent, error, context)
        return {agent: found[agent] for agent in agents if agent in found}

    def _note(self, agent: str, error: AixgoError, context: CallContext) -> None:
        self.errors[agent] = described(error)
        self._last = error
        if ends_run(error, context):
            self.ended = error
        self.agents.remove(agent)

    @property
    def stopped_by(self) -> str:
        """Why nobody is left to go on: `timeout`, `budget`, `limit`, or `failures`."""
        return stop_of(self._last)

    @property
    def spare(self) -> float:
        """Time for a call that could be done without: it leaves some of what is left."""
        return MOST * CallContext.current().remaining

    async def beside(
        self, agent: str, message: Message, key: str, *, extra: bool = False
    ) -> Message:
        """The reply of an agent that is asked beside the turns."""
        timeout = self.spare if extra else None
        return await self._caller.call(agent, message, timeout=timeout, key=key)

    def forgive(self, agent: str, error: AixgoError) -> None:
        """Note why `agent`, asked beside the turns, added nothing to the result.

        Raises:
            AixgoError: `error`, when the first failure ends the run.
            DeadlineExceeded: the run's own time is up.
        """
        if self._strict:
            raise error
        CallContext.current().check_deadline()
        self.errors[agent] = described(error)

    def check(self, name: str, count: int, needed: int) -> None:
        """Raise unless `needed` of the agents answered, and none met what ends the run whoever else answered.

        Raises:
            AgentRefused: too few did; the text names those that failed.
            LimitExceeded: one met a limit or the run's budget: who could be paid for decides nothing alone.
            DeadlineExceeded: the run's time is up.
        """
        if self.ended is not None:
            CallContext.current().check_deadline()
            raise self.ended
        if count >= needed:
            return
        CallContext.current().check_deadline()  # when it passed, that is why they failed
        causes = "; ".join(
            f"{agent}: {error['class']}"
            for agent, error in self.errors.items()
            if isinstance(error, dict)
        )
        text = (
            f"all {self.asked} agents of {name!r} failed: {causes}"
            if not count
            else f"only {count} of {self.asked} agents of {name!r} answered, {needed} are needed: {causes}"
        )
        raise AgentRefused(text) from self._last


# -- what is refused when it is made ---------------------------------------------------------------------


def check_voices(where: str, agents: Sequence[str], least: int = 1) -> None:
    """Refuse a panel that is too small, or in which one would have two voices.

    Raises:
        ConfigError: it is.
    """
    if len(agents) < least:
        number = "one agent" if least == 1 else f"{least} agents"
        raise ConfigError(f"{where} needs at least {number}, and has {len(agents)}")
    if len(set(agents)) < len(agents):
        twice = next(agent for agent in agents if agents.count(agent) > 1)
        raise ConfigError(f"{where}: {twice!r} is given twice; an agent has one voice")


def check_part(where: str, name: str, value: float) -> None:
    """Refuse a number that is no part of a whole.

    Raises:
        ConfigError: it is not above 0 and at most 1.
    """
    if not 0 < value <= 1:
        raise ConfigError(f"{where}: {name} is {value}; it must be above 0 and at most 1")


def check_known(where: str, name: str, given: Iterable[str], agents: Sequence[str]) -> None:
    """Refuse a setting for an agent that is not there.

    Raises:
        ConfigError: `given` names one; the text has the nearest, or all there are.
    """
    for agent in given:
        if agent not in agents:
            near = nearest(agent, agents)
            hint = f"did you mean {near!r}?" if near else f"it has: {', '.join(agents)}"
            raise ConfigError(f"{where}: {name}: it has no agent {agent!r}; {hint}")


def check_weights(where: str, weights: Mapping[str, float], agents: Sequence[str]) -> None:
    """Refuse weights of absent agents, and those that are no weights.

    Raises:
        ConfigError: there is one; the text names the agent.
    """
    check_known(where, "weights", weights, agents)
    for agent, weight in weights.items():
        if not 0 < weight < math.inf:
            raise ConfigError(
                f"{where}: weights: that of {agent!r} is {weight}; a weight is finite and above 0"
            )
