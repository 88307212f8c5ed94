"""The container files agree with their schemas, with each other and with the code."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fer_worker.cli import main
from fer_worker.cli.gateway import DEFAULT_PORT, gateway
from fer_worker.cli.run import run
from fer_worker.supervision.worker_config import DEFAULT_DRAIN_TIMEOUT_S

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
STAGE = re.compile(r"^FROM (\S+) AS (\S+)$", re.MULTILINE)
SERVICES = yaml.safe_load(COMPOSE.read_text())["services"]
VOLUMES = yaml.safe_load(COMPOSE.read_text())["volumes"]


def instructions(stage: str) -> list[str]:
    """The instructions of a stage and of those it is built from, first one first."""
    parents = {name: parent for parent, name in STAGE.findall(DOCKERFILE)}
    if stage not in parents:
        return []
    body = re.split(rf"^FROM .* AS {stage}$", DOCKERFILE, flags=re.MULTILINE)[1]
    own = re.split(r"^FROM ", body, flags=re.MULTILINE)[0].replace("\\\n", " ").splitlines()
    return instructions(parents[stage]) + [line for line in own if line and line[0] != "#"]


def test_compose_file_is_valid() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, str(COMPOSE)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_worker_gets_longer_to_stop_than_it_takes_to_drain() -> None:
    grace = re.fullmatch(r"(\d+)s", SERVICES["worker"]["stop_grace_period"])
    assert grace is not None
    assert int(grace[1]) > DEFAULT_DRAIN_TIMEOUT_S


def test_workers_can_be_many() -> None:
    assert "container_name" not in SERVICES["worker"]
    assert "ports" not in SERVICES["worker"]


def test_ports_are_open_to_this_machine_only() -> None:
    for service in SERVICES.values():
        for port in service.get("ports", []):
            assert port.startswith(("127.0.0.1:", "${GATEWAY_ADDRESS:-127.0.0.1}:"))


def test_a_worker_logs_in_as_the_user_that_the_broker_makes() -> None:
    account = SERVICES["rabbitmq"]["environment"]
    user, password = account["RABBITMQ_DEFAULT_USER"], account["RABBITMQ_DEFAULT_PASS"]
    url = SERVICES["worker"]["environment"]["FER_WORKER_AMQP_URL"]
    assert url == f"amqp://{user}:{password}@rabbitmq:5672/"


def test_the_image_built_by_default_is_the_one_that_compose_builds() -> None:
    stages = [name for _, name in STAGE.findall(DOCKERFILE)]
    assert len(stages) == DOCKERFILE.count("\nFROM ")
    assert stages[-1] == SERVICES["worker"]["build"]["target"]


def last(image: str, instruction: str) -> str:
    """What an image does: a stage's own instruction replaces that of the one it is built from."""
    return [step for step in instructions(image) if step.startswith(f"{instruction} ")][-1]


@pytest.mark.parametrize(
    ("image", "command"), [("worker", "run"), ("worker-fer", "run"), ("gateway", "gateway")]
)
def test_an_image_runs_its_command_as_an_ordinary_user(image: str, command: str) -> None:
    assert last(image, "USER") == "USER 10001:10001"
    assert last(image, "ENTRYPOINT") == 'ENTRYPOINT ["fer-worker"]'
    assert last(image, "CMD").startswith(f'CMD ["{command}"')
    assert last(image, "HEALTHCHECK")


@pytest.mark.parametrize("image", ["worker", "worker-fer", "gateway"])
def test_an_image_needs_no_shell_to_run(image: str) -> None:
    started = [last(image, "ENTRYPOINT").partition(" ")[2], last(image, "CMD").partition(" ")[2]]
    started.append(last(image, "HEALTHCHECK").partition(" CMD ")[2])
    assert all(command.lstrip().startswith("[") for command in started)


