"""What goes on in a supervisor and its processes, over HTTP: `/metrics`, `/livez`, `/readyz`.

The supervisor's loop publishes a `Snapshot` now and then; a request gets the last one. Nothing
here touches a broker or a process.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from http import HTTPStatus
from itertools import accumulate
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Final, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from fer_client.errors import FerWorkerError
from fer_schemas import ErrorCode, Status
from fer_worker.metrics import BUCKETS_S, Histogram, MetricsSnapshot, Total
from fer_worker.platform import system
from fer_worker.supervision.snapshot import STATES, Snapshot

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

LIVE_S: Final = 10.0
"""The supervisor's loop is taken for dead after so long without a snapshot."""


class HealthServer:
    """Answers HTTP on one port, on threads of its own, from `start` until `close`."""

    def __init__(self, host: str, port: int) -> None:
        """Listen; port 0 takes any that is free.

        Raises:
            FerWorkerError: the port is taken, or the address is not of this machine.
        """
        self._snapshot: Snapshot | None = None
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Families(self))
        self._metrics = make_wsgi_app(registry)
        try:
            self._server = make_server(host, port, self._answer, _Server, _Handler)
        except OSError as error:
            raise FerWorkerError(
                f"cannot listen on {host}:{port}: {error.strerror or error}"
            ) from error
        self.port: int = self._server.server_port

    def start(self) -> None:
        """Answer from now on."""
        thread = threading.Thread(target=self._server.serve_forever, name="monitor", daemon=True)
        with system.blocked_signals():  # they are for the supervisor's thread
            thread.start()

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()

    def publish(self, snapshot: Snapshot) -> None:
        """Answer with this from now on."""
        self._snapshot = snapshot

    @property
    def snapshot(self) -> Snapshot | None:
        """What was published last."""
        return self._snapshot

    def _answer(self, request: "WSGIEnvironment", respond: "StartResponse") -> Iterable[bytes]:
        snapshot = self._snapshot
        match request["PATH_INFO"]:
            case "/metrics":
                return cast("Iterable[bytes]", self._metrics(request, respond))
            case "/livez":
                alive = snapshot is not None and time.monotonic() - snapshot.published < LIVE_S
                return _say(
                    respond, None if alive else "the supervisor's loop does not run", "live"
                )
            case "/readyz":
                reason = "starting" if snapshot is None else snapshot.not_ready
                return _say(respond, reason, "ready")
        respond("404 Not Found", [("Content-Type", "text/plain")])
        return [b"/metrics, /livez or /readyz\n"]


def _say(respond: "StartResponse", problem: str | None, well: str) -> list[bytes]:
    status = HTTPStatus.OK if problem is None else HTTPStatus.SERVICE_UNAVAILABLE
    respond(f"{status.value} {status.phrase}", [("Content-Type", "text/plain")])
    return [f"{problem or well}\n".encode()]


class _Server(ThreadingMixIn, WSGIServer):
    allow_reuse_address = system.REUSES_ADDRESSES
    daemon_threads = True

    def server_bind(self) -> None:
        """Listen. HTTPServer would ask a name server for the name of its address as well."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.socket.getsockname()[:2]
        self.setup_environ()


class _Handler(WSGIRequestHandler):
    timeout = 10  # seconds; a silent client holds no thread
    server_version = "fer-worker"
    sys_version = ""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Write nothing: health is asked every few seconds."""


class _Families(Collector):
    """The last snapshot as Prometheus' metrics."""

    def __init__(self, monitor: HealthServer) -> None:
        self._monitor = monitor

    def collect(self) -> Iterable[Metric]:
        snapshot = self._monitor.snapshot
        return () if snapshot is None else families(snapshot)


