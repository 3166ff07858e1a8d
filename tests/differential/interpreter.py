"""Carries a program out in one world and tells what was to be seen of it.

The order of things is fixed here: the steps of a round begin in one go, those that wait are waited for
until they stand at their gates, then each meets its fate, and the round ends when the world is at rest.
Below: programs, worlds, actors, seen. Above: the test.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aixgo import AixgoError, Budget, Message
from aixgo.runtime.base import Runtime
from tests.differential import seen
from tests.differential.actors import EXITS, HANG, MAIL, Stage, on_stage
from tests.differential.programs import (
    DEADLINE,
    Call,
    Fan,
    Given,
    Join,
    Mail,
    Parked,
    Program,
    Step,
    prepared,
)
from tests.differential.worlds import World

__all__ = ["outcome"]

PAST = 0.1  # seconds that a deadline is passed by: less than peers are given to say themselves that it has


async def outcome(world: World, program: Program, run: str) -> object:
    """All that is to be seen of `program` in `world`; `run` tells it from the programs before."""
    with on_stage() as stage:
        world.begin()
        rounds = [
            await _Round(world, stage, number, run).carried_out(steps)
            for number, steps in enumerate(program)
        ]
        reports = {
            label: sorted(found, key=_without_ids)  # several may have run at the same time
            for label, found in sorted(stage.reports.items())
        }
        found = {"rounds": rounds, "reports": reports, "ran": dict(sorted(stage.ran.items()))}
    return seen.canonical(found, world.home)


class _Played:
    """A step under way: its task, and what was seen of it so far."""

    def __init__(self, step: Step, gate: str) -> None:
        self.step = step
        self.gate = gate
        self.chunks: list[object] = []
        self.entry: dict[str, Any] = {"chunks": self.chunks}
        self.task: asyncio.Task[None] | None = None
        self.go_on = asyncio.Event()
        """Set when a reader that paused is to read on, or to leave."""

    @property
    def done(self) -> bool:
        assert self.task is not None
        return self.task.done()


class _Round:
    """One round of a program."""

    def __init__(self, world: World, stage: Stage, number: int, run: str) -> None:
        self._world = world
        self._stage = stage
        self._number = number
        self._run = run

    async def carried_out(self, steps: tuple[Step, ...]) -> list[object]:
        played: list[_Played] = []
        for number, step in enumerate(steps):
            label = f"{self._number}.{number}"
            ready = prepared(step, label, self._run)
            gate = ready.given.payload.get("label", label) if isinstance(ready, Parked) else ""  # type: ignore[attr-defined]
            self._stage.close(gate)
            played.append(_Played(ready, gate))
        try:
            for each in played:
                each.task = asyncio.create_task(self._begun(each), name=f"step of {each.gate!r}")
                each.task.add_done_callback(lambda _: self._stage.changed.set())
            for each in played:
                await self._stage.until(lambda each=each: self._rests(each))  # type: ignore[misc]
            for each in played:
                await self._meet_fate(each)
            await self._pass_deadlines(played)
        finally:
            for each in played:
                if each.task is not None:
                    each.task.cancel()
        await self._world.at_rest()
        return [each.entry for each in played]

    # -- how steps end --------------------------------------------------------------------------------

    def _rests(self, each: _Played) -> bool:
        """Whether nothing happens any more before a fate makes it."""
        step = each.step
        if each.done or not isinstance(step, Parked):
            return each.done
        if len(each.chunks) < step.chunks or self._stage.read(each.gate) < step.read:
            return False
        return step.fate in ("leave", "late") or self._stage.arrived(each.gate) >= step.arrivals

    async def _meet_fate(self, each: _Played) -> None:
        step = each.step
        if not isinstance(step, Parked) or step.fate in ("deadline", "late"):
            return
        if step.fate == "open":
            self._stage.open(each.gate)
        elif step.fate == "cancel":
            assert each.task is not None
            each.task.cancel()
        each.go_on.set()
        await self._stage.until(lambda: each.done)

    async def _pass_deadlines(self, played: list[_Played]) -> None:
        waiting = [each for each in played if not each.done]
        if not waiting:
            return
        await self._world.clock.advance(DEADLINE + PAST)
        for each in waiting:
            each.go_on.set()
        async with asyncio.timeout(HANG):
            while not all(each.done for each in waiting):
                await self._world.clock.advance(
                    0
                )  # the deadline of who reads on late is over already

    # -- how steps are played -------------------------------------------------------------------------

    async def _begun(self, each: _Played) -> None:
        """Play a step; whatever comes of it is in its entry."""
        try:
            await self._play(each)
        except AixgoError as exc:
            each.entry["error"] = seen.error(exc)
        except asyncio.CancelledError:
            each.entry["cancelled"] = True

    async def _play(self, each: _Played) -> None:
        match each.step:
            case Call() | Parked() as step:
                caller = self._world.callers[step.caller]
                if step.mode == "stream":
                    await self._read(each, caller, step)
                else:
                    reply = await caller.call(
                        step.to, _message(step.given), **_options(step.options)
                    )
                    each.entry["reply"] = seen.message(reply)
            case Fan(to, given, caller):
                outcomes = await self._world.callers[caller].call_parallel(to, _message(given))
                each.entry["outcomes"] = [_of(found.reply or found.error) for found in outcomes]
            case Join() as step:
                each.entry["outcomes"] = await self._joined(step)
            case Mail(side, items):
                await self._mailed(each, side, items)

    async def _read(self, each: _Played, caller: Runtime, step: Call | Parked) -> None:
        pauses = isinstance(step, Parked) and step.fate in ("leave", "late")
        options = _options(step.options)
        async with caller.stream(step.to, _message(step.given), **options) as chunks:
            async for chunk in chunks:
                each.chunks.append(seen.chunk(chunk))
                self._stage.changed.set()
                if pauses and len(each.chunks) == step.chunks:  # type: ignore[union-attr]
                    await each.go_on.wait()
                    if step.fate == "leave":  # type: ignore[union-attr]
                        break
        final = chunks.final
        each.entry["final"] = None if final is None else seen.message(final)

    async def _joined(self, step: Join) -> list[object]:
        caller = self._world.callers[step.caller]
        given = _message(step.given)

        async def one() -> seen.Seen:
            try:
                return _of(await caller.call(step.to, given, idempotency_key=step.key))
            except AixgoError as exc:
                return _of(exc)

        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(one()) for _ in range(step.count)]
        # Only the one that ran has spent something, and which one that is nobody promises.
        return sorted((call.result() for call in calls), key=lambda found: str(found.get("usage")))

    async def _mailed(self, each: _Played, side: int, items: tuple[Given, ...]) -> None:
        """Send all items, then read the replies of those that do not fail, and look for the others."""
        caller = self._world.callers[0]
        host = self._world.hosts[side % len(self._world.hosts)]
        failing = [item for item in items if _fails(item)]
        for item in items:
            await caller.send(MAIL[side], _message(item))
        async with asyncio.timeout(HANG):
            replies = [
                seen.message(await caller.recv(EXITS[side]))
                for _ in range(len(items) - len(failing))
            ]
            letters = host.dead_letters
            while sum(letter.target == MAIL[side] for letter in letters) < len(failing):
                await asyncio.sleep(0)
        dead = [letter for letter in letters if letter.target == MAIL[side]]
        for letter in dead:
            letters.remove(letter)
        each.entry["replies"] = replies
        each.entry["dead"] = [
            [seen.message(letter.message), seen.error(letter.error)] for letter in dead
        ]


def _without_ids(report: seen.Seen) -> str:
    received: Any = report["received"]
    same = {**report, "received": {**received, "id": ""}, "hops": ""}
    return str(same)


def _message(given: Given) -> Message:
    payload: Any = given.payload
    return Message(
        payload if given.times == 1 else payload * given.times,
        type=given.kind,
        metadata=given.metadata,  # type: ignore[arg-type]
        content_type=given.content_type,
    )


def _fails(given: Given) -> bool:
    payload = given.payload
    acts = payload.get("acts", []) if isinstance(payload, dict) else []
    return any(act["do"] == "raise" for act in acts)


def _options(options: dict[str, Any]) -> dict[str, Any]:
    if "budget" not in options:
        return options
    return {**options, "budget": Budget(**options["budget"])}


def _of(found: Message | AixgoError | None) -> seen.Seen:
    assert found is not None
    return seen.message(found) if isinstance(found, Message) else seen.error(found)
