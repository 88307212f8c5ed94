"""The manifests of deploy/kubernetes: valid, and in step with the code and with each other."""

import copy
import re
import shutil
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from fer_client.amqp.topology import Topology
from fer_schemas import MAX_MESSAGE_BYTES
from fer_worker.cli.run import run
from fer_worker.supervision.worker_config import DEFAULT_DRAIN_TIMEOUT_S
from tests.contract.manifests import Manifest, problems, read
from tests.contract.test_containers import DOCKERFILE, SERVICES

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
KUSTOMIZATIONS = sorted([*KUBERNETES.rglob("kustomization.yaml"), *ROOT.glob("deploy/*/kustomiz*")])
FILES = sorted(path for path in KUBERNETES.rglob("*.yaml") if path not in KUSTOMIZATIONS)

KUSTOMIZATION_FIELDS = {
    *("apiVersion", "kind", "namespace", "resources", "labels", "images", "patches"),
    *("configMapGenerator", "generatorOptions"),
}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT / "deploy"))


@cache
def manifest(path: str, kind: str) -> Any:
    (found,) = [part for part in read(KUBERNETES / path) if part["kind"] == kind]
    return found


DEPLOYMENT = manifest("base/worker.yaml", "Deployment")
POD = DEPLOYMENT["spec"]["template"]["spec"]
(WORKER,) = POD["containers"]
LABELS = DEPLOYMENT["spec"]["template"]["metadata"]["labels"]
TRIGGER = manifest("overlays/keda/scaler.yaml", "ScaledObject")["spec"]["triggers"][0]


def options(text: str) -> dict[str, str]:
    """A rabbitmq.conf."""
    lines = [line for line in text.splitlines() if line and line[0] != "#"]
    return dict(re.split(r"\s*=\s*", line) for line in lines)


def reached(kustomization: Path) -> list[Manifest]:
    """All manifests that a kustomization is built of, before it changes them."""
    found: list[Manifest] = []
    for resource in yaml.safe_load(kustomization.read_text()).get("resources", []):
        path = (kustomization.parent / resource).resolve()
        found += reached(path / "kustomization.yaml") if path.is_dir() else read(path)
    return found


@pytest.mark.parametrize("path", FILES, ids=name)
def test_manifest_is_valid(path: Path) -> None:
    assert read(path)
    for part in read(path):
        assert list(problems(part)) == []


@pytest.mark.parametrize("path", FILES, ids=name)
def test_misspelt_field_would_be_found(path: Path) -> None:
    for part in read(path):
        wrong = copy.deepcopy(part)
        wrong["spec"]["replicaz"] = 3
        assert list(problems(wrong))


@pytest.mark.parametrize("path", KUSTOMIZATIONS, ids=name)
def test_kustomization_names_what_exists(path: Path) -> None:
    found = yaml.safe_load(path.read_text())
    assert set(found) <= KUSTOMIZATION_FIELDS
    for resource in found.get("resources", []):
        target = path.parent / resource
        assert target.is_file() or (target / "kustomization.yaml").is_file()
    for generator in found.get("configMapGenerator", []):
        assert all((path.parent / file).is_file() for file in generator["files"])
    there = {(part["kind"], part["metadata"]["name"]) for part in reached(path)}
    for patch in found.get("patches", []):
        assert (patch["target"]["kind"], patch["target"]["name"]) in there


def test_every_manifest_is_part_of_a_kustomization() -> None:
    named = {
        (path.parent / resource).resolve()
        for path in KUSTOMIZATIONS
        for resource in yaml.safe_load(path.read_text()).get("resources", [])
    }
    assert set(FILES) <= named
    assert {path.parent for path in KUSTOMIZATIONS if "overlays" not in path.parts} <= named


