"""The ports of an embedded node, which nobody else picks."""

import random
import socket
from dataclasses import dataclass

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


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do it: connections that linger in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
