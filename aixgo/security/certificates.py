"""A certificate authority of one's own, and a certificate for each agent: what `aixgo certs` makes.

For fleets that have no other authority. An agent's certificate is for its URI, by which others know it, and for
the names it is reached by. Nothing that is there is ever written over.

Below: cryptography, names, errors. Above: the command line, through `loading`.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from aixgo.errors import ConfigError
from aixgo.names import check_name, slug

__all__ = ["DEFAULT_HOSTS", "Authority", "identity_of", "make_certificates", "private_pem"]

CA_NAME = "ca"  # of its two files
CA_DAYS = 3650
AGENT_DAYS = 365
SKEW = timedelta(minutes=5)  # by which clocks of a fleet may differ
DEFAULT_HOSTS = ("localhost", "127.0.0.1", "::1")
_HOST = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})?)*"
)
_DOMAIN = re.compile(r"[a-z0-9._-]{1,253}")


def identity_of(agent: str, domain: str = "aixgo") -> str:
    """The URI by which an agent's certificate names it."""
    return f"spiffe://{domain}/agent/{slug(agent)}"


@dataclass(slots=True, frozen=True)
class Authority:
    """A certificate authority: it signs certificates of agents, and nothing else."""

    cert: x509.Certificate
    key: CertificateIssuerPrivateKeyTypes

    @classmethod
    def new(cls, domain: str, now: datetime, days: int = CA_DAYS) -> Authority:
        """A new authority, valid from `now`."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _subject(f"{domain} authority")
        cert = (
            _builder(name, name, key.public_key(), now, now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(cert, key)

    @classmethod
    def load(cls, cert: Path, key: Path) -> Authority:
        """The authority in two files.

        Raises:
            ConfigError: they cannot be read, or are not an authority and its key.
        """
        try:
            found = x509.load_pem_x509_certificate(cert.read_bytes())
            secret = serialization.load_pem_private_key(key.read_bytes(), password=None)
        except OSError as exc:
            raise ConfigError(f"{exc.filename}: {exc.strerror or 'cannot be read'}") from exc
        except (ValueError, TypeError) as exc:  # TypeError: the key is encrypted
            raise ConfigError(f"{cert} and {key} are not an authority and its key") from exc
        if secret.public_key() != found.public_key():
            raise ConfigError(f"{key} is not the key of {cert}")
        return cls(found, secret)  # type: ignore[arg-type]  # a key that signed a certificate can

    def issue(
        self, agent: str, hosts: Sequence[str], domain: str, now: datetime, days: int = AGENT_DAYS
    ) -> tuple[bytes, bytes]:
        """A certificate for `agent` and its key, PEM; it does not outlive the authority.

        Raises:
            ConfigError: a host is neither a name nor an address, or the authority has expired.
        """
        ends = min(now + timedelta(days=days), self.cert.not_valid_after_utc)
        if ends <= now:
            raise ConfigError("the authority has expired; make another one in another folder")
        short = slug(agent)
        names = dict.fromkeys((short, *(host.replace("{agent}", short) for host in hosts)))
        key = ec.generate_private_key(ec.SECP256R1())
        cert = (
            _builder(_subject(short), self.cert.subject, key.public_key(), now, ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage(
                    [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
                ),
                critical=False,
            )
            .add_extension(
                x509.SubjectAlternativeName(
                    [
                        x509.UniformResourceIdentifier(identity_of(agent, domain)),
                        *(_general_name(name) for name in names),
                    ]
                ),
                critical=False,
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.cert.public_key()),  # type: ignore[arg-type]  # as above
                critical=False,
            )
            .sign(self.key, hashes.SHA256())
        )
        return cert.public_bytes(serialization.Encoding.PEM), private_pem(key)


def make_certificates(
    folder: Path,
    agents: Sequence[str],
    *,
    hosts: Sequence[str] = DEFAULT_HOSTS,
    domain: str = "aixgo",
    days: int = AGENT_DAYS,
    only_missing: bool = False,
    now: datetime | None = None,
) -> list[Path]:
    """Write `ca.pem` and `ca.key` unless both are there, and `SLUG.pem` and `SLUG.key` for each agent.

    Args:
        folder: made if it is not there.
        agents: names of agents, or of others that call them.
        hosts: what each is reached by besides its slug; `{agent}` in one stands for the slug.
        domain: of the URIs.
        days: how long the agents' certificates are valid.
        only_missing: leave alone the agents that have theirs, instead of refusing.
        now: the first moment they are valid, by default five minutes ago.

    Returns:
        What was written. Keys are readable by their owner only.

    Raises:
        ConfigError: a name or host is none, or something is there already; then nothing was written.
    """
    _check(agents, domain, days)
    began = (now or datetime.now(UTC)) - (SKEW if now is None else timedelta())
    wanted = {slug(agent): agent for agent in agents}
    taken = [name for name in wanted if _there(folder, name)]
    if taken and not only_missing:
        raise ConfigError(
            f"{folder / taken[0]}.pem is there already, and nothing was written; remove it, choose another "
            "folder, or make only what is missing"
        )
    written: list[tuple[Path, bytes, int]] = []
    if _there(folder, CA_NAME):
        authority = Authority.load(folder / f"{CA_NAME}.pem", folder / f"{CA_NAME}.key")
    else:
        authority = Authority.new(domain, began)
        shown = authority.cert.public_bytes(serialization.Encoding.PEM)
        written += _files(folder, CA_NAME, shown, private_pem(authority.key))
    for name, agent in wanted.items():
        if name not in taken:
            written += _files(folder, name, *authority.issue(agent, hosts, domain, began, days))
    _write(folder, written)
    return [path for path, _, _ in written]


def private_pem(key: CertificateIssuerPrivateKeyTypes) -> bytes:
    """A key as the file holds it."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _check(agents: Sequence[str], domain: str, days: int) -> None:
    if not agents:
        raise ConfigError("name the agents that get a certificate")
    if not _DOMAIN.fullmatch(domain):
        raise ConfigError(
            f"the domain {domain!r} has more than lower-case letters, digits, '.', '-' and '_'"
        )
    if not 1 <= days <= CA_DAYS:
        raise ConfigError(f"certificates are valid for 1 to {CA_DAYS} days, not {days}")
    by_slug: dict[str, str] = {CA_NAME: "the authority"}
    for agent in agents:
        name = slug(check_name(agent))
        if by_slug.get(name, agent) != agent:
            raise ConfigError(
                f"{agent!r} and {by_slug[name]!r} would have the same file, {name}.pem"
            )
        by_slug[name] = agent


def _there(folder: Path, name: str) -> bool:
    """Whether both files of `name` are there.

    Raises:
        ConfigError: only one is.
    """
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    if cert.exists() != key.exists():
        there, missing = (cert, key) if cert.exists() else (key, cert)
        raise ConfigError(
            f"{there} is there and {missing.name} is not; bring it back or remove the other"
        )
    return cert.exists()


def _files(folder: Path, name: str, cert: bytes, key: bytes) -> list[tuple[Path, bytes, int]]:
    return [(folder / f"{name}.key", key, 0o600), (folder / f"{name}.pem", cert, 0o644)]


def _write(folder: Path, files: Sequence[tuple[Path, bytes, int]]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content, mode in files:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
    except OSError as exc:
        raise ConfigError(
            f"{exc.filename or folder}: {exc.strerror or 'cannot be written'}"
        ) from exc


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    begins: datetime,
    ends: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        if not _HOST.fullmatch(host):
            raise ConfigError(f"the host {host!r} is neither a name nor an IP address") from None
        return x509.DNSName(host)
