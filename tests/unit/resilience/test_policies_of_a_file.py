"""Policies in YAML: around calls between agents, around a model service, around an agent's model."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aixgo.config import Config, json_schema, load_config, open_runtime
from aixgo.errors import CircuitOpen, ConfigError, ProviderUnavailable
from tests.conformance_providers.dialects import Chat
from tests.conformance_providers.wire import Answer, WireServer, as_json

DOWN = {"error": {"message": "no", "type": "overloaded", "code": "overloaded", "param": None}}

FLAKY = """
from aixgo import agent
from aixgo.errors import ProviderUnavailable
asked = []

@agent
async def flaky(text: str) -> str:
    asked.append(text)
    if len(asked) < 3:
        raise ProviderUnavailable("down", provider="acme")
    return f"{text} {len(asked)} times"

@agent
async def down(text: str) -> str:
    raise ProviderUnavailable("down", provider="acme")
"""


def ok(text: str) -> Answer:
    return as_json(Chat().whole(text))


def down() -> Answer:
    return as_json(DOWN, 503)


@pytest.fixture
async def wire() -> AsyncIterator[WireServer]:
    async with WireServer() as running:
        yield running


@pytest.fixture
async def spare() -> AsyncIterator[WireServer]:
    async with WireServer() as running:
        yield running


def loaded(folder: Path, text: str) -> Config:
    (folder / "agents.py").write_text(FLAKY)
    path = folder / "config.yaml"
    path.write_text(text)
    return load_config(path)


def service(name: str, wire: WireServer, resilience: str = "") -> str:
    block = f", resilience: {resilience}" if resilience else ""
    return f"  - {{name: {name}, provider: vllm, model: m, address: {wire.url}/v1{block}}}\n"


async def test_an_agent_retries_its_model(tmp_path: Path, wire: WireServer) -> None:
    wire.answers = [down(), down(), ok("yes")]
    text = (
        f"model_services:\n{service('main', wire)}"
        "agents:\n  - {name: a, role: chat, model: main, resilience: {retry: {retry_delay: 0}}}\n"
    )
    async with open_runtime(loaded(tmp_path, text)) as rt:
        reply = await rt.call("a", "hi")
    assert reply.text == "yes"
    assert reply.metadata["retries"] == 2
    assert reply.usage.calls == 3


async def test_agents_of_a_service_share_its_policies(tmp_path: Path, wire: WireServer) -> None:
    wire.answers = [down()]
    text = (
        f"model_services:\n{service('main', wire, '{breaker: {failure_threshold: 2}}')}"
        "agents:\n  - {name: a, role: chat, model: main}\n  - {name: b, role: react, model: main}\n"
    )
    async with open_runtime(loaded(tmp_path, text)) as rt:
        for name, error in (
            ("a", ProviderUnavailable),
            ("b", ProviderUnavailable),
            ("a", CircuitOpen),
            ("b", CircuitOpen),
        ):
            with pytest.raises(error):
                await rt.call(name, "hi")
    assert len(wire.asked) == 2
    assert wire.asked[0].body["model"] == "m"


async def test_a_supervisor_asks_its_service_with_the_policies_of_that_service(
    tmp_path: Path, wire: WireServer
) -> None:
    wire.answers = [
        down(),
        ok('{"category": "b", "confidence": 1, "reasoning": "", "alternatives": []}'),
    ]
    text = (
        f"supervisor: {{name: desk, model: main}}\n"
        f"model_services:\n{service('main', wire, '{retry: {retry_delay: 0}}')}"
        "agents:\n  - {name: a, role: chat, model: offline}\n  - {name: b, role: chat, model: offline}\n"
    )
    async with open_runtime(loaded(tmp_path, text)) as rt:
        reply = await rt.call("desk", "hi")
    assert reply.metadata["routed_to"] == "b"
    assert [request.body["model"] for request in wire.asked] == ["m", "m"]


async def test_a_service_stands_in_for_another_with_its_own_policies(
    tmp_path: Path, wire: WireServer, spare: WireServer
) -> None:
    wire.answers, spare.answers = [down()], [down(), ok("spare")]
    text = (
        f"model_services:\n{service('main', wire, '{breaker: {}}')}"
        f"{service('spare', spare, '{retry: {retry_delay: 0}}')}"
        "agents:\n  - {name: a, role: chat, model: main, resilience: {fallback: {models: [spare]}}}\n"
    )
    async with open_runtime(loaded(tmp_path, text)) as rt:
        reply = await rt.call("a", "hi")
    assert reply.text == "spare"
    assert reply.metadata["fallback_error"] == "ProviderUnavailable"
    assert (len(wire.asked), len(spare.asked)) == (1, 2)
    assert reply.usage.calls == 3


@pytest.mark.parametrize("role", ["classifier", "aggregator"])
async def test_every_role_with_a_model_takes_them(
    role: str, tmp_path: Path, wire: WireServer
) -> None:
    wire.answers = [as_json(DOWN, 400)]
    more = ", categories: [{name: x}]" if role == "classifier" else ""
    text = (
        f"model_services:\n{service('main', wire)}agents:\n"
        f"  - {{name: a, role: {role}, model: main{more}, resilience: {{fallback: {{models: [offline]}}}}}}\n"
    )
    assert loaded(tmp_path, text).warnings == ()
    wire.answers = [down()]
    async with open_runtime(loaded(tmp_path, text)) as rt:
        reply = await rt.call("a", {"one": "yes", "two": "yes"})
    assert reply.payload


async def test_calls_between_agents_are_retried(tmp_path: Path) -> None:
    text = (
        "resilience: {retry: {retry_delay: 1ms}}\n"
        "agents:\n  - {name: a, code: './agents.py:flaky'}\n"
    )
    async with open_runtime(loaded(tmp_path, text)) as rt:
        reply = await rt.call("a", "asked")
    assert reply.text == "asked 3 times"


async def test_an_agent_and_an_orchestration_name_who_stands_in_for_them(tmp_path: Path) -> None:
    text = """
