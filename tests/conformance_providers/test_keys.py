"""Keys given in code or in a file: they reach the vendor, and no text that anybody reads."""

from __future__ import annotations

import asyncio
import logging
import sys
import traceback
from pathlib import Path

import pytest

from aixgo import Message
from aixgo.agents import ClassifierAgent, create_agent_team, create_simple_agent
from aixgo.cli import run_verb
from aixgo.config import assemble, load_config
from aixgo.config.build import open_runtime
from aixgo.errors import ConfigError, ProviderError
from aixgo.message import StreamChunk
from tests.conformance_providers.dialects import KEY, Chat
from tests.conformance_providers.wire import WireServer, as_events, as_json

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(__file__).resolve().parents[2]
BOUND = 30  # seconds for a process that takes two
CHAT = Chat()
HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture(autouse=True)
def no_key_around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("AIXGO_OFFLINE", raising=False)
    monkeypatch.setenv("AIXGO_ACME_KEY", KEY)


def refusal() -> dict[str, object]:
    return CHAT.error("invalid_api_key", f"the key {KEY} is wrong")


def file_of(folder: Path, service: str) -> Path:
    path = folder / "c.yaml"
    path.write_text(
        "agents:\n- {name: clerk, role: chat, model: fast}\n"
        f"model_services:\n- {{name: fast, provider: openai, model: gpt-4o, {service}}}\n"
    )
    return path


async def chunks_of(wire: WireServer, *answers: object) -> tuple[list[StreamChunk], str]:
    """A chat with a key and an address of its own, and everything one can see of the agent after it."""
    agent = create_simple_agent("clerk", "openai:gpt-4o", api_key=KEY, base_url=f"{wire.url}/v1")
    chunks = [chunk async for chunk in agent.chat(HELLO)]
    shown = f"{agent!r} {vars(agent)} {agent.get_status()} {agent.get_session_info()} {chunks}"
    return chunks, shown


async def test_a_key_and_an_address_given_to_an_agent_are_the_ones_it_uses(
    wire: WireServer,
) -> None:
    wire.answers = [as_events(*CHAT.pieces("yes"), *CHAT.end())]
    chunks, shown = await chunks_of(wire)
    assert "".join(chunk.content for chunk in chunks if chunk.type == "content") == "yes"
    assert wire.asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in shown


async def test_a_wrong_key_is_an_error_that_names_the_vendor_and_never_the_key(
    wire: WireServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wire.answers = [as_json(refusal(), 401)]
    chunks, shown = await chunks_of(wire)
    assert isinstance(chunks[-1].error, ProviderError)
    assert "'openai' does not accept the key" in chunks[-1].content
    shown += "".join(traceback.format_exception(chunks[-1].error))
    shown += "".join(r.getMessage() for r in caplog.records if r.name.startswith("aixgo"))
    assert KEY not in shown


async def test_a_key_stays_out_of_what_a_wrong_team_is_told() -> None:
    member = {"agent_id": "a", "model": "openai:gpt-4o", "api_key": KEY}
    for wrong in ({**member, "agent_id": ""}, {**member, "agent_id": "b", "modle": "x"}):
        with pytest.raises(ConfigError) as caught:
            create_agent_team([member, wrong])
        assert KEY not in f"{caught.value} {caught.value!r}"


@pytest.mark.parametrize("key", ["sk-\nx", "schlüssel", "sk-\x00"])
async def test_a_key_no_header_can_hold_is_refused_before_any_network(key: str) -> None:
    agent = create_simple_agent("clerk", "openai:gpt-4o", api_key=key)
    chunk = [chunk async for chunk in agent.chat(HELLO)][-1]
    assert isinstance(chunk.error, ConfigError)
    assert "holds a character that no key has" in chunk.content
    assert key not in chunk.content


@pytest.mark.parametrize("vendor", ["openai", "xai"])
async def test_headers_the_environment_has_sent_to_openai_go_to_nobody_else(
    wire: WireServer, monkeypatch: pytest.MonkeyPatch, vendor: str
) -> None:
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"X-Tenant: acme\nAuthorization: Bearer {vendor}")
    wire.answers = [as_json(CHAT.whole("yes"))]
    url = f"{wire.url}/{vendor}/v1"  # no client of another test's is used again
    agent = create_simple_agent("clerk", f"{vendor}:m", api_key=KEY, base_url=url)
    await agent.execute(Message("hello"))
    of_openai = wire.asked[0].headers.get("x-tenant"), wire.asked[0].headers["authorization"]
    expected = ("acme", "Bearer openai") if vendor == "openai" else (None, f"Bearer {KEY}")
    assert of_openai == expected


