"""Requests of foreign clients: each an RPC of its own, made by any gRPC client."""

from __future__ import annotations

import grpc
import pytest

from aixgo.context import SystemClock
from aixgo.rpc import base
from aixgo.v1 import agent_service_pb2 as pb
from tests.unit.rpc.small_host import SmallHost, serving


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "INVALID_ARGUMENT"),
        (b"\xff\xff\xff", "INVALID_ARGUMENT"),
        (pb.ExecuteRequest(target="echo").SerializeToString(), "INVALID_ARGUMENT"),
        (pb.ExecuteRequest(message={"text": "hi"}).SerializeToString(), "INVALID_ARGUMENT"),
        (
            pb.ExecuteRequest(
                target="echo", message={"text": "hi"}, envelope={"version": 2}
            ).SerializeToString(),
            "UNIMPLEMENTED",
        ),
        (
            pb.ExecuteRequest(target="nobody", message={"text": "hi"}).SerializeToString(),
            "NOT_FOUND",
        ),
    ],
    ids=["empty", "garbage", "no message", "no target", "version 2", "unknown agent"],
)
async def test_a_bad_request_gets_the_status_of_its_fault(
    host: SmallHost, body: bytes, code: str
) -> None:
    async with serving(host) as (_, bound), grpc.aio.insecure_channel(bound) as channel:
        for method in ("Execute", "Send"):
            if method == "Send" and code == "NOT_FOUND":
                continue
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary(f"/{base.SERVICE}/{method}")(body)
            assert caught.value.code() is grpc.StatusCode[code]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_stream(f"/{base.SERVICE}/ExecuteStream")(body).read()
        assert caught.value.code() is grpc.StatusCode[code]
    assert not [context for context in host.contexts if context.agent == "echo"]


async def test_a_bare_request_is_enough(host: SmallHost) -> None:
    async with serving(host) as (_, bound), grpc.aio.insecure_channel(bound) as channel:
        request = pb.ExecuteRequest(target="echo", message={"text": "hi"})
        body = await channel.unary_unary(f"/{base.SERVICE}/Execute")(request.SerializeToString())
        assert pb.ExecuteResponse.FromString(body).message.text == "hi"
    assert 59 < host.contexts[0].deadline - SystemClock().monotonic() <= 60
