"""deploy/k8s: the schemas of Kubernetes, what its admission asks of a restricted pod, and that names and ports meet.

No cluster sees these files here. What is checked is the base as it is written, and each overlay as kubectl builds it.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml

import aixgo
from tests.services import (
    DRAIN,
    KUBERNETES,
    ROOT,
    Service,
    fleet_environment,
    kubernetes_services,
    manifests,
    sh_blocks,
)
from tests.unit.deployment.kustomized import (
    Object,
    built,
    certificate_files,
    container,
    kustomization,
    lets_through,
    of_kind,
    pod_labels,
    selects,
    written,
)

VERSION = "1.37"
OVERLAYS = ["dev", "prod"]
SERVICES = kubernetes_services()


@pytest.fixture(params=["base", *OVERLAYS])
def objects(request: pytest.FixtureRequest) -> list[Object]:
    return written() if request.param == "base" else built(request.param)


def test_every_object_is_one_that_kubernetes_knows(objects: list[Object]) -> None:
    for item in objects:
        kubernetes_validate.validate(item, VERSION, strict=True)


@pytest.mark.parametrize("wrong", ["replicas", "imagePullPolcy"])
def test_a_wrong_type_or_an_unknown_field_would_be_noticed(wrong: str) -> None:
    deployment = of_kind(written(), "Deployment")["plain"]
    spoiled = {**deployment, "spec": {**deployment["spec"], wrong: "many"}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(spoiled, VERSION, strict=True)


def test_a_service_leads_to_the_pods_of_its_name_and_to_their_port(objects: list[Object]) -> None:
    deployments, services = of_kind(objects, "Deployment"), of_kind(objects, "Service")
    assert set(services) == set(deployments)
    for name, service in services.items():
        spec = service["spec"]
        assert spec["clusterIP"] == "None", "callers choose among the replicas"
        assert [
            n for n, d in deployments.items() if spec["selector"].items() <= pod_labels(d).items()
        ] == [name]
        (port,) = spec["ports"]
        listed = {
            port["name"]: port["containerPort"] for port in container(deployments[name])["ports"]
        }
        assert listed[port["targetPort"]] == port["port"]


def test_a_deployment_takes_its_own_pods_only(objects: list[Object]) -> None:
    deployments = of_kind(objects, "Deployment")
    for name, deployment in deployments.items():
        selector = deployment["spec"]["selector"]
        assert [n for n, d in deployments.items() if selects(selector, pod_labels(d))] == [name]
        assert deployment["metadata"]["labels"] == pod_labels(deployment)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_ports_and_probes_are_those_of_the_command(service: Service) -> None:
    pod = container(of_kind(written(), "Deployment")[service.name])
    ports = {port["name"]: port["containerPort"] for port in pod["ports"]}
    assert service.option("address") == f"0.0.0.0:{ports['grpc']}"
    assert service.option("health") == f":{ports['health']}"
    assert pod["startupProbe"]["grpc"] == {"port": ports["health"]}
    assert pod["livenessProbe"]["grpc"] == {"port": ports["health"]}
    assert pod["readinessProbe"]["grpc"] == {
        "port": ports["health"],
        "service": service.option("agent"),
    }


def test_a_pod_has_time_to_drain(objects: list[Object]) -> None:
    for deployment in of_kind(objects, "Deployment").values():
        before = container(deployment)["lifecycle"]["preStop"]["sleep"]["seconds"]
        given = deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        assert given > before + DRAIN


def test_a_rollout_never_takes_a_replica_before_its_successor_is_ready(
    objects: list[Object],
) -> None:
    for deployment in of_kind(objects, "Deployment").values():
        assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_pods_meet_the_restricted_profile_and_more(objects: list[Object]) -> None:
    (namespace,) = of_kind(objects, "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    accounts = of_kind(objects, "ServiceAccount")
    for deployment in of_kind(objects, "Deployment").values():
        pod = deployment["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] >= 10000
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert accounts[pod["serviceAccountName"]]["automountServiceAccountToken"] is False
        assert {kind for volume in pod["volumes"] for kind in volume} == {
            "name",
            "secret",
            "emptyDir",
        }
        assert container(deployment)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        resources = container(deployment)["resources"]
        assert {"cpu", "memory"} <= set(resources["requests"])
        assert "memory" in resources["limits"]


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_pod_sees_its_own_certificate_where_its_command_looks(service: Service) -> None:
    deployment = of_kind(written(), "Deployment")[service.name]
    (secret,) = [
        v["secret"] for v in deployment["spec"]["template"]["spec"]["volumes"] if "secret" in v
    ]
    assert secret["secretName"] == f"{service.name}-tls"
    (mount,) = [m for m in container(deployment)["volumeMounts"] if m["name"] == "certs"]
    assert mount["readOnly"] is True
    shown = {item["key"]: f"{mount['mountPath']}/{item['path']}" for item in secret["items"]}
    assert shown == {
        "ca.crt": service.option("ca"),
        "tls.crt": service.option("cert"),
        "tls.key": service.option("key"),
    }


def test_no_secret_is_in_a_file_and_only_the_agent_with_a_model_is_given_its_key(
    objects: list[Object],
) -> None:
    for deployment in of_kind(objects, "Deployment").values():
        pod = container(deployment)
        referred = [given["secretRef"]["name"] for given in pod["envFrom"] if "secretRef" in given]
        assert referred == (["models"] if deployment["metadata"]["name"] == "summariser" else [])
        assert [variable["name"] for variable in pod["env"]] == ["OTEL_SERVICE_NAME"]
    assert of_kind(written(), "Secret") == {}
    assert "models" not in of_kind(objects, "Secret")


def test_every_pod_is_told_how_to_log_and_prod_where_traces_go(objects: list[Object]) -> None:
    maps = of_kind(objects, "ConfigMap") or {"fleet": {"data": fleet_environment()}}
    for deployment in of_kind(objects, "Deployment").values():
        given = container(deployment)["envFrom"]
        (name,) = [item["configMapRef"]["name"] for item in given if "configMapRef" in item]
        assert maps[name]["data"]["AIXGO_LOG_FORMAT"] == "json"
        image = container(deployment)["image"]
        assert ("AIXGO_OTEL" in maps[name]["data"]) == image.startswith("registry.example.com/")


def test_the_network_lets_through_what_the_workflow_needs_and_nothing_else(
    objects: list[Object],
) -> None:
    pods = {name: pod_labels(item) for name, item in of_kind(objects, "Deployment").items()}
    pods["a pod that may ask"] = {"aixgo.dev/asks": "briefing"}
    pods["any other pod"] = {"app.kubernetes.io/name": "stranger"}
    open_ways = {
        (source, target)
        for source in pods
        for target in pods
        if source != target and lets_through(objects, pods[source], pods[target], 50051)
    }
    agents = {service.name for service in SERVICES} - {"briefing"}
    assert open_ways == {("briefing", agent) for agent in agents} | {
        ("a pod that may ask", "briefing")
    }
    assert not lets_through(objects, pods["briefing"], pods["plain"], 8081)


def test_every_pod_may_resolve_names() -> None:
    (rule,) = of_kind(written(), "NetworkPolicy")["names"]["spec"]["egress"]
    assert of_kind(written(), "NetworkPolicy")["names"]["spec"]["podSelector"] == {}
    assert {(port["port"], port["protocol"]) for port in rule["ports"]} == {
        (53, "UDP"),
        (53, "TCP"),
    }


def test_scaling_and_disruption_budgets_name_deployments(objects: list[Object]) -> None:
    deployments = of_kind(objects, "Deployment")
    budgets = of_kind(objects, "PodDisruptionBudget")
    assert set(budgets) == set(deployments)
    for name, budget in budgets.items():
        assert selects(budget["spec"]["selector"], pod_labels(deployments[name]))
        assert budget["spec"]["maxUnavailable"] == 1
    for scaler in of_kind(objects, "HorizontalPodAutoscaler").values():
        target = scaler["spec"]["scaleTargetRef"]
        assert (target["kind"], target["apiVersion"]) == ("Deployment", "apps/v1")
        assert "replicas" not in deployments[target["name"]]["spec"], "two would decide"
        assert scaler["spec"]["minReplicas"] == 2
        assert "cpu" in container(deployments[target["name"]])["resources"]["requests"]


def test_the_files_of_the_agents_differ_only_in_what_they_are() -> None:
    def told(name: str) -> str:
        text = (KUBERNETES / "base" / f"{name}.yaml").read_text(encoding="utf-8")
        text = re.sub(r"^#.*\n|^ +replicas: 1\n", "", text, flags=re.MULTILINE)
        text = re.sub(r"^ +(- --peer=|- secretRef:).*\n", "", text, flags=re.MULTILINE)
        return re.sub(rf"\b{name}\b", "NAME", text).replace("component: entry", "component: agent")

    assert {told(service.name) for service in SERVICES} == {told("plain")}


def test_every_file_is_part_of_a_kustomization() -> None:
    listed = {KUBERNETES / "base" / "kustomization.yaml", *(path for path, _ in manifests())}
    for overlay in OVERLAYS:
        said = kustomization(f"overlays/{overlay}")
        folder = KUBERNETES / "overlays" / overlay
        names = [*said["resources"], *(patch["path"] for patch in said["patches"])]
        assert [name for name in names if not (folder / name).exists()] == []
        listed |= {folder / "kustomization.yaml", *(folder / name for name in names)}
    assert {path for path in KUBERNETES.rglob("*.yaml") if "certs" not in path.parts} == {
        path for path in listed if path.suffix == ".yaml"
    }


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_names_only_what_the_base_has(overlay: str) -> None:
    said = kustomization(f"overlays/{overlay}")
    deployments = of_kind(written(), "Deployment")
    assert {item["name"] for item in said["replicas"]} <= set(deployments)
    assert {image["name"] for image in said["images"]} == {
        container(deployment)["image"] for deployment in deployments.values()
    }
    assert said["namespace"] == kustomization("base")["namespace"]


def test_dev_makes_the_secrets_from_what_aixgo_certs_writes() -> None:
    made = {secret["name"] for secret in kustomization("overlays/dev")["secretGenerator"]}
    assert made == {f"{service.name}-tls" for service in SERVICES}
    assert set(certificate_files("dev")) == {"certs/ca.pem"} | {
        f"certs/{service.name}.{kind}" for service in SERVICES for kind in ("pem", "key")
    }
    secrets = of_kind(built("dev"), "Secret")
    assert set(secrets) == made
    assert {frozenset(secret["data"]) for secret in secrets.values()} == {
        frozenset({"ca.crt", "tls.crt", "tls.key"})
    }


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_runs_the_commands_of_the_base(overlay: str) -> None:
    base, over = of_kind(written(), "Deployment"), of_kind(built(overlay), "Deployment")
    assert {n: container(d)["args"] for n, d in over.items()} == {
        n: container(d)["args"] for n, d in base.items()
    }


def test_prod_runs_two_of_everything_and_asks_for_the_models_key() -> None:
    objects = built("prod")
    fewest = {
        scaler["spec"]["scaleTargetRef"]["name"]: scaler["spec"]["minReplicas"]
        for scaler in of_kind(objects, "HorizontalPodAutoscaler").values()
    }
    for name, deployment in of_kind(objects, "Deployment").items():
        assert (deployment["spec"].get("replicas") or fewest[name]) == 2
        assert container(deployment)["image"].endswith(f"/aixgo:{aixgo.__version__}")
        over = {
            c["topologyKey"]
            for c in deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
        }
        assert over == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    given = container(of_kind(objects, "Deployment")["summariser"])["envFrom"]
    assert {"secretRef": {"name": "models"}} in given, "and not optional"


def test_prod_lets_traces_out_and_metrics_be_fetched_where_they_are() -> None:
    objects = built("prod")
    (fleet,) = of_kind(objects, "ConfigMap").values()
    collector = urlsplit(fleet["data"]["AIXGO_OTEL"])
    policy = of_kind(objects, "NetworkPolicy")["observability"]["spec"]
    (out,), (fetched,) = policy["egress"], policy["ingress"]
    assert {"port": collector.port, "protocol": "TCP"} in out["ports"]
    (peer,) = out["to"]
    namespace = peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
    assert str(collector.hostname).split(".")[1] == namespace

    port = int(fleet["data"]["AIXGO_PROMETHEUS"].rpartition(":")[2])
    assert fetched == {"from": out["to"], "ports": [{"port": port, "protocol": "TCP"}]}
    for deployment in of_kind(objects, "Deployment").values():
        assert {"name": "metrics", "containerPort": port} in container(deployment)["ports"]
        said = deployment["spec"]["template"]["metadata"]["annotations"]
        assert said == {"prometheus.io/scrape": "true", "prometheus.io/port": str(port)}


def test_the_secrets_of_the_guide_are_those_that_prod_refers_to(tmp_path: Path) -> None:
    """Its commands run as they stand, but for kubectl, which only says what it would create."""
    if shutil.which("kubectl") is None:
        pytest.skip("there is no kubectl here")
    guide = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    (commands,) = (block for block in sh_blocks(guide) if "kubectl" in block)
    python = shlex.quote(sys.executable)
    stand_ins = (
        f'aixgo() {{ {python} -m aixgo "$@" >/dev/null; }}\n'
        'kubectl() { command kubectl "$@" --dry-run=client -o yaml; echo ---; }\n'
    )
    done = subprocess.run(
        ["bash", "-ec", stand_ins + commands],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OPENAI_API_KEY": "a-stand-in"},
        capture_output=True,
        text=True,
        timeout=25,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made = {
        (item["metadata"]["namespace"], item["metadata"]["name"], *sorted(item["data"]))
        for item in yaml.safe_load_all(done.stdout)
        if item
    }
    assert made == {
        *(("aixgo", f"{service.name}-tls", "ca.crt", "tls.crt", "tls.key") for service in SERVICES),
        ("aixgo", "models", "AIXGO_MODEL", "OPENAI_API_KEY"),
    }


def test_the_certificates_of_the_guide_are_those_that_dev_takes() -> None:
    guide = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    given = re.search(
        r"aixgo certs deploy/k8s/overlays/dev/certs((?:[^\n]|\\\n)*)\n    kubectl", guide
    )
    assert given is not None
    agents = set(re.findall(r"--agent (\w+)", given[1]))
    assert agents == {service.name for service in SERVICES}
