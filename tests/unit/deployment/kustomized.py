"""The objects of deploy/k8s: those of the base as they are written, those of an overlay as kubectl builds them."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml

from tests.services import KUBERNETES, manifests

Object = dict[str, Any]


@cache
def written() -> list[Object]:
    """The base, file by file; what the cluster would be given but for the namespace."""
    return [document for _, document in manifests()]


@cache
def built(overlay: str) -> list[Object]:
    """What `kubectl apply -k deploy/k8s/overlays/…` sends, with stand-ins for the certificates of dev."""
    if (kubectl := shutil.which("kubectl")) is None:
        pytest.skip("kubectl builds overlays, and there is none here")
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "k8s"
        shutil.copytree(KUBERNETES, copy, ignore=shutil.ignore_patterns("certs"))
        for name in certificate_files(overlay):
            path = copy / "overlays" / overlay / name
            path.parent.mkdir(exist_ok=True)
            path.write_text("a stand-in", encoding="utf-8")
        done = subprocess.run(
            [kubectl, "kustomize", str(copy / "overlays" / overlay)],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr
    return list(yaml.safe_load_all(done.stdout))


def kustomization(folder: str) -> Object:
    loaded = yaml.safe_load((KUBERNETES / folder / "kustomization.yaml").read_text("utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def certificate_files(overlay: str) -> list[str]:
    """The files from which an overlay makes secrets."""
    made = kustomization(f"overlays/{overlay}").get("secretGenerator", ())
    return [given.partition("=")[2] for secret in made for given in secret["files"]]


def of_kind(objects: list[Object], kind: str) -> dict[str, Object]:
    """The objects of a kind by name."""
    return {item["metadata"]["name"]: item for item in objects if item["kind"] == kind}


def pod_labels(deployment: Object) -> dict[str, str]:
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert isinstance(labels, dict)
    return labels


def container(deployment: Object) -> Object:
    (only,) = deployment["spec"]["template"]["spec"]["containers"]
    assert isinstance(only, dict)
    return only


def selects(selector: Object, labels: dict[str, str]) -> bool:
    """Whether a selector of labels, as NetworkPolicies and Deployments have it, takes a pod."""
    assert set(selector) <= {"matchLabels"}, "the only form we use"
    return selector.get("matchLabels", {}).items() <= labels.items()


def lets_through(
    objects: list[Object], source: dict[str, str], target: dict[str, str], port: int
) -> bool:
    """Whether the NetworkPolicies let a pod with labels `source` open a TCP connection to one with labels `target`."""
    policies = [item["spec"] for item in objects if item["kind"] == "NetworkPolicy"]

    def allows(direction: str, here: dict[str, str], there: dict[str, str]) -> bool:
        word, side = ("egress", "to") if direction == "Egress" else ("ingress", "from")
        concerned = [
            policy
            for policy in policies
            if direction in policy["policyTypes"] and selects(policy["podSelector"], here)
        ]
        if not concerned:
            return True  # a pod that no policy selects is open
        return any(
            {"port": port, "protocol": "TCP"} in rule["ports"]
            and any(
                "podSelector" in peer
                and "namespaceSelector" not in peer
                and selects(peer["podSelector"], there)
                for peer in rule[side]
            )
            for policy in concerned
            for rule in policy.get(word, ())
        )

    return allows("Egress", source, target) and allows("Ingress", target, source)
