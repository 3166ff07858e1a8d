"""`aixgo dev`: a whole fleet in one terminal, started again when a file changes.

Every agent is a process, the orchestrations share one, and nothing but their log lines is kept here. One
Ctrl-C, or SIGTERM, drains them all; a second one ends them at once.

Below: fleet, changes. Above: the table of verbs.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from aixgo.cli.changes import Changes
from aixgo.cli.fleet import Fleet
from aixgo.cli.invocation import explain, run_loop
from aixgo.cli.logs import log_to_stderr, say
from aixgo.cli.observing import LogFormat, LogLevel, Observing, Otel, Prometheus
from aixgo.cli.opening import Exit
from aixgo.cli.serve import DEFAULT_ADDRESS
from aixgo.config import Config, load_config
from aixgo.errors import AixgoError, ConfigError
from aixgo.message import Message
from aixgo.observability import setup
from aixgo.rpc.addresses import parse_address
from aixgo.runtime.distributed import DistributedRuntime, stop_signal

__all__ = ["command"]

NAMED_FILES = 3  # of those that changed

T = TypeVar("T")


def command(
    config: Annotated[Path, typer.Argument(help="A YAML file, or a folder with an agent.yaml.")],
    address: Annotated[
        str, typer.Option(help=f"Where the orchestrations listen ({DEFAULT_ADDRESS}).")
    ] = "",
    watch: Annotated[
        list[Path] | None,
        typer.Option(help="Another folder whose changes restart the fleet; may be given again."),
    ] = None,
    model: Annotated[str, typer.Option(help="The model of agents that name none.")] = "",
    offline: Annotated[
        bool, typer.Option("--offline", help="Answer by rule, without any model.")
    ] = False,
    otel: Otel = "",
    prometheus: Prometheus = "",
    log_format: LogFormat = "",
    log_level: LogLevel = "",
) -> int:
    """Run the whole fleet in this terminal and restart it on change."""
    told = Observing(otel=otel, prometheus=prometheus, log_format=log_format, log_level=log_level)
    log_to_stderr(settings=told.log())
    if address:
        _front_address(address)  # what no change of a file can mend is an error at once
    flags = [*(["--model", model] if model else []), *(["--offline"] if offline else [])]
    run_loop(_develop(config, address, watch or (), flags, told))
    return 0


async def _develop(
    path: Path, address: str, watch: Sequence[Path], flags: Sequence[str], told: Observing
) -> None:
    loaded = _load(path, told)
    changes = Changes([*_own_folders(loaded), *watch])
    config: Config | None = loaded
    async with stop_signal() as stop:
        while config is not None:
            changes.look_also_in(_own_folders(config))
            try:
                config.check_runnable()
                async with _fleet(config, address, [*flags, *told.flags]) as fleet:
                    started = await _unless_stopped(stop, _start(fleet, config))
                    if started is not None:
                        config = await _unless_stopped(stop, _next(path, changes, told, fleet))
                    else:
                        config = None
                    say("draining" if config is None else "starting again")
            except AixgoError as exc:
                say(explain(exc), logging.ERROR)
                say("waiting for a change")
                config = await _unless_stopped(stop, _next(path, changes, told))


def _own_folders(config: Config) -> list[Path]:
    """Where the files are that a configuration is made of."""
    return [config.path.resolve().parent, *(f for entry in config.agents for f in entry.folders)]


@asynccontextmanager
async def _fleet(config: Config, address: str, flags: Sequence[str]) -> AsyncIterator[Fleet]:
    """The processes, not started, and what receives at the exits of the flow."""
    peers = config.deployment.peers
    leaves = [entry.name for entry in config.agents if entry.name not in peers]
    front = [entry.name for entry in config.orchestrations if entry.name not in peers]
    fleet = Fleet(
        config,
        leaves,
        flags,
        None,
        front=front,
        front_address=_front_address(address or config.deployment.listen or DEFAULT_ADDRESS),
    )
    async with fleet:
        if not config.exits:
            yield fleet
            return
        exits = [Exit(name, _print_arrived) for name in config.exits]
        runtime = DistributedRuntime(*exits, address=fleet.entry_address)
        async with setup(config.observability), runtime:
            yield fleet


def _front_address(given: str) -> str:
    """Where the orchestrations listen; `:50051` is a port of this machine."""
    text = f"127.0.0.1{given}" if given.startswith(":") else given
    parsed = parse_address(text, what="--address")
    if not (parsed.path or parsed.port):
        raise ConfigError(
            f"--address {given!r}: name a port, the agents have to know it beforehand"
        )
    return text


async def _start(fleet: Fleet, config: Config) -> bool:
    await fleet.start(config.exits)
    width = max(len(name) for name in fleet.peers)
    for name, address in fleet.peers.items():
        say(f"  {name:<{width}}  process {fleet.processes[name]}  {address}")
    front = next((o.name for o in config.orchestrations if o.name in fleet.peers), None)
    name = front or next(iter(fleet.peers))
    say(f"call it: aixgo call {fleet.peers[name]} {shlex.quote(name)} -i TEXT")
    say("files are watched; Ctrl-C drains and ends everything")
    return True


def _load(path: Path, told: Observing) -> Config:
    """What the files say, under what the command line says; the log is as they want it from now on."""
    config = told.over(load_config(path))
    log_to_stderr(settings=config.logging)
    return config


async def _next(
    path: Path, changes: Changes, told: Observing, fleet: Fleet | None = None
) -> Config:
    """What the files say after the next change that leaves them readable.

    Raises:
        AixgoError: why a process of the fleet ended before.
    """
    while True:
        changed = asyncio.create_task(changes.wait())  # noqa: TID251 - ended below
        waiting: set[asyncio.Future[Any]] = {changed}
        if fleet is not None:
            waiting.add(fleet.lost)
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if fleet is not None and fleet.lost.done():
                raise fleet.lost.result()
            files = changed.result()
        finally:
            changed.cancel()
            await asyncio.wait((changed,))
        more = f" and {len(files) - NAMED_FILES} more" if len(files) > NAMED_FILES else ""
        say(f"changed: {', '.join(map(os.path.relpath, files[:NAMED_FILES]))}{more}")
        try:
            return _load(path, told)
        except ConfigError as exc:  # half-written, perhaps: what runs goes on
            say(explain(exc), logging.ERROR)


async def _unless_stopped(stop: asyncio.Event, work: Coroutine[None, None, T]) -> T | None:
    """The result of `work`, or None if a signal came first and it was cancelled."""
    tasks = (
        asyncio.create_task(work),  # noqa: TID251 - ended below
        asyncio.create_task(stop.wait()),  # noqa: TID251 - ended below
    )
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return tasks[0].result() if tasks[0].done() else None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def _print_arrived(name: str, message: Message) -> None:
    payload = message.payload
    shown = payload if isinstance(payload, str) else message.text
    print(f"[{name}] {shown}", flush=True)
