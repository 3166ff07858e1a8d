"""A server that describes itself correctly and plays a script on `Connect`, for tests of a real link.

It is made from the contract alone: grpc.aio, the generated messages, and the proto's comments.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc

from aixgo.v1 import agent_service_pb2 as pb
from aixgo.v1 import message_pb2

__all__ = ["Peer", "RawServer", "Script", "answer", "behave", "raw_server"]

BOUND = 3.0  # seconds a client may take for what it owes
OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))

Rpc = grpc.aio.ServicerContext[bytes, bytes]


class Peer:
    """One `Connect` RPC, as its script sees it."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._unread: list[pb.Envelope] = []
        self.theirs = pb.Hello()
        """What the client said first."""

    async def introduce(self, **changes: object) -> None:
        """Exchange Hellos; `changes` are fields of ours."""
        fields: dict[str, object] = {
            "version": 1,
            "instance": "raw",
            "max_concurrent_calls": 100,
            "max_frame_envelopes": 1024,
            "max_frame_bytes": 4 * 1024 * 1024,
            "chunk_window": 16,
            **changes,
        }
        await self.write(pb.Envelope(hello=pb.Hello(**fields)))  # type: ignore[arg-type]
        self.theirs = (await self.until("hello")).hello

    async def write(self, *envelopes: pb.Envelope) -> None:
        """Write one frame."""
        await self.write_bytes(pb.ConnectResponse(envelopes=envelopes).SerializeToString())

    async def write_bytes(self, body: bytes) -> None:
        """Write `body` as one frame."""
        await self._rpc.write(body)

    async def read(self) -> pb.Envelope | None:
        """The next envelope, or None when the client closed its side."""
        while not self._unread:
            body = await self._rpc.read()
            if not isinstance(body, bytes):
                return None
            self._unread.extend(pb.ConnectRequest.FromString(body).envelopes)
        return self._unread.pop(0)

    async def until(self, kind: str) -> pb.Envelope:
        """The next envelope of that kind; pings are answered, and what else comes before it is dropped."""
        while (envelope := await self.read()) is not None:
            if envelope.WhichOneof("frame") == "ping" and not envelope.ping.answer:
                envelope.ping.answer = True
                await self.write(envelope)
            elif envelope.WhichOneof("frame") == kind:
                return envelope
        raise AssertionError(f"the client closed its side before any {kind}")

    async def wait(self) -> None:
        """Read until the client closes its side or cancels the RPC."""
        while await self.read() is not None:
            pass


Script = Callable[[Peer], Awaitable[None]]


class RawServer:
    """What a test sees of the server."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.opened = 0
        """`Connect` RPCs so far."""
        self.executed = 0
        """`Execute` RPCs so far."""
        self.over: asyncio.Queue[int] = asyncio.Queue()
        """The numbers (from 0) of the `Connect` RPCs that have ended."""
        self.failures: list[BaseException] = []
        """What scripts raised, each a broken expectation of the client."""

    async def left(self) -> int:
        """The number of the next `Connect` RPC that ends; `Peer.wait` ends it when the client does."""
        async with asyncio.timeout(BOUND):
            return await self.over.get()


def answer(asked: pb.Envelope) -> pb.Envelope:
    """The reply that `echo` gives."""
    return pb.Envelope(call=asked.call, reply=pb.Reply(message=asked.request.message))


async def behave(peer: Peer) -> None:
    """Answer every call as `echo` would, until the client closes its side."""
    await peer.introduce()
    while (envelope := await peer.read()) is not None:
        match envelope.WhichOneof("frame"):
            case "request":
                await peer.write(answer(envelope))
            case "ping" if not envelope.ping.answer:
                envelope.ping.answer = True
                await peer.write(envelope)


@asynccontextmanager
async def raw_server(*scripts: Script | None) -> AsyncIterator[RawServer]:
    """A server whose n-th `Connect` RPC plays the n-th script, and the last one from then on.

    None stands for a server without `Connect`: UNIMPLEMENTED without a detail.
    """
    server = grpc.aio.server(options=OPTIONS)
    seen = RawServer("")

    async def connect(_: object, rpc: Rpc) -> None:
        number, seen.opened = seen.opened, seen.opened + 1
        script = scripts[min(number, len(scripts) - 1)]
        if script is None:
            await rpc.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
        # A cancelled RPC looks to a read like one whose client has closed its side.
        rpc.add_done_callback(lambda _: seen.over.put_nowait(number))
        try:
            await script(Peer(rpc))
        except grpc.aio.BaseError:  # a write or read of ours met the end of the RPC
            return
        except Exception as exc:
            seen.failures.append(exc)
            raise

    async def execute(body: bytes, rpc: Rpc) -> bytes:
        seen.executed += 1
        asked = pb.ExecuteRequest.FromString(body)
        return pb.ExecuteResponse(message=asked.message).SerializeToString()

    methods = {
        "Connect": grpc.stream_stream_rpc_method_handler(connect),
        "Execute": grpc.unary_unary_rpc_method_handler(execute),
        "Describe": grpc.unary_unary_rpc_method_handler(_describe),
    }
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("aixgo.v1.AgentService", methods),)
    )
    seen.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield seen
    finally:
        await server.stop(None)


async def _describe(body: bytes, rpc: Rpc) -> bytes:
    pb.DescribeRequest.FromString(body)
    about = pb.AgentDescription(name="echo", role="echoes", kind="agent", ready=True)
    described = pb.DescribeResponse(version=1, instance="raw", implementation="raw", agents=[about])
    return described.SerializeToString()


def message(text: str) -> message_pb2.Message:
    """A message that holds `text`."""
    return message_pb2.Message(text=text)
