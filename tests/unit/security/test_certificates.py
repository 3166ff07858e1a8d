"""`aixgo certs`: what it makes, and what it refuses to."""

from __future__ import annotations

import ipaddress
import stat
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from aixgo.cli import run_verb
from aixgo.errors import ConfigError, MissingExtra
from aixgo.loading import load
from aixgo.security.certificates import Authority, identity_of, make_certificates
from aixgo.security.tls import Tls


def read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def names(cert: x509.Certificate) -> x509.SubjectAlternativeName:
    return cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def test_a_certificate_is_for_the_agents_uri_its_slug_and_this_machine(tmp_path: Path) -> None:
    make_certificates(tmp_path, ["Backend Dev"])
    found = names(read(tmp_path / "backend-dev.pem"))
    assert found.get_values_for_type(x509.UniformResourceIdentifier) == [
        "spiffe://aixgo/agent/backend-dev"
    ]
    assert found.get_values_for_type(x509.DNSName) == ["backend-dev", "localhost"]
    assert ipaddress.ip_address("127.0.0.1") in found.get_values_for_type(x509.IPAddress)


def test_hosts_replace_this_machine_and_may_hold_the_slug(tmp_path: Path) -> None:
    make_certificates(tmp_path, ["writer"], hosts=["{agent}.agents.svc", "10.0.0.7"])
    found = names(read(tmp_path / "writer.pem"))
    assert found.get_values_for_type(x509.DNSName) == ["writer", "writer.agents.svc"]
    assert found.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("10.0.0.7")]


def test_keys_are_their_owners_only(tmp_path: Path) -> None:
    make_certificates(tmp_path, ["writer"])
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes["ca.key"] == modes["writer.key"] == 0o600
    assert modes["ca.pem"] == modes["writer.pem"] == 0o644


def test_the_files_serve_and_call(tmp_path: Path) -> None:
    make_certificates(tmp_path, ["writer"])
    cert, key = tmp_path / "writer.pem", tmp_path / "writer.key"
    assert Tls(ca=tmp_path / "ca.pem", cert=cert, key=key).load().key


def test_nothing_is_written_over(tmp_path: Path) -> None:
    make_certificates(tmp_path, ["writer"])
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ConfigError, match=r"writer\.pem is there already, and nothing was written"):
        make_certificates(tmp_path, ["reader", "writer"])
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_another_agent_gets_its_certificate_from_the_same_authority(tmp_path: Path) -> None:
    make_certificates(tmp_path, ["writer"])
    made = make_certificates(tmp_path, ["reader", "writer"], only_missing=True)
    assert [path.name for path in made] == ["reader.key", "reader.pem"]
    read(tmp_path / "reader.pem").verify_directly_issued_by(read(tmp_path / "ca.pem"))


def test_a_certificate_does_not_outlive_its_authority(tmp_path: Path) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    authority = Authority.new("aixgo", now, days=10)
    cert, _ = authority.issue("writer", [], "aixgo", now, days=365)
    assert x509.load_pem_x509_certificate(cert).not_valid_after_utc == now + timedelta(days=10)
    with pytest.raises(ConfigError, match="authority has expired"):
        authority.issue("writer", [], "aixgo", now + timedelta(days=11))


@pytest.mark.parametrize("lost", ["ca.key", "writer.pem"])
def test_half_a_pair_is_named(tmp_path: Path, lost: str) -> None:
    make_certificates(tmp_path, ["writer"])
    (tmp_path / lost).unlink()
    with pytest.raises(ConfigError, match=f"{lost} is not"):
        make_certificates(tmp_path, ["writer"], only_missing=True)


def test_an_authority_that_is_none_is_named(tmp_path: Path) -> None:
    make_certificates(tmp_path, ["writer"])
    for name in ("ca.key", "ca.pem"):
        path = tmp_path / name
        kept = path.read_bytes()
        path.write_bytes((tmp_path / name.replace("ca", "writer")).read_bytes())
        with pytest.raises(ConfigError, match=r"ca\.key is not the key of .*ca\.pem"):
            make_certificates(tmp_path, ["reader"])
        path.write_text("junk")
        with pytest.raises(ConfigError, match="are not an authority and its key"):
            make_certificates(tmp_path, ["reader"])
        path.write_bytes(kept)


@pytest.mark.parametrize(
    ("agents", "options", "said"),
    [
        ([], {}, "name the agents"),
        (["ca"], {}, "would have the same file, ca.pem"),
        (["Writer", "writer"], {}, "would have the same file, writer.pem"),
        (["a/b"], {}, "contains '/'"),
        (["writer"], {"hosts": ["no host"]}, "neither a name nor an IP address"),
        (["writer"], {"domain": "Fleet"}, "domain 'Fleet'"),
        (["writer"], {"days": 0}, "1 to 3650 days, not 0"),
    ],
)
def test_wrong_wishes_write_nothing(
    tmp_path: Path, agents: list[str], options: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        make_certificates(tmp_path, agents, **options)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="file"):
        make_certificates(tmp_path / "file", ["writer"])


def test_the_identity_of_a_name_is_a_uri_with_its_slug() -> None:
    assert identity_of("Backend Dev", "fleet.example") == "spiffe://fleet.example/agent/backend-dev"


def test_the_command_lists_what_it_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "certs"
    assert run_verb(["certs", str(folder), "--agent", "writer"]) == 0
    shown = capsys.readouterr().out.split()
    assert sorted(shown) == sorted(str(path) for path in folder.iterdir())
    assert len(shown) == 4
    assert run_verb(["certs", str(folder), "--agent", "writer"]) == 1
    assert "nothing was written" in capsys.readouterr().err
    assert run_verb(["certs", str(folder), "--agent", "writer", "--only-missing"]) == 0


def test_without_its_package_the_command_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "aixgo.security.certificates", raising=False)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(MissingExtra, match=r"aixgo\[tls\]"):
        load("security", "certificates")
