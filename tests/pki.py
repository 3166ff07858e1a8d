"""Certificates for tests: good ones as `aixgo certs` makes them, and each kind of wrong one.

Everything is made once per test run, from real keys; nothing reaches outside.
"""

from __future__ import annotations

import atexit
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from tempfile import mkdtemp

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from aixgo.security.certificates import Authority, make_certificates, private_pem
from aixgo.security.tls import Tls

__all__ = ["Pki", "pki"]

HERE = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Pki:
    """A folder with the files of an authority and of agents, right and wrong."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def tls(self, name: str, **options: object) -> Tls:
        """Mutual TLS with the certificate of `name`."""
        cert, key = self.files(name)
        return Tls(**{"ca": self.ca, "cert": cert, "key": key, **options})  # type: ignore[arg-type]

    def files(self, name: str) -> tuple[Path, Path]:
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    def pair(self, name: str) -> tuple[bytes, bytes]:
        """Key and certificate as gRPC takes them."""
        cert, key = self.files(name)
        return key.read_bytes(), cert.read_bytes()


@lru_cache(maxsize=1)
def pki() -> Pki:
    """`writer` and `reader` are right; what is wrong with the others is their name."""
    folder = Path(mkdtemp(prefix="aixgo-pki"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    make_certificates(folder, ["writer", "reader"])
    ours = Authority.load(folder / "ca.pem", folder / "ca.key")
    now = datetime.now(UTC)
    stranger = Authority.new("elsewhere", now - timedelta(days=1))
    for name, authority, hosts, began, days in (
        ("expired", ours, HERE, now - timedelta(days=9), 8),
        ("early", ours, HERE, now + timedelta(days=2), 8),
        ("misnamed", ours, ("elsewhere.test",), now - timedelta(days=1), 8),
        ("by-address", ours, ("127.0.0.1",), now - timedelta(days=1), 8),
        ("by-name", ours, ("localhost",), now - timedelta(days=1), 8),
        ("stranger", stranger, HERE, now - timedelta(days=1), 8),
    ):
        _write(folder, name, *authority.issue(name, hosts, "aixgo", began, days))
    _write(folder, "self-signed", *_self_signed(now - timedelta(days=1)))
    return Pki(folder)


def _self_signed(began: datetime) -> tuple[bytes, bytes]:
    """What `openssl req -x509` makes."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(began)
        .not_valid_after(began + timedelta(days=8))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    return cert.public_bytes(Encoding.PEM), private_pem(key)


def _write(folder: Path, name: str, cert: bytes, key: bytes) -> None:
    (folder / f"{name}.pem").write_bytes(cert)
    (folder / f"{name}.key").write_bytes(key)
