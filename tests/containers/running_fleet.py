"""docker-compose.yml with a real engine: what `make test-compose` runs. Not collected with the other tests."""

import os
import re
import shlex
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.containers.fleet import CALLERS, IMAGE, Fleet, build, image_size, run
from tests.e2e.commands import ROOT, aixgo
from tests.e2e.commands import run as run_here
from tests.services import compose_services, sh_blocks

pytestmark = pytest.mark.timeout(600)

WORKFLOW = "examples/distributed-deployment/workflow.yaml"
GUIDE = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
TEXT = (ROOT / "LICENSE").read_text(encoding="utf-8")[:2000]
SERVING = [service for service in compose_services() if service.verb == "serve"]


def compose_command() -> list[str]:
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    return ["docker", "compose"] if plugin.returncode == 0 else ["docker-compose"]


@pytest.fixture(scope="module")
def image() -> float:
    """The seconds it took to build it."""
    return build()


@pytest.fixture(scope="module")
def fleet(image: float) -> Iterator[Fleet]:
    fleet = Fleet(compose_command(), f"aixgo-test-{os.getpid()}")
    try:
        began = time.time()
        fleet.compose("up", "-d", "--no-build")
        serving = {c for service in SERVING for c in fleet.containers(service.name)}
        healthy = fleet.wait_until_healthy(began, serving)
        print(f"\nimage {image_size() / 1e6:.0f} MB, built in {image:.0f} s; ", end="")
        print(f"{len(serving)} containers healthy {healthy:.0f} s after they were started")
        yield fleet
    finally:
        fleet.compose("down", "-v", "--remove-orphans", "-t", "5", check=False)
        assert fleet.leftovers() == {"containers": [], "volumes": [], "networks": []}


@pytest.fixture
def answer() -> str:
    """What one process says."""
    done = run_here(aixgo("run", WORKFLOW, "-i", TEXT))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_commands_of_the_guide_do_what_it_says(image: float) -> None:
    (commands,) = (block for block in sh_blocks(GUIDE) if "docker compose" in block)
    guided = Fleet(compose_command(), f"aixgo-guide-{os.getpid()}")
    words = shlex.join((*compose_command(), "-p", guided.project))
    try:
        done = run("bash", "-ec", commands.replace("docker compose", words))
    finally:
        guided.compose("down", "-v", "-t", "5", check=False)
    document = ROOT / "README.md"
    alone = run_here(aixgo("run", WORKFLOW, "--input-file", str(document)))
    assert done.stdout.endswith(f"{alone.stdout}serving\n")
    assert guided.leftovers() == {"containers": [], "volumes": [], "networks": []}


def test_the_fleet_answers_as_one_process_does(fleet: Fleet, answer: str) -> None:
    assert fleet.ask(TEXT) == answer


def test_there_are_as_many_containers_as_the_file_says(fleet: Fleet) -> None:
    assert {service.name: len(fleet.containers(service.name)) for service in SERVING} == {
        service.name: service.replicas for service in SERVING
    }


def test_a_container_cannot_write_to_its_root_nor_to_the_certificates(fleet: Fleet) -> None:
    (container,) = fleet.containers("plain")
    for path in ("/app/file", "/opt/aixgo/file", "/certs/file"):
        done = run("docker", "exec", container, "touch", path, check=False)
        assert "Read-only file system" in done.stderr


def test_who_may_ask_reaches_the_entry_only(fleet: Fleet) -> None:
    arguments = ["--ca=/certs/ca.pem", "--cert=/certs/ask.pem", "--key=/certs/ask.key", "-i", "x"]
    done = fleet.compose(
        *("run", "--rm", "-T", "ask", "call", "dns:///plain:50051", "plain", *arguments),
        check=False,
    )
    assert done.returncode != 0
    assert "plain" in done.stderr


def test_without_a_certificate_the_entry_refuses(fleet: Fleet) -> None:
    done = fleet.compose(
        *("run", "--rm", "-T", "ask", "call", "dns:///briefing:50051", "briefing"),
        *("--ca=/certs/ca.pem", "-i", "x"),
        check=False,
    )
    assert done.returncode != 0
    assert "TLS" in done.stderr


def test_stopping_a_replica_under_load_loses_no_call(fleet: Fleet, answer: str) -> None:
    stopped, _ = fleet.containers("keywords")
    with fleet.load(TEXT) as load:
        load.after(100)
        run("docker", "stop", "-t", "40", stopped)
        code = run("docker", "inspect", "-f", "{{.State.ExitCode}}", stopped).stdout.strip()
        load.after(100)
        run("docker", "start", stopped)
        calls = load.after(100)
    assert calls.failures == {}
    assert set(calls.answers) == {answer.rstrip("\n")}
    assert code == "0", "it drained, and was not killed at the end of its grace"


def test_a_third_replica_under_load_comes_and_goes_without_a_lost_call(fleet: Fleet) -> None:
    with fleet.load(TEXT) as load:
        load.after(50)
        began = time.time()
        fleet.compose("up", "-d", "--no-build", "--scale", "keywords=3")
        fleet.wait_until_healthy(began, [fleet.containers("keywords")[-1]])
        load.after(50)
        fleet.compose("up", "-d", "--no-build", "--scale", "keywords=2")
        assert load.after(50).failures == {}
    assert len(fleet.containers("keywords")) == 2


def test_killing_a_replica_under_load_loses_no_more_than_what_it_was_working_on(
    fleet: Fleet, answer: str
) -> None:
    killed, other = fleet.containers("keywords")
    with fleet.load(TEXT) as load:
        load.after(100)
        run("docker", "kill", killed)
        soon = load.after(CALLERS * 2)
        later = load.after(200)
        began = time.time()
        run("docker", "start", killed)
        fleet.wait_until_healthy(began, {killed})
        run("docker", "stop", "-t", "40", other)
        alone = load.after(200)
        run("docker", "start", other)
    assert soon.failed <= CALLERS
    assert later.failures == soon.failures, "one replica is enough"
    assert alone.failures == soon.failures, "the one that came back has been found again"
    assert all("unknown" in failure for failure in alone.failures), alone.failures
    assert set(alone.answers) == {answer.rstrip("\n")}
    print(f"\n{soon.failed} of {CALLERS} callers lost their call to the kill, ", end="")
    print(f"and then none of {sum(alone.answers.values())}: {soon.failures}")


def test_the_entry_is_asked_from_within_as_the_guide_says_for_kubernetes(
    fleet: Fleet, answer: str
) -> None:
    (command,) = re.findall(r"-- (aixgo call (?:[^\n]|\\\n)*) < README", GUIDE)
    words = shlex.split(command.replace("\\\n", " "))
    assert fleet.compose("exec", "-T", "briefing", *words, stdin=TEXT).stdout == answer


def test_the_image_names_what_it_is_and_runs_as_a_number() -> None:
    labels = run("docker", "image", "inspect", "-f", "{{json .Config.Labels}}", IMAGE).stdout
    assert '"org.opencontainers.image.licenses":"Apache-2.0"' in labels
    user = run("docker", "image", "inspect", "-f", "{{.Config.User}}", IMAGE).stdout
    assert user.strip() == "10001:10001"
