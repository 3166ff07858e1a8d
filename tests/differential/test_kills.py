"""A server that is killed in the middle of things is the same experience over every transport.

Unlike in `test_programs` the agents live in processes of their own, so that one can be killed, and nothing
local can be compared with. Calls of several kinds are brought to a gate, their server is killed and started
again, and each has to end in time, with the error that the other transports give too; then all is well again.
`AIXGO_KILLS` says how many programs are run.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import Counter
from collections.abc import Awaitable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from aixgo import AixgoError, DistributedRuntime
from aixgo.errors import Unavailable
from aixgo.message import new_id
from aixgo.rpc.transports import TRANSPORTS
from tests.conformance.agents import LEFT
from tests.conformance.gates import HANG, Gates, open_gates
from tests.conformance.places import Fleet, Place
from tests.conformance.servers import ServerProcess, names

COUNT = int(os.environ.get("AIXGO_KILLS", "3"))
IN_TIME = 2.0  # seconds within which a call ends whose server was killed, on a busy machine

DEEP = {"route": ["echo"], "payload": "deep"}

Kind = Literal["call", "stream", "deep", "deep stream", "keyed"]
GATE = {"call": "waits", "stream": "streams", "deep": "waits", "deep stream": "streams"}


@dataclass(frozen=True)
class Held:
    """A call that is at a gate in the server when that is killed."""

    kind: Kind
    caller: int

    @property
    def gate(self) -> str:
        return GATE.get(self.kind, "counts")


@dataclass(frozen=True)
class Killed:
    """A program: calls that are over before the kill, those in its midst, and those before the restart."""

    before: int
    held: tuple[Held, ...]
    between: int


_held = st.builds(
    Held, st.sampled_from(["call", "stream", "deep", "deep stream", "keyed"]), st.integers(0, 1)
)
_killed = st.builds(
    Killed,
    st.integers(0, 2),
    st.lists(_held, min_size=1, max_size=8).map(tuple),
    st.integers(0, 2),
)


class Leg:
    """Two servers over one transport, of which the left one is killed, and two runtimes that call them."""

    def __init__(self, transport: str, fleet: Fleet, sockets: Path) -> None:
        self.transport = transport
        self._place = Place("processes", "unix", transport)
        self._fleet = fleet
        self._address = f"unix:{sockets / f'left-{transport}'}"
        self._left: ServerProcess | None = None
        self._callers: list[DistributedRuntime] = []

    async def open(self, stack: AsyncExitStack) -> None:
        self.start_left()
        right = self._fleet.doomed("RIGHT", self._place)
        assert self._left is not None
        assert self._left.address == self._address
        right.connect(dict.fromkeys(names(LEFT), self._address))
        peers = dict.fromkeys(names(LEFT), self._address)
        peers |= dict.fromkeys(("b", "carry_right"), right.address)
        for _ in range(2):
            rt = DistributedRuntime(peers=peers, transport=self.transport, stop_grace=1.0)
            self._callers.append(await stack.enter_async_context(rt))

    def start_left(self) -> None:
        """Begin to start the left server; its `address` waits until it is up."""
        self._left = self._fleet.doomed("LEFT", self._place, address=self._address)

    async def played(self, program: Killed, gates: Gates, effects: Path) -> list[object]:
        """What is seen of `program` until its server is to be started again."""
        callers, key = self._callers, new_id()
        seen: list[object] = [
            (await callers[0].call("echo", number)).payload for number in range(program.before)
        ]
        chunks: list[list[str]] = [[] for _ in program.held]
        tasks = [
            asyncio.create_task(
                _error(self._hold(held, f"{key}{n}", gates.path, effects, chunks[n]))
            )
            for n, held in enumerate(program.held)
        ]
        arrivals = [
            await gates.arrival(gate)
            for gate, count in Counter(held.gate for held in program.held).items()
            for _ in range(count)
        ]
        async with asyncio.timeout(HANG):
            while sum(map(len, chunks)) < sum("stream" in held.kind for held in program.held):
                await asyncio.sleep(0)
        assert self._left is not None
        self._left.kill()
        async with asyncio.timeout(IN_TIME):
            seen += [await task for task in tasks]
        seen += [await arrival.ended() for arrival in arrivals]
        seen += chunks
        async with asyncio.timeout(IN_TIME):
            seen += [await _error(callers[1].call("echo", n)) for n in range(program.between)]
        return seen

    async def healed(self) -> list[object]:
        """What is seen once the server has been started again."""
        assert self._left is not None
        assert self._left.address == self._address
        seen: list[object] = []
        async with asyncio.timeout(HANG):
            for caller in self._callers:
                again = (("echo", "again"), ("b", DEEP))
                seen += [await _answered(caller, target, payload) for target, payload in again]
                seen += [(await caller.call("echo", number)).payload for number in range(3)]
        seen.append([_outstanding(caller) for caller in self._callers])
        return seen

    async def _hold(
        self, held: Held, key: str, path: str, effects: Path, chunks: list[str]
    ) -> None:
        caller = self._callers[held.caller]
        task: dict[str, object] = {"gates": path, "words": "one two", "file": str(effects)}
        deep = {"route": [held.gate], "payload": task}
        match held.kind:
            case "call":
                await caller.call("waits", task)
            case "deep":
                await caller.call("b", deep)
            case "keyed":
                await caller.call("counts", task, idempotency_key=key)
            case "stream" | "deep stream":
                target = "streams" if held.kind == "stream" else "carry_right"
                given = task if held.kind == "stream" else deep
                async with caller.stream(target, given) as read:
                    async for chunk in read:
                        chunks.append(chunk.content)  # noqa: PERF401 - seen while it grows


async def _error(work: Awaitable[object]) -> object:
    """What a caller can tell about the error of `work`, but for the words of its transport."""
    try:
        await work
    except AixgoError as exc:
        outcome = exc.outcome if isinstance(exc, Unavailable) else ""
        return (type(exc).__name__, exc.wire_fields().get("name"), outcome, exc.agent)
    return "answered"


async def _answered(caller: DistributedRuntime, target: str, payload: object) -> object:
    """The reply of `target`; until it is found again it is `Unavailable`."""
    while True:
        try:
            return (await caller.call(target, payload)).payload
        except Unavailable:
            continue


def _outstanding(runtime: DistributedRuntime) -> int:
    links = (replica.link for replica in runtime._replicas._by_address.values())
    return sum(link.outstanding for link in links) + runtime.metrics()["calls_in_flight"]


class Legs:
    """Every transport's leg, and the loop they are used on."""

    def __init__(self, runner: asyncio.Runner, legs: list[Leg], folder: Path) -> None:
        self._runner = runner
        self._legs = legs
        self._folder = folder

    def outcomes(self, program: Killed) -> dict[str, object]:
        """What is seen of `program` on each leg; all servers start again at once."""
        return self._runner.run(self._outcomes(program))

    async def _outcomes(self, program: Killed) -> dict[str, object]:
        found: dict[str, list[object]] = {}
        effects = {leg.transport: self._folder / new_id() for leg in self._legs}
        for leg in self._legs:
            file = effects[leg.transport]
            file.touch()
            with tempfile.TemporaryDirectory(prefix="aixgo") as folder:
                async with open_gates(Path(folder)) as gates:
                    found[leg.transport] = await leg.played(program, gates, file)
            leg.start_left()
        for leg in self._legs:
            found[leg.transport] += await leg.healed()
            found[leg.transport].append(len(effects[leg.transport].read_text().splitlines()))
        return dict(found)


