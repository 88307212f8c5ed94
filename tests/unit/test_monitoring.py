import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from fer_client.errors import FerWorkerError
from fer_schemas import ProcessStatus, SupervisorStatus
from fer_worker.inference.types import EngineOptions, Percent
from fer_worker.metrics import MetricsRecorder, MetricsSnapshot
from fer_worker.platform.posix import HANDLED_SIGNALS
from fer_worker.supervision.health_server import LIVE_S, HealthServer
from fer_worker.supervision.snapshot import Snapshot


def overview(
    *states: str,
    desired: int = 1,
    counts: MetricsSnapshot | None = None,
    unroutable: int = 0,
    connected: bool = True,
    age_s: float = 0.0,
) -> Snapshot:
    processes = tuple(
        ProcessStatus.model_validate(
            {
                "pid": pid,
                "state": state,
                "uptime_s": 1.0,
                "batches": 0,
                "frames": 0,
                "in_flight": 3,
                "resident_bytes": 1000,
            }
        )
        for pid, state in enumerate(states)
    )
    status = SupervisorStatus(
        host="edge",
        pid=1,
        software="0",
        engine="native",
        desired=desired,
        restarts=2,
        resident_bytes=500,
        processes=processes,
    )
    shown = Snapshot(status, counts or MetricsSnapshot(), EngineOptions(), 2, unroutable, connected)
    object.__setattr__(shown, "published", shown.published - age_s)
    return shown


@pytest.fixture
def monitor() -> Iterator[HealthServer]:
    monitor = HealthServer("127.0.0.1", 0)
    monitor.start()
    yield monitor
    monitor.close()


