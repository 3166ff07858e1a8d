"""What a side is told about certificates and a token, by the environment: `BENCH_CERTS` and `BENCH_WIRE`."""

import os
from pathlib import Path
from typing import TypedDict

from aixgo.security.auth import Token
from aixgo.security.tls import Tls

TOKEN = Token("the-token-of-the-benchmarks")


class Secured(TypedDict, total=False):
    """Options of a runtime."""

    tls: Tls
    token: Token


def secured() -> Secured:
    """`BENCH_WIRE` holds `tls` or `mtls`, and perhaps `token`; nothing for plaintext."""
    wanted = os.environ.get("BENCH_WIRE", "").split("+")
    found = Secured()
    if {"tls", "mtls"} & set(wanted):
        folder = Path(os.environ["BENCH_CERTS"])
        found["tls"] = Tls(
            ca=folder / "ca.pem",
            cert=folder / "echo.pem",
            key=folder / "echo.key",
            mutual="mtls" in wanted,
        )
    if "token" in wanted:
        found["token"] = TOKEN
    return found
