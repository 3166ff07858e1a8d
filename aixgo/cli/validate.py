"""`aixgo validate`: everything that is wrong with a configuration, without running it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from aixgo.config import flowchart, load_config, rehearse
from aixgo.errors import ConfigError

__all__ = ["command"]


def command(
    config: Annotated[Path, typer.Argument(help="A YAML file, or a folder with an agent.yaml.")],
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse keys that aixgo does not know.")
    ] = False,
    graph: Annotated[
        bool, typer.Option("--graph", help="Print its entry as a Mermaid flowchart.")
    ] = False,
) -> int:
    """Check a configuration."""
    loaded = load_config(config)
    if strict and loaded.unknown_keys:
        raise ConfigError("\n".join(loaded.unknown_keys))
    for warning in loaded.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    for refusal in loaded.refusals:
        print(f"security: {refusal}; run and serve refuse this file", file=sys.stderr)
    rehearse(loaded)
    if graph:
        print(flowchart(loaded))
        return 0
    agents = _counted(len(loaded.agents), "agent")
    print(f"{config}: valid; {agents}, {_counted(len(loaded.orchestrations), 'orchestration')}")
    return 0


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number or 'no'} {what}s"
