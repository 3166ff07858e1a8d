"""examples/distributed-deployment: one workflow in one process, and by the commands of each deployment as processes.

The commands are read from docker-compose.yml and deploy/k8s; only addresses and the folder of the certificates change.
"""

import asyncio
import re
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

import pytest

from aixgo import DistributedRuntime
from aixgo import run as run_here
from aixgo.errors import AixgoError, Unavailable
from aixgo.rpc.probes import ask_health
from tests.e2e.commands import ROOT, environment, run
from tests.e2e.service_fleet import ServiceFleet
from tests.otlp import Received, Receiver, tree
from tests.services import compose_services, kubernetes_services

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]  # eight processes start before the first

EXAMPLE = ROOT / "examples" / "distributed-deployment"
DOCUMENT = (ROOT / "README.md").read_text(encoding="utf-8")
COMPOSE = {service.name: service for service in compose_services()}
SERVING = [service for service in COMPOSE.values() if service.verb == "serve"]
ENTRY = "briefing"
REPLICATED = "keywords"
CALLERS = 4
ANSWERS = 25  # before a replica goes, and after
PATIENCE = 25.0  # seconds
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
    return run_here(EXAMPLE / "workflow.yaml", DOCUMENT).text


@dataclass(frozen=True, kw_only=True)
class Started:
    """A fleet that serves, and what its entry said while nobody else was there."""

    fleet: ServiceFleet
    receiver: Receiver
    health_alone: tuple[str, str]
    """Of the process, and of the entry's agent."""
    refusal_alone: AixgoError

    def asking(self) -> DistributedRuntime:
        """A client of the entry, with the certificate of the service that asks."""
        return asking(self.fleet)


def asking(fleet: ServiceFleet) -> DistributedRuntime:
    (entry,) = fleet.replicas[ENTRY]
    return DistributedRuntime(peers={ENTRY: entry.address}, tls=fleet.tls("ask", ENTRY))


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """The whole fleet; its entry was there before all others."""

    async def ask_alone() -> tuple[tuple[str, str], AixgoError]:
        (entry,) = fleet.replicas[ENTRY]
        async with asyncio.timeout(PATIENCE), asking(fleet) as rt:
            health = (await ask_health(entry.health), await ask_health(entry.health, ENTRY))
            with pytest.raises(AixgoError) as caught:
                await rt.call(ENTRY, DOCUMENT)
        return health, caught.value

    folder = tmp_path_factory.mktemp("fleet")
    with Receiver() as receiver:
        variables = {
            "AIXGO_OTEL": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.http,
            "OTEL_BSP_SCHEDULE_DELAY": "100",  # milliseconds
        }
        with ServiceFleet(SERVING, folder, **variables) as fleet:
            fleet.run(COMPOSE["certs"])
            fleet.start(ENTRY)
            health, refusal = asyncio.run(ask_alone())
            fleet.start(*fleet.replicas)
            yield Started(
                fleet=fleet, receiver=receiver, health_alone=health, refusal_alone=refusal
            )


class Load:
    """Callers of the entry, until told to end: what they were answered, and what failed."""

    def __init__(self, runtime: DistributedRuntime) -> None:
        self.answers = Counter[str]()
        self.failures: list[AixgoError] = []
        self._runtime = runtime
        self._ended = False
        self._news = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._ask()) for _ in range(CALLERS)]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._ended = True
        await asyncio.gather(*self._tasks)

    async def more(self, count: int) -> None:
        """Return after so many more answers."""
        enough = self.answers.total() + count
        async with self._news:
            await self._news.wait_for(lambda: self.answers.total() >= enough)

    async def _ask(self) -> None:
        while not self._ended:
            try:
                reply = await self._runtime.call(ENTRY, DOCUMENT, timeout=10)
            except AixgoError as exc:
                self.failures.append(exc)
            else:
                self.answers[reply.text] += 1
            async with self._news:
                self._news.notify_all()


async def sent_under_load(started: Started, number: signal.Signals) -> tuple[Load, int]:
    """What became of calls while one replica of two was sent a signal, and its exit code; it is started again."""
    replica = started.fleet.replicas[REPLICATED][0]
    async with asyncio.timeout(PATIENCE), started.asking() as rt, Load(rt) as load:
        await load.more(ANSWERS)
        replica.send(number)
        code = await asyncio.to_thread(replica.ended)
        await load.more(ANSWERS)
    await asyncio.to_thread(started.fleet.start, REPLICATED)
    return load, code


def test_containers_and_pods_run_the_same_commands() -> None:
    """So that running one of them here is running both."""
    assert sorted(SERVING, key=str) == sorted(kubernetes_services(), key=str)


def test_an_entry_without_the_others_is_healthy_and_says_who_is_missing(started: Started) -> None:
    assert started.health_alone == ("SERVING", "SERVING")
    assert isinstance(started.refusal_alone, Unavailable)
    assert str(started.refusal_alone).startswith("'plain' is unavailable: ")


def test_the_services_give_the_answer_of_one_process_as_one_trace_over_all(
    started: Started,
) -> None:
    """Traced because variables say so, as a deployment sets them."""
    assert started.fleet.run(COMPOSE["ask"], DOCUMENT) == in_one_process() + "\n"

    def asked() -> list[Received]:
        spans = list(started.receiver.spans)
        root = next((s for s in spans if not s.parent_id and s.service == "ask"), None)
        return [span for span in spans if root is not None and span.trace_id == root.trace_id]

    started.receiver.until(lambda: len(asked()) >= len(TRACE))
    spans = asked()
    assert [line.partition(" @")[0] for line in tree(spans)] == TRACE
    assert {span.service for span in spans} == {*started.fleet.replicas, "ask"}


async def test_a_replica_that_is_replaced_loses_no_call(started: Started) -> None:
    load, code = await sent_under_load(started, signal.SIGTERM)
    assert code == 0
    assert load.failures == []
    assert {*load.answers} == {in_one_process()}


async def test_a_replica_that_is_killed_costs_only_the_calls_it_had(started: Started) -> None:
    load, code = await sent_under_load(started, signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert {*load.answers} == {in_one_process()}
    assert len(load.failures) <= CALLERS
    for failure in load.failures:
        assert isinstance(failure, Unavailable)
        assert failure.outcome == "unknown"


def blocks() -> list[str]:
    """The shell blocks of the example's page."""
    page = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    return re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def test_the_processes_that_the_page_starts_give_the_same_answer(tmp_path: Path) -> None:
    program = tmp_path / "aixgo"  # what an installation puts on the path
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m aixgo "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    (block,) = [block for block in blocks() if "kill" in block]
    path = f"{tmp_path}:{environment()['PATH']}"
    script = f"trap 'kill $(jobs -p)' EXIT\n{block}"
    done = run(["bash", "-c", script], timeout=2 * PATIENCE, PATH=path)
    assert done.returncode == 0, done.stderr
    assert in_one_process() in done.stdout


def test_the_commands_that_the_page_shows_for_a_network_are_the_services_commands() -> None:
    (block,) = [block for block in blocks() if "/certs/" in block]
    lines = block.replace("\\\n", "").splitlines()
    shown = {frozenset(line.partition(" < ")[0].split()) for line in lines}
    assert shown == {frozenset(COMPOSE[name].command) for name in ("keywords", "briefing", "ask")}
