"""This worker: the service of a worker process, and the client library."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.frameworks.contract import IN_FLIGHT, Ask, Work
from benchmarks.machine import cores
from fer_client import FerClient
from fer_client.config import BrokerConfig
from tests.loops import declare_queues
from tests.serving import serving


def serve(url: str, queue: str, work: Work) -> None:
    """Implement `Framework`."""
    broker = BrokerConfig.from_url(url, namespace=queue)
    with serving(broker, work.engine(), threads=cores(), prefetch=IN_FLIGHT):
        threading.Event().wait()


@contextmanager
def requester(url: str, queue: str, jpeg: bytes) -> Iterator[Ask]:
    """Implement `Framework`."""
    declare_queues(url, queue)
    with FerClient(BrokerConfig.from_url(url, namespace=queue)) as client:
        yield lambda: client.submit([jpeg]).result
