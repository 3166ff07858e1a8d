"""Why a peer could not be reached, read from gRPC's text about the attempt.

gRPC says it in English only, and what it can know: a server that does not accept our certificate closes
the connection without a word, so there the text names what is likely. The server's own log has the reason.

Below: nothing. Above: channel.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["symptom"]

_SYMPTOMS = (
    ("refused", "unreachable: connection refused"),
    ("No such file", "unreachable: no such socket"),
    ("http1.x", "what listens there speaks HTTP/1, not gRPC"),
    ("Failed parsing HTTP/2", "what listens there does not speak gRPC"),
    ("errors resolving", "unreachable: its name does not resolve"),
    ("certificate has expired", "TLS failed: its certificate has expired"),
    ("certificate is not yet valid", "TLS failed: its certificate is not valid yet"),
    ("self signed certificate", "TLS failed: its certificate, or its authority's, is self-signed and not of our ca"),
    ("local issuer certificate", "TLS failed: its certificate is from an authority that is not in our ca"),
    ("CERTIFICATE_VERIFY_FAILED", "TLS failed: its certificate is not acceptable"),
    ("WRONG_VERSION_NUMBER", "TLS failed: what listens there does not speak TLS"),
    ("empty address list", "TLS failed: our own certificate or ca cannot be used"),  # grpcio 1.76
    ("create security handshaker", "TLS failed: our own certificate or ca cannot be used"),
)  # fmt: skip
_MISNAMED = ("Hostname Verification Check failed", "is not in peer certificate")
_CLOSED = ("ocket closed", "reset by peer")


def symptom(details: str, *, name: str, refused: Callable[[], str] | None) -> str:
    """The reason in `details`, gRPC's text about a failed attempt.

    Args:
        details: gRPC's text.
        name: what the peer's certificate has to be for.
        refused: over TLS, says why the peer may have closed the connection; None over plaintext.
    """
    if any(sign in details for sign in _MISNAMED):
        return f"TLS failed: its certificate is not for {name!r}"
    for sign, reason in _SYMPTOMS:
        if sign in details:
            return reason
    if any(sign in details for sign in _CLOSED):
        if refused is not None:
            return refused()
        return "what listens there closed the connection; perhaps it wants TLS"
    return "TLS failed in the handshake" if "handshake failed" in details else "unreachable"
