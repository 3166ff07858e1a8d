"""A bare grpc.aio echo of the messages a call carries.

`server` serves and prints its address; `unary ADDRESS` makes an RPC of each call; `bidi ADDRESS` sends them all
over one RPC, a message per call with a number that its reply repeats, and no two in one message.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import cast

import grpc

from aixgo.v1 import agent_service_pb2 as pb
from aixgo.v1 import agent_service_pb2_grpc, message_pb2
from tests.benchmarks.side import Call, Figures, Work, chunks, measure, run, works_of
from tests.benchmarks.sides.raw import OPTIONS, answer, reply_to, request_of


class Echo(agent_service_pb2_grpc.AgentServiceServicer):
    async def Execute(self, request: pb.ExecuteRequest, context: object) -> pb.ExecuteResponse:
        return pb.ExecuteResponse(message=await answer(request.target, request.message))

    async def ExecuteStream(
        self, request: pb.ExecuteStreamRequest, context: object
    ) -> AsyncIterator[pb.ExecuteStreamResponse]:
        length = int(request.message.text)
        for index in range(length):
            yield pb.ExecuteStreamResponse(
                chunk=message_pb2.StreamChunk(
                    type="content",
                    content="token ",
                    source="tokens",
                    path=["tokens"],
                    sequence=index,
                )
            )
        yield pb.ExecuteStreamResponse(final=message_pb2.Message(text="token " * length))

    async def Connect(
        self,
        requests: AsyncIterator[pb.ConnectRequest],
        context: grpc.aio.ServicerContext[pb.ConnectRequest, pb.ConnectResponse],
    ) -> None:
        writing = asyncio.Lock()  # two writes at once are an error

        async def execute(envelope: pb.Envelope) -> None:
            message = await answer(envelope.request.target, envelope.request.message)
            response = pb.ConnectResponse(envelopes=[reply_to(envelope.call, message)])
            async with writing:
                await context.write(response)

        async with asyncio.TaskGroup() as running:
            async for frame in requests:
                running.create_task(execute(frame.envelopes[0]))


async def serve() -> None:
    server = grpc.aio.server(options=OPTIONS)
    agent_service_pb2_grpc.add_AgentServiceServicer_to_server(Echo(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


class Bidi:
    """Calls over one stream; only its own task reads, and a lock orders the writes."""

    def __init__(self, stub: agent_service_pb2_grpc.AgentServiceStub) -> None:
        self._rpc = stub.Connect()
        self._writing = asyncio.Lock()
        self._waiting: dict[int, asyncio.Future[message_pb2.Message]] = {}
        self._number = 0

    async def call(self, request: pb.Request) -> message_pb2.Message:
        self._number += 1
        number = self._number
        reply: asyncio.Future[message_pb2.Message] = asyncio.get_running_loop().create_future()
        self._waiting[number] = reply
        frame = pb.ConnectRequest(envelopes=[pb.Envelope(call=number, request=request)])
        async with self._writing:
            await self._rpc.write(frame)
        return await reply

    async def read(self) -> None:
        async for frame in self._rpc:
            for envelope in frame.envelopes:
                self._waiting.pop(envelope.call).set_result(envelope.reply.message)


@asynccontextmanager
async def connected() -> AsyncIterator[Mapping[str, Work]]:
    method, address = sys.argv[1:]
    async with (
        grpc.aio.insecure_channel(address, options=OPTIONS) as channel,
        AsyncExitStack() as idle_channels,
    ):
        await channel.channel_ready()
        stub = agent_service_pb2_grpc.AgentServiceStub(channel)

        def unary(target: str, text: str) -> Call:
            given = request_of(target, text)
            request = pb.ExecuteRequest(
                envelope=given.envelope, target=target, message=given.message
            )
            return lambda: stub.Execute(request, timeout=60)

        async def pieces(length: int) -> AsyncIterator[object]:
            given = request_of("tokens", str(length))
            request = pb.ExecuteStreamRequest(
                envelope=given.envelope, target="tokens", message=given.message
            )
            async for part in stub.ExecuteStream(request, timeout=60):
                if part.HasField("chunk"):
                    yield part.chunk

        async def fan(number: int) -> Figures:
            start = time.perf_counter()
            made = (asyncio.ensure_future(unary("echo", "x" * 200)()) for _ in range(number))
            replies = await asyncio.gather(*made, return_exceptions=True)
            took = time.perf_counter() - start
            return {
                "seconds": took,
                "failed": sum(isinstance(reply, BaseException) for reply in replies),
            }

        async def idle(number: int) -> Figures:
            for _ in range(number):
                other = grpc.aio.insecure_channel(address, options=OPTIONS)
                await idle_channels.enter_async_context(other)
                await other.channel_ready()
            there = await stub.Execute(pb.ExecuteRequest(target="tasks"), timeout=60)
            return {
                "tasks": len(asyncio.all_tasks()),
                "server_tasks": int(there.message.text),
            }

        if method == "unary":
            yield {
                **works_of(unary, lambda reply: cast("pb.ExecuteResponse", reply).message.text),
                "chunks": partial(chunks, pieces),
                "fan": fan,
                "idle": idle,
            }
            return
        bidi = Bidi(stub)
        async with asyncio.TaskGroup() as reading:
            reading.create_task(bidi.read())

            def multiplexed(target: str, text: str) -> Call:
                request = request_of(target, text)
                return lambda: bidi.call(request)

            yield works_of(multiplexed, lambda reply: cast("message_pb2.Message", reply).text)


if __name__ == "__main__":
    if sys.argv[1] == "server":
        run(serve())
    else:
        measure(connected)
