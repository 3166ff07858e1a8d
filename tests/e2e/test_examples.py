"""Every example answers its inputs alike in one runtime and with its agents behind a server.

An example is a folder with a `config.yaml` and an `input.txt`, and more inputs as `input-….txt`. The demo, which reads
documents, has tests of its own.
"""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from aixgo import DistributedRuntime, Message
from aixgo.config import Config, load_config, open_runtime
from aixgo.config.build import assemble, place
from tests.conformance.patterns.base import tables
from tests.e2e.commands import DEMO, ROOT

EXAMPLES = sorted(
    path.parent for path in ROOT.glob("examples/*/config.yaml") if path.parent != DEMO
)
PATIENCE = 20.0  # seconds for all inputs of an example

each_example = pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)


@pytest.fixture(autouse=True)
def without_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIXGO_OFFLINE", "1")


def inputs(folder: Path) -> list[str]:
    """What the example is asked, `input.txt` first."""
    found = sorted(folder.glob("input*.txt"), key=lambda path: (path.stem != "input", path.name))
    assert found, f"{folder.name} has no input.txt"
    return [path.read_text(encoding="utf-8") for path in found]


async def in_one_runtime(config: Config, given: list[str]) -> list[Message]:
    async with open_runtime(config) as rt:
        return [await rt.call(config.entries()[0], text) for text in given]


async def behind_a_server(config: Config, given: list[str]) -> list[Message]:
    """The orchestrations here, every other agent on a server."""
    here = {entry.name for entry in config.orchestrations}
    there = set(config.names) - here
    async with DistributedRuntime(address="127.0.0.1:0") as server:
        await place(server, assemble(config, only=there))
        peers = dict.fromkeys(there, server.address)
        async with DistributedRuntime(peers=peers) as rt:
            await place(rt, assemble(config, only=here))
            return [await rt.call(config.entries()[0], text) for text in given]


def shown(replies: list[Message]) -> list[str]:
    """Payloads and types, in which the order of keys counts too."""
    return [json.dumps([reply.type, reply.payload]) for reply in replies]


@each_example
async def test_an_example_gives_the_same_on_both_runtimes(folder: Path) -> None:
    config, given = load_config(folder / "config.yaml"), inputs(folder)
    assert config.warnings == ()
    async with asyncio.timeout(PATIENCE):
        local = await in_one_runtime(config, given)
        served = await behind_a_server(config, given)
    assert shown(local) == shown(served)
    assert len(set(shown(local))) == len(given)
    assert all(reply.payload for reply in local)


@each_example
def test_an_example_says_what_it_shows_and_how_to_run_it(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert f"aixgo run examples/{folder.name}/config.yaml" in text
    assert "(../../docs/patterns.md" in text


@pytest.mark.parametrize("pattern", sorted(set(tables()) - {"classifier"}))  # a second name of one
def test_the_section_of_a_pattern_names_an_example_of_it(pattern: str) -> None:
    sections = (ROOT / "docs/patterns.md").read_text(encoding="utf-8").split("\n## ")
    section = next(text for text in sections if text.partition("\n")[0].lower() == pattern)
    named = [folder for folder in EXAMPLES if f"(../examples/{folder.name})" in section]
    configs = [(folder / "config.yaml").read_text(encoding="utf-8") for folder in named]
    assert any(f"pattern: {pattern}\n" in config for config in configs)


def test_every_example_is_listed() -> None:
    listed = re.findall(
        r"^\| \[(.+)\]\(\1\)", (ROOT / "examples/README.md").read_text("utf-8"), re.MULTILINE
    )
    assert sorted(listed) == sorted(path.parent.name for path in ROOT.glob("examples/*/README.md"))
