"""TLS as a user states it: which certificate is ours, whose certificates we accept.

The files are read, and held against each other and the clock, when a runtime is made: what could never
work says so there, by its file, and not at the first call. No TLS library but Python's own is needed.

Below: errors. Above: rpc.credentials, which makes gRPC's credentials of it.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from aixgo.errors import ConfigError

__all__ = ["Tls", "TlsFiles"]

MAX_PEM_BYTES = 1024 * 1024  # of one file; a bundle of all public CAs has a quarter of it
EXPIRED, NOT_YET_VALID = 10, 9  # what OpenSSL calls X509_V_ERR_CERT_HAS_EXPIRED and …_NOT_YET_VALID


@dataclass(slots=True, frozen=True, kw_only=True)
class TlsFiles:
    """What was in the files of a `Tls`, PEM; empty for those not given."""

    ca: bytes = b""
    cert: bytes = b""
    key: bytes = b""


@dataclass(slots=True, frozen=True, kw_only=True)
class Tls:
    """TLS for the server of a runtime and for its connections to peers, over TCP.

    With `ca` and a certificate it is mutual: a server takes only callers with a certificate of `ca`, and agents see
    whose it was as `CallContext.peer`. Unix sockets stay as they are; the permissions of their folder guard them.

    Raises:
        ConfigError: the settings do not fit together.
    """

    ca: str | Path = ""
    """PEM file of the authorities whose certificates are accepted; by default, for servers, those of the system."""
    cert: str | Path = ""
    """PEM file of our certificate, with what lies between it and the authority; a server needs one."""
    key: str | Path = ""
    """PEM file of its private key, not encrypted."""
    server_name: str = ""
    """The name certificates of peers have to be for; by default the host of the address that was given."""
    mutual: bool | None = None
    """Whether our server asks its callers for a certificate of `ca`; by default it does if `ca` is given."""

    def __post_init__(self) -> None:
        if bool(self.cert) != bool(self.key):
            there, missing = ("cert", "key") if self.cert else ("key", "cert")
            raise ConfigError(
                f"tls: {there} is given and {missing} is not; a certificate takes both"
            )
        if self.mutual and not self.ca:
            raise ConfigError("tls: mutual needs ca, the authority of the callers' certificates")

    @property
    def asks_callers(self) -> bool:
        """Whether a server takes only callers with a certificate."""
        return bool(self.ca) if self.mutual is None else self.mutual

    def load(self) -> TlsFiles:
        """What is in the files, checked.

        Raises:
            ConfigError: a file cannot be read or is no PEM, the key is another certificate's, or the certificate
                is not valid now; the text names the file.
        """
        files = TlsFiles(
            ca=_read(self.ca, "ca"), cert=_read(self.cert, "cert"), key=_read(self.key, "key")
        )
        if self.ca:
            _check_ca(self.ca)
        self.check_validity()
        return files

    def check_validity(self) -> None:
        """Hold our certificate against its key and the clock; it may have expired since it was loaded.

        Raises:
            ConfigError: the key is another one's, or the certificate has expired or is not valid yet.
        """
        if self.cert:
            _check_dates(self.cert, _check_pair(self.cert, self.key))


def _read(path: str | Path, what: str) -> bytes:
    if not path:
        return b""
    try:
        with Path(path).expanduser().open("rb") as file:
            found = file.read(MAX_PEM_BYTES + 1)
    except OSError as exc:
        raise ConfigError(f"tls: {what} {str(path)!r}: {exc.strerror or 'cannot be read'}") from exc
    if len(found) > MAX_PEM_BYTES:
        raise ConfigError(f"tls: {what} {str(path)!r} holds more than {MAX_PEM_BYTES} bytes")
    if b"-----BEGIN " not in found:
        raise ConfigError(f"tls: {what} {str(path)!r} is not in PEM format")
    return found


def _check_ca(path: str | Path) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(Path(path).expanduser())
    except ssl.SSLError as exc:
        raise ConfigError(f"tls: ca {str(path)!r} holds no certificate that can be read") from exc


def _check_pair(cert: str | Path, key: str | Path) -> ssl.SSLContext:
    """What serves with `cert`, whose key is `key`."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        server.load_cert_chain(
            Path(cert).expanduser(), Path(key).expanduser(), password=_no_password
        )
    except _EncryptedError:
        raise ConfigError(f"tls: key {str(key)!r} is encrypted; give one that is not") from None
    except ssl.SSLError as exc:
        if exc.reason == "KEY_VALUES_MISMATCH":
            text = f"tls: key {str(key)!r} is not the key of cert {str(cert)!r}"
            raise ConfigError(text) from exc
        text = f"tls: cert {str(cert)!r} and key {str(key)!r} cannot be used: not a certificate and its key"
        raise ConfigError(text) from exc
    return server


def _check_dates(cert: str | Path, server: ssl.SSLContext) -> None:
    """Shake hands with ourselves, trusting nobody but ourselves: what is left to object to are the dates."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(Path(cert).expanduser())
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    try:
        for side in (ours, theirs, ours):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    except ssl.SSLCertVerificationError as exc:
        if exc.verify_code == EXPIRED:
            raise ConfigError(
                f"tls: cert {str(cert)!r} has expired; make or fetch a new one"
            ) from exc
        if exc.verify_code == NOT_YET_VALID:
            raise ConfigError(
                f"tls: cert {str(cert)!r} is not valid yet; is the clock right?"
            ) from exc
    except ssl.SSLError:
        return  # whatever else it is, gRPC's own library judges it


class _EncryptedError(Exception):
    """A key asks for a password."""


def _no_password() -> str:
    raise _EncryptedError