def families(snapshot: Snapshot) -> Iterable[Metric]:
    """Make the metrics of a snapshot."""
    status, counts = snapshot.status, snapshot.counts
    yield _counters("requests", "Requests that ended.", "outcome", OUTCOMES, counts.requests)
    yield _counters(
        "dead_letters", "Requests that were dead-lettered.", "reason", REASONS, counts.dead_lettered
    )
    for name, text in _TOTALS.items():
        yield CounterMetricFamily(PREFIX + name, text, value=counts.totals[name])
    restarts = "Processes that died and were replaced."
    yield CounterMetricFamily(f"{PREFIX}restarts", restarts, value=status.restarts)
    busy = "Seconds that threads were at work; its rate by fer_worker_threads is the utilisation."
    yield CounterMetricFamily(f"{PREFIX}busy_seconds", busy, value=counts.busy_s)
    yield _stages(counts)
    yield HistogramMetricFamily(
        f"{PREFIX}request_seconds",
        "Seconds from delivery to ack.",
        buckets=_buckets(counts.took),
        sum_value=counts.took.sum_s,
    )
    yield from _gauges(snapshot)
    options = {name: str(value) for name, value in asdict(snapshot.engine).items()}
    info = {"version": status.software, "engine": options.pop("name"), **options}
    yield InfoMetricFamily(PREFIX.rstrip("_"), "The engine and its options.", value=info)


PREFIX: Final = "fer_worker_"

OUTCOMES: Final = (*(status.value for status in Status), "dead_lettered")
REASONS: Final = tuple(code.value for code in ErrorCode)
"""Every label is there from the start: of a series that begins with 1 no rate can be told."""

_TOTALS: Final[dict[Total, str]] = {
    "frames": "Frames analysed.",
    "damaged_frames": "Frames of which a part was lost or displaced, refused or not.",
    "faces": "Faces found.",
    "redeliveries": "Deliveries that the broker had made before.",
    "reconnects": "Connections of worker processes made anew.",
}


def _counters(
    name: str, text: str, label: str, keys: Iterable[str], values: Counter[str]
) -> CounterMetricFamily:
    family = CounterMetricFamily(PREFIX + name, text, labels=(label,))
    for key in keys:
        family.add_metric((key,), values[key])
    return family


def _stages(counts: MetricsSnapshot) -> HistogramMetricFamily:
    family = HistogramMetricFamily(
        f"{PREFIX}stage_seconds",
        "Seconds by stage: of a frame decode, detect, classify; of a request queued, publish.",
        labels=("stage",),
    )
    for stage, durations in counts.stages.items():
        family.add_metric((stage,), _buckets(durations), durations.sum_s)
    return family


def _buckets(durations: Histogram) -> list[tuple[str, float]]:
    """Upper bounds, and how many durations there were up to each."""
    bounds = [*(str(bound) for bound in BUCKETS_S), "+Inf"]
    return list(zip(bounds, accumulate(durations.counts), strict=True))


def _gauges(snapshot: Snapshot) -> Iterable[GaugeMetricFamily]:
    status, states = snapshot.status, snapshot.states
    processes = status.processes
    for name, text, value in (
        ("in_flight", "Batches taken and not yet ended.", sum(p.in_flight for p in processes)),
        (
            "unroutable",
            "Requests done but unacked: no queue takes the outcome.",
            snapshot.unroutable,
        ),
        ("threads", "Threads of ready processes.", states["ready"] * snapshot.threads),
        ("processes_desired", "Worker processes wanted; 0: paused.", status.desired),
        ("connected", "Whether the supervisor hears commands.", int(snapshot.connected)),
    ):
        yield GaugeMetricFamily(PREFIX + name, text, value=value)
    by_state = GaugeMetricFamily(f"{PREFIX}processes", "Worker processes.", labels=("state",))
    for state in STATES:
        by_state.add_metric((state,), states[state])
    yield by_state
    resident = GaugeMetricFamily(
        f"{PREFIX}resident_memory_bytes", "Resident memory.", labels=("role",)
    )
    resident.add_metric(("supervisor",), status.resident_bytes)
    resident.add_metric(("workers",), sum(process.resident_bytes for process in processes))
    yield resident
