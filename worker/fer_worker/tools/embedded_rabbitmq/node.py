"""A real RabbitMQ node of one's own: for the demo, the tests and development.

It listens on 127.0.0.1 only, keeps everything it writes in one directory, reads nothing from
/etc/rabbitmq and runs beside a system broker. It leaves nothing behind: its processes end with the
one that started them, even when that is killed (a temporary directory stays then).

    with EmbeddedBroker() as broker:
        pika.BlockingConnection(pika.URLParameters(broker.url))

Linux, WSL and macOS, as root and as an ordinary user; needs `rabbitmq-server` 3.10 or later.
"""

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import IO, Self

import pika
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPError

from fer_client.errors import BrokerError, BrokerUnavailableError
from fer_worker.platform import system
from fer_worker.tools.embedded_rabbitmq.ports import HOST, Ports, claim_ports
from fer_worker.tools.embedded_rabbitmq.programs import environment, find_mapper, find_server

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
CONTROL_TIMEOUT_S = 60.0
POLL_INTERVAL_S = 0.05


class EmbeddedBroker:
    """A RabbitMQ node that belongs to this process.

    Entering starts it, leaving stops it. In between, `stop`, `kill` and `start` make faults; ports
    and data stay the same. Not for several threads at once.

    Args:
        data_dir: where queues, messages and the log are kept, also for later runs. None takes a
            temporary directory, removed on leaving.
        port: the AMQP port. None takes a free one.
        server: the program that starts the node. None looks for it.
    """

    data_dir: Path
    ports: Ports

    def __init__(
        self, data_dir: Path | None = None, port: int | None = None, server: Path | None = None
    ) -> None:
        self._wanted_data_dir = data_dir
        self._wanted_port = port
        self._wanted_server = server
        self._held = ExitStack()
        self._processes: system.ProcessGroup | None = None

    def __enter__(self) -> Self:
        """Start the node.

        Raises:
            BrokerUnavailableError: RabbitMQ is missing, the port is in use, another node has the
                data directory, or the node does not start.
        """
        self._server = self._wanted_server or find_server()
        with ExitStack() as held:
            self.data_dir = _data_dir(self._wanted_data_dir, held)
            self._lock = held.enter_context(_lock(self.data_dir))
            self.ports = held.enter_context(closing(claim_ports(self._wanted_port)))
            held.callback(self.stop)
            self.start()
            self._held = held.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    @property
    def url(self) -> str:
        """Its AMQP URL."""
        return f"amqp://guest:guest@{HOST}:{self.ports.amqp}/"

    @property
    def log_path(self) -> Path:
        """What the node has to say, one start after the other."""
        return self.data_dir / "rabbitmq.log"

    def start(self) -> None:
        """Start the node, anew if it is there, and wait until it answers: about four seconds.

        Raises:
            BrokerUnavailableError: it ended, or did not answer within a minute.
        """
        self.kill()
        if (port := self.ports.taken()) is not None:
            raise BrokerUnavailableError(f"port {port} is in use, or only for root")
        # The group holds the directory and the ports as well: they are free once the node is gone.
        self._processes = system.ProcessGroup(held=(self._lock.fileno(), self.ports.claim.fileno()))
        try:
            with self.log_path.open("ab") as log:
                mapper = self._processes.spawn(
                    [find_mapper()], environment(self.data_dir, self.ports), log
                )
                self._wait_until(lambda: _accepts(self.ports.mapper), mapper)
                self._node = self._processes.spawn(
                    [self._server], environment(self.data_dir, self.ports), log
                )
            self._wait_until(self._answers, self._node)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Stop the node cleanly: about a second. Nothing happens if it is not there."""
        if self._processes is None:
            return
        try:
            self._node.terminate()
            self.wait(STOP_TIMEOUT_S)
        finally:
            self.kill()

    def kill(self) -> None:
        """End the node with SIGKILL, as a power cut would. Nothing happens if it is not there."""
        processes, self._processes = self._processes, None
        if processes is None:
            return
        processes.kill()
        # Those that were not our own children may take a moment longer to let the ports go.
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while self.ports.taken() and time.monotonic() < deadline:
            time.sleep(POLL_INTERVAL_S)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the node to end, for any reason; return False if it is still there then."""
        try:
            self._node.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def rabbitmqctl(self, *arguments: str) -> str:
        """Run RabbitMQ's own tool on this node and return what it prints: half a second.

        Raises:
            BrokerError: the tool failed; with the first line of what it says.
        """
        done = subprocess.run(  # noqa: S603 - RabbitMQ's own tool, no shell
            [self._server.with_name("rabbitmqctl"), *arguments],
            env=environment(self.data_dir, self.ports),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=CONTROL_TIMEOUT_S,
            process_group=0,  # as the node's own: Ctrl-C is for us
        )
        if done.returncode != 0:
            said = next(filter(None, done.stderr.splitlines()), "no reason given")
            raise BrokerError(f"rabbitmqctl {arguments[0]}: {said}")
        return done.stdout

    def last_words(self) -> str:
        """The most telling line of the log, and where the rest of it is."""
        lines = [line for line in self.log_path.read_text(errors="replace").splitlines() if line]
        errors = [line for line in lines[-100:] if line.startswith("ERROR: ")]
        said = (errors or lines or ["it said nothing"])[-1][:300]
        return said if self._wanted_data_dir is None else f"{said} (log: {self.log_path})"

    def _wait_until(self, ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not ready():
            if process.poll() is not None:
                raise BrokerUnavailableError(f"RabbitMQ did not start: {self.last_words()}")
            if time.monotonic() > deadline:
                raise BrokerUnavailableError(
                    f"RabbitMQ did not answer within {START_TIMEOUT_S:.0f} s: {self.last_words()}"
                )
            time.sleep(POLL_INTERVAL_S)

    def _answers(self) -> bool:
        """Whether somebody can log in: the listener opens as the last step of the start."""
        if not _accepts(self.ports.amqp):  # quietly: pika logs each refusal as an error
            return False
        try:
            pika.BlockingConnection(pika.URLParameters(self.url)).close()
        except (AMQPError, AMQPConnectorException):
            return False
        return True


def _data_dir(wanted: Path | None, held: ExitStack) -> Path:
    if wanted is None:
        temporary = tempfile.TemporaryDirectory(
            prefix="fer-worker-broker-", ignore_cleanup_errors=True
        )
        return Path(held.enter_context(temporary)).resolve()
    try:
        wanted.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BrokerUnavailableError(f"cannot keep data in {wanted}: {error.strerror}") from error
    return wanted.resolve()


def _lock(data_dir: Path) -> IO[str]:
    """Take the data directory for this node; closing the file gives it back."""
    if sys.platform == "win32":
        raise NotImplementedError  # `find_server` has refused
    import fcntl

    try:
        lock = (data_dir / "lock").open("w")
    except OSError as error:
        raise BrokerUnavailableError(f"cannot keep data in {data_dir}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise BrokerUnavailableError(f"another broker is using {data_dir}") from None
    return lock


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
