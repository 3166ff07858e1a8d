"""Which model an agent gets."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable

import pytest

from aixgo.errors import ConfigError, MissingExtra
from aixgo.providers import VENDORS, Vendor, choose_model, resolve_model
from aixgo.providers._selection import _notice_offline
from aixgo.retrieval import embedder_of


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIXGO_MODEL", raising=False)
    monkeypatch.delenv("AIXGO_OFFLINE", raising=False)
    for row in VENDORS.values():
        for variable in (*row.key_variables, *row.base_url_variables):
            monkeypatch.delenv(variable, raising=False)
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


@pytest.mark.parametrize(
    ("model", "vendor", "name"),
    [
        ("openai:gpt-x", "openai", "gpt-x"),
        ("gpt-4-turbo", "openai", "gpt-4-turbo"),
        ("gpt-3.5-turbo", "openai", "gpt-3.5-turbo"),
        ("text-davinci-003", "openai", "text-davinci-003"),
        ("text-curie-001", "openai", "text-curie-001"),
        ("o3", "openai", "o3"),
        ("o4-mini", "openai", "o4-mini"),
        ("openai_responses:o3", "openai_responses", "o3"),
        ("claude-opus-5", "anthropic", "claude-opus-5"),
        ("gemini-2.5-flash", "gemini", "gemini-2.5-flash"),
        ("grok-4", "xai", "grok-4"),
        ("deepseek-chat", "deepseek", "deepseek-chat"),
        ("codestral-latest", "mistral", "codestral-latest"),
        ("kimi-k2", "moonshot", "kimi-k2"),
        ("ollama:llama3:8b", "ollama", "llama3:8b"),
        ("huggingface:org/model:cheapest", "huggingface", "org/model:cheapest"),
        ("vllm:gpt-4", "vllm", "gpt-4"),
        ("lmstudio/qwen/qwen3:4b", "lmstudio", "qwen/qwen3:4b"),
        ("ollama/llama3:8b", "ollama", "llama3:8b"),
    ],
)
def test_a_model_goes_to_the_vendor_written_or_else_the_one_its_name_tells(
    model: str, vendor: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for row in VENDORS.values():
        monkeypatch.setenv(row.key_variable, "k")
    provider, found = resolve_model(model)
    assert (provider.name, found) == (vendor, name)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("opnai:gpt-5", "did you mean 'openai'"),
        ("zzz:m", "there are: offline, openai, "),
        (
            "openai/gpt-oss-20b",
            "'openai:gpt-oss-20b' or 'huggingface:openai/gpt-oss-20b' or 'openrouter:openai/gpt-oss-20b'",
        ),
        ("meta-llama/L", "write 'huggingface:meta-llama/L' or 'openrouter:meta-llama/L'"),
        ("mistralai/M", "write 'mistral:M' or 'huggingface:mistralai/M' or 'openrouter:"),
        ("deepseek/chat", "write 'deepseek:chat' or 'huggingface:"),
        ("vertex/gemini-2.5-pro", "write 'gemini:gemini-2.5-pro' or "),
        ("gemini/gemini-2.5-pro", "write 'gemini:gemini-2.5-pro' or "),
        ("huggingface/org/m", "write 'huggingface:org/m'"),
        ("google:gemini-2.5-pro", "write 'gemini:gemini-2.5-pro'"),
        ("ft:gpt-4o:acme::1", "write 'openai:ft:gpt-4o:acme::1'"),
        (
            "bedrock/anthropic.claude-3-haiku-v1:0",
            "write 'anthropic:claude-3-haiku' or 'openrouter:",
        ),
        ("us.anthropic.claude-3-haiku-v1:0", "write 'anthropic:claude-3-haiku' or 'openrouter:"),
        ("amazon.titan-text-express-v1", "write 'openrouter:amazon/titan-text-express'"),
        ("bedrock/some-model", "write PROVIDER:bedrock/some-model with one of: "),
        ("/x", "does not tell its provider"),
        ("x/", "does not tell its provider"),
        ("omega-1", "write PROVIDER:omega-1 with one of: offline, openai, "),
        ("base", "does not tell its provider"),
        ("_text", "does not tell its provider"),
        ("", "does not tell its provider"),
        ("openai", "write 'openai:NAME'"),
        ("openai:", "write 'openai:NAME'"),
        (":m", "does not tell its provider"),
    ],
)
def test_a_model_nobody_provides_is_an_error_naming_what_exists(model: str, told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)) as caught:
        resolve_model(model)
    assert f"the model {model!r}" in str(caught.value)


@pytest.mark.parametrize("vendor", [row for row in VENDORS.values() if row.needs_key])
def test_a_missing_key_is_an_error_naming_its_variable(
    vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in vendor.key_variables:
        monkeypatch.setenv(variable, "  ")
    with pytest.raises(ConfigError, match=f"needs a key: set {vendor.key_variable}, or run with"):
        resolve_model(f"{vendor.name}:m")


@pytest.mark.parametrize("vendor", VENDORS.values())
def test_a_missing_package_is_an_error_naming_its_extra(
    vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("openai", "anthropic"):
        monkeypatch.setitem(sys.modules, module, None)
        monkeypatch.delitem(sys.modules, f"aixgo.providers.{module}", raising=False)
    monkeypatch.delitem(sys.modules, "aixgo.providers.openai_responses", raising=False)
    monkeypatch.delitem(sys.modules, "aixgo.providers._messages", raising=False)
    with pytest.raises(MissingExtra, match=rf"aixgo\[{vendor.package}\]"):
        resolve_model(f"{vendor.name}:m")


def test_a_key_in_the_environment_chooses_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    for row in VENDORS.values():
        monkeypatch.setenv(row.key_variable, "k")
    assert choose_model() == "offline"


@pytest.mark.parametrize(
    ("written", "host", "url"),
    [
        ("ollama:m", "", "http://127.0.0.1:11434/v1"),
        ("ollama:m", "box", "http://box:11434/v1"),
        ("ollama:m", "0.0.0.0:99", "http://127.0.0.1:99/v1"),
        ("ollama:m", "https://box/v1", "https://box/v1"),
        ("ollama:m@http://there:1/v1", "box", "http://there:1/v1"),
    ],
)
def test_an_address_is_the_one_written_or_the_environments_or_the_vendors_own(
    written: str, host: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OLLAMA_BASE_URL", raising=False)
    monkeypatch.setenv("OLLAMA_HOST", host)
    provider, name = resolve_model(written)
    assert repr(vars(provider)["_endpoint"]) == f"Endpoint({url!r})"
    assert name == "m"


def test_an_address_that_is_none_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_BASE_URL", "box:8000")
    with pytest.raises(ConfigError, match=r"address of 'vllm' has to be an http\(s\) URL"):
        resolve_model("vllm:m")


def test_an_unknown_model_of_a_provider_is_an_error() -> None:
    assert resolve_model("offline")[1] == "offline"
    assert resolve_model("offline:offline")[1] == "offline"
    with pytest.raises(ConfigError, match="'offline' has no model 'x'"):
        resolve_model("offline:x")


@pytest.mark.parametrize("find", [resolve_model, embedder_of])
@pytest.mark.parametrize("model", ["openai:m", "nobody:m", "anthropic:", "m"])
def test_no_refusal_shows_the_password_in_an_address(
    find: Callable[[str], object], model: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        find(f"{model}@http://me:hush@somewhere/v1")
    assert "hush" not in str(refused.value)
