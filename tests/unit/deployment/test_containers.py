"""services/Dockerfile and docker-compose.yml: what the files themselves promise. `make test-compose` runs them."""

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from aixgo import load_config
from aixgo.keys import duration_seconds
from tests.services import DRAIN, ROOT, Service, compose_file, compose_services

DOCKERFILE = (ROOT / "services" / "Dockerfile").read_text(encoding="utf-8")
WORKFLOW = "examples/distributed-deployment/workflow.yaml"

SERVICES = {service.name: service for service in compose_services()}
SERVING = [service for service in SERVICES.values() if service.verb == "serve"]
OURS = [pytest.param(compose_file()["services"][name], id=name) for name in SERVICES]


def instructions(stage: int) -> list[tuple[str, str]]:
    """What a stage of the Dockerfile says, each instruction on one line."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    stages = re.split(r"^(?=FROM )", text, flags=re.MULTILINE)
    pairs = [line.partition(" ") for line in stages[stage].splitlines() if line]
    return [(word, rest.strip()) for word, _, rest in pairs]


def final(word: str) -> str:
    """What the last stage says with an instruction that it has once."""
    (rest,) = [rest for name, rest in instructions(-1) if name == word]
    return rest


def test_the_image_runs_as_nobody_in_particular_and_gets_its_signals() -> None:
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", final("USER")), "Kubernetes checks a number"
    assert json.loads(final("ENTRYPOINT")) == ["aixgo"], "a shell would keep SIGTERM to itself"
    assert final("STOPSIGNAL") == "SIGTERM"


def test_the_image_is_healthy_when_its_server_takes_calls() -> None:
    _, _, command = final("HEALTHCHECK").partition("CMD ")
    verb, address = json.loads(command)[1:]
    assert verb == "health"
    assert {service.option("health") for service in SERVING} == {address.removeprefix("127.0.0.1")}
    assert final("EXPOSE").split() == ["50051", "8081"]


def test_the_image_is_built_without_buildkit_and_from_any_base() -> None:
    assert "--mount" not in DOCKERFILE
    assert "<<" not in DOCKERFILE
    assert not DOCKERFILE.startswith("# syntax")
    assert instructions(0)[0][0] == "ARG"
    assert [rest for word, rest in instructions(1) + instructions(2) if word == "FROM"] == [
        "${BASE} AS build",
        "${BASE}",
    ]


def test_no_build_tool_reaches_the_image() -> None:
    copied = [rest for word, rest in instructions(-1) if word == "COPY" and "--from" in rest]
    assert copied == ["--from=build /opt/aixgo /opt/aixgo"]
    assert "venv --without-pip /opt/aixgo" in DOCKERFILE
    assert not [rest for word, rest in instructions(-1) if word == "RUN" and "pip" in rest]


def test_what_the_image_copies_exists_and_nothing_else_reaches_the_builder() -> None:
    copied = {
        source
        for stage in (1, 2)
        for word, rest in instructions(stage)
        if word == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    }
    assert [source for source in copied if not (ROOT / source).exists()] == []
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored
    assert {line[1:] for line in ignored if line.startswith("!")} == copied


def test_the_extras_of_the_image_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    given = dict(rest.split("=", 1) for word, rest in instructions(1) if word == "ARG")["EXTRAS"]
    assert set(given.split(",")) <= set(project["optional-dependencies"])
    assert f"${{EXTRAS:-{given}}}" in str(compose_file()["services"]["certs"]["build"])


def test_every_agent_of_the_workflow_has_a_service_of_its_name() -> None:
    config = load_config(ROOT / WORKFLOW)
    agents = {entry.name for entry in config.agents}
    entry = next(iter(config.orchestrations)).name
    assert {service.name for service in SERVING} == agents | {entry}
    assert {service.option("agent") for service in SERVING} == agents | {entry}
    assert {service.command[2] for service in SERVING} == {WORKFLOW}
    assert [service.name for service in SERVING if service.option("peer")] == [entry]
    assert [service.name for service in SERVING if service.replicas == 2] == ["keywords"]


def test_everybody_has_a_certificate_of_its_own() -> None:
    made = {part.removeprefix("--agent=") for part in SERVICES["certs"].command if "=" in part}
    for service in (*SERVING, SERVICES["ask"]):
        assert service.name in made
        assert service.option("ca") == "/certs/ca.pem"
        assert service.option("cert") == f"/certs/{service.name}.pem"
        assert service.option("key") == f"/certs/{service.name}.key"
    assert "--only-missing" in SERVICES["certs"].command, "a second start keeps what is there"


@pytest.mark.parametrize("service", OURS)
def test_a_container_may_do_no_more_than_it_needs(service: dict[str, object]) -> None:
    assert service["user"] == final("USER")
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert "ports" not in service, "the fleet is reached through `ask`, or in its networks"
    assert "privileged" not in service


@pytest.mark.parametrize("service", SERVING, ids=lambda service: service.name)
def test_a_service_waits_for_its_certificate_and_is_given_time_to_drain(service: Service) -> None:
    written = compose_file()["services"][service.name]
    assert written["depends_on"] == {"certs": {"condition": "service_completed_successfully"}}
    assert written["volumes"] == ["certs:/certs:ro"]
    assert written["restart"] == "unless-stopped"
    assert duration_seconds(written["stop_grace_period"], "stop_grace_period") > DRAIN


def test_only_the_entry_is_within_reach_of_who_asks() -> None:
    services = compose_file()["services"]
    asked_over = set(services["ask"]["networks"])
    assert [name for name in SERVICES if asked_over & set(services[name].get("networks", ()))] == [
        "briefing",
        "ask",
    ]
    assert services["certs"]["network_mode"] == "none"


def test_only_the_agent_that_has_a_model_is_given_a_key() -> None:
    config = load_config(ROOT / WORKFLOW)
    with_model = {entry.name for entry in config.agents if entry.role == "chat"}
    services = compose_file()["services"]
    environments = {name: services[name].get("environment", {}) for name in SERVICES}
    keys = {"AIXGO_MODEL", "ANTHROPIC_API_KEY", "OPENAI_API_KEY"}
    assert {name for name, given in environments.items() if keys & set(given)} == with_model
    written = {key for given in environments.values() for key, value in given.items() if value}
    assert written == {"OTEL_SERVICE_NAME"}, "all else is passed through from outside"


def test_both_generations_of_compose_take_the_file() -> None:
    assert not {"name", "version"} & set(compose_file()), (
        "Compose 1 refuses one, 2 warns of the other"
    )
    for name in SERVICES:
        assert not {"deploy", "develop"} & set(compose_file()["services"][name])


def test_without_a_docker_engine_one_is_told_what_to_install(tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    docker.chmod(0o755)
    done = subprocess.run(
        ["make", "--old-file=venv", "test-compose"],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode != 0
    assert (
        "No Docker engine answers. On Debian: apt install docker.io docker-compose" in done.stderr
    )
