"""What docker-compose.yml and deploy/k8s/base run: each service with its command, as a test may run it too."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from aixgo.runtime.base import Runtime
from aixgo.runtime.distributed import SERVER_GRACE

ROOT = Path(__file__).resolve().parents[1]
COMPOSE = ROOT / "docker-compose.yml"
KUBERNETES = ROOT / "deploy" / "k8s"
ENTRYPOINT = "aixgo"
DRAIN = inspect.signature(Runtime).parameters["stop_grace"].default + SERVER_GRACE
"""Seconds a service may take from SIGTERM until the last reply has left."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """One service of a fleet.

    Args:
        name: what others reach it by.
        command: all of it, from `aixgo` on; options are written `--name=value`.
        environment: what the file sets for this service; not what is passed through, or is the same for all.
        replicas: how many of it run.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    replicas: int = 1

    @property
    def verb(self) -> str:
        return self.command[1]

    def option(self, name: str) -> str:
        """The value of an option that the command gives once, or ""."""
        found = [part.partition("=")[2] for part in self.command if part.startswith(f"--{name}=")]
        assert len(found) <= 1, f"{self.name}: --{name} is given {len(found)} times"
        return found[0] if found else ""


def compose_file() -> dict[str, Any]:
    loaded = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def compose_services() -> list[Service]:
    """The services that run our image: those that serve, `certs` and `ask`."""
    return [
        Service(
            name=name,
            command=(ENTRYPOINT, *service["command"]),
            environment={k: v for k, v in service.get("environment", {}).items() if v is not None},
            replicas=service.get("scale", 1),
        )
        for name, service in compose_file()["services"].items()
        if "build" in service
    ]


def manifests(folder: Path = KUBERNETES / "base") -> Iterator[tuple[Path, dict[str, Any]]]:
    """Each object in the files that a kustomization lists, with its file."""
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    for name in listed["resources"]:
        path = folder / name
        if path.is_file():
            for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
                yield path, document


def kubernetes_services() -> list[Service]:
    """What the Deployments of the base run; an autoscaled one with the fewest replicas it may have."""
    objects = [document for _, document in manifests()]
    fewest = {
        document["spec"]["scaleTargetRef"]["name"]: document["spec"]["minReplicas"]
        for document in objects
        if document["kind"] == "HorizontalPodAutoscaler"
    }
    services = []
    for document in objects:
        if document["kind"] == "Deployment":
            name, pod = document["metadata"]["name"], document["spec"]["template"]
            (container,) = pod["spec"]["containers"]
            labels = pod["metadata"]["labels"]
            services.append(
                Service(
                    name=name,
                    command=(ENTRYPOINT, *container["args"]),
                    environment={
                        item["name"]: labels[
                            item["valueFrom"]["fieldRef"]["fieldPath"].split("'")[1]
                        ]
                        for item in container["env"]
                    },
                    replicas=document["spec"].get("replicas", fewest.get(name, 1)),
                )
            )
    return services


def fleet_environment() -> dict[str, str]:
    """What the ConfigMap `fleet` of the base sets in every pod."""
    base = yaml.safe_load((KUBERNETES / "base" / "kustomization.yaml").read_text(encoding="utf-8"))
    (fleet,) = (item for item in base["configMapGenerator"] if item["name"] == "fleet")
    return dict(literal.split("=", 1) for literal in fleet["literals"])


def sh_blocks(document: str) -> list[str]:
    """The commands of a document that need more than this checkout, each block as it stands."""
    return re.findall(r"^```sh\n(.*?)^```", document, re.MULTILINE | re.DOTALL)
