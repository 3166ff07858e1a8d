"""`aixgo call`: one call to an agent that is served somewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aixgo.cli.answer import print_json, print_payload
from aixgo.cli.given import read_input
from aixgo.cli.invocation import run_loop
from aixgo.cli.logs import log_to_stderr
from aixgo.cli.observing import LogFormat, LogLevel, Observing, Otel
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
from aixgo.config import Deployment, wire_options
from aixgo.errors import ConfigError
from aixgo.keys import duration_seconds
from aixgo.ledger import Usage
from aixgo.message import Message
from aixgo.observability import LogSettings, setup
from aixgo.runtime.distributed import DistributedRuntime

__all__ = ["command"]


def command(
    address: Annotated[str, typer.Argument(help="host:port, unix:/path or dns:///name:port.")],
    agent: Annotated[str, typer.Argument(help="The agent's name.")],
    text: Annotated[
        str | None, typer.Option("-i", "--input", help="The input; - reads standard input.")
    ] = None,
    input_file: Annotated[Path | None, typer.Option(help="A file with the input.")] = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="Print the answer piece by piece.")
    ] = False,
    timeout: Annotated[str, typer.Option(help="Time for the answer, such as 30s.")] = "",
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Allow plaintext to other machines.")
    ] = False,
    transport: Transport = "",
    external_tls: ExternalTls = False,
    ca: Ca = "",
    cert: Cert = "",
    key: KeyFile = "",
    server_name: ServerName = "",
    token_file: TokenFile = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of the answer.")
    ] = False,
    otel: Otel = "",
    log_format: LogFormat = "",
    log_level: LogLevel = "",
) -> int:
    """Call one agent."""
    told = Observing(otel=otel, log_format=log_format, log_level=log_level)
    log_to_stderr(settings=told.log(LogSettings(level="warning")))
    if stream and as_json:
        raise ConfigError("--stream and --json are both given; one is enough")
    given = read_input(text, input_file) or ""
    seconds = duration_seconds(timeout, "--timeout") if timeout else None
    deployment = secured(
        Deployment(),
        transport=transport,
        ca=ca,
        cert=cert,
        key=key,
        server_name=server_name,
        token_file=token_file,
        external_tls=external_tls,
    )
    with setup(told.traces()):
        reply = run_loop(
            _call(address, agent, given, seconds, deployment, stream=stream, insecure=insecure)
        )
        if as_json:
            _print_object(reply)
        elif not stream:
            print_payload(reply.payload)
    return 0


def _print_object(reply: Message) -> None:
    usage = reply.usage or Usage()
    payload = reply.payload
    print_json(
        {
            "payload": payload.decode(errors="replace") if isinstance(payload, bytes) else payload,
            "metadata": {
                **reply.metadata,
                "cost_usd": usage.cost_usd,
                "tokens_total": usage.tokens_total,
            },
        }
    )


async def _call(
    address: str,
    agent: str,
    text: str,
    seconds: float | None,
    deployment: Deployment,
    *,
    stream: bool,
    insecure: bool,
) -> Message:
    runtime = DistributedRuntime(
        peers={agent: address}, insecure=insecure, **wire_options(deployment)
    )
    async with runtime:
        if not stream:
            return await runtime.call(agent, text, timeout=seconds)
        async with runtime.stream(agent, text, timeout=seconds) as chunks:
            async for chunk in chunks:
                print(chunk.content, end="", flush=True)
        print()
        assert chunks.final is not None
        return chunks.final
