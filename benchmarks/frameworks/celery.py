"""Celery: the result backend `rpc`, which is the one of its documentation that needs only RabbitMQ.

Quorum queue, msgpack, late acks, persistent results; confirms are an option of its transport. The
pool of threads, since that is one process as well.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from celery import Celery
from celery.exceptions import SecurityWarning

from benchmarks.frameworks.contract import IN_FLIGHT, Ask, Work

TASK = "answer"


def serve(url: str, queue: str, work: Work) -> None:
    """Implement `Framework`."""
    app = _app(url, queue)
    app.conf.worker_prefetch_multiplier = IN_FLIGHT // work.threads
    app.task(work.load(work.threads), name=TASK)
    warnings.simplefilter("ignore", SecurityWarning)  # of who is root, as in a container
    app.worker_main(
        ["--quiet", "worker", "--pool=threads", f"--concurrency={work.threads}", "--loglevel=ERROR"]
    )


@contextmanager
def requester(url: str, queue: str, jpeg: bytes) -> Iterator[Ask]:
    """Implement `Framework`."""
    with _app(url, queue) as app:
        yield lambda: app.send_task(TASK, (jpeg,)).get


def _app(url: str, queue: str) -> Celery:
    app = Celery(queue, broker=url, backend="rpc://")
    app.conf.update(
        accept_content=["msgpack"],
        broker_transport_options={"confirm_publish": True},
        result_persistent=True,
        result_serializer="msgpack",
        task_acks_late=True,
        task_default_queue=queue,
        task_default_queue_type="quorum",
        task_serializer="msgpack",
    )
    return app
