"""`aixgo health`: whether a server, or one of its agents, takes calls; for probes of containers."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from aixgo.errors import ConfigError
from aixgo.keys import duration_seconds
from aixgo.rpc.probes import ask_health

__all__ = ["command"]

SERVING = "SERVING"
NOT_SERVING = 2  # exit code


def command(
    address: Annotated[str, typer.Argument(help="host:port, or unix:/path.")],
    agent: Annotated[
        str, typer.Option(help="Ask about this agent, not about the whole server.")
    ] = "",
    timeout: Annotated[str, typer.Option(help="Time for the answer, such as 3s.")] = "3s",
) -> int:
    """Print what the server says about its health; exit code 0 only if it takes calls."""
    seconds = duration_seconds(timeout, "--timeout")
    if seconds <= 0:
        raise ConfigError(f"--timeout {timeout!r}: it must be positive")
    state = asyncio.run(ask_health(address, agent, seconds))
    print(state.replace("_", " ").lower() if state != "UNKNOWN" else f"no agent {agent!r} there")
    return 0 if state == SERVING else NOT_SERVING
