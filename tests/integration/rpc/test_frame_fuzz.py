"""Whatever a client writes to `Connect`, the server answers by the rules or ends that RPC by the rules.

Each example is one sequence of frames on an RPC of its own, next to a connection on which calls go on. `ClientRules`
says what has to become of it. `AIXGO_FUZZ=20000 pytest tests/integration/rpc/test_frame_fuzz.py --timeout 0` runs
that many; a failure prints the `@reproduce_failure` line that replays it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import AsyncExitStack

import grpc
import pytest
from hypothesis import HealthCheck, given, settings

from tests.integration.rpc.raw_client import CONNECT, UNBOUNDED, RawClient, raw_client, request
from tests.integration.rpc.rules import ClientRules, ServerRules
from tests.integration.rpc.scene import Scene, rss, scene
from tests.integration.rpc.sequences import Sequence, sequences

EXAMPLES = int(os.environ.get("AIXGO_FUZZ", "300"))
MIB = 1024 * 1024


class Stage:
    """A served runtime that stays for all examples, a channel to it, and a connection that behaves."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._held = AsyncExitStack()
        self.examples = 0
        self.statuses: dict[grpc.StatusCode, int] = {}
        self.memory: list[int] = []
        self._scene, self._channel, self._good = self._runner.run(self._open())
        self._scene.mailboxes = 5
        self._number = 0

    async def _open(self) -> tuple[Scene, grpc.aio.Channel, RawClient]:
        stage = await self._held.enter_async_context(scene(timeout=None))
        channel = await self._held.enter_async_context(
            grpc.aio.insecure_channel(stage.address, options=UNBOUNDED)
        )
        good = await self._held.enter_async_context(raw_client(stage.address))
        return stage, channel, good

    def settle(self) -> None:
        """Return when nothing is left of the examples but what they sent to mailboxes."""
        self._runner.run(self._scene.only(1))

    def close(self) -> None:
        self._runner.run(self._held.aclose())
        self._runner.close()

    def play(self, frames: tuple[bytes, ...]) -> None:
        """Write `frames` on an RPC of their own and judge what comes of it."""
        self._runner.run(self._play(frames))

    async def _play(self, frames: tuple[bytes, ...]) -> None:
        client = RawClient(self._channel.stream_stream(CONNECT)())
        try:
            rules = ClientRules(self._good.theirs)
            for body in frames:
                rules.take(body)
            answers = ServerRules(rules)
            for body in frames:
                await client.write_bytes(body)
            await client.close()
            while (body := await client.read_bytes()) is not None:
                answers.take(body)
            self._judge(await client.ended(), rules, answers)
        finally:
            client.cancel()
        await self._others_go_on()

    def _judge(self, code: grpc.StatusCode, rules: ClientRules, answers: ServerRules) -> None:
        expected = rules.must or grpc.StatusCode.OK
        assert code in {expected, *rules.may}, f"ended with {code}, not {expected} nor {rules.may}"
        if code is grpc.StatusCode.OK:
            assert set(answers.ended) == set(rules.opened), "a call that was opened was not ended"
        self.statuses[code] = self.statuses.get(code, 0) + 1

    async def _others_go_on(self) -> None:
        self._number += 1
        await self._good.write(request(self._number, text="still served"))
        assert await self._good.reply(self._number) == "still served"
        self.examples += 1
        if self.examples % 1000 == 0:
            await self._scene.only(1)
            self.memory.append(rss())
            print(self.examples, self.memory[-1] // MIB, "MiB", self.statuses, flush=True)


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    held = Stage()
    yield held
    held.close()


@settings(
    max_examples=EXAMPLES,
    deadline=None,  # how long one example takes says nothing on a busy machine
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(sequence=sequences())
def test_any_sequence_of_frames_ends_by_the_rules(stage: Stage, sequence: Sequence) -> None:
    stage.play(sequence.frames)


def test_what_was_written_leaves_nothing(stage: Stage) -> None:
    """After all of it: no call of theirs, and no memory that grows with their number."""
    stage.settle()
    assert not stage.memory or stage.memory[-1] - stage.memory[0] < 64 * MIB
