"""What passes over the wire, counted and, when asked for, shown: never a payload.

`AIXGO_WIRE=debug` logs one line per frame on the logger `aixgo.wire`. Without it a frame costs a few
additions and a test for None.

Below: nothing of ours. Above: conduit, stream, server; the runtime adds up the counters of its links.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypedDict

if TYPE_CHECKING:
    from aixgo.v1 import agent_service_pb2 as pb

__all__ = ["Queue", "Traffic", "WireMetrics", "WireView", "wire_view"]

log = logging.getLogger("aixgo.wire")

SWITCH = "AIXGO_WIRE"
SHOWN = 24  # envelopes of one frame that are listed; the rest is counted


class WireMetrics(TypedDict):
    """Counters of all connections since the start, and gauges of this moment."""

    connections: int
    """Open now, to peers and from peers."""
    connections_opened: int
    frames_sent: int
    frames_received: int
    envelopes_sent: int
    envelopes_received: int
    bytes_sent: int
    bytes_received: int
    queued_envelopes: int
    """Waiting to be written now."""
    queued_bytes: int
    stalls_room: int
    """How often a sender waited for room in a queue."""
    stalls_place: int
    """How often a call waited for a place among those of its connection."""
    stalls_credit: int
    """How often a stream or a transfer waited for its reader."""
    credits_granted: int
    """Chunks that readers here allowed their senders."""
    strays: int
    """Envelopes that came for a call that had ended, and were dropped."""


class Queue(Protocol):
    """What waits to be written on one connection."""

    @property
    def bytes(self) -> int: ...

    def __len__(self) -> int: ...


class Traffic:
    """The counters of one link or server; a new one counts nothing yet."""

    def __init__(self) -> None:
        self.connections_opened = 0
        self.frames_sent = 0
        self.frames_received = 0
        self.envelopes_sent = 0
        self.envelopes_received = 0
        self.bytes_sent = 0
        self.bytes_received = 0
        self.stalls_room = 0
        self.stalls_place = 0
        self.stalls_credit = 0
        self.credits_granted = 0
        self.strays = 0
        self.queues: set[Queue] = set()
        """Of the connections that are open."""

    def metrics(self) -> WireMetrics:
        queues = tuple(self.queues)  # whoever shows metrics reads in a thread
        return {
            "connections": len(queues),
            "connections_opened": self.connections_opened,
            "frames_sent": self.frames_sent,
            "frames_received": self.frames_received,
            "envelopes_sent": self.envelopes_sent,
            "envelopes_received": self.envelopes_received,
            "bytes_sent": self.bytes_sent,
            "bytes_received": self.bytes_received,
            "queued_envelopes": sum(len(queue) for queue in queues),
            "queued_bytes": sum(queue.bytes for queue in queues),
            "stalls_room": self.stalls_room,
            "stalls_place": self.stalls_place,
            "stalls_credit": self.stalls_credit,
            "credits_granted": self.credits_granted,
            "strays": self.strays,
        }

    def add(self, other: Traffic) -> None:
        """Count what `other` counted, a connection that is no more."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def stalled_for_room(self) -> None:
        self.stalls_room += 1

    def stalled_for_place(self) -> None:
        self.stalls_place += 1


_COUNTS = tuple(name for name, value in vars(Traffic()).items() if isinstance(value, int))


class WireView:
    """Logs the frames of one connection."""

    def __init__(self, peer: str) -> None:
        self._peer = peer

    def sent(self, body: bytes, parse: Callable[[bytes], pb.ConnectRequest]) -> None:
        self._show("->", len(body), parse(body))

    def received(self, size: int, frame: pb.ConnectRequest) -> None:
        self._show("<-", size, frame)

    def ended(self, reason: str) -> None:
        log.debug("-- %s %s", self._peer, reason)

    def _show(self, arrow: str, size: int, frame: pb.ConnectRequest) -> None:
        shown = [_name(envelope) for envelope in frame.envelopes[:SHOWN]]
        if len(frame.envelopes) > SHOWN:
            shown.append(f"and {len(frame.envelopes) - SHOWN} more")
        log.debug("%s %s %d B: %s", arrow, self._peer, size, ", ".join(shown))


def _name(envelope: pb.Envelope) -> str:
    """Such as "request#7 upper 204 B": what it is, whose, and how large."""
    kind = envelope.WhichOneof("frame") or "unknown"
    call = f"#{envelope.call}" if envelope.call else ""
    what = ""
    if kind == "request":
        what = f" {envelope.request.target!r}"
    elif kind == "status":
        what = f" {envelope.status.error.kind or 'cancelled'}"
    elif kind == "credit":
        what = f" {envelope.credit.chunks} chunks, {envelope.credit.piece_bytes} bytes"
    return f"{kind}{call}{what} {envelope.ByteSize()} B"


def wire_view(peer: str) -> WireView | None:
    """A view of the connection with `peer` if `AIXGO_WIRE=debug` asks for one.

    Where nobody has configured logging, the lines go to standard error.
    """
    if os.environ.get(SWITCH, "").lower() != "debug":
        return None
    log.setLevel(logging.DEBUG)
    if not log.hasHandlers():
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s"))
        log.addHandler(handler)
    return WireView(peer)
