"""Every metric that dashboards, alerts and documents may name."""

WORKER_METRICS: dict[str, set[str]] = {
    "fer_worker_requests_total": {"outcome"},
    "fer_worker_buried_total": {"reason"},
    "fer_worker_superseded_total": set(),
    "fer_worker_frames_total": set(),
    "fer_worker_faces_total": set(),
    "fer_worker_redeliveries_total": set(),
    "fer_worker_reconnects_total": set(),
    "fer_worker_restarts_total": set(),
    "fer_worker_stage_seconds": {"stage"},
    "fer_worker_request_seconds": set(),
    "fer_worker_in_flight": set(),
    "fer_worker_held": set(),
    "fer_worker_threads": set(),
    "fer_worker_processes": {"state"},
    "fer_worker_processes_desired": set(),
    "fer_worker_connected": set(),
    "fer_worker_resident_memory_bytes": {"role"},
    "fer_worker_info": {"version", "engine", "kernels", "detector_color", "crop"},
}
"""Those that a supervisor serves, and their labels."""

HISTOGRAMS = {"fer_worker_stage_seconds", "fer_worker_request_seconds"}

LABEL_VALUES: dict[str, set[str]] = {
    "outcome": {"success", "partial", "error", "expired", "buried"},
    "stage": {"queued", "decode", "detect", "classify", "publish"},
    "state": {"starting", "ready", "not_ready", "draining"},
    "role": {"supervisor", "workers"},
}

BROKER_METRICS: dict[str, set[str]] = {
    "rabbitmq_alarms_memory_used_watermark": set(),
    "rabbitmq_alarms_free_disk_space_watermark": set(),
    "rabbitmq_detailed_queue_messages_ready": {"vhost", "queue"},
    "rabbitmq_detailed_queue_messages_unacked": {"vhost", "queue"},
    "rabbitmq_detailed_queue_messages_bytes": {"vhost", "queue"},
}
"""Those of RabbitMQ that are used; tests/broker/test_broker_metrics.py asks a real one."""


def series() -> dict[str, set[str]]:
    """The names that a query may use, and their labels."""
    found = {"up": set(), **BROKER_METRICS}
    for name, labels in WORKER_METRICS.items():
        if name in HISTOGRAMS:
            found |= {f"{name}_sum": labels, f"{name}_count": labels}
            found[f"{name}_bucket"] = labels | {"le"}
        else:
            found[name] = labels
    return found