agents:
  - {name: a, code: './agents.py:down', fallback: [b, c]}
  - {name: b, code: './agents.py:down'}
  - {name: c, role: chat, model: offline}
orchestration: {name: all, pattern: sequential, agents: [b], fallback: [c]}
"""
    async with open_runtime(loaded(tmp_path, text)) as rt:
        assert (await rt.call("a", "hello there")).metadata["served_by"] == "c"
        assert (await rt.call("all", "hello there")).metadata["fallback_for"] == "all"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("resilience: {retri: {}}", "config.yaml:1: key resilience.retri: .*did you mean 'retry'"),
        (
            "resilience: {fallback: {models: [offline]}}",
            "resilience.fallback: there is no such key here",
        ),
        ("resilience: {retry: {max_retries: -1}}", "max_retries is -1; it must be at least 0"),
        ("resilience: {timeout: {}}", "the key 'seconds' is missing"),
        ("resilience: {retry: yes}", "retry must be a mapping"),
        ("resilience: 3", "resilience must be a mapping"),
        (
            "agents: [{name: a, role: chat, resilience: {timeout: {seconds: soon}}}]",
            "timeout.seconds must be seconds or a duration",
        ),
        (
            "agents: [{name: a, code: './agents.py:flaky', resilience: {retry: {}}}]",
            "give the model of your code its policies there",
        ),
        (
            "agents: [{name: a, role: chat, fallback: [b]}]",
            "agents.0..fallback: no agent is called 'b'",
        ),
        ("agents: [{name: a, role: chat, fallback: [a]}]", "an agent cannot stand in for itself"),
        (
            "model_services: [{name: s, provider: vllm, resilience: {breaker: {failure_threshold: 0}}}]",
            "failure_threshold is 0; it must be at least 1",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, told: str, tmp_path: Path) -> None:
    whole = text if text.startswith("agents") else f"{text}\nagents: [{{name: a, role: logger}}]\n"
    with pytest.raises(ConfigError, match=told):
        loaded(tmp_path, whole)


async def test_a_model_to_fall_back_to_that_does_not_exist_is_an_error_at_the_start(
    tmp_path: Path,
) -> None:
    text = "agents:\n  - {name: a, role: chat, model: offline, resilience: {fallback: {models: [opnai:x]}}}\n"
    with pytest.raises(ConfigError, match=r"'a': resilience.fallback: .*did you mean 'openai'"):
        async with open_runtime(loaded(tmp_path, text)):
            pass


async def test_services_that_stand_in_for_each_other_are_an_error(tmp_path: Path) -> None:
    text = """
model_services:
  - {name: one, provider: vllm, model: m, resilience: {fallback: {models: [two]}}}
  - {name: two, provider: vllm, model: m, resilience: {fallback: {models: [one]}}}
agents: [{name: a, role: chat, model: one}]
"""
    with pytest.raises(ConfigError, match="in a circle: one → two → one"):
        async with open_runtime(loaded(tmp_path, text)):
            pass


def test_a_role_without_a_model_is_warned_about(tmp_path: Path) -> None:
    config = loaded(tmp_path, "agents: [{name: a, role: logger, resilience: {retry: {}}}]")
    assert "a logger calls no model" in " ".join(config.warnings)


def test_offline_replaces_services_and_what_stands_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aixgo.config import assemble

    monkeypatch.setenv("AIXGO_OFFLINE", "1")
    text = """
model_services: [{name: main, provider: openai, model: x, resilience: {breaker: {}}}]
agents: [{name: a, role: chat, model: main, resilience: {fallback: {models: [main]}}}]
"""
    assert assemble(loaded(tmp_path, text))[0].agent.model == "offline"  # type: ignore[attr-defined]


def test_the_json_schema_lists_the_policies_and_refuses_others() -> None:
    schema = json.loads(json.dumps(json_schema()))
    block = schema["properties"]["resilience"]
    assert block["additionalProperties"] is False
    assert {"retry", "breaker", "timeout"} <= block["properties"].keys()
    assert "fallback" not in block["properties"]
    agent = schema["properties"]["agents"]["items"]["properties"]["resilience"]
    assert "fallback" in agent["properties"]
    service_ = schema["properties"]["model_services"]["items"]["properties"]["resilience"]
    assert agent["properties"] == service_["properties"]