@pytest.fixture(scope="module")
def legs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Legs]:
    with tempfile.TemporaryDirectory(prefix="aixgo") as sockets, asyncio.Runner() as runner:
        fleet = Fleet(tmp_path_factory.mktemp("servers"), Path(sockets))
        stack = AsyncExitStack()
        legs = [Leg(transport, fleet, Path(sockets)) for transport in TRANSPORTS]
        try:
            for leg in legs:
                runner.run(leg.open(stack))
            yield Legs(runner, legs, tmp_path_factory.mktemp("effects"))
        finally:
            runner.run(stack.aclose())
            fleet.end()


@pytest.mark.slow
@settings(
    max_examples=COUNT,
    deadline=None,
    print_blob=True,
    phases=[
        Phase.explicit,
        Phase.reuse,
        Phase.generate,
    ],  # shrinking would start servers by the score
    suppress_health_check=[HealthCheck.too_slow],
)
@pytest.mark.timeout(30 + 5 * COUNT)
@given(_killed)
def test_a_killed_server_leaves_the_same_errors_over_every_transport(
    legs: Legs, program: Killed
) -> None:
    found = legs.outcomes(program)
    expected = found["unary"]
    assert isinstance(expected, list)
    errors = expected[program.before :][: len(program.held)]
    assert {(kind, outcome) for kind, _, outcome, _ in errors} == {("Unavailable", "unknown")}
    for leg, seen in found.items():
        assert seen == expected, leg
