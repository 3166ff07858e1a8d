"""The same envelopes over plain TCP, each behind its length: what Python can do at best.

`server` serves and prints its address; ADDRESS calls. What is written in one turn of the loop leaves in one piece.
There are no tasks, no limits, no deadlines and no errors.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

from aixgo.v1 import agent_service_pb2 as pb
from aixgo.v1 import message_pb2
from tests.benchmarks.side import Call, Work, measure, run, works_of
from tests.benchmarks.sides.raw import answer, reply_to, request_of


class Envelopes(asyncio.Protocol):
    """Reads and writes envelopes behind their lengths."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._outgoing: list[bytes] = []
        self._transport: asyncio.Transport
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        start = 0
        while len(self._buffer) >= start + 4:
            end = start + 4 + int.from_bytes(self._buffer[start : start + 4])
            if end > len(self._buffer):
                break
            self.received(pb.Envelope.FromString(bytes(self._buffer[start + 4 : end])))
            start = end
        del self._buffer[:start]

    def write(self, envelope: pb.Envelope) -> None:
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        body = envelope.SerializeToString()
        self._outgoing += (len(body).to_bytes(4), body)

    def received(self, envelope: pb.Envelope) -> None:
        raise NotImplementedError

    def _flush(self) -> None:
        self._transport.write(b"".join(self._outgoing))
        self._outgoing.clear()


class Server(Envelopes):
    def __init__(self) -> None:
        super().__init__()
        self._running: set[asyncio.Task[None]] = set()

    def received(self, envelope: pb.Envelope) -> None:
        if envelope.request.target == "echo":
            self.write(reply_to(envelope.call, envelope.request.message))
        else:
            task = asyncio.create_task(self._execute(envelope))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _execute(self, envelope: pb.Envelope) -> None:
        message = await answer(envelope.request.target, envelope.request.message)
        self.write(reply_to(envelope.call, message))


class Client(Envelopes):
    def __init__(self) -> None:
        super().__init__()
        self._waiting: dict[int, asyncio.Future[message_pb2.Message]] = {}
        self._number = 0

    def call(self, request: pb.Request) -> asyncio.Future[message_pb2.Message]:
        self._number += 1
        reply = self._waiting[self._number] = self._loop.create_future()
        self.write(pb.Envelope(call=self._number, request=request))
        return reply

    def received(self, envelope: pb.Envelope) -> None:
        self._waiting.pop(envelope.call).set_result(envelope.reply.message)


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    print(f"{host}:{port}", flush=True)
    await server.serve_forever()


@asynccontextmanager
async def connected() -> AsyncIterator[Mapping[str, Work]]:
    host, port = sys.argv[1].split(":")
    transport, client = await asyncio.get_running_loop().create_connection(Client, host, int(port))

    def prepare(target: str, text: str) -> Call:
        request = request_of(target, text)
        return lambda: client.call(request)

    yield works_of(prepare, lambda reply: cast("message_pb2.Message", reply).text)
    transport.close()


if __name__ == "__main__":
    if sys.argv[1] == "server":
        run(serve())
    else:
        measure(connected)
