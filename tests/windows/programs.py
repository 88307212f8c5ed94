"""Programs for Windows, run by Wine as `make test-windows` has made it."""

import os
import pty
import re
import select
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fer_client.amqp.blocking import connect
from fer_client.amqp.topology import Topology
from fer_client.config import BrokerConfig
from tests.serving import variables
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "windows"

PYTHON = (str(BUILD / "bin" / "wine"), str(BUILD / "python" / "python.exe"))
INSTALLED = (*PYTHON, "-m", "fer_worker")
"""The command out of the wheel."""

EXE = (PYTHON[0], str(ROOT / "dist" / "fer-worker.exe"))
"""The command as a program in one file."""

WITH_TEST_ENGINE = (*PYTHON, "-m", "tests.workers", "FaultyEngine")
"""`fer-worker run` with an engine of the tests."""


def environment(broker: BrokerConfig | None) -> dict[str, str]:
    """Of a program that is to use a broker; without one nothing says where it is."""
    inherited = {name: value for name, value in os.environ.items() if "FER_WORKER" not in name}
    own = {"PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    return inherited | own | ({} if broker is None else variables(broker))


def finished(
    program: Sequence[str], *arguments: str, broker: BrokerConfig | None, timeout_s: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, without a console."""
    return subprocess.run(
        [*program, *arguments],
        env=environment(broker),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=timeout_s,
    )


@contextmanager
def running(
    program: Sequence[str], *arguments: str, broker: BrokerConfig, log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program without a console until the block ends; then all of its kind are ended."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*program, *arguments],
            env=environment(broker),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        end("/im", Path(program[1]).name)
        process.wait()


def end(*which: str) -> None:
    """End processes at once, as the task manager does: by `/pid` and a number, or `/im` and a name.

    A signal from outside of Wine would do, but Wine may then keep their sockets open.
    """
    subprocess.run(
        [PYTHON[0], "taskkill", "/f", *which], stdin=subprocess.DEVNULL, capture_output=True
    )


def consumers(broker: BrokerConfig) -> int:
    """How many worker processes take requests."""
    with connect(broker, "test", wait_s=5) as connection:
        queue = Topology(broker.namespace).frames.name
        count = connection.channel().queue_declare(queue, passive=True).method.consumer_count
    assert isinstance(count, int)
    return count


def await_line(log: Path, words: str, times: int = 1) -> None:
    """Wait until a log says something so many times."""
    wait_until(lambda: log.read_text().count(words) >= times, 90, f"it logs {words}")


class Console:
    """A console, with one program in it. A context manager."""

    def __init__(self, program: Sequence[str], *arguments: str, broker: BrokerConfig) -> None:
        """Store what to run."""
        self._command = [*program, *arguments]
        self._environment = environment(broker) | {"TERM": "xterm"}
        self._printed = b""
        self._over = threading.Event()

    def __enter__(self) -> "Console":
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.execve(self._command[0], self._command, self._environment)
        self._exit_code: int | None = None
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._exit_code is None:
            os.kill(self._pid, 9)
            self._wait()
        self._over.set()
        self._reader.join()
        os.close(self._terminal)

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._terminal, text.encode())

    def press_ctrl_c(self) -> None:
        """Press Ctrl-C."""
        self.type("\x03")

    @property
    def text(self) -> str:
        """All that was printed, without what moves the cursor, in one line."""
        printed = self._printed.decode(errors="replace")
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|\s+", " ", printed)

    def await_text(self, words: str, times: int = 1) -> None:
        """Wait until something was printed so many times. A line may be broken anywhere."""
        wanted = re.sub(r"\s", "", words)
        wait_until(
            lambda: re.sub(r"\s", "", self.text).count(wanted) >= times, 90, f"it prints {words}"
        )

    def exit_code(self) -> int:
        """Wait for the end of the program."""
        wait_until(self._has_ended, 90, "the program ends")
        assert self._exit_code is not None
        return self._exit_code

    def _has_ended(self) -> bool:
        if self._exit_code is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._exit_code = os.waitstatus_to_exitcode(status)
        return self._exit_code is not None

    def _wait(self) -> None:
        self._exit_code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def _read(self) -> None:
        """Keep what is printed. Wine may hold the other end for longer than the program lives."""
        while True:
            if select.select([self._terminal], [], [], 0.1)[0]:
                try:
                    self._printed += os.read(self._terminal, 65536)
                except OSError:  # nobody has the other end any more
                    return
            elif self._over.is_set():
                return
