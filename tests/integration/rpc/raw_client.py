"""A client of `Connect` that does what a test tells it, right or wrong: no numbering, no credits, no manners.

It is made from the contract alone: grpc.aio, the generated messages, and the proto's comments.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Self

import grpc
from grpc._cython import cygrpc

from aixgo.errors import AixgoError
from aixgo.rpc.channel import being_cancelled
from aixgo.rpc.status import read_failure
from aixgo.v1 import agent_service_pb2 as pb
from aixgo.v1 import message_pb2

__all__ = ["CONNECT", "MAX_TRANSFER", "RawClient", "frame", "hello", "raw_client", "request"]

CONNECT = "/aixgo.v1.AgentService/Connect"
MAX_TRANSFER = 65 * 1024 * 1024  # bytes one transfer may hold, as the proto says
BOUND = 10.0  # seconds anything the server owes may take
UNBOUNDED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))

Rpc = grpc.aio.StreamStreamCall[bytes, bytes]


def hello(**changes: object) -> pb.Envelope:
    """The Hello of a client that can take whatever a server of today sends."""
    fields: dict[str, object] = {
        "version": 1,
        "instance": "raw",
        "max_frame_envelopes": 1024,
        "max_frame_bytes": 4 * 1024 * 1024,
        "chunk_window": 16,
        **changes,
    }
    return pb.Envelope(hello=pb.Hello(**fields))  # type: ignore[arg-type]  # names are checked there


def request(
    call: int,
    target: str = "echo",
    text: str = "hello",
    *,
    method: int = pb.METHOD_EXECUTE,
    timeout: float | None = None,
) -> pb.Envelope:
    """A request that a server accepts."""
    made = pb.Request(method=method, target=target, message=message_pb2.Message(text=text))  # type: ignore[arg-type]
    if timeout is not None:
        made.envelope.timeout_nanos = int(timeout * 1e9)
    return pb.Envelope(call=call, request=made)


def frame(*envelopes: pb.Envelope) -> bytes:
    """What is written for `envelopes`."""
    return pb.ConnectRequest(envelopes=envelopes).SerializeToString()


class RawClient:
    """One `Connect` RPC. `raw_client` opens it; every wait is bounded."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._unread: list[pb.Envelope] = []
        self.theirs = pb.Hello()
        """What the server said first."""

    async def write(self, *envelopes: pb.Envelope) -> None:
        """Write one frame."""
        await self.write_bytes(frame(*envelopes))

    async def write_bytes(self, body: bytes) -> None:
        """Write `body` as one frame. Writing to an RPC that has ended is harmless: its status says more.

        `rpc.write` would replace the server's status by INTERNAL when the end comes while it writes.
        """
        async with asyncio.timeout(BOUND):
            await self._rpc._metadata_sent.wait()
            with suppress(cygrpc.InternalError):
                await self._rpc._cython_call.send_serialized_message(body)

    async def read(self) -> pb.Envelope | None:
        """The next envelope, or None when the RPC has ended."""
        while not self._unread:
            body = await self.read_bytes()
            if body is None:
                return None
            self._unread.extend(pb.ConnectResponse.FromString(body).envelopes)
        return self._unread.pop(0)

    async def read_bytes(self) -> bytes | None:
        """The next frame as it came, or None when the RPC has ended."""
        try:
            async with asyncio.timeout(BOUND):
                body = await self._rpc.read()
        except grpc.aio.AioRpcError:
            return None
        except asyncio.CancelledError:
            if being_cancelled():
                raise
            return None  # by `cancel`
        return body if isinstance(body, bytes) else None

    async def until(self, kind: str, call: int = 0) -> pb.Envelope:
        """The next envelope of that kind and call; what comes before it is dropped."""
        while (envelope := await self.read()) is not None:
            if envelope.WhichOneof("frame") == kind and envelope.call == call:
                return envelope
        raise AssertionError(f"no {kind} for call {call}: the RPC ended with {await self.ended()}")

    async def reply(self, call: int) -> str:
        """The text of the reply to `call`."""
        return (await self.until("reply", call)).reply.message.text

    async def ended(self) -> grpc.StatusCode:
        """How the server ended the RPC; reads what is left."""
        while await self.read() is not None:
            pass
        async with asyncio.timeout(BOUND):
            return await self._rpc.code()

    async def error(self) -> AixgoError:
        """The error the server ended the RPC with, as a caller of ours would see it."""
        await self.ended()
        code, text = await self._rpc.code(), await self._rpc.details()
        trailing = await self._rpc.trailing_metadata()
        ended = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, text or "")
        return read_failure(ended, "")[0]

    async def close(self) -> None:
        """Close the client's side; the server may still write."""
        await self._rpc.done_writing()

    def cancel(self) -> None:
        """End the RPC without a goodbye."""
        self._rpc.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cancel()


@asynccontextmanager
async def raw_client(address: str, *, introduced: bool = True) -> AsyncIterator[RawClient]:
    """A connection of its own with one `Connect` RPC, past the Hellos unless `introduced` is False."""
    async with grpc.aio.insecure_channel(address, options=UNBOUNDED) as channel:
        client = RawClient(channel.stream_stream(CONNECT)())
        async with client:
            if introduced:
                await client.write(hello())
                client.theirs = (await client.until("hello")).hello
            yield client
