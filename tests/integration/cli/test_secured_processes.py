"""`certs`, `serve`, `call` and `run` with certificates and a token, as real processes."""

import socket
from pathlib import Path

import pytest

from tests.integration.cli.commands import PARTS, inside, started

pytestmark = pytest.mark.slow

SECRET = "the-token-of-this-fleet"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration with the certificates and the token it names."""
    assert inside("certs", tmp_path / "certs", "--agent", "upper", "--agent", "me").returncode == 0
    (tmp_path / "token").write_text(SECRET)
    (tmp_path / "fleet.yaml").write_text(
        f'agents:\n  - {{name: upper, code: "{PARTS}:upper"}}\n'
        "deployment:\n"
        "  listen: 127.0.0.1:0\n"
        "  health: 127.0.0.1:0\n"
        "  tls: {ca: certs/ca.pem, cert: certs/upper.pem, key: certs/upper.key}\n"
        "  auth: {token_file: token}\n"
    )
    return tmp_path


def test_a_server_with_certificates_is_called_with_certificates(folder: Path) -> None:
    certs = folder / "certs"
    mine = ("--cert", certs / "me.pem", "--key", certs / "me.key")
    with started("serve", folder / "fleet.yaml") as server:
        assert server.stdout is not None
        address = server.stdout.readline().split()[-1]
        call = ("call", address, "upper", "-i", "hi")
        token = ("--token-file", folder / "token")
        done = inside(*call, "--ca", certs / "ca.pem", *mine, *token)
        assert (done.stdout, done.returncode) == ("HI\n", 0), done.stderr
        for options, said in (
            ((), "perhaps it wants TLS"),
            (("--ca", certs / "ca.pem"), "perhaps it asks for a certificate"),
            (("--ca", certs / "ca.pem", *mine), "no token was sent"),
            (("--ca", certs / "me.pem", *mine, *token), "an authority that is not in our ca"),
        ):
            refused = inside(*call, *options)
            assert said in refused.stderr, refused.stderr
            assert refused.returncode == 2


def test_a_certificate_named_on_the_command_line_stands_over_the_files(folder: Path) -> None:
    (folder / "certs" / "upper.key").unlink()
    refused = inside("serve", folder / "fleet.yaml")
    assert refused.returncode == 1
    assert "upper.key': No such file" in refused.stderr
    certs = folder / "certs"
    mine = ("--cert", certs / "me.pem", "--key", certs / "me.key")
    with started("serve", folder / "fleet.yaml", *mine) as server:
        assert server.stdout is not None
        assert server.stdout.readline().startswith("serving upper at 127.0.0.1:")


def test_the_processes_of_a_run_need_no_certificate_on_their_private_sockets(
    folder: Path,
) -> None:
    """Nor do they all listen for health checks where the file's one server would."""
    path = folder / "fleet.yaml"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        health = f"health: 127.0.0.1:{taken.getsockname()[1]}"
        path.write_text(path.read_text().replace("health: 127.0.0.1:0", health))
        done = inside("run", path, "--distributed", "-i", "hi")
    assert (done.stdout, done.returncode) == ("HI\n", 0), done.stderr


def test_a_token_in_the_clear_is_refused_by_the_command(folder: Path) -> None:
    token = ("--token-file", folder / "token")
    done = inside("call", "10.0.0.7:80", "upper", "-i", "hi", "--insecure", *token)
    assert done.returncode == 1
    assert "would send the token readable" in done.stderr
    assert SECRET not in done.stderr
