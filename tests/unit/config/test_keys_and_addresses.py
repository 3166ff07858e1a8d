"""Which key goes to which address, when the file that names the address may come from anybody."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from aixgo.agents import AggregatorAgent
from aixgo.config import Overrides, assemble, load_config, open_runtime
from aixgo.config.build import orchestrators
from aixgo.errors import ConfigError
from aixgo.providers import Embedder
from aixgo.retrieval import embedder_of

SECRET = "sk-of-the-environment-0123456789"
ELSEWHERE = "https://llm.example.com/v1"
NEAREST = "categories: [{name: x}], use_embeddings: true"
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
        f"agents: [{{name: a, role: classifier, {NEAREST}, embedding_model: 'openai:m@{ELSEWHERE}'}}]",
        (
            "agents: [{name: a, role: classifier, categories: [{name: x}], "
            "classifier_config: {use_embeddings: true}}]\n"
            f"embeddings: {{provider: openai, openai: {{base_url: '{ELSEWHERE}'}}}}"
        ),
        (
            "agents: [{name: a, role: aggregator, model: offline, aggregation_strategy: rag_based, "
            f"documents: [c.yaml], embedding_model: 'openai:m@{ELSEWHERE}'}}]"
        ),
        f"agents: [{{name: a, role: retriever, documents: [c.yaml], embedding_model: 'openai:m@{ELSEWHERE}'}}]",
        (
            "agents: [{name: a, role: chat, model: offline}, {name: b, role: chat, model: offline}]\n"
            "orchestration: [{name: c, pattern: consensus, agents: [a, b], config: "
            f"{{convergence: similarity, embedding_model: 'openai:m@{ELSEWHERE}'}}}}]"
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


@asynccontextmanager
async def embeddings(heard: list[str]) -> AsyncIterator[str]:
    """A server of embeddings on this machine, which notes what it is authorised by; its address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        fields = dict(line.split(": ", 1) for line in head.splitlines()[1:] if line)
        asked = json.loads(await reader.readexactly(int(fields["content-length"])))
        heard.append(fields.get("authorization", ""))
        data = [
            {"object": "embedding", "index": i, "embedding": [1.0, float(i)]}
            for i in range(len(asked["input"]))
        ]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        body = json.dumps({"object": "list", "model": "m", "data": data, "usage": usage})
        told = f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close"
        writer.write(f"HTTP/1.1 200 OK\r\n{told}\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


async def test_an_agents_key_is_its_models_and_not_sent_with_what_it_embeds(
    tmp_path: Path,
) -> None:
    heard: list[str] = []
    async with embeddings(heard) as address:
        path = tmp_path / "c.yaml"
        path.write_text(
            "agents: [{name: a, role: classifier, model: 'deepseek:m', api_key: sk-of-this-agent, "
            f"{NEAREST}, embedding_model: 'openai:m@{address}'}}]"
        )
        async with open_runtime(load_config(path)) as rt:
            await rt.call("a", "hello")
    assert heard == [f"bearer {SECRET}"]


def test_in_code_an_aggregators_key_is_not_given_to_another_vendor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[str] = []

    def noted(name: str = "", *, api_key: str = "", dimensions: int = 0) -> Embedder:
        given.append(api_key)
        return embedder_of("hashing", dimensions=dimensions)

    monkeypatch.setattr("aixgo.agents.retriever.embedder_of", noted)
    for model in ("deepseek:m", "openai:m"):
        AggregatorAgent(
            "a",
            aggregation_strategy="rag_based",
            documents=["docs"],
            model=model,
            api_key="sk-1",
            embedding_model="openai:text-embedding-3-small",
        )
    assert given == ["", "sk-1"]


def test_a_file_is_looked_at_without_the_key_of_its_embedding_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    path = tmp_path / "c.yaml"
    path.write_text(
        "agents: [{name: a, role: chat, model: offline}, {name: b, role: chat, model: offline}]\n"
        "orchestration: [{name: c, pattern: consensus, agents: [a, b], config: "
        "{convergence: similarity, embedding_model: 'openai:m'}}]"
    )
    assert list(orchestrators(load_config(path))) == ["c"]