def ask(monitor: HealthServer, path: str) -> tuple[int, str]:
    try:
        with urlopen(f"http://127.0.0.1:{monitor.port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def metrics(monitor: HealthServer) -> dict[str, Metric]:
    code, text = ask(monitor, "/metrics")
    assert code == 200
    return {family.name: family for family in text_string_to_metric_families(text)}


def values(family: Metric, label: str) -> dict[str, float]:
    return {sample.labels[label]: sample.value for sample in family.samples if sample.value}


def test_metrics_say_what_was_counted(monitor: HealthServer) -> None:
    meter = MetricsRecorder()
    meter.frame(2, decode_s=0.004, detect_s=0.02, classify_s=0.001)
    meter.answered("success", queued_s=0.01, publish_s=0.002, took_s=0.03)
    meter.answered("expired", queued_s=None, publish_s=0.002, took_s=0.002)
    meter.dead_lettered("poison_message")
    meter.worked(1.5)
    monitor.publish(overview("ready", "ready", "draining", counts=meter.counts, unroutable=1))
    found = metrics(monitor)
    outcomes = values(found["fer_worker_requests"], "outcome")
    assert outcomes == {"success": 1, "expired": 1, "dead_lettered": 1}
    assert values(found["fer_worker_dead_letters"], "reason") == {"poison_message": 1}
    assert values(found["fer_worker_processes"], "state") == {"ready": 2, "draining": 1}
    resident = values(found["fer_worker_resident_memory_bytes"], "role")
    assert resident == {"supervisor": 500, "workers": 3000}
    single = {name: family.samples[0].value for name, family in found.items()}
    assert single["fer_worker_frames"] == 1
    assert single["fer_worker_faces"] == 2
    assert single["fer_worker_busy_seconds"] == 1.5
    assert single["fer_worker_restarts"] == 2
    assert single["fer_worker_in_flight"] == 9
    assert single["fer_worker_threads"] == 4
    assert single["fer_worker_unroutable"] == 1
    assert found["fer_worker_info"].samples[0].labels["crop"] == "aligned"


def test_metrics_have_the_smallest_face_as_it_was_typed(monitor: HealthServer) -> None:
    options = EngineOptions(min_face_size=Percent("3%"))
    monitor.publish(replace(overview("ready"), engine=options))
    assert metrics(monitor)["fer_worker_info"].samples[0].labels["min_face_size"] == "3%"


def test_histograms_are_cumulative_and_whole(monitor: HealthServer) -> None:
    meter = MetricsRecorder()
    for took_s in (0.004, 0.02, 50.0):
        meter.answered("success", queued_s=None, publish_s=0.001, took_s=took_s)
    monitor.publish(overview("ready", counts=meter.counts))
    samples = metrics(monitor)["fer_worker_request_seconds"].samples
    buckets = {s.labels["le"]: s.value for s in samples if s.name.endswith("_bucket")}
    assert buckets["0.003"] == 0
    assert buckets["0.005"] == 1
    assert buckets["0.02"] == 2
    assert buckets["30.0"] == 2
    assert buckets["+Inf"] == 3
    others = {s.name.rpartition("_")[2]: s.value for s in samples if "le" not in s.labels}
    assert others == {"count": 3, "sum": pytest.approx(50.024)}


def test_every_label_is_there_before_anything_happens(monitor: HealthServer) -> None:
    monitor.publish(overview())
    found = metrics(monitor)
    reasons = {sample.labels["reason"] for sample in found["fer_worker_dead_letters"].samples}
    assert {"poison_message", "malformed_body"} <= reasons
    assert len(found["fer_worker_requests"].samples) == 5


@pytest.mark.parametrize(
    ("shown", "code", "said"),
    [
        (None, 503, "starting"),
        (overview("ready"), 200, "ready"),
        (overview("starting", "ready", desired=2), 200, "ready"),
        (overview("starting"), 503, "starting"),
        (overview("draining", desired=0), 503, "paused"),
        (overview("not_ready", connected=False), 503, "not connected to the broker"),
        (overview("not_ready", unroutable=3), 503, "no queue takes results"),
    ],
)
def test_readyz_says_whether_batches_are_answered_and_else_why_not(
    monitor: HealthServer, shown: Snapshot | None, code: int, said: str
) -> None:
    if shown is not None:
        monitor.publish(shown)
    assert ask(monitor, "/readyz") == (code, f"{said}\n")


def test_livez_fails_once_the_supervisor_shows_nothing_any_more(monitor: HealthServer) -> None:
    assert ask(monitor, "/livez")[0] == 503
    monitor.publish(overview(desired=0))
    assert ask(monitor, "/livez") == (200, "live\n")
    monitor.publish(overview("ready", age_s=LIVE_S + 1))
    assert ask(monitor, "/livez") == (503, "the supervisor's loop does not run\n")


def test_any_other_path_is_not_found(monitor: HealthServer) -> None:
    code, said = ask(monitor, "/")
    assert (code, said) == (404, "/metrics, /livez or /readyz\n")


def test_silent_client_holds_up_no_other(monitor: HealthServer) -> None:
    monitor.publish(overview("ready"))
    with socket.create_connection(("127.0.0.1", monitor.port)):
        assert ask(monitor, "/readyz")[0] == 200


def test_signals_are_left_to_the_thread_that_handles_them() -> None:
    before = set(threading.enumerate())
    monitor = HealthServer("127.0.0.1", 0)
    monitor.start()
    try:
        (thread,) = set(threading.enumerate()) - before
        status = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
    finally:
        monitor.close()
    blocked = int(status.partition("SigBlk:")[2].split()[0], 16)
    assert {number for number in HANDLED_SIGNALS if blocked >> (number - 1) & 1} == HANDLED_SIGNALS


def test_a_port_that_is_taken_is_one_clear_line(monitor: HealthServer) -> None:
    with pytest.raises(FerWorkerError) as caught:
        HealthServer("127.0.0.1", monitor.port)
    assert str(caught.value) == (
        f"cannot listen on 127.0.0.1:{monitor.port}: Address already in use"
    )


def test_an_address_of_nobody_here_is_one_clear_line() -> None:
    with pytest.raises(FerWorkerError, match=r"cannot listen on nowhere\.invalid:0: "):
        HealthServer("nowhere.invalid", 0)
