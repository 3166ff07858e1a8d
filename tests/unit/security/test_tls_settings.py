"""What a `Tls` refuses when it is made or read, before anything is connected."""

from __future__ import annotations

from pathlib import Path

import pytest

from aixgo import DistributedRuntime, agent
from aixgo.errors import ConfigError
from aixgo.security.tls import Tls
from tests.pki import Pki, pki


@pytest.fixture
def made() -> Pki:
    return pki()


@agent
async def echo(text: str) -> str:
    return text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"cert": "a.pem"}, "cert is given and key is not"),
        ({"key": "a.key"}, "key is given and cert is not"),
        ({"cert": "a.pem", "key": "a.key", "mutual": True}, "mutual needs ca"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Tls(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["expired", "early"])
def test_a_certificate_of_ours_that_is_not_valid_now_is_refused_by_its_file(
    made: Pki, name: str
) -> None:
    with pytest.raises(ConfigError, match=f"{name}.pem.*(has expired|is not valid yet)"):
        made.tls(name).load()


def test_a_key_of_another_certificate_is_refused_by_both_files(made: Pki) -> None:
    cert, key = made.files("writer")[0], made.files("reader")[1]
    with pytest.raises(ConfigError, match=r"reader\.key' is not the key of cert .*writer\.pem"):
        Tls(cert=cert, key=key).load()


def test_a_self_signed_certificate_of_ours_is_not_refused(made: Pki) -> None:
    assert made.tls("self-signed").load().cert


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"", "not in PEM format"),
        (b"\x30\x82\x01", "not in PEM format"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "that can be read"),
        (b"-----BEGIN " + b"x" * (1 << 20), "more than 1048576 bytes"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"tls: ca '.*ca\.pem'.*{said}"):
        Tls(ca=path).load()


def test_a_folder_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Is a directory"):
        Tls(ca=tmp_path).load()


def test_an_encrypted_key_is_refused_without_asking_for_a_password(
    made: Pki, tmp_path: Path
) -> None:
    from cryptography.hazmat.primitives import serialization

    cert, key = made.files("writer")
    secret = serialization.load_pem_private_key(key.read_bytes(), None)
    sealed = tmp_path / "sealed.key"
    sealed.write_bytes(
        secret.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(ConfigError, match=r"sealed\.key' is encrypted"):
        Tls(cert=cert, key=sealed).load()


def test_a_runtime_refuses_files_that_cannot_be_used_when_it_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        DistributedRuntime(peers={"far": "127.0.0.1:1"}, tls=Tls(ca=tmp_path / "ca.pem"))


def test_a_server_needs_a_certificate(made: Pki) -> None:
    with pytest.raises(ConfigError, match="needs a certificate"):
        DistributedRuntime(echo, address="127.0.0.1:0", tls=Tls(ca=made.ca))
    DistributedRuntime(echo, address="unix:/tmp/never-opened", tls=Tls(ca=made.ca))


def test_tls_and_the_permission_to_do_without_are_not_given_together(made: Pki) -> None:
    for other in ("insecure", "external_tls"):
        with pytest.raises(ConfigError, match=f"tls and {other} are both given"):
            DistributedRuntime(tls=made.tls("writer"), **{other: True})  # type: ignore[arg-type]


def test_with_tls_a_server_may_listen_off_loopback(made: Pki) -> None:
    DistributedRuntime(echo, address="0.0.0.0:0", tls=made.tls("writer"))
