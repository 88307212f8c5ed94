"""The workers of a soak, under a supervisor that may end and is followed by another."""

import signal
import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

from fer_client.config import BrokerConfig
from fer_worker.supervision.worker_config import ExitCode
from tests.leftovers import is_alive
from tests.serving import running
from tests.waiting import wait_until

MAX_PROCESSES = 3

DRAIN_TIMEOUT_S = 10

OPTIONS = (
    f"--processes={MAX_PROCESSES}",
    "--threads=1",
    "--prefetch=4",
    "--hang-timeout=5",
    f"--drain-timeout={DRAIN_TIMEOUT_S}",
)

BETWEEN_SIGNALS_S = 0.5
"""Two signals of a kind that come closer may arrive as one."""


class Workers:
    """`fer-worker run` with an engine that takes no time. A context manager."""

    def __init__(self, broker: BrokerConfig, log: Path) -> None:
        """Store where requests come from, and the file for log lines."""
        self._broker = broker
        self._log = log
        self._held = ExitStack()

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    @property
    def supervisor(self) -> int:
        """Id of its process."""
        return self._process.pid

    @property
    def pids(self) -> list[int]:
        """Ids of the worker processes, as the system knows them."""
        try:
            children = Path(f"/proc/{self.supervisor}/task/{self.supervisor}/children").read_text()
        except OSError:  # the supervisor has ended
            return []
        return [int(pid) for pid in children.split() if "spawn_main" in _command(pid)]

    def check(self) -> None:
        """Fail if the supervisor has ended by itself."""
        code = self._process.poll()
        assert code is None, f"the supervisor has ended by itself ({code})"

    def send(self, number: signal.Signals) -> None:
        """Send the supervisor a signal."""
        self._process.send_signal(number)

    def replace_supervisor(self, *numbers: signal.Signals) -> None:
        """End the supervisor by signals, one after the other, and start another one.

        Its workers must leave too, in the time that they have for it.
        """
        orphans = self.pids
        for number in numbers:
            self.send(number)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(BETWEEN_SIGNALS_S)
        code = self._process.wait(2 * DRAIN_TIMEOUT_S)
        self._start()
        wait_until(
            lambda: not any(map(is_alive, orphans)),
            2 * DRAIN_TIMEOUT_S,
            "the workers leave with their supervisor",
        )
        assert code in (0, ExitCode.TOLD_TWICE, -signal.SIGKILL), (
            f"the supervisor ended with {code}"
        )

    def _start(self) -> None:
        workers = running(self._log, self._broker, *OPTIONS, engine="FaultyEngine")
        self._held.close()
        self._process = self._held.enter_context(workers).process
        wait_until(lambda: self.pids, 60, "the supervisor starts workers")


def _command(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:  # ended meanwhile
        return ""
