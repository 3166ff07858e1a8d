"""Both sides of the wire take their options from one table, and they fit each other."""

from __future__ import annotations

import pytest

from aixgo.errors import ConfigError
from aixgo.message import MAX_MESSAGE_BYTES
from aixgo.rpc.options import WireSettings


@pytest.mark.parametrize("keepalive_time", [1.0, 10.0, 30.0, 3600.0])
def test_a_server_allows_pings_twice_as_often_as_any_client_sends_them(
    keepalive_time: float,
) -> None:
    client = dict(WireSettings(keepalive_time=keepalive_time).client_options())
    server = dict(WireSettings().server_options())
    floor = server["grpc.http2.min_ping_interval_without_data_ms"]
    assert floor * 2 <= client["grpc.keepalive_time_ms"]
    assert client["grpc.http2.max_pings_without_data"] == 0
    assert client["grpc.keepalive_permit_without_calls"] == 1
    assert server["grpc.keepalive_permit_without_calls"] == 1


def test_what_one_side_may_send_the_other_takes() -> None:
    client, server = dict(WireSettings().client_options()), dict(WireSettings().server_options())
    for one, other in ((client, server), (server, client)):
        assert one["grpc.max_send_message_length"] == other["grpc.max_receive_message_length"]
        assert one["grpc.max_metadata_size"] == other["grpc.max_metadata_size"]
    assert client["grpc.max_send_message_length"] > MAX_MESSAGE_BYTES


def test_defaults_are_30_s_of_silence_and_10_s_to_answer() -> None:
    client = dict(WireSettings().client_options())
    assert client["grpc.keepalive_time_ms"] == 30_000
    assert client["grpc.keepalive_timeout_ms"] == 10_000


def test_a_connection_attempt_gets_the_whole_connect_timeout() -> None:
    client = dict(WireSettings(connect_timeout=3.0).client_options())
    assert client["grpc.min_reconnect_backoff_ms"] == 3_000
    assert client["grpc.initial_reconnect_backoff_ms"] == 100
    assert client["grpc.max_reconnect_backoff_ms"] == 2_000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("keepalive_time", 0.5),
        ("keepalive_timeout", 0),
        ("connect_timeout", -1),
        ("max_concurrent_calls", 0),
    ],
)
def test_a_setting_out_of_range_is_named(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=name):
        WireSettings(**{name: value})  # type: ignore[arg-type]
