"""The connection to one peer address: reaching it, knowing who answers, noticing that it went away.

A call must know whether it was sent: what fails before the connection stands certainly did not start.
So nothing is sent until gRPC reports the channel READY and the peer has said who it is, once per
connection, because after an outage another process may answer at the same address.

Below: credentials, symptoms, status, descriptions, options. Above: unary, and any other transport over gRPC.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine

import grpc

from aixgo.errors import (
    AixgoError,
    IncompatiblePeer,
    RuntimeClosed,
    Unauthenticated,
    Unavailable,
)
from aixgo.rpc.addresses import parse_address
from aixgo.rpc.base import SERVICE, WIRE_VERSION, PeerInfo
from aixgo.rpc.codec import parse
from aixgo.rpc.credentials import PLAIN, Credentials
from aixgo.rpc.descriptions import read_description
from aixgo.rpc.options import WireSettings
from aixgo.rpc.status import read_failure
from aixgo.rpc.symptoms import symptom
from aixgo.v1 import agent_service_pb2 as pb

__all__ = ["PeerChannel", "being_cancelled"]

UnaryCallable = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
StreamCallable = grpc.aio.UnaryStreamMultiCallable[bytes, bytes]
ConnectCall = grpc.aio.StreamStreamCall[bytes, bytes]
Closing = Callable[[], Coroutine[object, object, None]]

ASK_AGAIN = 1.0  # seconds a peer that drains is believed to


class PeerChannel:
    """One gRPC channel, replaced when its peer went away. Belongs to the loop of its first use.

    Args:
        address: of the peer.
        settings: of the connection.
        credentials: what we show and ask for.
        name: the host the address was looked up by, if it was.
    """

    def __init__(
        self,
        address: str,
        settings: WireSettings,
        credentials: Credentials = PLAIN,
        name: str = "",
    ) -> None:
        self._address = parse_address(address)
        credentials.check(self._address, "connecting to")
        self.address = address
        self.metadata = credentials.metadata
        """What goes with every RPC."""
        self.info: PeerInfo | None = None
        """What the peer said last; kept while it is away."""
        self._credentials = credentials
        self._name = name
        self._settings = settings
        self._channel: grpc.aio.Channel | None = None
        self._unary: dict[str, UnaryCallable] = {}
        """The channel's methods, made on first use."""
        self._known = False
        """Whether `info` is about the connection that stands now."""
        self._told_at = 0.0
        self._refusal: Callable[[str], AixgoError] = Unavailable
        self._reaching: asyncio.Task[bool] | None = None
        self._closed = False

    def unary(self, method: str) -> UnaryCallable:
        """The unary method of that name, over bytes."""
        channel = self._open()
        found = self._unary.get(method)
        if found is None:
            found = self._unary[method] = channel.unary_unary(f"/{SERVICE}/{method}")
        return found

    def streaming(self, method: str) -> StreamCallable:
        """The server-streaming method of that name, over bytes."""
        return self._open().unary_stream(f"/{SERVICE}/{method}")

    def connecting(self) -> ConnectCall:
        """A new RPC that carries many calls."""
        return self._open().stream_stream(f"/{SERVICE}/Connect")(metadata=self.metadata)

    def renew(self) -> Closing:
        """Make new RPCs on a new connection; returns what closes the old one, once its RPCs have ended."""
        old, self._channel = self._channel, None
        self._unary.clear()
        self._known = False

        async def close() -> None:
            if old is not None:
                await old.close()

        return close

    async def ready(self, name: str) -> None:
        """Return when a call can be sent; at once while the connection stands.

        Raises:
            Unavailable, IncompatiblePeer, Unauthenticated: it cannot, and nothing was sent; about `name`.
        """
        state = self._open().get_state(try_to_connect=True)
        if self._known and state is _READY:
            return
        self._known = False
        if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE and self._reaching is None:
            raise self._refusal(name)  # gRPC is backing off, 2 s at most, and tries again by itself
        if not await self._reach(self._settings.connect_timeout):
            raise self._refusal(name)

    async def connect(self, timeout: float) -> PeerInfo:
        """Reach the peer now, without regard to an earlier failure, and learn who it is."""
        state = self._open().get_state()
        if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE and self._reaching is None:
            await self._discard()
        try:
            async with asyncio.timeout(timeout):
                reached = await self._reach(timeout)
        except TimeoutError:
            raise Unavailable(self.address, "unreachable: it does not answer") from None
        if not reached or self.info is None:
            raise self._refusal(self.address)
        return self.info

    async def describe(self) -> PeerInfo:
        """Ask the peer who it is.

        Raises:
            Unavailable: it did not answer within `connect_timeout`.
            IncompatiblePeer: another major version, or a gRPC server without this service.
            Unauthenticated: it does not let us in.
        """
        request = pb.DescribeRequest().SerializeToString()
        rpc = self.unary("Describe")(
            request, timeout=self._settings.connect_timeout, metadata=self.metadata
        )
        try:
            info = read_description(parse(pb.DescribeResponse, await rpc))
        except grpc.aio.AioRpcError as exc:
            error, _ = read_failure(exc, self.address)
            if isinstance(error, (IncompatiblePeer, Unauthenticated)):
                raise error from exc
            raise Unavailable(self.address, self._symptom(exc)) from exc
        except asyncio.CancelledError:
            if being_cancelled():
                raise
            raise Unavailable(self.address, "the connection was closed") from None
        finally:
            rpc.cancel()
        if info.version != WIRE_VERSION:
            raise IncompatiblePeer(info.version, WIRE_VERSION)
        self.told(info)
        return info

    def told(self, info: PeerInfo) -> None:
        """Take note of what the peer says about itself."""
        self.info = info
        self._told_at = time.monotonic()

    @property
    def draining(self) -> bool:
        """True for a while after the peer said that it takes no new calls; then it is worth asking again."""
        return (
            self.info is not None
            and self.info.draining
            and time.monotonic() - self._told_at < ASK_AGAIN
        )

    def lost(self) -> None:
        """Take note that a call lost its connection: who answers next has to be asked."""
        self._known = False

    async def aclose(self) -> None:
        """Close the channel; RPCs on it end as cancelled. Twice is fine."""
        self._closed = True
        if self._reaching is not None:
            self._reaching.cancel()
            await asyncio.wait([self._reaching])
        await self._discard()

    def _open(self) -> grpc.aio.Channel:
        if self._closed:
            raise RuntimeClosed(f"no longer connected to {self.address!r}")
        if self._channel is None:
            self._channel = self._credentials.channel(
                self._address, self._name, self._settings.client_options()
            )
        return self._channel

    async def _discard(self) -> None:
        channel, self._channel = self._channel, None
        self._unary.clear()
        self._known = False
        if channel is not None:
            await channel.close()

    async def _reach(self, timeout: float) -> bool:
        """Wait for the one attempt that runs, or start it; whether it reached the peer."""
        if self._reaching is None:
            self._reaching = asyncio.create_task(self._attempt(timeout))
            self._reaching.add_done_callback(self._attempted)
        reaching = self._reaching
        try:
            return await asyncio.shield(
                reaching
            )  # others wait for it too, and it is bounded by itself
        except asyncio.CancelledError:
            if self._closed and reaching.cancelled() and not being_cancelled():
                self._open()  # says that it is closed
            raise

    def _attempted(self, _: object) -> None:
        self._reaching = None

    async def _attempt(self, timeout: float) -> bool:
        try:
            async with asyncio.timeout(timeout):
                return await self._establish()
        except TimeoutError:
            self._refusal = lambda name: Unavailable(name, "unreachable: it does not answer")
        except Unavailable as exc:
            reason = exc.reason
            self._refusal = lambda name: Unavailable(name, reason)
        except AixgoError as exc:
            kind, fields = type(exc), exc.wire_fields()
            self._refusal = lambda _: kind.from_fields(fields)
        return False

    def _symptom(self, exc: grpc.aio.AioRpcError) -> str:
        credentials = self._credentials
        return symptom(
            exc.details() or "",
            name=credentials.name_at(self._address, self._name),
            refused=credentials.refused(self._address),
        )

    async def _establish(self) -> bool:
        channel = self._open()
        while (state := channel.get_state(try_to_connect=True)) is not _READY:
            if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                break  # asking fails at once then, and its text says why
            await channel.wait_for_state_change(state)
        await self.describe()
        self._known = True
        return True


def being_cancelled() -> bool:
    """Whether somebody cancelled the current task, as opposed to something it awaits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


_READY = grpc.ChannelConnectivity.READY
