"""Every fault at random under a steady load, for SOAK_MINUTES; `make soak`.

    SOAK_MINUTES=5 SOAK_SEED=7 python -m tests.soak

It has a broker and workers of its own, and an engine that takes no time. Exit code 0: every request
had its right outcome, memory is flat, nothing is left over. The seed repeats the choice of faults,
not the moments at which they strike. Ctrl-C makes it end now, with all that it does at its end.
"""

import logging
import os
import random
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from fer_client import FerClient
from fer_client.config import BrokerConfig
from fer_worker.tools.embedded_rabbitmq.node import EmbeddedBroker
from tests.forwarder import Forwarder
from tests.leftovers import listening_addresses, processes_with
from tests.loops import declare_queues
from tests.soak.faults import Faults, Scene
from tests.soak.memory import Heap, Memory
from tests.soak.record import Record
from tests.soak.traffic import ClientTraffic, RawTraffic
from tests.soak.workers import Workers

LOG = Path("build/soak/soak.log")

PAUSE_S = (0.5, 4.0)
"""Shortest and longest time between two faults."""

ANSWERS_TIMEOUT_S = 180.0
"""A frame that hangs has four times the hang timeout to go, and a pause after each."""

LOOK_INTERVAL_S = 1.0

INTERRUPTED = 130


def soak(minutes: float, seed: int, record: Record, stop: threading.Event) -> None:
    """Run it, at most until `stop` is set, and fill the record."""
    chance = random.Random(seed)
    heap = Heap()

    def this_process() -> list[int]:
        heap.give_back()
        return [os.getpid()]

    with EmbeddedBroker() as node:
        broker = BrokerConfig((node.url,), f"soak-{secrets.token_hex(4)}")
        raw = RawTraffic(broker, record.ledger)
        declare_queues(node.url, broker.namespace)
        raw.begin()
        # RabbitMQ 3.10 syncs what it knows of new queues only after some seconds; see the tests'
        # own node. From here on it may be killed.
        node.stop()
        node.start()
        answer_timeout_s = 60 * minutes + ANSWERS_TIMEOUT_S
        with (
            Forwarder.to(broker) as workers_line,
            Forwarder.to(broker) as client_line,
            Workers(workers_line.through(broker), LOG) as workers,
            FerClient(client_line.through(broker), answer_timeout_s=answer_timeout_s) as client,
        ):
            lines = {"workers": workers_line, "client": client_line}
            traffic = ClientTraffic(client, record.ledger, chance)
            faults = Faults(Scene(node, broker, workers, lines, traffic, raw), record, chance, stop)
            traffic.begin()
            began = time.monotonic()
            try:
                with (
                    _watched(record.supervisors, lambda: [workers.supervisor]),
                    _watched(record.workers, lambda: workers.pids),
                    _watched(record.client, this_process),
                ):
                    while not stop.wait(chance.uniform(*PAUSE_S)) and record.minutes < minutes:
                        faults.make_one()
                        record.minutes = (time.monotonic() - began) / 60
            finally:
                traffic.end()
            faults.restore()
            give_up = time.monotonic() + ANSWERS_TIMEOUT_S
            while record.ledger.lost and time.monotonic() < give_up:
                raw.collect()
                time.sleep(LOOK_INTERVAL_S)
            record.dropped = client.dropped
    ports = (
        *(node.ports.amqp, node.ports.distribution, node.ports.mapper),
        *(line.port for line in lines.values()),
    )
    left_over = [
        *processes_with(broker.namespace).values(),
        *processes_with(str(node.data_dir)).values(),
        *(f"port {port}" for port in ports if listening_addresses(port)),
        *(str(folder) for folder in (node.data_dir,) if folder.exists()),
    ]
    record.broken += [f"left over: {what}" for what in left_over]


@contextmanager
def _watched(memory: Memory, pids: Callable[[], list[int]]) -> Iterator[None]:
    """Look at the memory of processes while the block runs."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(LOOK_INTERVAL_S):
            memory.look(pids())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _stop_on_signals(stop: threading.Event) -> None:
    """Have the first SIGINT or SIGTERM set `stop`; a second one interrupts whatever is going on."""

    def on_signal(number: int, _: FrameType | None) -> None:
        print("\nending; once more to leave at once", file=sys.stderr)
        signal.signal(number, signal.default_int_handler)
        # Not by this thread, which may be just in the middle of waiting for it.
        threading.Thread(target=stop.set).start()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)


def _log_to(path: Path) -> None:
    """Write what is done to the file that workers log to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(filename=path, format="%(asctime)s %(message)s", level=logging.INFO)
    logging.getLogger("pika").setLevel(logging.CRITICAL)


def main() -> int:
    """Run, print the summary, return the exit code."""
    minutes = float(os.environ.get("SOAK_MINUTES") or 1)
    seed = int(os.environ.get("SOAK_SEED") or secrets.randbelow(1_000_000))
    stop = threading.Event()
    _stop_on_signals(stop)
    _log_to(LOG)
    print(f"soak        {minutes:g} min, seed {seed}, log {LOG}", flush=True)
    record = Record()
    try:
        soak(minutes, seed, record, stop)
    except KeyboardInterrupt:
        record.broken.append("left at once")
    failures = record.failures()
    print("\n".join([*record.summary(), *failures[:20]]))
    print(f"{len(failures)} failures" if failures else "passed")
    if failures:
        return 1
    return INTERRUPTED if stop.is_set() else 0


if __name__ == "__main__":
    sys.exit(main())
