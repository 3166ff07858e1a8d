"""How long it takes from the command until a service has answered its first call."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import grpc

from aixgo.v1 import agent_service_pb2 as pb
from tests.benchmarks.harness import Pace, Row, compare
from tests.benchmarks.processes import PATIENCE, ROOT
from tests.benchmarks.sides.raw import request_of

COMPILED = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
"""The round that is not counted leaves bytecode behind, as an installation does."""
EXECUTE = "/aixgo.v1.AgentService/Execute"


def serve_rows(pace: Pace) -> Iterator[Row]:
    """`aixgo serve` of an agent's folder against a bare server of the same message; one client asks both."""
    aixgo = Path(sys.executable).with_name("aixgo")
    served = [aixgo, "serve", ROOT / "agents" / "keywords", "--address", "127.0.0.1:0"]
    bare = [sys.executable, "-m", "tests.benchmarks.sides.raw_grpc", "server"]
    yield compare(
        "`aixgo serve` until its first answer",
        partial(first_answer, "keywords", *served),
        "a bare grpc.aio server, until its first answer",
        partial(first_answer, "echo", *bare),
        goal="–",
        rounds=pace.rounds * 2,
        faster=False,
    )


def first_answer(agent: str, *command: str | Path) -> float:
    """Seconds from starting a server, whose first line ends with its address, until `agent` there has answered."""
    given = request_of(agent, "Trees need rain, and rain needs trees.")
    request = pb.ExecuteRequest(envelope=given.envelope, target=agent, message=given.message)
    start = time.perf_counter()
    with subprocess.Popen(
        command, cwd=ROOT, env=COMPILED, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().split()[-1]
            with grpc.insecure_channel(address) as channel:
                execute = channel.unary_unary(EXECUTE, pb.ExecuteRequest.SerializeToString)
                answer = execute(request, timeout=PATIENCE, wait_for_ready=True)
            took = time.perf_counter() - start
        finally:
            process.kill()
    assert pb.ExecuteResponse.FromString(answer).message.ByteSize() > 2
    return took
