"""A server that says what a test tells it to, byte by byte, and notes what it was asked.

It knows no vendor's API: what it sends is made by `dialects`. For everything a vendor's server does only on a bad
day: errors, silence, half an answer, garbage.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Self

FIRST_TOKENS = 5  # of a `Talk`, before it has to be let go on


class Act(Enum):
    """What the server does between two pieces of its answer."""

    HANG = "wait until the client leaves"
    CUT = "break the connection"


@dataclass(frozen=True)
class Talk:
    """A token said over and over until the client leaves: a few, and once `WireServer.unbridled` is set, no end."""

    token: bytes


@dataclass
class Asked:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class Answer:
    """One answer: `pieces` are written one by one, each a chunk of the body."""

    pieces: Sequence[bytes | Act | Talk]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: str = "application/json"


def as_json(value: object, status: int = 200, **headers: str) -> Answer:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer([json.dumps(value).encode()], status, named)


def as_events(*pieces: bytes | Act | Talk) -> Answer:
    return Answer(pieces, kind="text/event-stream")


class WireServer:
    """Answers each request with the next of `answers`; the last one stays."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.decide: Callable[[Asked], Answer] | None = None
        """Asked instead of `answers`, for requests that come in no certain order."""
        self.asked: list[Asked] = []
        self.left = asyncio.Event()
        """Set when a client closed its connection before its answer was complete."""
        self.started = asyncio.Event()
        """Set when a request arrived."""
        self.tokens = 0
        """How many a `Talk` has said."""
        self.unbridled = asyncio.Event()
        """Lets a `Talk` go on for ever."""
        self.connections = 0
        """How many were made to it."""
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.WriteTransport] = set()
        self._serving: set[asyncio.Task[object]] = set()

    def forget(self) -> None:
        """Start again: no answers, nothing asked."""
        self.answers.clear()
        self.decide = None
        self.asked.clear()
        self.left.clear()
        self.started.clear()
        self.unbridled.clear()
        self.tokens = 0

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for transport in tuple(self._open):
            transport.abort()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        self._open.add(writer.transport)
        try:
            while await self._exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client is gone, which is its right
        finally:
            self._open.discard(writer.transport)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.asked.append(Asked(first.split()[1], headers, json.loads(body or b"{}")))
        self.started.set()
        if self.decide is not None:
            answer = self.decide(self.asked[-1])
        else:
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        lines = [f"HTTP/1.1 {answer.status} X", f"content-type: {answer.kind}"]
        lines += ["transfer-encoding: chunked"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        try:
            return await self._say(answer, lines, reader, writer)
        except ConnectionError:
            self.left.set()
            raise

    async def _say(
        self,
        answer: Answer,
        head: list[str],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """Write the answer; False if the connection is of no more use."""
        if answer.pieces[:1] != [Act.HANG]:
            writer.write("\r\n".join([*head, "", ""]).encode())
        for piece in answer.pieces:
            if piece is Act.CUT:
                writer.transport.abort()
                return False
            if piece is Act.HANG:
                await reader.read()
                self.left.set()
                return False
            if isinstance(piece, Talk):
                await self._talk(piece.token, reader, writer)
                self.left.set()
                return False
            assert isinstance(piece, bytes)
            await _chunk(piece, writer)
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    async def _talk(
        self, token: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Say `token` for as long as there is a client to hear it."""
        gone = asyncio.create_task(reader.read())
        bridled = asyncio.create_task(self.unbridled.wait())
        try:
            while not gone.done():
                if self.tokens >= FIRST_TOKENS and not bridled.done():
                    await asyncio.wait((gone, bridled), return_when=asyncio.FIRST_COMPLETED)
                else:
                    await _chunk(token, writer)
                    self.tokens += 1
        finally:
            gone.cancel()
            bridled.cancel()
            await asyncio.gather(gone, bridled, return_exceptions=True)


async def _chunk(piece: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
    await writer.drain()
    await asyncio.sleep(0)  # a chunk is a packet of its own, as far as the loop decides it
