"""A bare grpc.aio echo of the messages a call carries; `server ADDRESS` serves, ADDRESS calls."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from aixgo.v1 import agent_service_pb2, agent_service_pb2_grpc, message_pb2
from tests.benchmarks.side import Call, measure


class Echo(agent_service_pb2_grpc.AgentServiceServicer):
    async def Execute(
        self, request: agent_service_pb2.ExecuteRequest, context: grpc.aio.ServicerContext
    ) -> agent_service_pb2.ExecuteResponse:
        return agent_service_pb2.ExecuteResponse(message=request.message)


async def serve(address: str) -> None:
    server = grpc.aio.server()
    agent_service_pb2_grpc.add_AgentServiceServicer_to_server(Echo(), server)
    server.add_insecure_port(address)
    await server.start()
    await server.wait_for_termination()


@asynccontextmanager
async def raw() -> AsyncIterator[Call]:
    request = agent_service_pb2.ExecuteRequest(
        envelope=message_pb2.CallEnvelope(version=1, timeout_nanos=60 * 10**9),
        target="echo",
        message=message_pb2.Message(
            id="0" * 32, type="message", text="hello", timestamp_unix_nano=time.time_ns()
        ),
    )
    async with grpc.aio.insecure_channel(sys.argv[1]) as channel:
        await channel.channel_ready()
        stub = agent_service_pb2_grpc.AgentServiceStub(channel)
        yield lambda: stub.Execute(request, timeout=60)


if __name__ == "__main__":
    if sys.argv[1] == "server":
        asyncio.run(serve(sys.argv[2]))
    else:
        measure(raw)
