"""The worker's pod and the broker's configuration of deploy/kubernetes, run as containers."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.containers.engine import PROJECT, Stack, docker, free_ports, inspect
from tests.contract.test_kubernetes import POD, WORKER, manifest
from tests.waiting import wait_until

pytestmark = [pytest.mark.containers, pytest.mark.timeout(600)]

NAME = f"{PROJECT}-pod"
BROKER = f"{PROJECT}-broker"
MEBIBYTES = {"Mi": 1, "Gi": 1024}


def mebibytes(quantity: str) -> int:
    return int(quantity[:-2]) * MEBIBYTES[quantity[-2:]]


def volume(name: str, secret: Path) -> list[str]:
    """What mounts a volume of the pod where the manifest wants it."""
    (mount,) = [mount for mount in WORKER["volumeMounts"] if mount["name"] == name]
    (described,) = [each for each in POD["volumes"] if each["name"] == name]
    match described:
        case {"emptyDir": {"sizeLimit": limit}}:
            size = f"size={mebibytes(limit)}m"
            return ["--tmpfs", f"{mount['mountPath']}:{size},mode=2777"]
        case {"secret": {"items": [{"path": path}], "defaultMode": mode}}:
            # As the kubelet does: the files are root's, and the pod's group may read them.
            (secret / path).write_text("amqp://fer:fer@rabbitmq:5672/")
            for each, its_mode in ((secret, 0o750), (secret / path, mode)):
                os.chown(each, 0, POD["securityContext"]["fsGroup"])
                each.chmod(its_mode)
            return ["--volume", f"{secret}:{mount['mountPath']}:ro"]
    raise AssertionError(f"not known here: {described}")


class Pod:
    """The container, and the probes of its manifest."""

    def __init__(self, port: int) -> None:
        self._port = port

    def probe(self, kind: str) -> bool:
        """Ask once, as the kubelet does."""
        probe = WORKER[f"{kind}Probe"]
        with httpx.Client(trust_env=False, timeout=probe.get("timeoutSeconds", 1)) as http:
            try:
                answer = http.get(f"http://127.0.0.1:{self._port}{probe['httpGet']['path']}")
            except httpx.HTTPError:
                return False
        return answer.is_success

    def patience_s(self, kind: str) -> float:
        """How long a probe may fail before something is done."""
        probe = WORKER[f"{kind}Probe"]
        return float(probe["periodSeconds"] * probe.get("failureThreshold", 3))


@pytest.fixture
def pod(stack: Stack, images: dict[str, str], tmp_path: Path) -> Iterator[Pod]:
    """The pod as a container in the stack's network; its probes have passed."""
    stack.compose("stop", "worker")
    port = free_ports(["pod"])["pod"]
    context, limits = POD["securityContext"], WORKER["resources"]["limits"]
    own = WORKER["securityContext"]
    assert own["readOnlyRootFilesystem"]
    assert not own["allowPrivilegeEscalation"]
    docker(
        *("run", "--detach", "--pull=never", "--name", NAME, "--network", f"{PROJECT}_default"),
        *("--user", f"{context['runAsUser']}:{context['runAsGroup']}"),
        *("--group-add", str(context["fsGroup"])),
        *("--read-only", "--security-opt=no-new-privileges:true"),
        *(f"--cap-drop={capability}" for capability in own["capabilities"]["drop"]),
        *("--cpus", limits["cpu"], "--memory", f"{mebibytes(limits['memory'])}m"),
        *(f"--env={variable['name']}={variable['value']}" for variable in WORKER["env"]),
        *("--publish", f"127.0.0.1:{port}:{WORKER['ports'][0]['containerPort']}"),
        *(word for mount in WORKER["volumeMounts"] for word in volume(mount["name"], tmp_path)),
        images["worker"],
        *WORKER["args"],
    )
    pod = Pod(port)
    try:
        wait_until(lambda: pod.probe("startup"), pod.patience_s("startup"), "it has started")
        wait_until(lambda: pod.probe("readiness"), 60, "it is ready")
        yield pod
    finally:
        docker("rm", "--force", NAME)


def test_pod_answers_and_stops_within_its_grace_period(pod: Pod, stack: Stack) -> None:
    assert pod.probe("liveness")
    docker("stop", "-t", str(POD["terminationGracePeriodSeconds"]), NAME)
    assert inspect(NAME, ".State.ExitCode") == 0


def test_broker_that_is_away_makes_it_unready_and_does_not_restart_it(
    pod: Pod, stack: Stack
) -> None:
    stack.compose("stop", "rabbitmq")
    wait_until(lambda: not pod.probe("readiness"), pod.patience_s("readiness"), "it is not ready")
    assert pod.probe("liveness")
    stack.up("rabbitmq")
    wait_until(lambda: pod.probe("readiness"), 60, "it is ready again")


def test_broker_takes_the_additional_configuration(stack: Stack, tmp_path: Path) -> None:
    cluster = manifest("broker/rabbitmq.yaml", "RabbitmqCluster")["spec"]
    file = tmp_path / "additional.conf"
    file.write_text(cluster["rabbitmq"]["additionalConfig"])
    tmp_path.chmod(0o755)
    # Where the operator puts it.
    place = "/etc/rabbitmq/conf.d/90-userDefinedConfiguration.conf"
    mount = f"{file}:{place}:ro"
    # As the operator does, by another user than root.
    options = ("--detach", "--pull=never", "--name", BROKER, "--user", "rabbitmq")
    docker("run", *options, "--volume", mount, cluster["image"])
    try:
        running = ("exec", BROKER, "rabbitmq-diagnostics", "--quiet")

        def is_running() -> bool:
            return "is fully booted" in docker(*running, "check_running", check=False)

        wait_until(is_running, 120, "the broker runs")
        settings = re.sub(r"\s", "", docker(*running, "environment"))
        for setting in (
            "{max_message_size,16777216}",
            "{consumer_timeout,1800000}",
            "{cluster_partition_handling,pause_minority}",
            "{quorum_membership_reconciliation_enabled,true}",
            "{quorum_membership_reconciliation_target_group_size,3}",
        ):
            assert setting in settings
    finally:
        docker("rm", "--force", "--volumes", BROKER)
