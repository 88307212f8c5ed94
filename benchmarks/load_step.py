"""A step of load under `run --autoscale`: batches wait, processes follow, and leave again.

    python -m benchmarks.load_step [PICTURE]

The engine is one of the tests' that waits for 100 ms per frame and computes nothing, so that four
processes really do four times the work of one, whatever the machine.
"""

import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.request import urlopen

import matplotlib.pyplot as plt
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.machine import this_machine
from fer_client import FerClient
from fer_client.config import BrokerConfig
from fer_schemas import BatchResult
from fer_worker.admin.supervisor_client import SupervisorClient
from fer_worker.tools.embedded_rabbitmq.node import EmbeddedBroker
from tests.engines import SLOW_HEIGHT, SLOW_S, plain_jpeg
from tests.serving import RunningWorkers, running
from tests.waiting import wait_until

IMAGE: Final = Path(__file__).parents[1] / "docs" / "images" / "autoscale.png"

LEAST, MOST = 1, 4
TARGET_WAIT_S = 1.0
QUIET_S = 10.0
PHASES: Final = ((10.0, 5.0), (40.0, 30.0), (60.0, 5.0))
"""Seconds, and batches of one frame a second. One process does ten of them."""
LOOK_INTERVAL_S = 0.5


@dataclass(frozen=True)
class Look:
    """What was seen at one moment."""

    at_s: float
    arriving: float
    """Batches per second."""
    waiting: int
    wait_s: float
    """How long the batches that were answered since the last look had waited in the queue."""
    ready: int
    """Processes."""


def main() -> None:
    """Make the step, draw it, and say in words what it shows."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGE
    with EmbeddedBroker() as node, tempfile.TemporaryDirectory() as folder:
        broker = BrokerConfig.from_url(node.url)
        options = (
            f"--autoscale={LEAST}:{MOST}",
            f"--target-wait={TARGET_WAIT_S:g}",
            f"--quiet-time={QUIET_S:g}",
            "--threads=1",
            "--metrics-port=0",
        )
        log = Path(folder) / "log"
        with running(log, broker, *options, engine="FaultyEngine") as workers:
            wait_until(lambda: len(workers.ready_pids()) == LEAST, 60, "a worker is ready")
            looks = _step(broker, workers)
    _draw(looks, path)
    _tell(looks)


def _step(broker: BrokerConfig, workers: RunningWorkers) -> list[Look]:
    started = time.monotonic()
    looks: list[Look] = []
    with FerClient(broker) as client, _arrivals(client, started) as answered:
        end_s = sum(seconds for seconds, _ in PHASES)
        while (at_s := time.monotonic() - started) < end_s:
            with SupervisorClient(broker) as operator:
                (waiting,) = (
                    depth.ready or 0
                    for depth in operator.depths()
                    if depth.name == f"{broker.namespace}.frames"
                )
            waits = [result.timings_ms.queued or 0 for result in answered() if result.timings_ms]
            wait_s = max(waits, default=0) / 1000
            looks.append(Look(at_s, _rate(at_s), waiting, wait_s, _ready(workers)))
            time.sleep(LOOK_INTERVAL_S)
    return looks


def _rate(at_s: float) -> float:
    for seconds, rate in PHASES:
        at_s -= seconds
        if at_s < 0:
            return rate
    return PHASES[-1][1]


@contextmanager
def _arrivals(client: FerClient, started: float) -> Iterator[Callable[[], list[BatchResult]]]:
    """Submit batches while the block runs; yields what returns the answers that are new."""
    jpeg = plain_jpeg(60, SLOW_HEIGHT)
    stop = threading.Event()
    futures: list[Future[BatchResult]] = []

    def submit() -> None:
        while not stop.wait(1 / _rate(time.monotonic() - started)):
            futures.append(client.submit([jpeg]))

    def answered() -> list[BatchResult]:
        done = [future for future in list(futures) if future.done()]
        for future in done:
            futures.remove(future)
        return [future.result() for future in done]

    thread = threading.Thread(target=submit)
    thread.start()
    try:
        yield answered
    finally:
        stop.set()
        thread.join()
        for future in futures:
            future.result(60)


def _ready(workers: RunningWorkers) -> int:
    found = re.search(r"metrics at (\S+)", workers.log.read_text())
    assert found is not None
    with urlopen(found[1], timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    states = next(family for family in families if family.name == "fer_worker_processes")
    return int(sum(s.value for s in states.samples if s.labels["state"] == "ready"))


def _draw(looks: list[Look], path: Path) -> None:
    plt.switch_backend("Agg")
    figure, panels = plt.subplots(3, 1, figsize=(8, 5.4), sharex=True, layout="constrained")
    load, wait, processes = panels
    times = [look.at_s for look in looks]
    load.step(times, [look.arriving for look in looks], where="post", color="#4a5568")
    load.set_title("batches that arrive a second", fontsize=10, loc="left")
    wait.plot(times, [look.wait_s for look in looks], color="#c05621")
    wait.axhline(TARGET_WAIT_S, color="#9aa5b1", linestyle="--", linewidth=1)
    wait.annotate("--target-wait", (times[-1], TARGET_WAIT_S), fontsize=8, ha="right", va="bottom")
    wait.set_title("seconds that batches waited in the queue", fontsize=10, loc="left")
    processes.step(times, [look.ready for look in looks], where="post", color="#2a7f62")
    processes.set_title(f"ready processes, --autoscale {LEAST}:{MOST}", fontsize=10, loc="left")
    processes.set_yticks(range(MOST + 1))
    processes.set_xlabel("seconds")
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_ylim(bottom=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=144)
    plt.close(figure)


def _tell(looks: list[Look]) -> None:
    step_s = PHASES[0][0]
    after = [look for look in looks if look.at_s >= step_s]
    longest = max(after, key=lambda look: look.wait_s)
    most = max(after, key=lambda look: look.ready)
    over = [look.at_s for look in after if look.wait_s > TARGET_WAIT_S]
    quiet_s = step_s + PHASES[1][0]
    last = [look.at_s for look in after if look.ready > LEAST]
    print(f"{this_machine().cpu}, {this_machine().cores} cores; {SLOW_S * 1000:.0f} ms per frame")
    print(f"longest wait {longest.wait_s:.1f} s, {longest.at_s - step_s:.0f} s after the step")
    print(f"{most.ready} processes {most.at_s - step_s:.0f} s after the step")
    print(f"waits over {TARGET_WAIT_S:g} s end {max(over, default=step_s) - step_s:.0f} s after it")
    print(f"back to {LEAST} process {max(last) - quiet_s:.0f} s after the load has gone down")


if __name__ == "__main__":
    main()
