"""The connections of one server: how many there may be, how long they last, and how they end.

Below: multiplex. Above: server.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time

import grpc

from aixgo.context import TimerHandle
from aixgo.errors import AixgoError, LimitExceeded
from aixgo.rpc.desk import Desk
from aixgo.rpc.frames import Limits
from aixgo.rpc.multiplex import CLEANUP, LINGER, ServedConnection
from aixgo.rpc.options import WireSettings
from aixgo.rpc.status import status_of
from aixgo.rpc.traffic import Traffic
from aixgo.rpc.transfers import Pool

__all__ = ["Connections"]

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 4_096  # of one server; each is one client process
MAX_POOL = 512 * 1024 * 1024  # bytes the transfers of all connections may announce at a time
CHECK_INTERVAL = 10.0  # seconds between looks whether the clients read

Rpc = grpc.aio.ServicerContext[bytes, bytes]


class Connections:
    """The `Connect` RPCs of one server."""

    def __init__(self, desk: Desk, settings: WireSettings) -> None:
        self.traffic = Traffic()
        self._desk = desk
        self._limits = Limits(calls=settings.max_concurrent_calls)
        self._max_age = settings.max_connection_age
        self._pool = Pool(MAX_POOL)
        self._open: dict[asyncio.Task[object], ServedConnection] = {}
        self._timer: TimerHandle | None = None

    async def serve(self, rpc: Rpc, peer: str = "") -> None:
        """Serve one client until it leaves; `peer` is who its certificate names."""
        task = asyncio.current_task()
        assert task is not None, "gRPC serves each RPC in a task"
        if len(self._open) >= MAX_CONNECTIONS:
            await _end(rpc, LimitExceeded("connections", MAX_CONNECTIONS, "Connect"))
        connection = ServedConnection(rpc, self._desk, self._limits, self.traffic, self._pool, peer)
        self._open[task] = connection
        if self._timer is None:
            self._check()
        rotation = None
        if not math.isinf(self._max_age):
            age = self._max_age * random.uniform(0.9, 1.1)
            clock = self._desk.host.clock
            rotation = clock.call_later(age, lambda: connection.send_away("rotation"))
        try:
            error = await connection.run()
            if error is not None:
                log.warning("ended the connection of %s: %s", rpc.peer(), error)
                await _end(rpc, error)
        finally:
            del self._open[task]
            if rotation is not None:
                rotation.cancel()

    def _check(self) -> None:
        """Look at every connection now and then, while there are any."""
        for connection in self._open.values():
            connection.check_written()
        clock = self._desk.host.clock
        self._timer = clock.call_later(CHECK_INTERVAL, self._check) if self._open else None

    def drain(self) -> None:
        """Ask every client to call elsewhere."""
        for connection in self._open.values():
            connection.send_away("draining")

    async def end(self, grace: float) -> None:
        """Wait until the clients have left, at most `grace` seconds, then end what is left."""
        self.drain()
        latest = time.monotonic() + grace
        while self._open and (left := latest - time.monotonic()) > 0:
            idle = all(connection.idle for connection in self._open.values())
            limit = min(left, LINGER) if idle else left
            done, _ = await asyncio.wait(
                self._open, timeout=limit, return_when=asyncio.FIRST_COMPLETED
            )
            if not done and idle:
                break
        for connection in self._open.values():
            connection.over(None)
        if self._open:
            await asyncio.wait(self._open, timeout=CLEANUP)
        if self._timer is not None:
            self._timer.cancel()


async def _end(rpc: Rpc, error: AixgoError) -> None:
    """End an RPC with the status of `error`; never returns."""
    about = status_of(error)
    await rpc.abort(about.code, about.details, about.trailing_metadata)
