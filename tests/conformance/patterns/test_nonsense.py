"""Whatever agents write, a team gives an answer or refuses clearly: no pattern breaks on what it is told."""

from __future__ import annotations

import asyncio
import json
import random

import pytest

from aixgo import LocalRuntime, Message
from aixgo.errors import AgentRefused
from aixgo.message import JSONValue
from tests.conformance.gates import HANG
from tests.conformance.patterns.base import Case, tables

SEEDS = 12
CASES = [case for cases in tables().values() for case in cases]
KEYS = (
    *("category", "categories", "confidence", "score", "done", "answer", "agent", "handoff_to"),
    *("team_assignments", "steps", "id", "input", "depends_on", "winner", "documents", "content"),
    *("source", "action", "pattern", "errors", "inner", "degraded", "context", "instructions"),
)
NUMBERS = (0, 1, -1, 10**400, -(10**400), 1e308, -0.0, 0.5, 15, 2**63, 1e-300)
TEXTS = (
    *("", " ", "x", "rain", "{", "[", "[" * 500, "```json\n{}\n```", '{"score": 1e999}', '"x"'),
    *("HANDOFF: ", "@", "Score: 15/10", "score: 0/0", "1/0", "\u202e", "{input}", "---", "[1, 2]"),
    *("[{}]", '{"steps": [{}]}', '{"steps": [{"id": "a", "depends_on": ["a"]}]}', "WINNER:"),
)
DEEP = "[" * 5_000
TROUBLES: list[JSONValue] = [
    {"category": "x", "confidence": 10**400},
    {"score": 10**400},
    {"documents": [{"id": None, "content": "x", "score": 10**400}]},
    [10**400, 0.5],
    DEEP,
    f'{{"action": "revise", "answer": {DEEP}}}',
    f'{{"team_assignments": {DEEP}}}',
    '{"steps": [{"id": "a", "input": NaN}]}',
    '{"answer": ' + "[" * 101 + "]" * 101 + "}",
]
"""What once broke one."""


class Anything:
    """Answers with whatever comes to its mind."""

    role = "anything"

    def __init__(self, name: str, chance: random.Random, names: list[str]) -> None:
        self.name = name
        self._chance = chance
        self._names = names

    async def execute(self, _: Message) -> Message:
        chance = self._chance
        if chance.random() < 0.05:
            return Message(b"\xff\xfe")
        payload = chance.choice(TROUBLES) if chance.random() < 0.3 else self._value()
        if chance.random() < 0.2:
            payload = json.dumps(payload)
        said = {chance.choice(KEYS): self._value(2) for _ in range(chance.randrange(3))}
        return Message(payload, metadata=said)

    def _value(self, depth: int = 0) -> JSONValue:
        chance = self._chance
        kind = chance.randrange(12)
        if kind < 2:
            return chance.choice([None, True, False, *NUMBERS])
        if kind < 6 or depth > 3:
            return chance.choice([*TEXTS, *self._names])
        several = range(chance.randrange(4))
        if kind < 9:
            return {chance.choice([*KEYS, *self._names]): self._value(depth + 1) for _ in several}
        return [self._value(depth + 1) for _ in several]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_team_of_agents_that_say_anything_answers_or_refuses(case: Case) -> None:
    for seed in range(SEEDS):
        chance = random.Random(f"{case.name} {seed}")
        agents = [Anything(name, chance, list(case.agents)) for name in case.agents]
        async with (
            LocalRuntime(*agents, case.build(), check_wire=seed % 2 == 0) as rt,
            asyncio.timeout(HANG),
        ):
            try:
                await rt.call(case.name, case.given)
            except AgentRefused as refused:
                assert str(refused)  # noqa: PT017 - that it refused is no failure
