"""`deployment`: where a file's agents run, and how its processes talk to each other.

Below: protection, config.check. Above: config.parse.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aixgo.config.check import Findings
from aixgo.config.model import Deployment
from aixgo.config.protection import read_tls, read_token
from aixgo.config.read import Block, text_of
from aixgo.errors import ConfigError
from aixgo.rpc.addresses import parse_address

__all__ = ["check_address", "read_deployment"]


def read_deployment(
    block: Block, folder: Path, addresses: Mapping[str, tuple[str, ...]], findings: Findings
) -> Deployment:
    """The `deployment` of a file; `addresses` are those that its agents name besides."""
    given = block.get("deployment")
    if not isinstance(given, Block):
        return Deployment(peers=dict(addresses))
    peers: dict[str, tuple[str, ...]] = dict(addresses)
    listed = given.get("peers", Block())
    if not isinstance(listed, Block):
        findings.fault(
            given.lines.get("peers", given.line),
            "deployment.peers",
            "must be a mapping of agents to an address or a list of addresses",
        )
        listed = Block()
    for name, value in listed.items():
        listed_here = value if isinstance(value, list) else [value]
        if not listed_here or not all(isinstance(item, str) for item in listed_here):
            findings.fault(
                listed.lines[name],
                f"deployment.peers.{name}",
                "must be an address such as 10.0.0.7:50051, or a list of addresses",
            )
            continue
        for address in listed_here:
            check_address(findings, str(address), listed.lines[name], f"deployment.peers.{name}")
        peers[name] = tuple(str(item) for item in listed_here)
    for key in ("listen", "health"):
        if address := text_of(given, key):
            check_address(findings, address, given.lines[key], f"deployment.{key}")
    return Deployment(
        mode=text_of(given, "mode") or "local",
        peers=peers,
        listen=text_of(given, "listen"),
        health=text_of(given, "health"),
        transport=text_of(given, "transport") or "stream",
        tls=read_tls(given, folder, findings),
        external_tls=given.get("external_tls") is True,
        **read_token(given, folder, findings),
    )


def check_address(findings: Findings, address: str, line: int, path: str) -> None:
    """An address parses; `:port` is Go's way to write a port of this machine."""
    try:
        parse_address(f"localhost{address}" if address.startswith(":") else address)
    except ConfigError as exc:
        findings.fault(line, path, str(exc))