@pytest.mark.parametrize("path", KUSTOMIZATIONS, ids=name)
def test_kustomize_builds_valid_manifests(path: Path) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl, which has kustomize")
    command = ["kubectl", "kustomize", str(path.parent)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    built = list(yaml.safe_load_all(done.stdout))
    assert built
    for part in built:
        assert list(problems(part)) == [], part["kind"]
        assert part["metadata"].get("namespace") == yaml.safe_load(path.read_text()).get(
            "namespace"
        )


def test_image_is_that_of_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    described = yaml.safe_load((KUBERNETES / "base" / "kustomization.yaml").read_text())
    assert described["images"] == [{"name": WORKER["image"], "newTag": project["version"]}]


def test_worker_gets_longer_to_stop_than_it_takes_to_drain() -> None:
    assert POD["terminationGracePeriodSeconds"] > DEFAULT_DRAIN_TIMEOUT_S


def test_worker_can_write_to_nothing_and_gain_nothing() -> None:
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert f"USER {POD['securityContext']['runAsUser']}:10001" in DOCKERFILE
    assert POD["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert POD["automountServiceAccountToken"] is False
    assert WORKER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    writable = [mount["mountPath"] for mount in WORKER["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["/tmp"]
    assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & POD.keys()


def test_worker_reads_its_url_from_the_file_of_a_secret() -> None:
    (variable,) = WORKER["env"]
    known = {parameter.envvar for parameter in run.params}
    assert variable["name"] in known
    assert "PASS" not in yaml.safe_dump(POD)
    (mount,) = [mount for mount in WORKER["volumeMounts"] if mount["name"] == "amqp"]
    (volume,) = [volume for volume in POD["volumes"] if volume["name"] == "amqp"]
    (item,) = volume["secret"]["items"]
    assert variable["value"] == f"{mount['mountPath']}/{item['path']}"


def test_probes_and_metrics_use_the_port_of_the_image() -> None:
    (port,) = WORKER["ports"]
    assert f"FER_WORKER_RUN_METRICS_PORT={port['containerPort']}\n" in DOCKERFILE
    asked = {
        kind: WORKER[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")
    }
    assert {probe["port"] for probe in asked.values()} == {port["name"]}
    assert [probe["path"] for probe in asked.values()] == ["/livez", "/livez", "/readyz"]
    monitor = manifest("monitoring/workers.yaml", "PodMonitor")["spec"]
    assert [endpoint["port"] for endpoint in monitor["podMetricsEndpoints"]] == [port["name"]]


def test_a_broker_that_is_away_kills_no_worker() -> None:
    for probe in ("startup", "liveness"):
        assert WORKER[f"{probe}Probe"]["httpGet"]["path"] != "/readyz"


def test_container_gets_what_it_gets_in_compose() -> None:
    limits = SERVICES["worker"]["deploy"]["resources"]["limits"]
    here = WORKER["resources"]["limits"]
    assert limits["cpus"] == f"${{WORKER_CPUS:-{here['cpu']}}}"
    assert limits["memory"] == f"${{WORKER_MEMORY:-{here['memory'].removesuffix('i')}}}"


@pytest.mark.parametrize(
    "selector",
    [
        DEPLOYMENT["spec"]["selector"],
        manifest("base/disruption.yaml", "PodDisruptionBudget")["spec"]["selector"],
        manifest("base/network.yaml", "NetworkPolicy")["spec"]["podSelector"],
        manifest("monitoring/workers.yaml", "PodMonitor")["spec"]["selector"],
        *[constraint["labelSelector"] for constraint in POD["topologySpreadConstraints"]],
    ],
)
def test_selector_finds_the_workers(selector: Manifest) -> None:
    assert selector["matchLabels"].items() <= LABELS.items()


def test_a_new_version_is_ready_before_an_old_one_stops() -> None:
    assert DEPLOYMENT["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_network_policy_lets_workers_reach_the_broker_and_be_asked_for_metrics() -> None:
    spec = manifest("base/network.yaml", "NetworkPolicy")["spec"]
    (out,), (into,) = spec["egress"], spec["ingress"]
    assert {port["port"] for port in out["ports"]} == {5671, 5672, 53}
    assert [port["port"] for port in into["ports"]] == ["metrics"]


def test_broker_is_three_nodes_on_three_machines() -> None:
    spec = manifest("broker/rabbitmq.yaml", "RabbitmqCluster")["spec"]
    assert spec["replicas"] == 3
    apart = spec["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert [rule["topologyKey"] for rule in apart] == ["kubernetes.io/hostname"]
    # The operator gives its pods the cluster's name.
    cluster = manifest("broker/rabbitmq.yaml", "RabbitmqCluster")["metadata"]["name"]
    for selector in (
        apart[0]["labelSelector"],
        manifest("broker/disruption.yaml", "PodDisruptionBudget")["spec"]["selector"],
        manifest("monitoring/rabbitmq.yaml", "ServiceMonitor")["spec"]["selector"],
    ):
        assert selector == {"matchLabels": {"app.kubernetes.io/name": cluster}}


def test_broker_takes_what_workers_read_and_holds_requests_as_long_as_in_compose() -> None:
    spec = manifest("broker/rabbitmq.yaml", "RabbitmqCluster")["spec"]
    cluster = options(spec["rabbitmq"]["additionalConfig"])
    compose = options((ROOT / "deploy" / "rabbitmq" / "fer-worker.conf").read_text())
    assert int(cluster["max_message_size"]) == int(compose["max_message_size"]) == MAX_MESSAGE_BYTES
    assert cluster["consumer_timeout"] == compose["consumer_timeout"]
    members = "quorum_queue.continuous_membership_reconciliation.target_group_size"
    assert int(cluster[members]) == spec["replicas"]


def test_scaler_counts_what_workers_have_taken_too() -> None:
    metadata = TRIGGER["metadata"]
    assert metadata["protocol"] == "http"
    assert metadata["mode"] == "QueueLength"
    assert metadata["excludeUnacknowledged"] == "false"


def test_scaler_counts_the_queues_that_workers_and_supervisors_read() -> None:
    topology = Topology()
    pattern = re.compile(TRIGGER["metadata"]["queueName"])
    counted = {queue for queue in topology.queues if pattern.search(queue)}
    read = {topology.frames.name, topology.quarantine.name, topology.undeliverable.name}
    assert counted == read
    assert TRIGGER["metadata"]["useRegex"] == "true"
    assert not pattern.search(topology.replies("frames"))


def test_scaler_knows_the_deployment_and_its_account() -> None:
    spec = manifest("overlays/keda/scaler.yaml", "ScaledObject")["spec"]
    assert spec["scaleTargetRef"]["name"] == DEPLOYMENT["metadata"]["name"]
    account = manifest("overlays/keda/scaler.yaml", "TriggerAuthentication")
    assert TRIGGER["authenticationRef"]["name"] == account["metadata"]["name"]
    parameters = [reference["parameter"] for reference in account["spec"]["secretTargetRef"]]
    assert parameters == ["host", "username", "password"]


def test_there_is_always_a_worker_to_declare_the_queues() -> None:
    assert manifest("overlays/keda/scaler.yaml", "ScaledObject")["spec"]["minReplicaCount"] >= 1
