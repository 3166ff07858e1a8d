"""`aixgo serve`: the agents of a configuration behind an address, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from aixgo.cli.invocation import run_loop
from aixgo.cli.logs import log_to_stderr, say
from aixgo.cli.observing import LogFormat, LogLevel, Observing, Otel, Prometheus
from aixgo.cli.places import AGENT, Places, places_of
from aixgo.cli.record import record_part
from aixgo.cli.secured import (
    Ca,
    Cert,
    ExternalTls,
    KeyFile,
    ServerName,
    TokenFile,
    Transport,
    secured,
)
from aixgo.config import (
    Config,
    Overrides,
    Placed,
    assemble,
    call_policies,
    load_config,
    place,
    wire_options,
)
from aixgo.contract import members_of
from aixgo.errors import ConfigError
from aixgo.observability import setup
from aixgo.runtime.distributed import DistributedRuntime, stop_signal

__all__ = ["command"]

DEFAULT_ADDRESS = "127.0.0.1:50051"


def command(
    config: Annotated[Path, typer.Argument(help="A YAML file, or a folder with an agent.yaml.")],
    agent: Annotated[
        list[str] | None, typer.Option(help="Serve only this one; may be given again.")
    ] = None,
    address: Annotated[
        str, typer.Option(help=f"Where to listen: host:port or unix:/path ({DEFAULT_ADDRESS}).")
    ] = "",
    peer: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=ADDRESS of an agent elsewhere, or an address with {agent} in it for all others, such as "
            "dns:///{agent}:50051; may be given again."
        ),
    ] = None,
    model: Annotated[str, typer.Option(help="The model of agents that name none.")] = "",
    offline: Annotated[
        bool, typer.Option("--offline", help="Answer by rule, without any model.")
    ] = False,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Allow plaintext to and from other machines.")
    ] = False,
    transport: Transport = "",
    external_tls: ExternalTls = False,
    ca: Ca = "",
    cert: Cert = "",
    key: KeyFile = "",
    server_name: ServerName = "",
    token_file: TokenFile = "",
    health: Annotated[
        str,
        typer.Option(help="Where to answer health checks besides, in plaintext: host:port."),
    ] = "",
    count: Annotated[int | None, typer.Option(min=0, help="Messages each producer sends.")] = None,
    otel: Otel = "",
    prometheus: Prometheus = "",
    log_format: LogFormat = "",
    log_level: LogLevel = "",
    follow_stdin: Annotated[
        bool, typer.Option("--follow-stdin", help="End when standard input closes.")
    ] = False,
    record: Annotated[Path | None, typer.Option(hidden=True)] = None,  # for `run --distributed`
    record_content: Annotated[bool, typer.Option("--record-content", hidden=True)] = False,
) -> int:
    """Serve the agents of a configuration."""
    told = Observing(otel=otel, prometheus=prometheus, log_format=log_format, log_level=log_level)
    log_to_stderr(settings=told.log())
    if offline:
        os.environ["AIXGO_OFFLINE"] = "1"
    loaded = told.over(load_config(config))
    log_to_stderr(settings=loaded.logging)
    deployment = secured(
        loaded.deployment,
        transport=transport,
        ca=ca,
        cert=cert,
        key=key,
        server_name=server_name,
        token_file=token_file,
        external_tls=external_tls,
    )
    loaded = dataclasses.replace(loaded, deployment=deployment)
    for warning in loaded.warnings if not follow_stdin else ():
        say(warning, logging.WARNING)
    observability = loaded.observability
    if follow_stdin:  # the address is one process's, and this one is one of many
        observability = observability.on_a_free_port()
    with setup(observability), record_part(record, content=record_content):
        run_loop(
            _serve(
                loaded,
                places_of(loaded, agent or (), peer or ()),
                address=address or _address(loaded, agent or (), insecure=insecure),
                overrides=Overrides(model=model, count=count),
                insecure=insecure,
                health=_everywhere(health or ("" if follow_stdin else loaded.deployment.health)),
                follow_stdin=follow_stdin,
            )
        )
    return 0


async def _serve(
    config: Config,
    places: Places,
    *,
    address: str,
    overrides: Overrides,
    insecure: bool,
    health: str,
    follow_stdin: bool,
) -> None:
    placed = assemble(config, only=places.here, overrides=overrides)
    _check_known(placed, places)
    runtime = DistributedRuntime(
        peers=places.peers,
        address=address,
        insecure=insecure,
        middleware=call_policies(config),
        health_address=health,
        **wire_options(config.deployment),
    )
    await place(runtime, placed)
    async with stop_signal() as stopped, runtime:
        with _until_stdin_closes(stopped) if follow_stdin else _nothing():
            print(f"serving {', '.join(sorted(places.here))} at {runtime.address}", flush=True)
            await stopped.wait()


def _check_known(placed: Sequence[Placed], places: Places) -> None:
    """Refuse to serve who calls, or waits for, agents that are nowhere."""
    known = {*places.here, *places.peers}
    missing: dict[str, str] = {}
    for item in placed:
        members = (m if isinstance(m, str) else m.name for m in members_of(item.agent))
        for name in (*members, *(item.depends_on or ())):
            if name not in known:
                missing.setdefault(name, item.name)
    if missing:
        needed = ", ".join(f"{name!r} ({by!r} needs it)" for name, by in missing.items())
        raise ConfigError(
            f"neither served here nor known to be elsewhere: {needed}; add --peer NAME=ADDRESS for each, or one "
            f"address for all, such as --peer 'dns:///{AGENT}:50051'"
        )


@contextmanager
def _until_stdin_closes(stopped: asyncio.Event) -> Iterator[None]:
    """Set `stopped` at the end of standard input: whoever started us is gone, or done with us."""
    loop = asyncio.get_running_loop()
    descriptor = sys.stdin.fileno()

    def on_readable() -> None:
        if not os.read(descriptor, 4096):
            loop.remove_reader(descriptor)
            stopped.set()

    loop.add_reader(descriptor, on_readable)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _address(config: Config, only: Sequence[str], *, insecure: bool) -> str:
    """Where to listen when nobody said: as the file says, for one agent as its entry says."""
    entry = config.agent(only[0]) if len(only) == 1 else None
    if entry is None and len(config.names) == 1:
        entry = config.agent(config.names[0])
    found = (entry.listen if entry is not None else "") or config.deployment.listen
    if found.startswith(":"):  # `:50053` is every interface, which plaintext may only serve if told
        allowed = insecure or config.deployment.external_tls or config.deployment.tls
        return _everywhere(found) if allowed else f"127.0.0.1{found}"
    return found or DEFAULT_ADDRESS


def _everywhere(address: str) -> str:
    """`:8081` is that port of every interface."""
    return f"0.0.0.0{address}" if address.startswith(":") else address  # noqa: S104 - asked for
