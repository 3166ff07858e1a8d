"""Errors ↔ gRPC statuses: the one place where the two vocabularies meet.

Towards the wire a class carries its own status name (`AixgoError.status`), and its details travel as an
`ErrorDetail` in google.rpc.Status. Back, the detail decides; a status without one was made by gRPC, a
proxy or a foreign server, and `MEANING` says what it means for a call that was sent.

Below: codec, errors. Above: server, unary.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

import grpc
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from grpc_status import rpc_status

from aixgo.errors import (
    AgentExists,
    AgentNotFound,
    AgentRefused,
    AixgoError,
    DeadlineExceeded,
    IncompatiblePeer,
    InvalidMessage,
    LimitExceeded,
    MessageTooLarge,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
)
from aixgo.ledger import Usage
from aixgo.rpc.base import WIRE_VERSION
from aixgo.rpc.codec import error_detail, read_error, read_usage
from aixgo.v1 import agent_service_pb2 as service_pb
from aixgo.v1 import message_pb2 as pb

__all__ = ["ADMITTED", "MEANING", "code_of", "read_end", "read_failure", "status_of"]

ADMITTED = ("aixgo-admitted", "1")  # initial metadata of a stream whose agent has been reached
DETAILS_KEY = "grpc-status-details-bin"
MAX_TEXT = 256  # characters of the status message; the whole text is rebuilt from the detail
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_SIZES = re.compile(r"larger than max \((\d+) vs\.? (\d+)\)")


def status_of(error: AixgoError, usage: Usage | None = None) -> grpc.Status:
    """The status `error` travels under, with its detail and what the call spent before it failed."""
    detail = error_detail(error, usage)
    code = _code(error)
    # The text is that of the rebuilt error: what was written in this process does not leave it.
    status = Status(code=code.value[0], message=str(read_error(detail))[:MAX_TEXT])
    status.details.add().Pack(detail)
    return rpc_status.to_status(status)


def code_of(error: AixgoError) -> int:
    """The google.rpc.Code `error` travels under."""
    number: int = _code(error).value[0]
    return number


def _code(error: AixgoError) -> grpc.StatusCode:
    return grpc.StatusCode.__members__.get(error.status, grpc.StatusCode.INTERNAL)


def read_end(status: service_pb.CallStatus, target: str) -> tuple[AixgoError, Usage | None]:
    """As `read_failure`, for a call that was carried by `Connect`."""
    detail = status.error
    usage = read_usage(detail.usage) if detail.HasField("usage") else None
    if detail.kind:
        return read_error(detail), usage
    code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    return MEANING[code](target, ""), usage


def read_failure(exc: grpc.aio.AioRpcError, target: str) -> tuple[AixgoError, Usage | None]:
    """The error a failed RPC stands for, and what the call spent if the peer said so."""
    detail = _detail(exc.trailing_metadata())
    if detail is not None:
        return read_error(detail), read_usage(detail.usage) if detail.HasField("usage") else None
    return MEANING[exc.code()](target, exc.details() or ""), None


def _detail(metadata: Iterable[tuple[str, str | bytes]] | None) -> pb.ErrorDetail | None:
    for key, value in metadata or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            detail = pb.ErrorDetail()
            try:
                if any(entry.Unpack(detail) for entry in Status.FromString(value).details):
                    return detail
            except DecodeError:  # a foreign server's idea of details; the code still speaks
                return None
    return None


def _lost(reason: str) -> Callable[[str, str], AixgoError]:
    return lambda target, _: Unavailable(target, reason, outcome="unknown")


def _unavailable(target: str, details: str) -> AixgoError:
    if "failed to connect to all addresses" in details:  # said by our own side: nothing was sent
        return Unavailable(target, "unreachable")
    return Unavailable(target, "the connection was lost", outcome="unknown")


def _exhausted(target: str, details: str) -> AixgoError:
    if found := _SIZES.search(details):
        return MessageTooLarge(int(found[1]), int(found[2]))
    return LimitExceeded("a limit of the peer", 0, target)


MEANING: Mapping[grpc.StatusCode, Callable[[str, str], AixgoError]] = {
    grpc.StatusCode.OK: _lost("it answered without a reply"),
    grpc.StatusCode.CANCELLED: _lost("the connection was lost"),
    grpc.StatusCode.UNKNOWN: _lost("it failed without saying why"),
    grpc.StatusCode.INVALID_ARGUMENT: lambda *_: InvalidMessage(expected="what the peer takes"),
    grpc.StatusCode.DEADLINE_EXCEEDED: lambda target, _: DeadlineExceeded(target),
    grpc.StatusCode.NOT_FOUND: lambda target, _: AgentNotFound(target),
    grpc.StatusCode.ALREADY_EXISTS: lambda target, _: AgentExists(target),
    grpc.StatusCode.PERMISSION_DENIED: lambda target, _: PermissionDenied(target),
    grpc.StatusCode.RESOURCE_EXHAUSTED: _exhausted,
    grpc.StatusCode.FAILED_PRECONDITION: lambda *_: AgentRefused(
        "the peer refused, it did not say why"
    ),
    grpc.StatusCode.ABORTED: _lost("it aborted the call"),
    grpc.StatusCode.OUT_OF_RANGE: lambda *_: InvalidMessage(expected="what the peer takes"),
    grpc.StatusCode.UNIMPLEMENTED: lambda *_: IncompatiblePeer(0, WIRE_VERSION),
    grpc.StatusCode.INTERNAL: _lost("the transport failed"),
    grpc.StatusCode.UNAVAILABLE: _unavailable,
    grpc.StatusCode.DATA_LOSS: _lost("the reply was damaged"),
    grpc.StatusCode.UNAUTHENTICATED: lambda *_: Unauthenticated(),
}
"""What a status without a detail means: (target, the status's text) → error.

CANCELLED is never the caller's own doing here, because that is a CancelledError.
"""
