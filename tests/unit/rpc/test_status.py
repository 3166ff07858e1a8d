"""The table between our errors and gRPC's statuses has no holes."""

from __future__ import annotations

import grpc
import pytest
from google.rpc.status_pb2 import Status
from grpc.aio import AioRpcError, Metadata

from aixgo.errors import (
    AgentFailed,
    AixgoError,
    DeadlineExceeded,
    IncompatiblePeer,
    LimitExceeded,
    MessageTooLarge,
    Unavailable,
    error_classes,
)
from aixgo.ledger import Usage
from aixgo.rpc.status import MEANING, read_failure, status_of


def failed(
    code: grpc.StatusCode, details: str = "", trailing: tuple[tuple[str, str | bytes], ...] = ()
) -> AioRpcError:
    """What the client's side of gRPC raises."""
    return AioRpcError(code, Metadata(), Metadata(*trailing), details)


def crossed(error: AixgoError, usage: Usage | None = None) -> tuple[AixgoError, Usage | None]:
    status = status_of(error, usage)
    return read_failure(
        failed(status.code, status.details, tuple(status.trailing_metadata)), "writer"
    )


@pytest.mark.parametrize("name", sorted(error_classes()))
def test_every_error_class_has_a_status_and_comes_back_as_itself(name: str) -> None:
    error = error_classes()[name]()
    assert status_of(error).code is grpc.StatusCode[error.status]
    got, _ = crossed(error)
    assert type(got) is type(error)
    assert got.wire_fields() == error.wire_fields()


@pytest.mark.parametrize("code", list(grpc.StatusCode), ids=lambda code: code.name)
def test_every_status_without_a_detail_means_something(code: grpc.StatusCode) -> None:
    error, usage = read_failure(failed(code, "text of a stranger"), "writer")
    assert isinstance(error, AixgoError)
    assert "stranger" not in str(error)
    assert usage is None


def test_the_table_names_no_status_twice_and_none_too_many() -> None:
    assert set(MEANING) == set(grpc.StatusCode)


@pytest.mark.parametrize("code", ["CANCELLED", "UNAVAILABLE", "UNKNOWN", "INTERNAL", "ABORTED"])
def test_a_connection_lost_under_a_call_leaves_its_outcome_unknown(code: str) -> None:
    error, _ = read_failure(failed(grpc.StatusCode[code]), "writer")
    assert isinstance(error, Unavailable)
    assert error.outcome == "unknown"
    assert not error.retryable


def test_statuses_of_grpc_itself_become_the_error_of_their_state() -> None:
    def meaning(code: grpc.StatusCode, details: str = "") -> AixgoError:
        return read_failure(failed(code, details), "writer")[0]

    assert isinstance(meaning(grpc.StatusCode.DEADLINE_EXCEEDED), DeadlineExceeded)
    assert isinstance(meaning(grpc.StatusCode.UNIMPLEMENTED), IncompatiblePeer)
    assert isinstance(meaning(grpc.StatusCode.RESOURCE_EXHAUSTED, "full"), LimitExceeded)
    large = meaning(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "CLIENT: Received message larger than max (5000000 vs. 4194304)",
    )
    assert isinstance(large, MessageTooLarge)
    assert (large.size, large.limit) == (5_000_000, 4_194_304)


def test_what_a_failed_call_spent_comes_along() -> None:
    usage = Usage(cost_nanos=5, tokens_prompt=7, calls=1)
    assert crossed(AgentFailed("writer", "e1"), usage)[1] == usage


def test_the_text_of_an_error_stays_at_home() -> None:
    error = AixgoError("password=hunter2")
    status = status_of(error)
    shown = repr((status.details, status.trailing_metadata))
    assert "hunter2" not in shown
    assert "hunter2" not in str(crossed(error)[0])


@pytest.mark.parametrize("value", [b"\xff\xff", Status(code=5).SerializeToString(), b""])
def test_details_of_a_foreign_server_do_not_confuse(value: bytes) -> None:
    exc = failed(grpc.StatusCode.DEADLINE_EXCEEDED, trailing=(("grpc-status-details-bin", value),))
    assert isinstance(read_failure(exc, "writer")[0], DeadlineExceeded)
