"""The demo on a vendor's model, which here is a server of ours at the address in the vendor's variable."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conformance_providers.dialects import Chat, Messages
from tests.conformance_providers.wire import Answer, Asked, WireServer, as_json
from tests.e2e.commands import DEMO, demo_of, run

pytestmark = pytest.mark.slow

KEY = "sk-canary-of-the-demo-0123456789"
OPENAI, ANTHROPIC = Chat(), Messages()


class Vendor:
    """Answers the two agents that use a model, never twice with the same summary."""

    def __init__(self, dialect: Chat | Messages, *categories: str) -> None:
        self.dialect = dialect
        self.categories = list(categories)
        self.summaries = 0

    def __call__(self, asked: Asked) -> Answer:
        if "Judge by what the text is for" not in json.dumps(asked.body):
            self.summaries += 1
            return as_json(self.dialect.whole(f"Summary number {self.summaries}."))
        category = self.categories.pop(0) if len(self.categories) > 1 else self.categories[0]
        answer: dict[str, Any] = {"category": category, "confidence": 0.9, "reasoning": "so"}
        return as_json(self.dialect.whole(json.dumps({**answer, "alternatives": []})))


@pytest.fixture
async def wire() -> AsyncIterator[WireServer]:
    async with WireServer() as running:
        yield running


async def demo(folder: Path = DEMO, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, folder / "run.py"]
    return await asyncio.to_thread(run, command, **{"DOC": "LICENSE", **variables})


async def test_two_runs_on_a_model_agree_on_everything_but_the_texts(wire: WireServer) -> None:
    wire.decide = vendor = Vendor(OPENAI, "legal")
    done = await demo(MODEL="openai:gpt-4o", OPENAI_API_KEY=KEY, OPENAI_BASE_URL=f"{wire.url}/v1")
    assert done.returncode == 0, done.stderr
    assert "The two runs are alike: 13 agents called, 13 steps" in done.stdout
    assert "Summary number 1." in done.stdout
    assert (vendor.summaries, len(wire.asked)) == (2, 4)
    assert {asked.headers["authorization"] for asked in wire.asked} == {f"Bearer {KEY}"}
    assert KEY not in done.stdout + done.stderr


def cut(config: dict[str, Any], *kept: str) -> str:
    """The file of `config` with these agents only."""
    config["agents"] = [entry for entry in config["agents"] if entry["name"] in kept]
    return yaml.safe_dump(config, sort_keys=False)


def with_a_summary() -> str:
    """The demo's configuration with nothing but its summary."""
    config = yaml.safe_load((DEMO / "config.yaml").read_text(encoding="utf-8"))
    config["orchestration"]["agents"] = ["plain", "summarise"]
    return cut(config, "plain", "summarise")


def with_two_ways() -> str:
    """The demo's configuration without the agents that go one way only."""
    config = yaml.safe_load((DEMO / "config.yaml").read_text(encoding="utf-8"))
    reading = config["orchestration"]["agents"][1]
    reading["agents"] = reading["agents"][-1:]
    config["orchestration"]["agents"] = [reading]
    ways = reading["agents"][0]["config"]["routes"]
    for kind in ("guide", "record"):
        del ways[kind]
    return cut(config, "kind", *ways.values())


async def test_a_model_that_goes_two_ways_is_an_error_that_shows_the_agents(
    wire: WireServer, tmp_path: Path
) -> None:
    wire.decide = Vendor(ANTHROPIC, "legal", "prose")
    done = await demo(
        demo_of(tmp_path / "demo", with_two_ways()),
        MODEL="anthropic:claude-sonnet-5",
        ANTHROPIC_API_KEY=KEY,
        ANTHROPIC_BASE_URL=wire.url,
    )
    assert done.returncode == 2, done.stderr
    assert "error: the two answers differ:" in done.stderr
    assert "-reading-room/reading/inspection/duties by duties: " in done.stderr
    assert "+reading-room/reading/inspection/voices by voices: " in done.stderr


async def test_offline_asks_no_vendor_whatever_model_is_named(
    wire: WireServer, tmp_path: Path
) -> None:
    done = await demo(
        demo_of(tmp_path / "demo", with_a_summary()),
        MODEL="openai:gpt-4o",
        OPENAI_API_KEY=KEY,
        OPENAI_BASE_URL=f"{wire.url}/v1",
        AIXGO_OFFLINE="1",
    )
    assert "The two answers are equal." in done.stdout, done.stderr
    assert wire.asked == []


async def test_a_vendor_that_refuses_the_key_ends_the_demo_with_its_reason(
    wire: WireServer,
) -> None:
    wire.answers = [as_json(OPENAI.error("invalid_api_key", f"{KEY} is wrong"), 401)]
    done = await demo(MODEL="openai:gpt-4o", OPENAI_API_KEY=KEY, OPENAI_BASE_URL=f"{wire.url}/v1")
    assert done.returncode == 2
    assert "error: " in done.stderr
    assert "openai" in done.stderr
    assert KEY not in done.stdout + done.stderr
