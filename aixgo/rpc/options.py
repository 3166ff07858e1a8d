"""One table of wire settings, from which both sides take their gRPC options.

The two sides depend on each other: a client that pings more often than its server allows is cut off, and
a message one side sends must fit what the other receives. So there is one frozen `WireSettings`, and what
must agree between processes is a constant here, not a setting.

Below: errors. Above: server, unary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from aixgo.errors import ConfigError
from aixgo.message import MAX_MESSAGE_BYTES

__all__ = ["MAX_WIRE_BYTES", "STATUS_GRACE", "WireSettings"]

MAX_WIRE_BYTES = MAX_MESSAGE_BYTES + 1024 * 1024  # a message, and what travels around it
STATUS_GRACE = (
    0.25  # seconds the wire's deadline is later than the call's, so that our own status arrives
)
MIN_KEEPALIVE_TIME = (
    1.0  # seconds; servers allow pings twice as often, whatever their clients were told
)
MAX_RPCS = 500  # a link has open at once: bursts of thousands are refused by gRPC itself
MAX_METADATA_BYTES = 32 * 1024  # gRPC's default of 8 KiB would refuse the details of some errors
MAX_STREAMS_PER_CONNECTION = (
    4000  # far above what a link opens at once, and a bound for anybody else
)


@dataclass(slots=True, frozen=True, kw_only=True)
class WireSettings:
    """What a user may set about connections; durations in seconds.

    Raises:
        ConfigError: a value is out of range.
    """

    keepalive_time: float = 30.0
    """How long a connection may be silent before the client asks whether the peer is there."""
    keepalive_timeout: float = 10.0
    """How long the peer may take to answer that, before the connection counts as lost."""
    connect_timeout: float = 5.0
    """How long reaching a peer may take."""
    max_concurrent_calls: int = 10_000
    """Calls one connection carries at once, each way; more wait. As RPCs of their own never more than 500."""

    max_connection_age: float = math.inf
    """How long a server lets a client use one stream before it asks it to open another, give or take a tenth.

    For balancers that spread connections and not calls. Running calls finish where they are.
    """

    def __post_init__(self) -> None:
        if self.keepalive_time < MIN_KEEPALIVE_TIME:
            raise ConfigError(
                f"keepalive_time={self.keepalive_time!r}: at least {MIN_KEEPALIVE_TIME} s, "
                "servers cut off who asks more often"
            )
        for name in (
            "keepalive_timeout",
            "connect_timeout",
            "max_concurrent_calls",
            "max_connection_age",
        ):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name}={getattr(self, name)!r}: it must be positive")

    def client_options(self) -> list[tuple[str, int]]:
        """The options of a channel."""
        return [
            *self._shared_options(),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 2000),
            # Despite its name this is how long one attempt to connect may take.
            ("grpc.min_reconnect_backoff_ms", _ms(self.connect_timeout)),
            (
                "grpc.enable_http_proxy",
                0,
            ),  # peers are inside; a proxy variable would divert loopback too
            (
                "grpc.service_config_disable_resolution",
                1,
            ),  # no retry policy from DNS behind our back
            ("grpc.use_local_subchannel_pool", 1),  # a link has its own connection and back-off
        ]

    def server_options(self) -> list[tuple[str, int]]:
        """The options of a server."""
        return [
            *self._shared_options(),
            ("grpc.so_reuseport", 0),  # else a second server takes half of the calls, silently
            ("grpc.http2.min_ping_interval_without_data_ms", _ms(MIN_KEEPALIVE_TIME / 2)),
            ("grpc.max_concurrent_streams", MAX_STREAMS_PER_CONNECTION),
        ]

    def _shared_options(self) -> list[tuple[str, int]]:
        return [
            ("grpc.max_send_message_length", MAX_WIRE_BYTES),
            ("grpc.max_receive_message_length", MAX_WIRE_BYTES),
            ("grpc.max_metadata_size", MAX_METADATA_BYTES),
            ("grpc.absolute_max_metadata_size", 2 * MAX_METADATA_BYTES),
            ("grpc.keepalive_time_ms", _ms(self.keepalive_time)),
            ("grpc.keepalive_timeout_ms", _ms(self.keepalive_timeout)),
            # What counts when the peer's kernel still takes bytes and the process does not; 60 s unless set.
            ("grpc.http2.ping_timeout_ms", _ms(self.keepalive_timeout)),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0),  # unlimited: a long call may be silent
        ]


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
