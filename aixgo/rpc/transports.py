"""A transport by its name.

Below: each transport's module, imported when it is asked for. Above: runtime.
"""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

from aixgo.context import Clock, SystemClock
from aixgo.errors import ConfigError, nearest
from aixgo.rpc.base import Link
from aixgo.rpc.credentials import PLAIN, Credentials
from aixgo.rpc.options import WireSettings

__all__ = ["TRANSPORTS", "check_transport", "open_link"]

TRANSPORTS = {"stream": "aixgo.rpc.stream", "unary": "aixgo.rpc.unary"}
"""The module of each transport; it has an `open_link` of the shape below."""


class _Opener(Protocol):
    def __call__(
        self,
        address: str,
        clock: Clock,
        settings: WireSettings,
        *,
        credentials: Credentials,
        name: str,
    ) -> Link: ...


def check_transport(name: str) -> str:
    """`name`, if there is a transport of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in TRANSPORTS:
        near = nearest(name, TRANSPORTS)
        hint = f"did you mean {near!r}?" if near else f"there are: {', '.join(TRANSPORTS)}"
        raise ConfigError(f"there is no transport {name!r}; {hint}")
    return name


def open_link(
    transport: str,
    address: str,
    *,
    clock: Clock | None = None,
    settings: WireSettings | None = None,
    credentials: Credentials = PLAIN,
    name: str = "",
) -> Link:
    """A link to `address` over `transport`, such as "unary"; not connected yet.

    Args:
        transport: its name.
        address: of the peer.
        clock: the one the deadlines of its calls are on, by default the machine's.
        settings: of the connection.
        credentials: what we show and ask for.
        name: the host the address was looked up by, if it was; its certificate has to be for that one.

    Raises:
        ConfigError: no such transport, not an address, or plaintext would leave the machine.
    """
    opener = cast("_Opener", import_module(TRANSPORTS[check_transport(transport)]).open_link)
    return opener(
        address,
        clock or SystemClock(),
        settings or WireSettings(),
        credentials=credentials,
        name=name,
    )
