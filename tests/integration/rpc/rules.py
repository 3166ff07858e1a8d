"""The rules of `Connect`, read a second time: what a server may say to the frames of a client.

`ClientRules` judges frames as bytes, so it also knows what a damaged frame means. Where the outcome depends on
what the server has done meanwhile (granted a credit, ended a call), it says what may be instead of
what must. `ServerRules` judges what the server wrote. Made from the proto's comments, not from the code.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import grpc
from google.protobuf.message import DecodeError

from aixgo.v1 import agent_service_pb2 as pb
from tests.integration.rpc.raw_client import MAX_TRANSFER

__all__ = ["ClientRules", "Opened", "ServerRules"]

MALFORMED = grpc.StatusCode.INVALID_ARGUMENT
TOO_MUCH = grpc.StatusCode.RESOURCE_EXHAUSTED
OTHER_VERSION = grpc.StatusCode.UNIMPLEMENTED

OF_CONNECTION = {"hello", "ping", "go_away"}
OF_SERVER = {"admitted", "chunk", "delivery", "reply", "status"}
PING_BURST = 100


class _BrokenError(Exception):
    def __init__(self, code: grpc.StatusCode) -> None:
        self.code = code


@dataclass(slots=True)
class Opened:
    """One call the client opened."""

    method: int | None = None
    """None while its request is still in transfer."""
    total: int = 0
    data: bytearray = field(default_factory=bytearray)
    chunks: int = 0
    """Chunks it may have been sent at most."""
    piece_bytes: int = 0
    cancelled: bool = False


class ClientRules:
    """What a client wrote so far, and how the server may or must have ended the RPC for it."""

    def __init__(self, limits: pb.Hello) -> None:
        self._limits = limits
        self._greeted = False
        self._highest = 0
        self._pings = 0
        self.hello = pb.Hello()
        self.opened: dict[int, Opened] = {}
        self.must: grpc.StatusCode | None = None
        """The status the RPC ends with, because a rule was broken; what follows does not count."""
        self.may: set[grpc.StatusCode] = set()
        """Statuses it may have ended with before, depending on timing."""

    def take(self, body: bytes) -> None:
        """Judge one more frame."""
        if self.must is None:
            try:
                self._frame(body)
            except _BrokenError as exc:
                self.must = exc.code

    def _frame(self, body: bytes) -> None:
        if len(body) > self._limits.max_frame_bytes:
            raise _BrokenError(TOO_MUCH)
        try:
            envelopes = pb.ConnectRequest.FromString(body).envelopes
        except DecodeError:
            raise _BrokenError(MALFORMED) from None
        if len(envelopes) > self._limits.max_frame_envelopes:
            raise _BrokenError(TOO_MUCH)
        if not self._greeted:
            self._greet(list(envelopes))
            return
        for envelope in envelopes:
            self._envelope(envelope)

    def _greet(self, envelopes: list[pb.Envelope]) -> None:
        if len(envelopes) != 1 or envelopes[0].WhichOneof("frame") != "hello" or envelopes[0].call:
            raise _BrokenError(MALFORMED)
        self.hello = envelopes[0].hello
        if self.hello.version != 1:
            raise _BrokenError(OTHER_VERSION)
        if (
            self.hello.max_frame_envelopes < 16
            or self.hello.max_frame_bytes < 65_536
            or self.hello.chunk_window < 1
        ):
            raise _BrokenError(MALFORMED)
        self._greeted = True

    def _envelope(self, envelope: pb.Envelope) -> None:
        kind = envelope.WhichOneof("frame")
        if kind is None:
            return
        if kind in OF_SERVER or kind == "hello":
            raise _BrokenError(MALFORMED)
        if (kind in OF_CONNECTION) != (envelope.call == 0):
            raise _BrokenError(MALFORMED)
        match kind:
            case "ping":
                self._ping(envelope.ping)
            case "request":
                self._request(envelope)
            case "piece":
                self._piece(envelope.call, envelope.piece)
            case "credit" | "cancel" if envelope.call > self._highest:
                raise _BrokenError(MALFORMED)
            case "credit" if envelope.call in self.opened:
                self._credit(self.opened[envelope.call], envelope.credit)
            case "cancel" if envelope.call in self.opened:
                self.opened[envelope.call].cancelled = True

    def _ping(self, ping: pb.Ping) -> None:
        self._pings += not ping.answer
        if self._pings > PING_BURST:
            self.may.add(TOO_MUCH)

    def _request(self, envelope: pb.Envelope) -> None:
        self._begin(self._open(envelope.call), envelope.request)

    def _begin(self, call: Opened, request: pb.Request) -> None:
        call.method = request.method
        call.chunks += 1 if request.method == pb.METHOD_RECEIVE else self.hello.chunk_window

    def _open(self, number: int) -> Opened:
        if number <= self._highest:
            raise _BrokenError(MALFORMED)
        self._highest = number
        self.opened[number] = call = Opened()
        if len(self.opened) > self._limits.max_concurrent_calls:
            self.may.add(TOO_MUCH)
        return call

    def _piece(self, number: int, piece: pb.Piece) -> None:
        if number > self._highest:
            if piece.data or not piece.total_bytes:
                raise _BrokenError(MALFORMED)
            if piece.total_bytes > MAX_TRANSFER:
                raise _BrokenError(TOO_MUCH)
            self._open(number).total = piece.total_bytes
            return
        call = self.opened.get(number)
        if call is None:
            if piece.total_bytes:  # too late to open it, and too early to cross its end
                self.may.add(MALFORMED)
            return
        if call.cancelled or call.method is not None:
            self.may.update((MALFORMED, TOO_MUCH))  # against the rules unless it has ended
            return
        self.may.add(TOO_MUCH)  # unless the credit was there
        if piece.total_bytes or not piece.data:
            raise _BrokenError(MALFORMED)
        if len(call.data) + len(piece.data) > call.total:
            raise _BrokenError(TOO_MUCH)
        call.data += piece.data
        if len(call.data) == call.total:
            self._whole(number, call)

    def _whole(self, number: int, call: Opened) -> None:
        try:
            envelope = pb.Envelope.FromString(bytes(call.data))
        except DecodeError:
            raise _BrokenError(MALFORMED) from None
        if envelope.call != number or envelope.WhichOneof("frame") != "request":
            raise _BrokenError(MALFORMED)
        self._begin(call, envelope.request)

    def _credit(self, call: Opened, credit: pb.Credit) -> None:
        call.chunks += credit.chunks
        call.piece_bytes += credit.piece_bytes
        if call.chunks >= 2**31 or call.piece_bytes >= 2**31:
            self.may.update((MALFORMED, TOO_MUCH))


class ServerRules:
    """What the server wrote, held against what the client wrote; breaking a rule is an AssertionError."""

    def __init__(self, client: ClientRules) -> None:
        self._client = client
        self._greeted = False
        self._admitted: set[int] = set()
        self._transfers: dict[int, tuple[int, bytearray]] = {}
        self.ended: dict[int, str] = {}
        """How each call ended."""

    def take(self, body: bytes) -> None:
        """Judge one more frame."""
        envelopes = pb.ConnectResponse.FromString(body).envelopes
        if not self._greeted:
            (only,) = envelopes
            assert only.WhichOneof("frame") == "hello"
            self._greeted = True
            return
        limits = self._client.hello
        assert not limits.max_frame_bytes or len(body) <= limits.max_frame_bytes
        assert not limits.max_frame_envelopes or len(envelopes) <= limits.max_frame_envelopes
        for envelope in envelopes:
            self._envelope(envelope)

    def _envelope(self, envelope: pb.Envelope) -> None:
        kind = envelope.WhichOneof("frame")
        if kind in ("ping", "go_away"):
            assert envelope.call == 0
            return
        call = self._client.opened.get(envelope.call)
        assert call is not None, f"{kind} for a call nobody made: {envelope.call}"
        assert envelope.call not in self.ended, f"{kind} after the end of {envelope.call}"
        if envelope.call in self._transfers:
            assert kind in ("piece", "credit", "status"), f"{kind} during a transfer"
        match kind:
            case "credit":
                assert envelope.credit.piece_bytes <= MAX_TRANSFER
            case "piece":
                self._piece(envelope.call, envelope.piece, call)
            case "admitted":
                assert envelope.call not in self._admitted
                assert call.method == pb.METHOD_EXECUTE_STREAM
                self._admitted.add(envelope.call)
            case "chunk" | "delivery":
                self._chunk(envelope.call, kind, call)
            case "reply" | "status":
                self._end(envelope, kind, call)
            case _:
                raise AssertionError(f"a server sent {kind}")

    def _piece(self, number: int, piece: pb.Piece, call: Opened) -> None:
        if number not in self._transfers:
            assert piece.total_bytes <= MAX_TRANSFER
            assert piece.total_bytes > 0
            assert not piece.data
            self._transfers[number] = (piece.total_bytes, bytearray())
            return
        total, data = self._transfers[number]
        assert piece.data
        assert not piece.total_bytes
        assert len(piece.data) <= call.piece_bytes, "more than was granted"
        call.piece_bytes -= len(piece.data)
        data += piece.data
        assert len(data) <= total
        if len(data) == total:
            del self._transfers[number]
            whole = pb.Envelope.FromString(bytes(data))
            assert whole.call == number
            self._envelope(whole)

    def _chunk(self, number: int, kind: str, call: Opened) -> None:
        if kind == "chunk":
            assert number in self._admitted, "a chunk before `admitted`"
        else:
            assert call.method == pb.METHOD_RECEIVE
        assert call.chunks > 0, "more than was granted"
        call.chunks -= 1

    def _end(self, envelope: pb.Envelope, kind: str, call: Opened) -> None:
        self._transfers.pop(envelope.call, None)
        if kind == "status":
            assert envelope.status.code != 0, "a status that is no failure"
        elif call.method == pb.METHOD_EXECUTE_STREAM:
            assert envelope.call in self._admitted, "a final message before `admitted`"
        else:
            assert call.method in (pb.METHOD_EXECUTE, pb.METHOD_SEND)
        self.ended[envelope.call] = kind
