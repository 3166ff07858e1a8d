"""Random programs of calls, streams, cancels, deadlines, keys and mail have one outcome on every runtime.

`AIXGO_PROGRAMS` says how many are run. A failure prints the program, as short as Hypothesis could make it,
how its outcome differs from the local one, and a line with `@reproduce_failure`, which put above the test
runs that very program again; so does running the test again on the same machine. With
`--hypothesis-seed=N` a whole run is the same again. What was found is kept in `found`.
"""

from __future__ import annotations

import asyncio
import difflib
import itertools
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, example, given, settings

from tests.differential.actors import ERRORS, ODD_CHUNKS, Act
from tests.differential.found import FOUND
from tests.differential.interpreter import outcome
from tests.differential.programs import Call, Given, Program, programs
from tests.differential.worlds import LEGS, World, open_world

COUNT = int(os.environ.get("AIXGO_PROGRAMS", "60"))

Test = TypeVar("Test", bound=Callable[..., None])

_runs = itertools.count()


class Legs:
    """All worlds, open, and the loop they live on."""

    def __init__(self, runner: asyncio.Runner, worlds: list[World]) -> None:
        self._runner = runner
        self._worlds = worlds

    def outcomes(self, program: Program) -> dict[str, object]:
        """What is seen of `program` on each leg."""
        run = f"run {next(_runs)}"
        return {world.leg: self._runner.run(outcome(world, program, run)) for world in self._worlds}

    def compare(self, program: Program) -> None:
        """Fail where a leg shows something else than the local one."""
        found = self.outcomes(program)
        expected = found.pop("local")
        for leg, got in found.items():
            if got != expected:
                raise AssertionError(difference(leg, got, expected))


@pytest.fixture(scope="module")
def legs() -> Iterator[Legs]:
    logging.getLogger("aixgo").setLevel(logging.CRITICAL)
    with (
        tempfile.TemporaryDirectory(prefix="aixgo") as sockets,
        asyncio.Runner() as runner,
    ):
        stack = AsyncExitStack()
        worlds = [
            runner.run(stack.enter_async_context(open_world(leg, Path(sockets)))) for leg in LEGS
        ]
        yield Legs(runner, worlds)
        runner.run(stack.aclose())
    logging.getLogger("aixgo").setLevel(logging.NOTSET)


def run_first(examples: tuple[Program, ...]) -> Callable[[Test], Test]:
    """Have a test of programs begin with these."""

    def add(test: Test) -> Test:
        for program in reversed(examples):
            test = example(program=program)(test)
        return test

    return add


@run_first(FOUND)
@settings(
    max_examples=COUNT,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@pytest.mark.timeout(30 + COUNT)
@given(programs)
def test_a_program_has_the_same_outcome_on_every_runtime(legs: Legs, program: Program) -> None:
    legs.compare(program)


def difference(leg: str, got: object, expected: object) -> str:
    """Where two outcomes part, as a diff from the local one."""
    lines = [json.dumps(each, indent=1).splitlines() for each in (expected, got)]
    return "\n".join(difflib.unified_diff(*lines, "local", leg, n=6, lineterm=""))


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_is_the_same_on_every_runtime(legs: Legs, kind: str) -> None:
    fails = {"acts": [{"do": "say", "text": "first"}, {"do": "raise", "kind": kind}]}
    deep = {"acts": [{"do": "call", "to": "right.one", "with": fails}]}
    caught = {"acts": [{"do": "stream", "to": "right.one", "with": fails, "catch": True}]}
    legs.compare(
        (
            tuple(
                Call(to, Given(script), mode)
                for script in (fails, deep, caught)
                for to in ("left.one", "right.quiet")
                for mode in ("call", "stream")
            ),
        )
    )


@pytest.mark.parametrize("odd", ODD_CHUNKS)
def test_every_odd_chunk_is_the_same_on_every_runtime(legs: Legs, odd: str) -> None:
    says = {"acts": [{"do": "say", "text": "odd", "odd": odd}, {"do": "say", "text": "next"}]}
    passes = {"acts": [{"do": "stream", "to": "right.one", "with": says, "pass": True}]}
    caught = {"acts": [{"do": "stream", "to": "right.one", "with": says, "catch": True}]}
    legs.compare(
        (tuple(Call("left.one", Given(script), "stream") for script in (says, passes, caught)),)
    )


@pytest.mark.parametrize("count", [1.5, "many", -3, 2**60])
@pytest.mark.parametrize("fails", [True, False])
def test_every_odd_usage_is_the_same_on_every_runtime(
    legs: Legs, count: object, *, fails: bool
) -> None:
    spends: list[Act] = [{"do": "charge", "usage": {"cost_nanos": count}}]
    script = {"acts": [*spends, {"do": "raise", "kind": "AgentRefused"}] if fails else spends}
    deep = {
        "acts": [
            {"do": kind, "to": to, "with": script, "catch": True}
            for kind in ("call", "stream")
            for to in ("right.one", "right.quiet")
        ]
    }
    legs.compare((tuple(Call("left.one", Given(each)) for each in (script, deep)),))
