"""Where a server listens and a link connects: `host:port`, `[::1]:port`, `unix:/path`, `dns:///name:port`.

Below: errors. Above: credentials, server, channel; a runtime that re-resolves `dns:///` names while running.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import socket
from dataclasses import dataclass

from aixgo.errors import ConfigError, Unavailable

__all__ = ["Address", "clash", "parse_address", "resolve"]

MAX_UNIX_PATH = 107  # bytes: the kernel's sun_path without its closing zero
FORMS = "'host:port', '[::1]:port', 'unix:/path' or 'dns:///name:port'"
_HOST_PORT = re.compile(r"(?:\[(?P<v6>[^\]]+)\]|(?P<host>[^:/\[\]\s]+)):(?P<port>\d{1,5})")
_UNIX = re.compile(r"unix:(?://(?=/))?(?P<path>[^\s].*)")


@dataclass(slots=True, frozen=True)
class Address:
    """A parsed address: `path` for a unix socket, else `host` and `port`."""

    text: str
    host: str = ""
    port: int = 0
    path: str = ""
    by_name: bool = False
    """True for `dns:///`: every address the name has is a replica of its own."""

    @property
    def target(self) -> str:
        """The address as gRPC writes it."""
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """True if what is sent there stays on this machine; unix sockets count."""
        if self.path or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:  # a name
            return False


def parse_address(text: str, *, what: str = "address") -> Address:
    """The address in `text`.

    Raises:
        ConfigError: it is none; the text shows the forms there are.
    """
    if found := _UNIX.fullmatch(text):
        path = found["path"]
        if len(path.encode()) > MAX_UNIX_PATH:
            raise ConfigError(
                f"{what} {text!r}: a unix socket's path has at most {MAX_UNIX_PATH} bytes"
            )
        return Address(text, path=path)
    by_name = text.startswith("dns:///")
    found = _HOST_PORT.fullmatch(text.removeprefix("dns:///"))
    if not found:
        raise ConfigError(f"{what} {text!r} is none of {FORMS}")
    port = int(found["port"])
    if port > 65535 or (by_name and not port):
        raise ConfigError(f"{what} {text!r}: {port} is no port")
    if host := found["v6"]:
        try:
            ipaddress.IPv6Address(host)
        except ValueError as exc:
            raise ConfigError(f"{what} {text!r}: {host!r} is no IPv6 address") from exc
    return Address(text, host=host or found["host"], port=port, by_name=by_name)


async def resolve(text: str) -> list[str]:
    """The addresses `text` stands for now, sorted: those of a `dns:///` name, else `text` itself.

    Names change while a fleet runs, so ask again from time to time.

    Raises:
        Unavailable: the name has no address at present.
    """
    address = parse_address(text)
    if not address.by_name:
        return [text]
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:  # the latter when it cannot even be asked for
        raise Unavailable(text, "its name does not resolve") from exc
    hosts = {str(entry[4][0]) for entry in found}
    return sorted(
        f"[{host}]:{address.port}" if ":" in host else f"{host}:{address.port}" for host in hosts
    )


def clash(one: Address, other: Address) -> bool:
    """Whether one machine cannot listen at both: the same path, or one port of interfaces that overlap."""
    if one.path or other.path:
        return os.path.normpath(one.path) == os.path.normpath(other.path)
    if one.port != other.port or not one.port:  # port 0 is another one each time
        return False
    here, there = _canonical(one.host), _canonical(other.host)
    return _takes(here, there) or _takes(there, here)


def _takes(host: str, other: str) -> bool:
    """Whether who listens at `host` listens at `other` too."""
    match host:
        case "::":  # IPv4 as well
            return True
        case "0.0.0.0":  # noqa: S104 - nobody listens here
            return ":" not in other
        case "localhost":
            return other in (host, "127.0.0.1", "::1")
    return host == other


def _canonical(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:  # a name
        return host.lower()
