"""Readers that stop reading: a stream without a deadline of its own does not hold its agent for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc

from aixgo import DistributedRuntime
from aixgo.message import Message, StreamChunk
from aixgo.v1 import agent_service_pb2 as pb

METHOD = "/aixgo.v1.AgentService/ExecuteStream"


class Firehose:
    """Streams for as long as somebody takes it."""

    name, role = "firehose", "firehose"

    def __init__(self) -> None:
        self.stopped = asyncio.Event()

    async def execute(self, message: Message) -> Message:
        return message

    async def stream(self, message: Message) -> AsyncIterator[StreamChunk]:
        try:
            while True:
                yield StreamChunk(content="x" * 1_000_000)
        finally:
            self.stopped.set()


async def test_a_reader_that_stalls_loses_the_stream_at_the_deadline_its_envelope_names() -> None:
    firehose = Firehose()
    request = pb.ExecuteStreamRequest(target="firehose")
    request.message.text = "hello"
    request.envelope.timeout_nanos = 300_000_000
    async with (
        asyncio.timeout(10),
        DistributedRuntime(firehose, address="127.0.0.1:0") as rt,
        grpc.aio.insecure_channel(rt.address) as channel,
    ):
        call = channel.unary_stream(METHOD)(request.SerializeToString())  # and no gRPC deadline
        await call.read()
        await firehose.stopped.wait()
        assert rt.metrics()["calls_in_flight"] == 0
        call.cancel()
