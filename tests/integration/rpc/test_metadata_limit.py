"""gRPC metadata over the limit ends its own call and nobody else's."""

import grpc
import pytest

from aixgo import DistributedRuntime, Message, agent
from aixgo.context import CallContext, SystemClock
from aixgo.rpc.codec import fill_context, fill_message
from aixgo.v1 import agent_service_pb2 as pb


@agent
async def echo(text: str) -> str:
    return text


async def test_metadata_over_the_limit_is_refused_and_others_are_served() -> None:
    clock = SystemClock()
    request = pb.ExecuteRequest(target="echo")
    fill_message(request.message, Message("hello"))
    fill_context(request.envelope, CallContext("echo", clock.monotonic() + 5, clock))
    async with (
        DistributedRuntime(echo, address="127.0.0.1:0") as server,
        grpc.aio.insecure_channel(server.address) as channel,
        DistributedRuntime(peers={"echo": server.address}) as rt,
    ):
        execute = channel.unary_unary(
            "/aixgo.v1.AgentService/Execute",
            request_serializer=pb.ExecuteRequest.SerializeToString,
            response_deserializer=pb.ExecuteResponse.FromString,
        )
        assert (await execute(request, metadata=(("x-note", "n" * 8_000),))).message.text == "hello"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await execute(request, metadata=(("x-note", "n" * 100_000),), timeout=5)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (await rt.call("echo", "still served", timeout=5)).text == "still served"
        assert (await execute(request)).message.text == "hello"
