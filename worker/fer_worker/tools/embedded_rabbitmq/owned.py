"""What an embedded node owns: ports that nobody else picks, and processes that end with ours."""

import os
import random
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from fer_client.errors import BrokerUnavailableError

HOST = "127.0.0.1"

# Below the ports that systems hand out for outgoing connections (from 32768 on Linux), so that
# none of those takes our port between a stop and the next start.
PORT_RANGE = range(20_000, 32_000)


@dataclass(frozen=True)
class Ports:
    """The ports of a node.

    `claim` is bound and never listens: who has it owns the three above it. That keeps embedded
    brokers that start at the same moment apart, in whatever process they are.
    """

    claim: socket.socket
    amqp: int
    distribution: int
    mapper: int

    def taken(self) -> int | None:
        """The first of them that somebody listens on, or that we may not listen on."""
        ports = (self.amqp, self.distribution, self.mapper)
        return next((port for port in ports if not _is_free(port)), None)

    def close(self) -> None:
        """Leave them to others."""
        self.claim.close()


def claim_ports(amqp: int | None = None) -> Ports:
    """Find ports for a node and claim them.

    Args:
        amqp: the AMQP port, which may be in use; None takes a free one.

    Raises:
        BrokerUnavailableError: all ports of the range are in use.
    """
    bases = list(PORT_RANGE[::4])
    # Not the shared generator: test tools seed it, alike in every process.
    random.SystemRandom().shuffle(bases)
    for base in bases:
        claim = socket.socket()
        try:
            claim.bind((HOST, base))
        except OSError:
            claim.close()
            continue
        if all(map(_is_free, (base + 1, base + 2, base + 3))):
            return Ports(claim, amqp or base + 1, base + 2, base + 3)
        claim.close()
    raise BrokerUnavailableError(f"no free ports from {PORT_RANGE[0]} to {PORT_RANGE[-1]}")


class ProcessGroup:
    """Processes that end together, and with ours at the latest.

    Its leader is a shell that reads from us. When our end of the pipe closes, and be it because we
    were killed, the shell kills the group, itself included.

    Args:
        held: file descriptors (locks, claimed ports) to keep open until the group has ended.
    """

    def __init__(self, held: Sequence[int] = ()) -> None:
        self._members: list[subprocess.Popen[bytes]] = []
        self._leader = subprocess.Popen(
            ["/bin/sh", "-c", "read -r _; kill -KILL 0"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=held,
            process_group=0,
        )

    def spawn(
        self, command: Sequence[str | Path], env: Mapping[str, str], output: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        """Start a process in the group; both its streams go to `output`."""
        member = subprocess.Popen(  # noqa: S603 - programs of the system, no shell
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=self._leader.pid,
        )
        self._members.append(member)
        return member

    def kill(self) -> None:
        """End all of it with SIGKILL."""
        # The leader is not waited for before this, so its id cannot be another group's by now.
        os.killpg(self._leader.pid, signal.SIGKILL)
        for process in (self._leader, *self._members):
            process.wait()
        assert self._leader.stdin is not None
        self._leader.stdin.close()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do it: connections that linger in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
