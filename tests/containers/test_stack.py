"""The stack of docker-compose.yml, as docs/deployment.md describes it."""

from pathlib import Path

import httpx
import pytest

from fer_client import FerClient
from fer_schemas import Status
from tests.containers.engine import ROOT, Stack, inspect
from tests.frames import FOLDER, sample
from tests.pages import fenced
from tests.serving import fer_worker
from tests.waiting import wait_until

pytestmark = [pytest.mark.containers, pytest.mark.timeout(600)]


def ask(url: str) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=30) as http:
        return http.get(url)


def test_every_service_is_healthy(stack: Stack) -> None:
    health = {container["Service"]: container["Health"] for container in stack.containers()}
    services = ("rabbitmq", "worker", "gateway", "prometheus", "grafana")
    assert health == dict.fromkeys(services, "healthy")


def test_every_log_is_bounded(stack: Stack) -> None:
    for container in stack.containers():
        assert inspect(container["Name"], ".HostConfig.LogConfig.Type") == "local"


def test_workers_answer_through_the_published_port(stack: Stack, tmp_path: Path) -> None:
    rows = str(tmp_path / "rows.jsonl")
    done = fer_worker("submit", str(FOLDER), "--output", rows, broker=stack.broker)
    assert "10 frames sent, 9 answered, 1 failed, 8 faces" in done.stdout + done.stderr


def test_kernels_are_measured_in_the_container(stack: Stack) -> None:
    assert "kernels on this machine: " in stack.compose("logs", "worker")


def test_command_in_a_container_gives_it_more_processes(stack: Stack) -> None:
    said = stack.compose("exec", "-T", "worker", "fer-worker", "scale", "3")
    assert "1 -> 3 processes" in said
    stack.compose("exec", "-T", "worker", "fer-worker", "scale", "1")


def test_number_of_containers_stays_at_the_next_up(stack: Stack) -> None:
    stack.up("worker", WORKERS="2")
    wait_until(lambda: len(stack.supervisors()) == 2, 60, "two supervisors answer")
    stack.up(WORKERS="2")
    assert len(stack.containers("worker")) == 2
    stack.compose("up", "--detach", "--wait", "--scale", "worker=3", "worker")
    wait_until(lambda: len(stack.supervisors()) == 3, 60, "three supervisors answer")


def test_gateway_answers_over_http(stack: Stack) -> None:
    files = [("files", (name, sample(name))) for name in ("burst-1", "burst-2")]
    with httpx.Client(trust_env=False, timeout=60) as http:
        answer = http.post(stack.url("GATEWAY", "/detect_batch"), files=files)
    assert answer.status_code == 200
    assert answer.json()["status"] == "success"


def test_url_comes_from_a_secret_as_the_page_on_security_says(stack: Stack, tmp_path: Path) -> None:
    page = ROOT / "docs" / "security.md"
    (override,) = [block for block in fenced(page, "yaml") if "amqp_url" in block]
    url = tmp_path / "amqp_url.txt"
    url.write_text("amqp://fer:fer@rabbitmq:5672/")
    url.chmod(0o644)
    file = tmp_path / "override.yml"
    file.write_text(override.replace("./amqp_url.txt", str(url)))
    files = (ROOT / "docker-compose.yml", file)
    stack.compose("up", "--detach", "--wait", "--no-deps", "worker", files=files)
    (container,) = stack.containers("worker")
    variables = inspect(container["Name"], ".Config.Env")
    assert "FER_WORKER_AMQP_URL_FILE=/run/secrets/amqp_url" in variables
    assert not [variable for variable in variables if variable.startswith("FER_WORKER_AMQP_URL=")]
    with FerClient(stack.broker) as client:
        assert client.analyze([sample("astronaut")], timeout_s=60).status is Status.SUCCESS


def test_prometheus_scrapes_all_and_has_loaded_the_alerts(stack: Stack) -> None:
    def health() -> dict[str, str]:
        targets = ask(stack.url("PROMETHEUS", "/api/v1/targets")).json()["data"]["activeTargets"]
        return {target["labels"]["job"]: target["health"] for target in targets}

    jobs = ("rabbitmq", "rabbitmq-queues", "worker")
    wait_until(lambda: health() == dict.fromkeys(jobs, "up"), 60, "all targets are up")

    def rules() -> set[str]:
        groups = ask(stack.url("PROMETHEUS", "/api/v1/rules")).json()["data"]["groups"]
        return {rule["health"] for group in groups for rule in group["rules"]}

    wait_until(lambda: rules() == {"ok"}, 60, "all rules have been evaluated")


def test_prometheus_keeps_its_data_in_the_volume(stack: Stack) -> None:
    assert "wal" in stack.compose("exec", "-T", "prometheus", "ls", "/prometheus")


def test_grafana_has_what_is_mounted_for_it(stack: Stack) -> None:
    assert ask(stack.url("GRAFANA", "/api/health")).status_code == 200
    there = stack.compose("exec", "-T", "grafana", "ls", "/etc/grafana/dashboards")
    assert "fer-worker.json" in there


def test_demo_sends_the_sample_frames_over_and_over(stack: Stack) -> None:
    stack.compose("up", "--detach", "controller")
    try:
        wait_until(
            lambda: stack.compose("logs", "controller").count("10 frames sent, 9 answered") > 1,
            60,
            "the frames have been sent twice",
        )
    finally:
        stack.compose("rm", "--stop", "--force", "controller")
