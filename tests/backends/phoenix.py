"""Arize Phoenix, a backend none of us wrote, is sent real traces and asked what it understood: `make test-backends`.

The demo's workflow runs in thirteen processes by the command line, then a fleet fails, uses tools and spends tokens.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aixgo import DistributedRuntime
from aixgo.errors import RequestRejected
from aixgo.observability import setup
from tests.backends.conftest import Phoenix, shown
from tests.integration.observability.processes import TracedProcess

pytestmark = pytest.mark.timeout(300)  # the first test waits until Phoenix has started

ROOT = Path(__file__).resolve().parents[2]
SPANS = 32  # of one run of the demo


def told(project: str, protocol: str) -> dict[str, str]:
    """What puts traces into a project of their own."""
    return {
        "OTEL_RESOURCE_ATTRIBUTES": f"openinference.project.name={project}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
    }


def expected_tree(kind_tokens: int, summary_tokens: int) -> list[str]:
    """The demo: two lines for a call, its caller's and its host's; below them a pattern, or the model that is asked."""

    def call(name: str, *below: list[str]) -> list[str]:
        inner = [f"    {line}" for lines in below for line in lines]
        return [f"invoke_agent {name} AGENT", f"  invoke_agent {name} AGENT", *inner]

    def pattern(kind: str, name: str, *calls: list[str]) -> list[str]:
        inner = [f"  {line}" for lines in calls for line in lines]
        return call(name, [f"orchestration.{kind} {name} UNKNOWN", *inner])

    def model(tokens: int) -> list[str]:
        return [f"chat offline LLM {tokens} tokens"]

    kind, summarise = call("kind", model(kind_tokens)), call("summarise", model(summary_tokens))
    inspection = pattern("router", "inspection", call("commands"), kind)
    summary = pattern("sequential", "summary", call("plain"), summarise)
    analysts = [call(name) for name in ("keywords", "outline", "statistics")]
    reading = pattern("parallel", "reading", inspection, *analysts, summary)
    return pattern("sequential", "reading-room", call("clean"), reading, call("report"))


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_the_demo_in_its_processes_is_one_trace_with_kinds_and_tokens(
    phoenix: Phoenix, protocol: str, capsys: pytest.CaptureFixture[str]
) -> None:
    project = f"demo-{protocol.partition('/')[0]}"
    endpoint = phoenix.grpc if protocol == "grpc" else phoenix.http
    began = time.monotonic()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "aixgo", "run", "examples/demo/config.yaml"),
            *("--input-file", "docs/guide.md", "--distributed", "--offline", "--no-record"),
            *("--json", "--otel", endpoint),
        ],
        cwd=ROOT,
        env={**os.environ, **told(project, protocol)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    ran = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    assert "do not reach" not in done.stderr
    answer = json.loads(done.stdout)

    spans = phoenix.spans(project, SPANS)
    seen = time.monotonic() - began
    lines = shown(spans, lambda span: span.counted)
    models = {span.parent_id: span for span in spans if span.kind == "LLM"}
    asked = {span.name: models[span.span_id].tokens for span in spans if span.span_id in models}
    assert lines == expected_tree(asked["invoke_agent kind"], asked["invoke_agent summarise"])
    assert len(spans) == SPANS
    assert sum(span.tokens for span in spans) == answer["metadata"]["tokens_total"] > 0
    assert {span.attributes["llm.model_name"] for span in models.values()} == {"offline"}
    with capsys.disabled():
        print(
            f"\n{protocol}: {len(spans)} spans and {sum(asked.values())} tokens; Phoenix started in "
            f"{phoenix.started_in:.1f} s, the run took {ran:.1f} s, all was there after {seen:.1f} s"
        )


async def test_a_fleets_tools_models_sessions_and_failures_are_what_phoenix_shows(
    phoenix: Phoenix, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in told("fleet", "grpc").items():
        monkeypatch.setenv(name, value)
    options = {"exporter": "otlp", "endpoint": phoenix.grpc, "capture_content": True}

    def serve(*agents: str, **peers: str) -> TracedProcess:
        return TracedProcess(
            agents[0], agents, peers=peers, transport="stream", observability=options
        )

    leaf = serve("leaf")
    models = serve("chat", "moody", leaf=leaf.address)
    peers = dict.fromkeys(("chat", "moody"), models.address)
    try:
        async with setup(**options), DistributedRuntime(peers=peers) as runtime:  # type: ignore[arg-type]
            await runtime.call("chat", "hi", session="s-1")
            with pytest.raises(RequestRejected):
                await runtime.call("moody", "fail")
    finally:
        await asyncio.to_thread(models.end)
        await asyncio.to_thread(leaf.end)

    spans = await asyncio.to_thread(phoenix.spans, "fleet", 10)
    assert shown(spans, lambda span: span.counted) == [
        "invoke_agent chat AGENT",
        "  invoke_agent chat AGENT",
        "    chat scripted LLM 15 tokens",
        "    chat scripted LLM 15 tokens",
        "    execute_tool ask_leaf TOOL",
        "      invoke_agent leaf AGENT",
        "        invoke_agent leaf AGENT",
        "invoke_agent moody AGENT !",
        "  invoke_agent moody AGENT !",
        "    chat moody LLM !",
    ]
    (used,) = [span for span in spans if span.kind == "TOOL"]
    assert used.attributes["tool.name"] == "ask_leaf"
    assert used.attributes["tool.parameters.text"] == "deep", "read from the JSON of the arguments"
    below = [span for span in spans if span.name.endswith(("chat", "scripted", "leaf"))]
    assert {span.attributes["session.id"] for span in below} == {"s-1"}
    asked = [span for span in spans if span.name == "chat scripted"]
    assert all("Be brief." in repr(span.attributes) for span in asked), "the prompt, as captured"
