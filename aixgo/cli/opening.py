"""What a run of a configuration needs, brought up: a runtime, its exits, and its processes if it is to have any.

Below: config, the runtimes, fleet. Above: running, which puts something in.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aixgo.cli.fleet import START_TIMEOUT, Fleet
from aixgo.cli.logs import Tracebacks
from aixgo.cli.progress import Observer, Progress
from aixgo.config import Config, Overrides, assemble, call_policies, place, wire_options
from aixgo.errors import Unavailable
from aixgo.ledger import Budget
from aixgo.message import Message
from aixgo.runtime.base import Runtime
from aixgo.runtime.distributed import DistributedRuntime
from aixgo.runtime.local import LocalRuntime

__all__ = ["STOP_GRACE", "Exit", "Run", "RunOptions", "is_distributed", "open_run"]

STOP_GRACE = 5.0  # seconds calls may still take when a run ends
POLL = 0.02  # seconds between two questions whether a flow still has work
EXIT_KEPT = 10_000  # messages of one exit, the newest ones


@dataclass(slots=True, frozen=True, kw_only=True)
class RunOptions:
    """How a configuration is run."""

    agent: str = ""
    """The entry, if not the file's own."""
    timeout: float | None = None
    """Seconds the answer may take."""
    duration: float | None = None
    """Seconds a flow with producers goes on."""
    budget: Budget | None = None
    distributed: bool = False
    overrides: Overrides = field(default_factory=Overrides)
    flags: tuple[str, ...] = ()
    """What child processes are started with besides."""
    record: bool = False
    """Whether its events are kept in the user's state directory."""
    record_content: bool = False
    """Whether inputs, answers and what tools were told are among them."""


class Exit:
    """Where a flow ends: an agent of the run that keeps what it is sent."""

    role = "exit"

    def __init__(self, name: str, arrived: Callable[[str, Message], None] | None = None) -> None:
        self.name = name
        self.messages: deque[Message] = deque(maxlen=EXIT_KEPT)
        self._arrived = arrived

    async def execute(self, message: Message) -> Message:
        """Keep `message`."""
        self.messages.append(message)
        if self._arrived is not None:
            self._arrived(self.name, message)
        return message


@dataclass(slots=True, kw_only=True)
class Run:
    """What `open_run` brought up."""

    runtime: Runtime
    exits: list[Exit]
    progress: Progress
    fleet: Fleet | None = None

    async def settle(self) -> None:
        """Return once no agent anywhere has a message left to work on."""
        idle = 0  # one look does not do: a message may have moved behind our back
        while idle < 2:
            idle = idle + 1 if await self.runtime.pending() == 0 else 0
            await asyncio.sleep(POLL)

    async def end_producers(self, names: Sequence[str]) -> None:
        """Have nothing more produced."""
        if self.fleet is not None:
            for name in names:
                if isinstance(self.runtime, DistributedRuntime):
                    await self.runtime.disconnect(name)
            await self.fleet.end(names)
            return
        for name in names:
            await self.runtime.unregister(name)


@asynccontextmanager
async def open_run(
    config: Config,
    options: RunOptions,
    *,
    producing: bool,
    observer: Observer | None = None,
    arrived: Callable[[str, Message], None] | None = None,
    tracebacks: Tracebacks | None = None,
    parts: Path | None = None,
) -> AsyncIterator[Run]:
    """A running runtime for a configuration, and its processes if it is to have any.

    Args:
        config: what to run.
        options: how.
        producing: whether producers are part of it.
        observer: told of every call.
        arrived: told of every message at an exit.
        tracebacks: keeps what agents in other processes logged about their errors.
        parts: a folder for the events of other processes, if they are recorded.

    Raises:
        ConfigError: the configuration cannot be run.
        Unavailable: a process did not start.
    """
    progress = Progress(observer)
    exits = [Exit(name, arrived) for name in config.exits]
    peers = config.deployment.peers
    producers = set(config.producers)
    leaves = [
        entry.name
        for entry in config.agents
        if entry.name not in peers and (producing or entry.name not in producers)
    ]
    entry_names = [o.name for o in config.orchestrations if o.name not in peers]
    policies = call_policies(config)
    if not is_distributed(config, options):
        placed = assemble(config, only={*leaves, *entry_names}, overrides=options.overrides)
        runtime: Runtime = (
            DistributedRuntime(
                peers=peers,
                **wire_options(config.deployment),
                middleware=[progress.watch, *policies],
                stop_grace=STOP_GRACE,
            )
            if peers
            else LocalRuntime(middleware=[progress.watch, *policies], stop_grace=STOP_GRACE)
        )
        for item in exits:
            await runtime.register(item)
        await place(runtime, placed)
        async with runtime:
            yield Run(runtime=runtime, exits=exits, progress=progress)
        return
    placed = assemble(config, only=entry_names, overrides=options.overrides)
    flags = (*options.flags, "--record-content") if options.record_content else options.flags
    async with Fleet(config, leaves, flags, tracebacks or Tracebacks(), record=parts) as fleet:
        runtime = DistributedRuntime(
            peers={**peers, **fleet.peers},
            address=fleet.entry_address,
            **wire_options(config.deployment),
            middleware=[progress.watch, *policies],
            stop_grace=STOP_GRACE,
        )
        for item in exits:
            await runtime.register(item)
        await place(runtime, placed)
        async with runtime:
            await fleet.start([*entry_names, *config.exits])
            await _until_healthy(runtime, fleet)
            yield Run(runtime=runtime, exits=exits, progress=progress, fleet=fleet)


def is_distributed(config: Config, options: RunOptions) -> bool:
    """Whether each agent has a process of its own, by the file or by whoever runs it."""
    return options.distributed or config.deployment.mode == "distributed"


async def _until_healthy(runtime: Runtime, fleet: Fleet) -> None:
    """Return once every process answers health checks for its agent."""
    states: dict[str, str] = {}
    try:
        async with asyncio.timeout(START_TIMEOUT):
            while True:
                health = await runtime.health()
                states = {name: health["agents"].get(name, "unknown") for name in fleet.peers}
                if all(state == "ready" for state in states.values()):
                    return
                if fleet.lost.done():
                    raise fleet.lost.result()
                await asyncio.sleep(POLL)
    except TimeoutError as exc:
        name, state = next((n, s) for n, s in states.items() if s != "ready")
        raise Unavailable(name, f"its process is {state} after {START_TIMEOUT:g} s") from exc
