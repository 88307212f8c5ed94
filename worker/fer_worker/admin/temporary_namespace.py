"""Queues of one's own on a broker that others use as well."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from fer_client.amqp.blocking import connect
from fer_client.amqp.topology import Topology
from fer_client.config import BrokerConfig


@contextmanager
def temporary_namespace(url: str, prefix: str) -> Iterator[BrokerConfig]:
    """Give a namespace that nobody else has; its queues and exchanges are deleted afterwards.

    Args:
        url: AMQP URL of the broker.
        prefix: what the namespace's name begins with.

    Raises:
        BrokerRefusedError, BrokerUnavailableError: the broker cannot be reached afterwards.
    """
    config = BrokerConfig.from_url(url, f"{prefix}-{secrets.token_hex(4)}")
    try:
        yield config
    finally:
        topology = Topology(config.namespace)
        with connect(config, prefix, wait_s=0.0) as connection:
            channel = connection.channel()
            for queue in topology.queues:
                channel.queue_delete(queue)
            for exchange in topology.exchanges:
                channel.exchange_delete(exchange)
