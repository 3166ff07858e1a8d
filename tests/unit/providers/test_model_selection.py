"""Which model an agent gets."""

from __future__ import annotations

import logging

import pytest

from aixgo.errors import ConfigError
from aixgo.providers import choose_model, resolve_model
from aixgo.providers._selection import _notice_offline


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIXGO_MODEL", raising=False)
    monkeypatch.delenv("AIXGO_OFFLINE", raising=False)
    _notice_offline.cache_clear()


def test_the_agents_own_model_comes_first_then_the_runs_then_the_files_then_the_environments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIXGO_MODEL", "env")
    assert choose_model("own", run_model="run", default_model="file") == "own"
    assert choose_model("", run_model="run", default_model="file") == "run"
    assert choose_model("", default_model="file") == "file"
    assert choose_model() == "env"
    monkeypatch.setenv("AIXGO_OFFLINE", "1")
    assert choose_model("own") == "offline"


def test_falling_back_to_offline_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert [choose_model(), choose_model()] == ["offline", "offline"]
    assert len(caplog.records) == 1
    assert "\n" not in caplog.text.strip()


@pytest.mark.parametrize("model", ["openai:gpt-5", "gpt-4-turbo", "base", "_text", ""])
def test_a_model_nobody_provides_is_an_error_naming_what_exists(model: str) -> None:
    with pytest.raises(ConfigError, match="in this version; there are: offline"):
        resolve_model(model)


def test_an_unknown_model_of_a_provider_is_an_error() -> None:
    assert resolve_model("offline")[1] == "offline"
    assert resolve_model("offline:offline")[1] == "offline"
    with pytest.raises(ConfigError, match="'offline' has no model 'x'"):
        resolve_model("offline:x")
