"""Tokens: what can be one, where it is read from, and that it is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from aixgo import DistributedRuntime
from aixgo.errors import ConfigError
from aixgo.security.auth import Token

SECRET = "s3cret-s3cret-s3cret"


@pytest.mark.parametrize(
    "text", ["", "short", "x" * 4097, "sixteen characters", "s3cret-s3cret-s3crét", "x" * 20 + "\n"]
)
def test_what_cannot_be_a_token_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Token(text)
    assert not text or text not in str(caught.value)


def test_a_token_is_not_shown() -> None:
    assert SECRET not in repr(Token(SECRET))
    assert SECRET not in str(DistributedRuntime(token=Token(SECRET)).__dict__)


def test_a_token_comes_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(f"{SECRET}\n")
    monkeypatch.setenv("FLEET_TOKEN", SECRET)
    assert Token.from_file(tmp_path / "token") == Token.from_env("FLEET_TOKEN") == Token(SECRET)


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 20, b"two words of a token"])
def test_a_file_that_holds_no_token_is_named_and_its_content_is_not(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(ConfigError, match=r"token file .*/token'") as caught:
        Token.from_file(tmp_path / "token")
    assert "two words" not in str(caught.value)


def test_a_token_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        Token.from_file(tmp_path / "token")


def test_a_variable_without_a_token_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLEET_TOKEN", raising=False)
    with pytest.raises(ConfigError, match="FLEET_TOKEN"):
        Token.from_env("FLEET_TOKEN")
    monkeypatch.setenv("FLEET_TOKEN", "short")
    with pytest.raises(ConfigError, match=r"FLEET_TOKEN.*5 characters"):
        Token.from_env("FLEET_TOKEN")


def test_only_the_whole_token_matches() -> None:
    token = Token(SECRET)
    assert token.matches(SECRET)
    assert not any(token.matches(other) for other in ("", SECRET[:-1], SECRET + "x", "schlüssel"))


def test_a_token_does_not_leave_the_machine_in_plaintext() -> None:
    peers = {"far": "10.0.0.7:80"}
    with pytest.raises(ConfigError, match="would send the token readable"):
        DistributedRuntime(peers=peers, token=Token(SECRET), insecure=True)
    DistributedRuntime(peers=peers, token=Token(SECRET), external_tls=True)
    DistributedRuntime(peers={"near": "127.0.0.1:80"}, token=Token(SECRET))