async def test_a_server_at_a_files_address_that_needs_no_key_is_sent_none(
    wire: WireServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    wire.answers = [as_json(CHAT.whole("yes"))]
    for host, sent in (("0.0.0.0", "Bearer none"), ("127.0.0.1", f"Bearer {KEY}")):
        path = tmp_path / "c.yaml"
        model = f"vllm:m@{wire.url.replace('127.0.0.1', host)}/v1"
        path.write_text(f"agents: [{{name: clerk, role: chat, model: '{model}'}}]\n")
        async with open_runtime(load_config(path)) as rt:
            assert (await rt.call("clerk", "hello")).text == "yes"
        assert wire.asked[-1].headers["authorization"] == sent


async def test_a_classifier_takes_a_key_too(wire: WireServer) -> None:
    answer = '{"category": "a", "confidence": 1, "reasoning": "", "alternatives": []}'
    wire.answers = [as_json(CHAT.whole(answer))]
    agent = ClassifierAgent("c", ["a", "b"], model=f"openai:gpt-4o@{wire.url}/v1", api_key=KEY)
    assert (await agent.execute(Message("text"))).metadata["category"] == "a"
    assert wire.asked[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    "key", ["api_key: '${AIXGO_ACME_KEY}'", "config: {token: '${AIXGO_ACME_KEY}'}"]
)
async def test_a_model_service_of_a_file_has_a_key_from_the_environment(
    key: str, wire: WireServer, tmp_path: Path
) -> None:
    wire.answers = [as_json(CHAT.whole("yes"))]
    config = load_config(file_of(tmp_path, f"address: '{wire.url}/v1', {key}"))
    assert not config.warnings
    async with open_runtime(config) as rt:
        assert (await rt.call("clerk", "hello")).text == "yes"
        shown = f"{config!r} {rt.get_agent('clerk')!r} {vars(rt.get_agent('clerk'))}"
    assert wire.asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in shown


async def test_an_agent_of_a_file_has_a_key_of_its_own(wire: WireServer, tmp_path: Path) -> None:
    wire.answers = [as_json(CHAT.whole("yes"))]
    path = tmp_path / "c.yaml"
    path.write_text(
        f"agents:\n- {{name: a, role: react, model: 'openai:m@{wire.url}/v1', api_key: '${{AIXGO_ACME_KEY}}'}}\n"
        "- {name: b, code: './b.py:make', api_key: '${AIXGO_ACME_KEY}'}\n"
    )
    (tmp_path / "b.py").write_text(
        "from aixgo import agent\n\n\ndef make(api_key: str):\n"
        "    @agent(name='b')\n    async def b(text: str) -> str:\n        return str(len(api_key))\n    return b\n"
    )
    config = load_config(path)
    async with open_runtime(config) as rt:
        assert (await rt.call("a", "hello")).text == "yes"
        assert (await rt.call("b", "hello")).text == str(len(KEY))
    assert wire.asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in repr(config)


async def test_a_key_that_is_not_set_is_an_error_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIXGO_ACME_KEY")
    with pytest.raises(ConfigError, match=r"c.yaml:4: .*\$\{AIXGO_ACME_KEY\} is not set"):
        load_config(file_of(tmp_path, "api_key: '${AIXGO_ACME_KEY}'"))
    config = load_config(file_of(tmp_path, "api_key: '${AIXGO_ACME_KEY:-}'"))
    with pytest.raises(ConfigError, match="'openai' needs a key: set OPENAI_API_KEY"):
        assemble(config)


async def test_a_key_written_into_a_file_works_and_is_warned_about_without_saying_it(
    tmp_path: Path,
) -> None:
    config = load_config(file_of(tmp_path, f"api_key: {KEY}"))
    assert any("api_key: a key stands in the file" in line for line in config.warnings)
    assert KEY not in f"{config!r} {config.warnings}"
    assert assemble(config)


async def test_a_key_of_the_wrong_type_is_refused_without_saying_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="api_key must be text") as caught:
        load_config(file_of(tmp_path, f"api_key: [{KEY}]"))
    assert KEY not in str(caught.value)


async def test_no_provider_of_ones_own_is_given_a_key_it_would_not_use(tmp_path: Path) -> None:
    path = file_of(tmp_path, "api_key: '${AIXGO_ACME_KEY}'")
    path.write_text(path.read_text().replace("provider: openai", "provider: nobody"))
    with pytest.raises(ConfigError, match="'nobody'") as caught:
        assemble(load_config(path))
    assert KEY not in str(caught.value)


@pytest.mark.slow
async def test_the_command_line_shows_no_key(
    wire: WireServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wire.answers = [as_json(refusal(), 401)]
    path = file_of(tmp_path, f"address: '{wire.url}/v1', api_key: '${{AIXGO_ACME_KEY}}'")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "aixgo", "run", str(path), "-i", "hello", "--json"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(BOUND):
        said, _ = await process.communicate()
    assert (run_verb(["validate", str(path)]), run_verb(["models", "openai"])) == (0, 0)
    listed = capsys.readouterr()
    shown = said.decode() + listed.out + listed.err
    assert "does not accept the key" in shown
    assert wire.asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in shown
