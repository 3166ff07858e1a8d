"""LocalRuntime: agents in this process, called directly."""

from __future__ import annotations

from typing import Unpack

from aixgo.contract import Agent
from aixgo.runtime.base import Runtime
from aixgo.runtime.hosting import Wire
from aixgo.runtime.options import RuntimeOptions

__all__ = ["LocalRuntime"]


class LocalRuntime(Runtime):
    """Runs agents in one process: a call is a direct await, without tasks, queues or encoding.

    Args:
        agents: hosted from the start; the agents an orchestrator was given come along.
        check_wire: send every delivery through the protobuf codec, to prove it would survive the wire.
        options: see `RuntimeOptions`.
    """

    def __init__(
        self, *agents: Agent, check_wire: bool = False, **options: Unpack[RuntimeOptions]
    ) -> None:
        super().__init__(*agents, codec=_wire() if check_wire else None, **options)


def _wire() -> Wire:
    from aixgo.rpc.codec import CodecCheck  # only here does a local runtime need protobuf

    return CodecCheck()
