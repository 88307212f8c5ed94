"""Every metric that dashboards, alerts and documents may name."""

from collections import defaultdict

from fer_schemas import SupervisorStatus
from fer_worker.inference.types import EngineOptions
from fer_worker.metrics import MetricsSnapshot
from fer_worker.supervision.health_server import families
from fer_worker.supervision.snapshot import Snapshot

BROKER_METRICS: dict[str, set[str]] = {
    "rabbitmq_alarms_memory_used_watermark": set(),
    "rabbitmq_alarms_free_disk_space_watermark": set(),
    "rabbitmq_detailed_queue_messages_ready": {"vhost", "queue"},
    "rabbitmq_detailed_queue_messages_unacked": {"vhost", "queue"},
    "rabbitmq_detailed_queue_messages_bytes": {"vhost", "queue"},
}
"""Those of RabbitMQ that are used, and their labels. tests/broker/test_broker_metrics.py asks a
real one for them."""


def _overview() -> Snapshot:
    status = SupervisorStatus(
        host="edge", pid=1, software="0", engine="native", desired=1, restarts=0, processes=()
    )
    return Snapshot(
        status, MetricsSnapshot(), EngineOptions(), threads=1, unroutable=0, connected=True
    )


def _read() -> tuple[dict[str, set[str]], dict[str, dict[str, set[str]]]]:
    """What a supervisor serves: metrics and their labels; series, their labels and values."""
    metrics: dict[str, set[str]] = {}
    series: dict[str, dict[str, set[str]]] = {}
    for family in families(_overview()):
        for sample in family.samples:
            labels = series.setdefault(sample.name, defaultdict(set))
            for label, value in sample.labels.items():
                labels[label].add(value)
            name = family.name if family.type == "histogram" else sample.name
            metrics.setdefault(name, set()).update(sample.labels.keys() - {"le"})
    return metrics, series


WORKER_METRICS, WORKER_SERIES = _read()
"""Metrics as documents name them (a histogram is one), and series as queries do (it is three)."""
