"""What passes over the wire, counted and, when asked for, shown: never a payload.

`AIXGO_WIRE=debug` logs one line per frame on the logger `aixgo.wire`. Without it a frame costs a few
additions and a test for None.

Below: nothing of ours. Above: conduit, stream, server; the runtime adds up the counters of its links.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from aixgo.v1 import agent_service_pb2 as pb

__all__ = ["Traffic", "WireMetrics", "WireView", "wire_view"]

log = logging.getLogger("aixgo.wire")

SWITCH = "AIXGO_WIRE"
SHOWN = 24  # envelopes of one frame that are listed; the rest is counted


class WireMetrics(TypedDict):
    """Counters of all connections since the start, and gauges of this moment."""

    connections: int
    """Open now, to peers and from peers."""
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


class Traffic:
    """The counters of one link or server; a new one counts nothing yet."""

    __slots__ = tuple(WireMetrics.__annotations__)

    connections: int
    frames_sent: int
    frames_received: int
    envelopes_sent: int
    envelopes_received: int
    bytes_sent: int
    bytes_received: int
    queued_envelopes: int
    queued_bytes: int
    stalls_room: int
    stalls_place: int
    stalls_credit: int
    credits_granted: int
    strays: int

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0)

    @staticmethod
    def total(parts: Iterable[Traffic]) -> WireMetrics:
        """All of `parts` added up."""
        listed = tuple(parts)
        sums = {name: sum(getattr(part, name) for part in listed) for name in Traffic.__slots__}
        return WireMetrics(**sums)  # type: ignore[typeddict-item]  # the names are its own


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
