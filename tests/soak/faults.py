"""Faults at random."""

import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from schemas import ScaleCommand
from tests.soak.traffic import ClientTraffic, RawTraffic
from tests.waiting import wait_until
from worker.broker.embedded import EmbeddedBroker
from worker.config import BrokerConfig
from worker.errors import FerWorkerError, NoAnswerError
from worker.operator import Operator

MAX_PROCESSES = 3


def worker_processes(supervisor: int) -> list[int]:
    """Ids of a supervisor's worker processes, as the system knows them."""
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return [int(pid) for pid in children if "spawn_main" in _command(pid)]


def _command(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:  # ended meanwhile
        return ""


class Faults:
    """Makes one fault at a time, and counts them."""

    def __init__(
        self,
        chance: random.Random,
        node: EmbeddedBroker,
        broker: BrokerConfig,
        supervisor: int,
        client_traffic: ClientTraffic,
        raw_traffic: RawTraffic,
    ) -> None:
        """Store the parts.

        Args:
            chance: chooses.
            node: the broker's one node.
            broker: how operators reach it.
            supervisor: id of its process.
            client_traffic: sends frames that kill or hang.
            raw_traffic: sends messages that are bad, or whose sender is gone.
        """
        self._chance = chance
        self._node = node
        self._broker = broker
        self._supervisor = supervisor
        self._client_traffic = client_traffic
        self._raw_traffic = raw_traffic
        self.made: Counter[str] = Counter()
        self._kinds: dict[str, tuple[int, Callable[[], None]]] = {
            "kill -9 of a worker": (6, self._kill_one),
            "kill -9 of all workers": (2, self._kill_all),
            "SIGTERM of a worker": (4, self._terminate_one),
            "scale": (4, self._scale),
            "broker restart": (2, self._restart_broker),
            "all connections closed": (3, self._close_connections),
            "frame that kills": (2, client_traffic.submit_deadly),
            "frame that never ends": (1, client_traffic.submit_endless),
            "bad messages": (4, self._send_malformed),
            "requests without a reader": (4, self._send_deserted),
        }

    def make_one(self) -> None:
        """Choose a fault and make it."""
        names = list(self._kinds)
        weights = [weight for weight, _ in self._kinds.values()]
        name = self._chance.choices(names, weights)[0]
        self.made[name] += 1
        self._kinds[name][1]()

    def restore(self) -> None:
        """Have as many workers as there may be, once the supervisor hears of it."""

        def restored() -> bool:
            with suppress(NoAnswerError), Operator(self._broker, wait_s=60) as operator:
                command = ScaleCommand(processes=MAX_PROCESSES)
                return all(reply.complete for reply in operator.scale(command, timeout_s=60))
            return False

        wait_until(restored, 120, "the supervisor has scaled")

    def _signal(self, pids: list[int], number: signal.Signals) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _some_worker(self) -> list[int]:
        return [self._chance.choice(pids)] if (pids := worker_processes(self._supervisor)) else []

    def _kill_one(self) -> None:
        self._signal(self._some_worker(), signal.SIGKILL)

    def _kill_all(self) -> None:
        self._signal(worker_processes(self._supervisor), signal.SIGKILL)

    def _terminate_one(self) -> None:
        self._signal(self._some_worker(), signal.SIGTERM)

    def _scale(self) -> None:
        command = ScaleCommand(processes=self._chance.randint(1, MAX_PROCESSES))
        with suppress(FerWorkerError), Operator(self._broker, wait_s=60) as operator:
            # The next fault is not to wait until all are ready.
            next(operator.scale(command, timeout_s=1), None)

    def _restart_broker(self) -> None:
        self._node.stop()
        self._node.start()

    def _close_connections(self) -> None:
        self._node.rabbitmqctl("close_all_connections", "soak")

    def _send_malformed(self) -> None:
        for _ in range(5):
            self._raw_traffic.send_malformed()

    def _send_deserted(self) -> None:
        for _ in range(5):
            self._raw_traffic.send_deserted(self._chance.choice(self._client_traffic.batches))
