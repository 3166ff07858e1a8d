"""`aixgo.run`: one question to an agent or a configuration file, from synchronous code.

Below: build, runtimes. Above: scripts and notebooks; whoever has a loop uses a runtime.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from aixgo.config.build import Overrides, open_runtime
from aixgo.config.parse import load_config
from aixgo.contract import Agent
from aixgo.errors import ConfigError
from aixgo.ledger import Budget
from aixgo.message import Message, Payload
from aixgo.runtime.local import LocalRuntime

__all__ = ["run"]


def run(
    what: Agent | str | os.PathLike[str],
    message: Message | Payload,
    *,
    agent: str = "",
    model: str = "",
    timeout: float | None = None,
    budget: Budget | None = None,
) -> Message:
    """The reply of an agent, or of the entry of a configuration file, in a runtime made for this call.

    Args:
        what: an agent, or the path of a configuration file.
        message: what to ask.
        agent: of a file, whom to ask instead of its entry.
        model: of a file, the model of agents that name none.
        timeout: seconds.
        budget: what the call may spend.

    Raises:
        ConfigError: the file cannot be used, or this is called from async code: await a runtime there.
        AixgoError: whatever the call raised.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise ConfigError(
            "aixgo.run is for synchronous code; here, use "
            "'async with LocalRuntime(agent) as rt: await rt.call(name, message)'"
        )
    return asyncio.run(_run(what, Message.of(message), agent, model, timeout, budget))


async def _run(
    what: Agent | str | os.PathLike[str],
    message: Message,
    agent: str,
    model: str,
    timeout: float | None,
    budget: Budget | None,
) -> Message:
    if not isinstance(what, (str, os.PathLike)):
        async with LocalRuntime(what) as rt:
            return await rt.call(what.name, message, timeout=timeout, budget=budget)
    config = load_config(Path(what))
    entry, *others = config.entries(agent)
    if others:
        raise ConfigError(f"{config.path}: the input has several receivers; choose one with agent=")
    async with open_runtime(config, overrides=Overrides(model=model)) as runtime:
        return await runtime.call(entry, message, timeout=timeout, budget=budget)
