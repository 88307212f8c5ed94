"""`fer-worker gateway` for tests, as a process, and what is sent to it."""

import re
import socket
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from fer_client.config import BrokerConfig
from tests.serving import command
from tests.waiting import wait_until

Upload = tuple[str, tuple[str, bytes]]


class RunningGateway:
    """`fer-worker gateway` as a process."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, start: int = 0) -> None:
        """Wait until it listens; its part of the log begins at byte `start`."""
        self.process = process
        self.log = log
        self._start = start
        self.url = self._wait_for_url()

    def client(self, headers: dict[str, str] | None = None) -> httpx.Client:
        """An HTTP client of it."""
        return httpx.Client(base_url=self.url, timeout=60, headers=headers, trust_env=False)

    def connect(self) -> socket.socket:
        """A connection for what an HTTP library does not send."""
        parts = urlsplit(self.url)
        return socket.create_connection((parts.hostname or "", parts.port or 0), 20)

    def wait_until_connected(self) -> None:
        """Wait until it has its broker."""
        with self.client() as http:
            wait_until(lambda: http.get("/").status_code == 200, 30, "the gateway is connected")

    def stop(self) -> int:
        """End it with SIGTERM; return its exit code."""
        self.process.terminate()
        return self.process.wait(60)

    def _wait_for_url(self) -> str:
        def look() -> list[str]:
            assert self.process.poll() is None, self.log.read_text()
            log = self.log.read_bytes()[self._start :].decode(errors="replace")
            return re.findall(r"listening at (http://[^\s,]+)", log)

        return wait_until(look, 30, "the gateway listens")[0]


@contextmanager
def gateway(
    log: Path, broker: BrokerConfig, *arguments: str, prefix: Sequence[str] = ()
) -> Iterator[RunningGateway]:
    """Run a gateway on a free port until the block ends; its log goes to a file.

    `prefix` is a command that runs it elsewhere.
    """
    line, environment = command("gateway", "--port=0", *arguments, broker=broker)
    with log.open("ab") as output:
        start = output.tell()
        process = subprocess.Popen(
            [*prefix, *line],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            process_group=0,
        )
    try:
        yield RunningGateway(process, log, start)
    finally:
        process.terminate()
        try:
            process.wait(60)
        finally:
            process.kill()
            process.wait()


def uploads(jpegs: Iterable[bytes], field: str = "files") -> list[Upload]:
    """Files of a form, named by their place."""
    return [(field, (f"{index}.jpg", jpeg)) for index, jpeg in enumerate(jpegs)]
