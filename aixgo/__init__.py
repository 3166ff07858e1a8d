"""aixgo: write an agent once, run it in one process or as a fleet of gRPC services.

The names below are the public face; each is imported when first used, so that `import aixgo` stays
cheap. Everything else is reached through its module.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aixgo.config.oneshot import run
    from aixgo.config.parse import load_config
    from aixgo.context import CallContext
    from aixgo.contract import Agent, Caller
    from aixgo.decorator import agent
    from aixgo.errors import AgentRefused, AixgoError
    from aixgo.ledger import Budget, Usage
    from aixgo.message import Message, StreamChunk
    from aixgo.runtime.distributed import DistributedRuntime, serve
    from aixgo.runtime.local import LocalRuntime
    from aixgo.security.auth import Token
    from aixgo.security.tls import Tls
    from aixgo.tools.base import tool

__version__ = "0.1.0"

_HOMES = {
    "Agent": "aixgo.contract",
    "AgentRefused": "aixgo.errors",
    "AixgoError": "aixgo.errors",
    "Budget": "aixgo.ledger",
    "CallContext": "aixgo.context",
    "Caller": "aixgo.contract",
    "DistributedRuntime": "aixgo.runtime.distributed",
    "LocalRuntime": "aixgo.runtime.local",
    "Message": "aixgo.message",
    "StreamChunk": "aixgo.message",
    "Tls": "aixgo.security.tls",
    "Token": "aixgo.security.auth",
    "Usage": "aixgo.ledger",
    "agent": "aixgo.decorator",
    "load_config": "aixgo.config.parse",
    "run": "aixgo.config.oneshot",
    "serve": "aixgo.runtime.distributed",
    "tool": "aixgo.tools.base",
}

__all__ = [
    "Agent",
    "AgentRefused",
    "AixgoError",
    "Budget",
    "CallContext",
    "Caller",
    "DistributedRuntime",
    "LocalRuntime",
    "Message",
    "StreamChunk",
    "Tls",
    "Token",
    "Usage",
    "agent",
    "load_config",
    "run",
    "serve",
    "tool",
]

if not TYPE_CHECKING:  # a type checker sees the imports above, and an error for a wrong name

    def __getattr__(name: str) -> object:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module 'aixgo' has no attribute {name!r}")
        value = getattr(import_module(home), name)
        globals()[name] = value
        return value
