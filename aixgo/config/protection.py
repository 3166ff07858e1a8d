"""`deployment.tls` and `deployment.auth`: what a file says about certificates and tokens.

Files are named relative to the configuration and read when a runtime is made, so that a configuration can be
checked where its secrets are not. Below: security, config.check. Above: config.deployment.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

from aixgo.config.check import Findings
from aixgo.config.read import Block, text_of
from aixgo.errors import ConfigError
from aixgo.security.auth import Token
from aixgo.security.tls import Tls

__all__ = ["TokenOptions", "read_tls", "read_token"]


class TokenOptions(TypedDict):
    """The token of a file, or where it is."""

    token: Token | None
    token_file: str


def read_tls(deployment: Block, folder: Path, findings: Findings) -> Tls | None:
    """The TLS settings of a file, if it has any; what is wrong with them goes to `findings`."""
    given = deployment.get("tls")
    if not isinstance(given, Block):
        return None
    mutual = given.get("mutual")
    try:
        return Tls(
            ca=_path(given, "ca", folder),
            cert=_path(given, "cert", folder),
            key=_path(given, "key", folder),
            server_name=text_of(given, "server_name"),
            mutual=mutual if isinstance(mutual, bool) else None,
        )
    except ConfigError as exc:
        findings.fault(deployment.lines["tls"], "deployment.tls", str(exc).removeprefix("tls: "))
        return None


def read_token(deployment: Block, folder: Path, findings: Findings) -> TokenOptions:
    """The token of a file, or where it is; what is wrong with it goes to `findings`, without the token."""
    found: TokenOptions = {"token": None, "token_file": ""}
    given = deployment.get("auth")
    if not isinstance(given, Block):
        return found
    line = deployment.lines["auth"]
    if ("token" in given) == ("token_file" in given):
        findings.fault(line, "deployment.auth", "takes token or token_file, and one of them")
        return found
    found["token_file"] = _path(given, "token_file", folder)
    if "token" in given:
        try:
            found["token"] = Token(text_of(given, "token"))
        except ConfigError as exc:
            findings.fault(given.lines["token"], "deployment.auth.token", str(exc))
    return found


def _path(block: Block, name: str, folder: Path) -> str:
    found = text_of(block, name)
    return str(folder / Path(found).expanduser()) if found else ""