@pytest.mark.parametrize("name", ["worker", "controller", "gateway"])
def test_our_own_containers_can_write_to_nothing_and_gain_nothing(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid"} & service.keys()
    assert all(volume.endswith(":ro") for volume in service.get("volumes", []))


def test_only_an_image_with_a_supervisor_has_its_port() -> None:
    assert "EXPOSE 9464" in instructions("worker-fer")
    assert [step for step in instructions("gateway") if step.startswith("EXPOSE")] == [
        "EXPOSE 8012"
    ]


def test_every_container_is_bounded_and_comes_back() -> None:
    for service in SERVICES.values():
        assert "memory" in service["deploy"]["resources"]["limits"]
        assert service["restart"] == "unless-stopped"


def test_every_log_is_bounded() -> None:
    assert all(service["logging"] == {"driver": "local"} for service in SERVICES.values())


def test_broker_is_the_same_minor_version_as_in_kubernetes() -> None:
    manifest = (ROOT / "deploy" / "kubernetes" / "broker" / "rabbitmq.yaml").read_text()
    image = SERVICES["rabbitmq"]["image"]
    assert re.fullmatch(r"rabbitmq:4\.\d+-management", image)
    assert f"image: {image}\n" in manifest


def test_broker_and_its_health_check_are_the_same_user() -> None:
    assert SERVICES["rabbitmq"]["user"] == "rabbitmq"


def test_code_is_compiled_once_for_all_images() -> None:
    assert DOCKERFILE.count("g++") == 1
    for image in ("worker", "worker-fer", "gateway"):
        assert instructions(image)[-1] == "COPY --from=build /opt/code /opt/fer-worker"


def test_every_container_has_a_health_check_or_says_that_it_has_none() -> None:
    for name, service in SERVICES.items():
        # Those of the worker and of the gateway are in their images.
        assert name in {"worker", "gateway"} or service["healthcheck"].keys() & {"test", "disable"}


def test_what_is_mounted_exists() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in VOLUMES or (ROOT / source).exists()


def test_plain_up_starts_the_broker_and_the_workers_alone() -> None:
    plain = {name for name, service in SERVICES.items() if "profiles" not in service}
    assert plain == {"rabbitmq", "worker"}


def test_the_controller_of_the_demo_runs_a_command_that_exists() -> None:
    controller = SERVICES["controller"]
    assert controller["image"] == SERVICES["worker"]["image"]
    shell, flag, script = controller["entrypoint"]
    assert (shell, flag) == ("sh", "-c")
    found = re.fullmatch(r"while fer-worker (.+); do :; done", script)
    assert found is not None
    command, *arguments = found[1].split()
    context = main.make_context("fer-worker", [command, *arguments])
    _, submit, rest = main.resolve_command(context, [command, *arguments])
    assert submit is not None
    context = submit.make_context(command, rest, parent=context)
    (frames,) = context.params["sources"]
    assert f"./examples/frames:{frames}:ro" in controller["volumes"]


def test_the_gateway_listens_where_its_port_is_published_and_its_health_is_asked() -> None:
    command = json.loads(last("gateway", "CMD").partition(" ")[2])
    options = gateway.make_context("gateway", command[1:]).params
    assert (options["host"], options["port"]) == ("0.0.0.0", DEFAULT_PORT)
    (published,) = SERVICES["gateway"]["ports"]
    assert published.endswith(f":${{GATEWAY_PORT:-{DEFAULT_PORT}}}:{DEFAULT_PORT}")
    assert f"http://127.0.0.1:{DEFAULT_PORT}/" in last("gateway", "HEALTHCHECK")
    assert f"EXPOSE {DEFAULT_PORT}" in instructions("gateway")


def test_the_gateway_gets_longer_to_stop_than_a_request_may_take() -> None:
    options = gateway.make_context("gateway", []).params
    assert int(SERVICES["gateway"]["stop_grace_period"].removesuffix("s")) > options["timeout"]


def test_the_gateway_has_its_extra_and_logs_in_as_the_workers_do() -> None:
    assert "COPY --from=needed /needed/http.txt /" in instructions("dependencies-http")
    assert any("--from=dependencies-http " in step for step in instructions("gateway"))
    build = SERVICES["gateway"]["build"]
    assert (build["target"], SERVICES["gateway"]["image"]) == (
        "gateway",
        "${GATEWAY_IMAGE:-fer-worker:http}",
    )
    assert SERVICES["gateway"]["environment"] == SERVICES["worker"]["environment"]


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    ignore = set((ROOT / ".dockerignore").read_text().splitlines())
    for sources in re.findall(r"^COPY (?!--)(.*) \S+$", DOCKERFILE, re.MULTILINE):
        for source in map(Path, sources.split()):
            assert (ROOT / source).exists()
            assert source == Path() or {f"!{name}" for name in (source, source.parent)} & ignore


def test_the_health_of_a_container_is_asked_by_a_file_that_the_image_has() -> None:
    (check,) = [step for step in instructions("worker") if step.startswith("HEALTHCHECK")]
    assert check.endswith('"/opt/fer-worker/healthcheck.py"]')
    assert "install --mode 0644 deploy/healthcheck.py /opt/code" in instructions("build")[-1]


def test_an_image_serves_metrics_to_the_network_of_its_container() -> None:
    (port,) = re.findall(r"FER_WORKER_RUN_METRICS_PORT=(\d+)", DOCKERFILE)
    assert "FER_WORKER_RUN_METRICS_HOST=0.0.0.0" in DOCKERFILE
    options = {parameter.name for parameter in run.params}
    assert {"metrics_port", "metrics_host"} <= options
    assert f"EXPOSE {port}" in instructions("worker")
