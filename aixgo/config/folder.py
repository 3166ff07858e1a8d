"""A folder with an `agent.yaml`: one agent, its prompt and its tools, read as a file with one agent.

Below: config.read. Above: `load_config`.
"""

from __future__ import annotations

from pathlib import Path

from aixgo.config.read import Block, Items, read_file
from aixgo.errors import ConfigError

__all__ = ["AGENT_FILE", "one_agent"]

AGENT_FILE = "agent.yaml"
PROMPT_FILE = "prompt.md"
TOOLS_FILE = "tools.yaml"
MAX_PROMPT_BYTES = 1024 * 1024


def one_agent(entry: Block, file: Path) -> Block:
    """An `agent.yaml` as a file with one agent; prompt and tools may stand beside it."""
    folder = file.resolve().parent
    if "name" not in entry:
        entry["name"] = folder.name
        entry.lines["name"] = entry.line
    prompt = folder / PROMPT_FILE
    if "prompt" not in entry and prompt.is_file():
        entry["prompt"] = _text_of(prompt)
        entry.lines["prompt"] = entry.line
    tools = folder / TOOLS_FILE
    if "tools" not in entry and tools.is_file():
        entry["tools"] = read_file(tools).get("tools")
        entry.lines["tools"] = entry.line
    whole, items = Block(1), Items(1)
    items.append(entry)
    items.lines.append(entry.line)
    whole["agents"] = items
    whole.lines["agents"] = 1
    return whole


def _text_of(file: Path) -> str:
    try:
        with file.open("rb") as source:
            raw = source.read(MAX_PROMPT_BYTES + 1)
        text = raw.decode()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{file}: this prompt cannot be read as UTF-8 text") from exc
    if len(raw) > MAX_PROMPT_BYTES:
        raise ConfigError(f"{file}: a prompt holds at most {MAX_PROMPT_BYTES} bytes")
    return text
