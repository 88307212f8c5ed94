"""Faults at random."""

import logging
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from fer_client.config import BrokerConfig
from fer_client.errors import FerWorkerError, NoAnswerError
from fer_schemas import ScaleCommand
from fer_worker.admin.supervisor_client import SupervisorClient
from fer_worker.tools.embedded_rabbitmq.node import EmbeddedBroker
from tests.forwarder import Forwarder
from tests.soak.record import Record
from tests.soak.traffic import ClientTraffic, RawTraffic
from tests.soak.workers import MAX_PROCESSES, Workers
from tests.waiting import wait_until

log = logging.getLogger(__name__)

AT_ONCE = (0.0, 0.0)
SHORT_S = (1.0, 6.0)
LONG_S = (26.0, 30.0)
"""Heartbeats come every 8 s; a supervisor that misses three of them is given up."""

SLOW_BYTES_PER_S = 100_000
"""A quarter of what the load is."""

Action = Callable[[], object]


@dataclass(frozen=True)
class Scene:
    """All that faults happen to."""

    node: EmbeddedBroker
    broker: BrokerConfig
    """How operators reach it."""
    workers: Workers
    lines: Mapping[str, Forwarder]
    """To the broker, by who is on them."""
    client: ClientTraffic
    raw: RawTraffic


class Faults:
    """Makes one fault at a time."""

    def __init__(
        self, scene: Scene, record: Record, chance: random.Random, stop: threading.Event
    ) -> None:
        """Store the parts.

        Args:
            scene: what faults are made to.
            record: counts them, and keeps what they should not have led to.
            chance: chooses. It is asked in the same way whatever comes of a fault, so that a seed
                repeats the choice.
            stop: set when faults are to end early.
        """
        self._scene = scene
        self._record = record
        self._chance = chance
        self._stop = stop
        self._kinds = dict(self._all_kinds())

    def _all_kinds(self) -> Iterator[tuple[str, tuple[int, Action]]]:
        """Yield every fault: its name, how often it comes beside others, and how it is made."""
        node, workers = self._scene.node, self._scene.workers
        kill, term = signal.SIGKILL, signal.SIGTERM
        during = self._during
        yield "kill -9 of a worker", (6, partial(self._signal_one, kill))
        yield "kill -9 of all workers", (2, partial(self._signal_all, kill))
        yield "SIGTERM of a worker", (4, partial(self._signal_one, term))
        yield "kill -9 of the supervisor", (2, partial(workers.replace_supervisor, kill))
        yield "SIGTERM of the supervisor", (1, partial(workers.replace_supervisor, term))
        yield "SIGTERM twice", (1, partial(workers.replace_supervisor, term, term))
        yield "SIGHUP", (2, partial(workers.send, signal.SIGHUP))
        yield "scale", (4, self._scale)
        yield "broker restart", (2, partial(during, node.stop, node.start, AT_ONCE))
        yield "broker away", (1, partial(during, node.stop, node.start, LONG_S))
        yield "kill -9 of the broker", (2, partial(during, node.kill, node.start, AT_ONCE))
        yield "memory alarm", (2, partial(during, self._alarm, self._end_alarm, SHORT_S))
        yield "all connections closed", (3, self._close_connections)
        for whose, line in self._scene.lines.items():
            slow = partial(line.slow, SLOW_BYTES_PER_S)
            yield f"{whose} cut off", (2, line.cut)
            yield f"{whose} stalled", (1, partial(during, line.stall, line.resume, SHORT_S))
            yield f"{whose} stalled long", (1, partial(during, line.stall, line.resume, LONG_S))
            yield f"{whose} slowed", (1, partial(during, slow, line.resume, SHORT_S))
        yield "frame that kills", (2, self._scene.client.submit_deadly)
        yield "frame that never ends", (1, self._scene.client.submit_endless)
        yield "bad messages", (3, self._send_malformed)
        yield "reply queue gone", (3, self._send_deserted)
        yield "reply queue full", (1, self._send_unread)

    def make_one(self) -> None:
        """Choose a fault and make it."""
        names = list(self._kinds)
        weights = [weight for weight, _ in self._kinds.values()]
        name = self._chance.choices(names, weights)[0]
        self._record.made[name] += 1
        log.info("%s", name)
        try:
            self._scene.workers.check()
            self._kinds[name][1]()
        except Exception as failure:  # what it may break is seen in what follows
            log.exception("%s: failed", name)
            self._record.broken.append(f"{name}: {failure}")
        log.info("%s: over", name)

    def restore(self) -> None:
        """Have as many workers as there may be, once the supervisor hears of it."""

        def restored() -> bool:
            with (
                suppress(NoAnswerError),
                SupervisorClient(self._scene.broker, wait_s=60) as operator,
            ):
                command = ScaleCommand(processes=MAX_PROCESSES)
                return all(reply.complete for reply in operator.scale(command, timeout_s=60))
            return False

        wait_until(restored, 120, "the supervisor has scaled")

    def _during(self, begin: Action, end: Action, seconds: tuple[float, float]) -> None:
        """Let something be broken for a while."""
        duration_s = self._chance.uniform(*seconds)
        begin()
        try:
            self._stop.wait(duration_s)
        finally:
            end()

    def _signal_one(self, number: signal.Signals) -> None:
        which = self._chance.random()
        pids = self._scene.workers.pids
        if pids:
            _signal(pids[int(which * len(pids))], number)

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in self._scene.workers.pids:
            _signal(pid, number)

    def _scale(self) -> None:
        command = ScaleCommand(processes=self._chance.randint(1, MAX_PROCESSES))
        with suppress(FerWorkerError), SupervisorClient(self._scene.broker, wait_s=60) as operator:
            # The next fault is not to wait until all are ready.
            next(operator.scale(command, timeout_s=1), None)

    def _alarm(self) -> None:
        self._scene.node.rabbitmqctl("set_vm_memory_high_watermark", "0.00000001")

    def _end_alarm(self) -> None:
        self._scene.node.rabbitmqctl("set_vm_memory_high_watermark", "0.4")

    def _close_connections(self) -> None:
        self._scene.node.rabbitmqctl("close_all_connections", "soak")

    def _send_malformed(self) -> None:
        for _ in range(5):
            self._scene.raw.send_malformed()

    def _send_deserted(self) -> None:
        for _ in range(5):
            self._scene.raw.send_deserted(self._chance.choice(self._scene.client.batches))

    def _send_unread(self) -> None:
        for _ in range(5):
            self._scene.raw.send_unread(self._chance.choice(self._scene.client.batches))


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
