"""examples/distributed-deployment: one workflow in one process, and by the commands of each deployment as processes.

The commands are read from docker-compose.yml and deploy/k8s; only addresses and the folder of the certificates change.
"""

import asyncio
import re
import signal
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Self

import pytest

from aixgo import DistributedRuntime
from aixgo.errors import AixgoError, Unavailable
from aixgo.rpc.probes import ask_health
from tests.e2e.commands import ROOT, aixgo, environment, run
from tests.e2e.service_fleet import CAN_MOUNT, ServiceFleet, certified
from tests.otlp import Receiver, tree
from tests.services import compose_services, kubernetes_services

pytestmark = pytest.mark.slow

WORKFLOW = "examples/distributed-deployment/workflow.yaml"
DOCUMENT = ROOT / "README.md"
COMPOSE = {service.name: service for service in compose_services()}
ENTRY = "briefing"
REPLICATED = "keywords"
PATIENCE = 28.0  # seconds a test may take, so that a hang shows where it is
CALLERS = 4
ANSWERS = 40  # that have to come after a replica went
TRACE = """
invoke_agent briefing client
  invoke_agent briefing server
    orchestration.sequential briefing internal
      invoke_agent plain client
        invoke_agent plain server
      invoke_agent reading client
        invoke_agent reading server
          orchestration.parallel reading internal
            invoke_agent keywords client
              invoke_agent keywords server
            invoke_agent summariser client
              invoke_agent summariser server
                chat offline client
            invoke_agent statistics client
              invoke_agent statistics server
      invoke_agent report client
        invoke_agent report server
""".strip().splitlines()


@cache
def in_one_process() -> str:
    """What everything is compared with."""
    done = run(aixgo("run", WORKFLOW, "--input-file", str(DOCUMENT)))
    assert done.returncode == 0, done.stderr
    return done.stdout


class Load:
    """Callers of the entry, until told to end: what they were answered, and what failed."""

    def __init__(self, runtime: DistributedRuntime) -> None:
        self.answers = Counter[str]()
        self.failures: list[AixgoError] = []
        self._runtime = runtime
        self._text = DOCUMENT.read_text(encoding="utf-8")
        self._ended = False

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._ask()) for _ in range(CALLERS)]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._ended = True
        await asyncio.gather(*self._tasks)

    async def more(self, count: int) -> None:
        """Return after so many more answers."""
        enough = self.answers.total() + count
        while self.answers.total() < enough:
            await asyncio.sleep(0)
            assert len(self.failures) <= CALLERS, self.failures

    async def _ask(self) -> None:
        while not self._ended:
            try:
                reply = await self._runtime.call(ENTRY, self._text, timeout=10)
            except AixgoError as exc:
                self.failures.append(exc)
            else:
                self.answers[reply.text] += 1


def asking(fleet: ServiceFleet) -> DistributedRuntime:
    """A client of the entry, with the certificate of the service that asks."""
    (entry,) = fleet.replicas[ENTRY]
    return DistributedRuntime(peers={ENTRY: entry.address}, tls=fleet.tls("ask", ENTRY))


async def test_composes_entry_may_start_first_and_a_replica_may_be_killed(tmp_path: Path) -> None:
    others = [name for name, service in COMPOSE.items() if service.verb == "serve"]
    others.remove(ENTRY)
    async with (
        asyncio.timeout(PATIENCE),
        certified(COMPOSE.values(), tmp_path, COMPOSE["certs"], by_name=False) as fleet,
    ):
        await fleet.start(ENTRY)
        (entry,) = fleet.replicas[ENTRY]
        assert await ask_health(entry.health) == "SERVING"
        assert await ask_health(entry.health, ENTRY) == "SERVING"
        async with asking(fleet) as rt:
            with pytest.raises(Unavailable, match="'plain' is unavailable: unreachable"):
                await rt.call(ENTRY, "A text.", timeout=10)
            await fleet.start(*others)
            out, errors, code = await fleet.run(COMPOSE["ask"], DOCUMENT.read_bytes())
            assert (out, code) == (in_one_process(), 0), errors
            async with Load(rt) as load:
                await load.more(ANSWERS)
                fleet.replicas[REPLICATED][0].send(signal.SIGKILL)
                await load.more(ANSWERS)
            assert {*load.answers} == {in_one_process().removesuffix("\n")}
            for failure in load.failures:  # of the calls that were at the replica
                assert isinstance(failure, Unavailable)
                assert failure.outcome == "unknown"
        killed = fleet.replicas[REPLICATED].pop(0)
        assert await killed.ended() == -signal.SIGKILL
        assert await fleet.stop() == {0}


@pytest.mark.skipif(not CAN_MOUNT, reason="needs a hosts file of its own: sudo make test")
async def test_pods_find_each_other_by_name_and_one_that_is_replaced_loses_no_call(
    tmp_path: Path,
) -> None:
    """Traced besides, by variables alone: an answer is one trace over seven processes."""
    certs, services = COMPOSE["certs"], kubernetes_services()
    with Receiver() as receiver:
        told = {"AIXGO_OTEL": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.http}
        async with (
            asyncio.timeout(PATIENCE),
            certified(services, tmp_path, certs, by_name=True, **told) as fleet,
        ):
            await fleet.start(*fleet.replicas)
            out, errors, code = await fleet.run(COMPOSE["ask"], DOCUMENT.read_bytes())
            assert (out, code) == (in_one_process(), 0), errors
            async with asking(fleet) as rt, Load(rt) as load:
                await load.more(ANSWERS)
                leaving = fleet.replicas[REPLICATED].pop(0)
                leaving.send(signal.SIGTERM)
                assert await leaving.ended() == 0
                await load.more(ANSWERS)
            assert load.failures == []
            assert {*load.answers} == {in_one_process().removesuffix("\n")}
            assert await fleet.stop() == {0}  # what they have not sent yet leaves with them
    (root,) = [s for s in receiver.spans if s.kind == "client" and not s.parent_id]
    spans = [span for span in receiver.spans if span.trace_id == root.trace_id]
    assert [line.partition(" @")[0] for line in tree(spans)] == TRACE
    assert len({span.resource["service.instance.id"] for span in spans}) == 7


def blocks() -> list[str]:
    """The shell blocks of the example's page."""
    page = (ROOT / "examples" / "distributed-deployment" / "README.md").read_text("utf-8")
    return re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def test_the_processes_that_the_page_starts_give_the_same_answer(tmp_path: Path) -> None:
    program = tmp_path / "aixgo"  # what an installation puts on the path
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m aixgo "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    (block,) = [block for block in blocks() if "kill" in block]
    path = f"{tmp_path}:{environment()['PATH']}"
    done = run(["bash", "-c", f"trap 'kill $(jobs -p)' EXIT\n{block}"], PATH=path)
    assert done.returncode == 0, done.stderr
    assert in_one_process() in done.stdout


def test_the_commands_that_the_page_shows_for_a_network_are_the_services_commands() -> None:
    (block,) = [block for block in blocks() if "/certs/" in block]
    lines = block.replace("\\\n", "").splitlines()
    shown = {frozenset(line.partition(" < ")[0].split()) for line in lines}
    served = {frozenset(COMPOSE[name].command) for name in ("keywords", "briefing", "ask")}
    assert shown == served
