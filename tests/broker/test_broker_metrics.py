"""What dashboards, alerts and KEDA ask RabbitMQ, asked of a real one with their plugins."""

import base64
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

import pika
import pytest
import yaml
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

from fer_client.amqp.topology import Topology
from fer_worker.tools.embedded_rabbitmq.node import EmbeddedBroker
from fer_worker.tools.embedded_rabbitmq.ports import HOST, claim_ports
from tests.contract.metrics import BROKER_METRICS
from tests.loops import declare_queues
from tests.waiting import wait_until

pytestmark = pytest.mark.broker

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PAGE = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
TOPOLOGY = Topology()
ACCOUNT = "keda:pass"


class Asked:
    """A broker as deploy/rabbitmq configures it, with three requests that wait and two taken."""

    def __init__(self, data_dir: Path, metrics_port: int, management_port: int) -> None:
        self.metrics = f"http://{HOST}:{metrics_port}"
        self.management = f"http://{HOST}:{management_port}"
        (data_dir / "enabled_plugins").write_text("[rabbitmq_management,rabbitmq_prometheus].")
        (data_dir / "rabbitmq.conf").write_text(
            (DEPLOY / "rabbitmq" / "fer-worker.conf").read_text()
            + f"prometheus.tcp.ip = {HOST}\nprometheus.tcp.port = {metrics_port}\n"
            + f"management.tcp.ip = {HOST}\nmanagement.tcp.port = {management_port}\n"
        )
        self.broker = EmbeddedBroker(data_dir)

    def prepare(self) -> BlockingChannel:
        for line in re.findall(r"^in_rabbitmq (\w+ keda .*)$", PAGE, flags=re.MULTILINE):
            self.broker.rabbitmqctl(*shlex.split(line.replace("…", "pass")))
        parameters = pika.URLParameters(self.broker.url)
        declare_queues(self.broker.url)
        channel = BlockingConnection(parameters).channel()
        channel.confirm_delivery()
        for queue in [TOPOLOGY.frames] * 4 + [TOPOLOGY.quarantine, TOPOLOGY.dead, TOPOLOGY.results]:
            channel.basic_publish("", queue.name, b"request")
        for queue in (TOPOLOGY.frames, TOPOLOGY.quarantine):
            assert channel.basic_get(queue.name)[0] is not None
        return channel


def get(url: str, account: str | None = None) -> str:
    request = Request(url)
    if account is not None:
        request.add_header("Authorization", f"Basic {base64.b64encode(account.encode()).decode()}")
    with urlopen(request) as answer:
        text: str = answer.read().decode()
    return text


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    spare = claim_ports(None)
    asked = Asked(tmp_path_factory.mktemp("broker"), spare.amqp, spare.distribution)
    with asked.broker:
        channel = asked.prepare()
        yield asked
        channel.connection.close()
        asked.broker.kill()  # which is sooner than a clean stop with plugins
    spare.close()


def test_broker_takes_its_configuration(asked: Asked) -> None:
    configured = asked.broker.rabbitmqctl("environment")
    for setting in ("max_message_size,16777216", "consumer_timeout,1800000"):
        assert f"{{{setting}}}" in configured
    assert asked.broker.rabbitmqctl("eval", "vm_memory_monitor:get_memory_limit().").strip() == str(
        1200 * 1024**2
    )


def test_broker_has_the_metrics_that_alerts_and_dashboard_use(asked: Asked) -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    urls = [
        f"{asked.metrics}{job.get('metrics_path', '/metrics')}"
        f"?{urlencode(job.get('params', {}), doseq=True)}"
        for job in config["scrape_configs"]
        if job["job_name"] != "worker"
    ]

    def served() -> dict[str, str]:
        """Metrics and their labels."""
        pages = "\n".join(map(get, urls))
        return dict(re.findall(r"^(\w+)(?:\{(.*?)\})? ", pages, flags=re.MULTILINE))

    wait_until(lambda: BROKER_METRICS.keys() <= served().keys(), 30, "every metric is served")
    found = served()
    for name, labels in BROKER_METRICS.items():
        assert set(re.findall(r'(\w+)="', found[name])) == labels


def test_scaler_counts_what_is_ready_and_what_is_taken_and_nothing_else(asked: Asked) -> None:
    (scaler, _) = yaml.safe_load_all(
        (DEPLOY / "kubernetes" / "overlays" / "keda" / "scaler.yaml").read_text()
    )
    (trigger,) = scaler["spec"]["triggers"]
    metadata = trigger["metadata"]
    query = {"page": 1, "use_regex": metadata["useRegex"], "pagination": "false"}
    query |= {"name": metadata["queueName"], "page_size": 100}
    vhost = quote(metadata["vhostName"], safe="")
    url = f"{asked.management}/api/queues/{vhost}?{urlencode(query)}"

    def counted() -> int:
        queues: list[dict[str, Any]] = json.loads(get(url, ACCOUNT))["items"]
        return sum(queue.get("messages", 0) for queue in queues)

    # The statistics are gathered every five seconds. Five requests, two taken.
    wait_until(lambda: counted() == 5, 30, "the management API has counted")
