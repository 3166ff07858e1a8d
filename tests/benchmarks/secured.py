"""What TLS, mutual TLS and a token cost a call, on both transports: against plaintext, by turns."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from aixgo.security.certificates import make_certificates
from tests.benchmarks.contenders import STREAM, UNARY, Contender, start
from tests.benchmarks.harness import Pace, Row, by_turns, row_of

WAYS = {"TLS": "tls", "mutual TLS": "mtls", "mutual TLS and a token": "mtls+token"}
ASKED = {
    (1, 200): "200 B, 1 caller",
    (64, 200): "200 B, 64 callers",
    (1, 64 << 10): "64 KiB, 1 caller",
}  # callers and bytes


def secured_rows(pace: Pace) -> Iterator[Row]:
    """A row for each transport, way and load; a connection stands before it is measured."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="aixgo-bench"))
        make_certificates(Path(folder), ["echo"])
        for transport in (STREAM, UNARY):
            with ExitStack() as here:
                sides = [start(here, transport)]
                for wire in WAYS.values():
                    env = {"BENCH_WIRE": wire, "BENCH_CERTS": folder}
                    sides.append(start(here, transport, env))
                for (callers, size), load in ASKED.items():
                    yield from _rows(sides, transport, callers, size, load, pace)


def _rows(
    sides: list[Contender], transport: str, callers: int, size: int, load: str, pace: Pace
) -> Iterator[Row]:
    def once(each: Contender, seconds: float) -> float:
        return each.calls(callers, size, seconds).per_call

    for each in sides:
        once(each, pace.seconds / 4)  # warms, and is not counted
    plain, *others = by_turns([partial(once, each, pace.seconds) for each in sides], pace.rounds)
    for way, taken in zip(WAYS, others, strict=True):
        yield row_of(
            f"{transport}, {way}, {load}", taken, "plaintext", plain, goal="–", faster=False
        )
