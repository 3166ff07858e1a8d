"""What this process shows and asks for on the wire: certificates, a token, or nothing.

One `Credentials` belongs to a runtime and serves both of its sides. It decides which addresses may be
plaintext, makes gRPC's channels and ports, and says who a caller is: that comes from the certificate of
its connection, never from what it sent.

Below: security, addresses. Above: channel, server.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar, cast

import grpc

from aixgo.errors import ConfigError, Unauthenticated
from aixgo.rpc.addresses import Address
from aixgo.rpc.status import status_of
from aixgo.security.auth import Token
from aixgo.security.tls import Tls, TlsFiles

__all__ = ["PLAIN", "Credentials", "TokenCheck", "peer_of"]

log = logging.getLogger(__name__)

HEADER = "authorization"
FREE = frozenset({"/grpc.health.v1.Health/Check"})
"""What needs no token: the probes of Kubernetes and Docker cannot send one."""
LOG_INTERVAL = 10.0  # seconds between two lines about callers that were refused

Options = Sequence[tuple[str, int | str]]
Rpc = grpc.aio.ServicerContext[bytes, bytes]
In = TypeVar("In")
Out = TypeVar("Out")


class Credentials:
    """Both sides of one runtime's connections.

    Args:
        tls: for TCP addresses; unix sockets are plaintext.
        token: sent with every request, and asked of every caller.
        insecure: allow plaintext to and from other machines.
        external_tls: plaintext, because something in front of us encrypts, such as a mesh.

    Raises:
        ConfigError: they do not fit together, or a file cannot be used.
    """

    def __init__(
        self,
        *,
        tls: Tls | None = None,
        token: Token | None = None,
        insecure: bool = False,
        external_tls: bool = False,
    ) -> None:
        given = [
            name
            for name, it in (("tls", tls), ("insecure", insecure), ("external_tls", external_tls))
            if it
        ]
        if len(given) > 1:
            raise ConfigError(f"{' and '.join(given)} are both given; one is enough")
        self.tls = tls
        self._files = tls.load() if tls is not None else TlsFiles()
        self._token = token
        self._insecure = insecure
        self._external = external_tls
        self.metadata = ((HEADER, f"Bearer {token.value}"),) if token is not None else None
        """What goes with every request."""

    def check(self, address: Address, verb: str) -> None:
        """Refuse what would leave the machine readable, or cannot be served; `verb` is what is done there.

        Raises:
            ConfigError: nobody said that plaintext may, a token would, or a server has no certificate.
        """
        if self.tls is not None or address.loopback or self._external:
            return
        if not self._insecure:
            raise ConfigError(
                f"{verb} {address.text!r} without TLS would send messages readable over the network; "
                "give it TLS (tls=, or --cert and --key), a loopback address or a unix socket, or allow "
                "plaintext: external_tls=True (--external-tls) if a mesh encrypts, insecure=True "
                "(--insecure) if the network is trusted"
            )
        if self._token is not None:
            raise ConfigError(
                f"{verb} {address.text!r} without TLS would send the token readable over the network; "
                "give it TLS (tls=, or --cert and --key), or external_tls=True (--external-tls) in place of "
                "insecure=True (--insecure) if a mesh encrypts"
            )

    def check_server(self, address: Address, verb: str) -> None:
        """As `check`, for an address to listen at."""
        self.check(address, verb)
        if self.tls is not None and self.secures(address) and not self._files.cert:
            raise ConfigError(
                f"{verb} {address.text!r} with TLS needs a certificate: tls has no cert and key"
            )

    def secures(self, address: Address) -> bool:
        """Whether connections at `address` are encrypted by us."""
        return self.tls is not None and not address.path

    # -- as a client ----------------------------------------------------------------------------------

    def name_at(self, address: Address, name: str = "") -> str:
        """What the certificate of a server at `address` has to be for; `name` is how it was looked up."""
        own = self.tls.server_name if self.tls is not None else ""
        return own or name or address.host

    def channel(self, address: Address, name: str, options: Options) -> grpc.aio.Channel:
        """A channel to `address`, whose host was looked up as `name`."""
        if not self.secures(address):
            return grpc.aio.insecure_channel(address.target, options=options)
        files = self._files
        shown = grpc.ssl_channel_credentials(
            files.ca or None, files.key or None, files.cert or None
        )
        wanted = self.name_at(address, name)
        if wanted != address.host:
            options = [*options, ("grpc.ssl_target_name_override", wanted)]
        return grpc.aio.secure_channel(address.target, shown, options=options)

    def refused(self, address: Address) -> Callable[[], str] | None:
        """Says why a server may have closed a connection over TLS; None where there is none."""
        return self._refused if self.secures(address) else None

    def _refused(self) -> str:
        closed = "TLS failed: it closed the connection in the handshake; "
        assert self.tls is not None
        if not self.tls.cert:
            return f"{closed}perhaps it asks for a certificate, and tls has no cert"
        try:
            self.tls.check_validity()
        except ConfigError as exc:
            return closed + str(exc).removeprefix("tls: ")
        return f"{closed}it does not accept our certificate (its log says why), or it does not speak TLS"

    # -- as a server ----------------------------------------------------------------------------------

    def listen(self, server: grpc.aio.Server, address: Address) -> str:
        """Have `server` listen at `address`; where peers find it, with the port that was bound for port 0.

        Raises:
            ConfigError: the address is in use or cannot be listened at.
        """
        try:
            port = self._add_port(server, address)
        except RuntimeError as exc:
            raise ConfigError(
                f"cannot listen at {address.text!r}: it is in use, or not an address of this machine"
            ) from exc
        return address.text if address.path else Address("", host=address.host, port=port).target

    def _add_port(self, server: grpc.aio.Server, address: Address) -> int:
        if not self.secures(address):
            return server.add_insecure_port(address.target)
        assert self.tls is not None
        asks = self.tls.asks_callers
        shown = grpc.ssl_server_credentials(
            [(self._files.key, self._files.cert)],
            self._files.ca if asks else None,
            require_client_auth=asks,
        )
        return server.add_secure_port(address.target, shown)

    def interceptors(self) -> tuple[TokenCheck, ...]:
        """What stands before every method of a server."""
        return () if self._token is None else (TokenCheck(self._token),)

    def identifies(self, address: Address) -> bool:
        """Whether callers at `address` prove who they are."""
        return self.tls is not None and self.secures(address) and self.tls.asks_callers


def peer_of(rpc: Rpc) -> str:
    """Who the certificate of this connection names: its first URI, else DNS name, else common name."""
    shown = rpc.auth_context()
    for kind in ("peer_uri", "peer_dns", "x509_common_name"):
        for name in shown.get(kind, ()):
            return name.decode(errors="replace")
    return ""


class TokenCheck(grpc.aio.ServerInterceptor):
    """Lets only those pass who send the token, whatever method they ask for."""

    def __init__(self, token: Token) -> None:
        self._token = token
        self._logged = -LOG_INTERVAL
        self._refused = 0

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[In, Out] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[In, Out] | None:
        method = handler_call_details.method
        if method in FREE:
            return await continuation(handler_call_details)
        shown = [value for key, value in handler_call_details.invocation_metadata if key == HEADER]
        why = self._objection(shown)
        if not why:
            return await continuation(handler_call_details)
        return cast("grpc.RpcMethodHandler[In, Out]", self._refusal(method, why))

    def _objection(self, shown: Sequence[str | bytes]) -> str:
        if not shown:
            return "no token was sent"
        text = shown[0] if isinstance(shown[0], str) else ""
        scheme, _, token = text.partition(" ")
        if len(shown) > 1 or scheme.lower() != "bearer":
            return "it takes one bearer token"
        return "" if self._token.matches(token) else "the token is wrong"

    def _refusal(self, method: str, why: str) -> grpc.RpcMethodHandler[bytes, bytes]:
        status = status_of(Unauthenticated(why))

        async def refuse(_: object, rpc: Rpc) -> None:
            self._log(rpc, method, why)
            await rpc.abort(status.code, status.details, status.trailing_metadata)

        # Streams both ways: it waits for no message that would never be let in.
        return grpc.stream_stream_rpc_method_handler(refuse)

    def _log(self, rpc: Rpc, method: str, why: str) -> None:
        self._refused += 1
        now = time.monotonic()
        if now - self._logged >= LOG_INTERVAL:
            log.warning(
                "refused %d requests; the last: %s of %s: %s",
                self._refused,
                method,
                rpc.peer(),
                why,
            )
            self._logged, self._refused = now, 0


PLAIN = Credentials()
"""Plaintext on this machine, no token."""
