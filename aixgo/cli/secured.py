"""The options by which a command is told its transport, certificates and token; they stand over those of a file.

Below: config. Above: serve, call.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, TypeAlias

import typer

from aixgo.config import Deployment
from aixgo.errors import ConfigError
from aixgo.rpc.transports import TRANSPORTS
from aixgo.security.tls import Tls

__all__ = [
    "Ca",
    "Cert",
    "ExternalTls",
    "KeyFile",
    "ServerName",
    "TokenFile",
    "Transport",
    "secured",
]

Ca: TypeAlias = Annotated[
    str, typer.Option("--ca", help="File of the authorities whose certificates are accepted.")
]
Cert: TypeAlias = Annotated[str, typer.Option("--cert", help="File of our certificate.")]
KeyFile: TypeAlias = Annotated[str, typer.Option("--key", help="File of its key.")]
ServerName: TypeAlias = Annotated[
    str, typer.Option("--server-name", help="What peers' certificates have to be for.")
]
TokenFile: TypeAlias = Annotated[
    str, typer.Option("--token-file", help="File of the token that callers show.")
]
ExternalTls: TypeAlias = Annotated[
    bool, typer.Option("--external-tls", help="Allow plaintext because a mesh encrypts it.")
]
Transport: TypeAlias = Annotated[
    str, typer.Option("--transport", help=f"How calls travel: {' or '.join(TRANSPORTS)}.")
]


def secured(
    deployment: Deployment,
    *,
    transport: str,
    ca: str,
    cert: str,
    key: str,
    server_name: str,
    token_file: str,
    external_tls: bool,
) -> Deployment:
    """`deployment` with what the command line says.

    Raises:
        ConfigError: the options do not fit together, or there is no such transport.
    """
    if transport and transport not in TRANSPORTS:
        raise ConfigError(f"--transport {transport!r}: there are {' and '.join(TRANSPORTS)}")
    tls = deployment.tls
    if ca or cert or key or server_name:
        base = tls or Tls()
        tls = dataclasses.replace(
            base,
            ca=ca or base.ca,
            cert=cert or base.cert,
            key=key or base.key,
            server_name=server_name or base.server_name,
        )
    return dataclasses.replace(
        deployment,
        transport=transport or deployment.transport,
        tls=tls,
        token=None if token_file else deployment.token,
        token_file=token_file or deployment.token_file,
        external_tls=external_tls or deployment.external_tls,
    )
