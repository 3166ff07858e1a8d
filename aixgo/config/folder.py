"""A folder with an `agent.yaml`: one agent, its prompt and its tools.

Read alone it is a file with one agent; named by an entry's `folder`, its keys stand under the entry's own.
Below: config.read, config.check. Above: config.parse.
"""

from __future__ import annotations

import os
from pathlib import Path

from aixgo.config.check import Findings
from aixgo.config.read import Block, Items, in_file, read_file
from aixgo.errors import ConfigError

__all__ = ["AGENT_FILE", "one_agent", "take_folder"]

AGENT_FILE = "agent.yaml"
PROMPT_FILE = "prompt.md"
TOOLS_FILE = "tools.yaml"
MAX_PROMPT_BYTES = 1024 * 1024


def one_agent(entry: Block, file: Path) -> Block:
    """An `agent.yaml` as a file with one agent; prompt and tools may stand beside it."""
    _add_what_stands_beside(entry, file)
    whole, items = Block(1), Items(1)
    items.append(entry)
    items.lines.append(entry.line)
    whole["agents"] = items
    whole.lines["agents"] = 1
    return whole


def take_folder(entry: Block, path: str, file: Path, findings: Findings) -> tuple[Path, ...] | None:
    """Put the keys of the agent in an entry's `folder`, if it has one, under those of the entry.

    Code, prompt and tools that the folder names stay the folder's. An `agent.yaml` may name a `folder` too.

    Args:
        entry: of `agents`, or of a slot.
        path: how faults name it.
        file: where the entry stands.
        findings: told what is wrong with a folder.

    Returns:
        The folders that were read, or None if one of them cannot be used.
    """
    folders: list[Path] = []
    seen = [file.resolve()]
    holder = entry
    while isinstance(given := holder.get("folder"), str):
        line = holder.lines["folder"]
        source = (seen[-1].parent / Path(given).expanduser() / AGENT_FILE).resolve()
        if why := _unusable(source, seen):
            findings.fault(line, f"{path}.folder", why)
            return None
        shown = source if file.is_absolute() else Path(os.path.relpath(source))
        try:
            holder = _agent_of(shown)
        except ConfigError as exc:
            findings.errors.append(str(exc))
            return None
        _merge(entry, holder)
        seen.append(source)
        folders.append(source.parent)
    return tuple(folders)


def _unusable(source: Path, seen: list[Path]) -> str:
    """Why the agent of a folder cannot be had from there, or ""."""
    if source in seen:
        return f"{source.parent} leads back to itself"
    if not source.parent.is_dir():
        return f"there is no folder {source.parent}"
    if not source.is_file():
        return f"there is no {AGENT_FILE} in {source.parent}"
    return ""


def _agent_of(file: Path) -> Block:
    """The entry in an `agent.yaml`, to be used elsewhere: what it names beside itself is found from anywhere.

    Raises:
        ConfigError: it cannot be read, or is a whole configuration.
    """
    entry = read_file(file)
    if "agents" in entry:
        raise ConfigError(
            f"{file}:{entry.lines['agents']}: key agents: this is a configuration of its own; "
            "a folder that an entry names holds one agent"
        )
    in_file(entry, str(file))
    _add_what_stands_beside(entry, file)
    folder = file.resolve().parent
    tools = entry.get("tools")
    for block in (entry, *(tools if isinstance(tools, Items) else ())):
        code = block.get("code") if isinstance(block, Block) else None
        if isinstance(block, Block) and isinstance(code, str):
            source, colon, attribute = code.rpartition(":")
            if source.endswith(".py"):
                block["code"] = f"{folder / source}{colon}{attribute}"
    return entry


def _merge(entry: Block, below: Block) -> None:
    """Give `entry` the keys of `below` that it does not settle itself."""
    settled = set(entry)
    if settled & {"role", "type"}:
        settled |= {"role", "type", "code"}  # code would decide in the role's stead
    for key, value in below.items():
        if key not in settled:
            entry[key] = value
            # A name that is taken is a fault of whoever brought the folder in.
            entry.lines[key] = entry.lines["folder"] if key == "name" else below.lines[key]


def _add_what_stands_beside(entry: Block, file: Path) -> None:
    """The folder's name, `prompt.md` and `tools.yaml`, for what the entry does not say."""
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
        listed = read_file(tools)
        in_file(listed, str(file.with_name(TOOLS_FILE)))
        entry["tools"] = listed.get("tools")
        entry.lines["tools"] = listed.lines.get("tools", entry.line)


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
