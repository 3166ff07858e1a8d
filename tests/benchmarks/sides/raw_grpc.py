"""A bare grpc.aio echo of the protobuf message that a call carries; as `server ADDRESS` it serves, else it calls."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from aixgo import Message
from aixgo.rpc import codec
from aixgo.v1 import message_pb2
from tests.benchmarks.side import Call, measure

METHOD = "/benchmark.Echo/Execute"


class Echo(grpc.GenericRpcHandler):
    """Answers every method with the message it got."""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(
            self.echo,
            request_deserializer=message_pb2.Message.FromString,
            response_serializer=message_pb2.Message.SerializeToString,
        )

    async def echo(
        self, request: message_pb2.Message, context: grpc.aio.ServicerContext
    ) -> message_pb2.Message:
        return request


async def serve(address: str) -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Echo(),))
    server.add_insecure_port(address)
    await server.start()
    await server.wait_for_termination()


@asynccontextmanager
async def raw() -> AsyncIterator[Call]:
    message = codec.to_proto(Message("hello"))
    async with grpc.aio.insecure_channel(sys.argv[1]) as channel:
        await channel.channel_ready()
        echo = channel.unary_unary(
            METHOD,
            request_serializer=message_pb2.Message.SerializeToString,
            response_deserializer=message_pb2.Message.FromString,
        )
        yield lambda: echo(message, timeout=60)


if __name__ == "__main__":
    if sys.argv[1] == "server":
        asyncio.run(serve(sys.argv[2]))
    else:
        measure(raw)
