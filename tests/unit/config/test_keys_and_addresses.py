"""Which key goes to which address, when the file that names the address may come from anybody."""

from __future__ import annotations

from pathlib import Path

import pytest

from aixgo.config import Overrides, assemble, load_config
from aixgo.errors import ConfigError

SECRET = "sk-of-the-environment-0123456789"
ELSEWHERE = "https://llm.example.com/v1"
SERVICE = """
agents: [{{name: a, role: chat, model: fast}}]
model_services: [{{name: fast, provider: {vendor}, model: m, address: '{address}'{more}}}]
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AIXGO_OFFLINE", "AIXGO_MODEL", "AIXGO_CONFIG_ENV", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-of-deepseek-0123456789")
    monkeypatch.setenv("AIXGO_PROXY_KEY", "sk-of-the-proxy-0123456789")


def build(folder: Path, text: str, *, model: str = "") -> None:
    path = folder / "c.yaml"
    path.write_text(text)
    assemble(load_config(path), overrides=Overrides(model=model))


def service(address: str, more: str = "", vendor: str = "openai") -> str:
    return SERVICE.format(vendor=vendor, address=address, more=more and f", {more}")


@pytest.mark.parametrize(
    "text",
    [
        service(ELSEWHERE),
        service(ELSEWHERE, "resilience: {retry: {}}"),
        service("http://api.openai.com/v1"),  # readable on its way
        service("https://api.openai.com.example.com/v1"),
        service("https://api.openai.com@example.com/v1"),
        service("https://example.com\\@api.openai.com/v1"),
        service("https://api.openai.com:8443/v1"),
        service("https://api.openai.com:99999/v1"),
        service("http://127.0.0.1.example.com/v1"),
        service("http://127.0.0.1@example.com/v1"),
        service(ELSEWHERE, "api_key: '${OPENAI_API_KEY}'"),
        service(ELSEWHERE, "config: {token: '${OPENAI_API_KEY}'}"),
        service(ELSEWHERE, "api_key: '${OPENAI_API_KEY}'", vendor="vllm"),
        service("https://api.deepseek.com", "api_key: '${OPENAI_API_KEY}'"),
        f"agents: [{{name: a, role: chat, model: 'openai:m@{ELSEWHERE}'}}]",
        f"agents: [{{name: a, role: chat, model: 'gpt-4o@{ELSEWHERE}'}}]",
        f"agents: [{{name: a, role: react}}]\ndefault_model: 'openai:m@{ELSEWHERE}'",
        f"agents: [{{name: a, role: chat, model: 'openai:m@{ELSEWHERE}', api_key: '${{OPENAI_API_KEY}}'}}]",
        (
            "agents: [{name: a, role: chat, model: offline, resilience: "
            f"{{fallback: {{models: ['openai:m@{ELSEWHERE}']}}}}}}]"
        ),
        (
            f"supervisor: {{name: s, model: 'openai:m@{ELSEWHERE}'}}\n"
            "agents: [{name: a, role: chat, model: offline}, {name: b, role: chat, model: offline}]"
        ),
    ],
)
def test_a_vendors_key_goes_to_no_address_of_a_file(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="may not send the key in OPENAI_API_KEY") as caught:
        build(tmp_path, text)
    assert SECRET not in str(caught.value)


def test_the_error_says_what_to_write_where(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        build(tmp_path, service("https://user:hunter2@llm.example.com/v1"))
    told = str(caught.value)
    assert "c.yaml:2: 'a': " in told
    assert "to 'llm.example.com'" in told
    assert "write 'api_key: ${AIXGO_OPENAI_KEY}' beside the address" in told
    assert "or set OPENAI_BASE_URL" in told
    assert "'api_key: ${OPENAI_API_KEY}' with AIXGO_CONFIG_ENV=OPENAI_API_KEY" in told
    assert "hunter2" not in told


@pytest.mark.parametrize(
    "text",
    [
        service("https://api.openai.com/v1"),
        service("https://API.openai.com:443/v1"),
        service("http://localhost:1234/v1"),
        service("http://127.0.0.1:41234/v1"),
        service("http://[::1]:1234/v1"),
        service(ELSEWHERE, "api_key: '${AIXGO_PROXY_KEY}'"),
        service(ELSEWHERE, "api_key: sk-written-into-the-file"),
        service(ELSEWHERE, vendor="vllm"),
        service("https://api.deepseek.com", "api_key: '${DEEPSEEK_API_KEY}'"),
        "agents: [{name: a, role: chat, model: openai:m, api_key: '${OPENAI_API_KEY}'}]",
    ],
)
def test_where_it_belongs_a_key_is_sent(text: str, tmp_path: Path) -> None:
    build(tmp_path, text)


def test_an_address_the_command_line_names_is_trusted(tmp_path: Path) -> None:
    build(tmp_path, "agents: [{name: a, role: chat}]", model=f"openai:m@{ELSEWHERE}")


def test_an_address_the_environment_names_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "https://llm.example.com/openai")
    build(tmp_path, service(ELSEWHERE))
    with pytest.raises(ConfigError, match="may not send"):
        build(tmp_path, service("https://other.example.com/v1"))


def test_an_environment_variable_that_is_no_url_makes_no_address_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "proxy:8000")
    with pytest.raises(ConfigError, match="may not send"):
        build(tmp_path, service("https://user@other.example.com/v1"))


def test_whoever_starts_the_program_may_allow_a_file_a_vendors_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIXGO_CONFIG_ENV", "OPENAI_API_KEY")
    build(tmp_path, service(ELSEWHERE, "api_key: '${OPENAI_API_KEY}'"))
    with pytest.raises(ConfigError, match="may not send"):
        build(tmp_path, service(ELSEWHERE))


def test_a_key_that_files_may_read_is_theirs_even_if_it_is_a_vendors_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIXGO_PROXY_KEY", SECRET)
    build(tmp_path, service(ELSEWHERE, "api_key: '${AIXGO_PROXY_KEY}'"))


def test_headers_of_the_environment_go_to_no_address_of_a_file_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Secret: hush")
    with pytest.raises(ConfigError, match="the headers in OPENAI_CUSTOM_HEADERS") as caught:
        build(tmp_path, service(ELSEWHERE, "api_key: '${AIXGO_PROXY_KEY}'"))
    assert "hush" not in str(caught.value)


def test_without_any_key_the_error_is_the_usual_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ConfigError, match="'openai' needs a key: set OPENAI_API_KEY"):
        build(tmp_path, service(ELSEWHERE))


@pytest.mark.parametrize(
    "text",
    [
        "mine: {token: &t '${OPENAI_API_KEY}'}\nagents: [{name: a, role: chat, prompt: *t}]",
        "mine: {token: &t '${OPENAI_API_KEY}'}\nagents: [{name: a, role: chat, stop: [*t]}]",
    ],
)
def test_an_alias_does_not_carry_a_key_to_where_keys_do_not_belong(
    tmp_path: Path, text: str
) -> None:
    with pytest.raises(ConfigError, match=r"c\.yaml:2: key .*\*t is a secret") as refused:
        build(tmp_path, text)
    assert SECRET not in str(refused.value)


def test_an_alias_of_a_key_may_stand_where_keys_do(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        "agents:\n- {name: a, role: chat, model: 'openai:m', api_key: &k '${OPENAI_API_KEY}'}\n"
        "- {name: b, role: chat, model: 'openai:m', api_key: *k}\n"
    )
    assert load_config(path).agents[1].settings["api_key"] == SECRET
