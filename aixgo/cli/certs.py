"""`aixgo certs`: an authority and certificates for a fleet that has none."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aixgo.loading import load

__all__ = ["command"]


def command(
    folder: Annotated[Path, typer.Argument(help="Where the files go; made if it is not there.")],
    agent: Annotated[list[str], typer.Option(help="Who gets a certificate; may be given again.")],
    host: Annotated[
        list[str] | None,
        typer.Option(
            help="What each is reached by besides its slug (localhost, 127.0.0.1 and ::1); {agent} stands "
            "for the slug; may be given again."
        ),
    ] = None,
    domain: Annotated[str, typer.Option(help="Of the URIs that name the agents.")] = "aixgo",
    days: Annotated[int, typer.Option(help="How long the certificates are valid.")] = 365,
    only_missing: Annotated[
        bool, typer.Option("--only-missing", help="Leave alone what is there, instead of refusing.")
    ] = False,
) -> int:
    """Make certificates."""
    made = load("security", "certificates").make_certificates(
        folder,
        agent,
        hosts=host or ("localhost", "127.0.0.1", "::1"),
        domain=domain,
        days=days,
        only_missing=only_missing,
    )
    for path in made:
        print(path)
    return 0
