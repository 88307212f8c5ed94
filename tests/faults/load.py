"""A steady load of batches whose right answers are known."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager

from fer_client import FerClient
from fer_client.config import BrokerConfig
from fer_schemas import BatchResult
from tests.engines import plain_jpeg
from tests.frames import sample
from tests.waiting import wait_until

JPEGS = (
    sample("grace_hopper"),
    sample("broken"),
    *(plain_jpeg(width) for width in range(30, 130, 5)),
)
"""Every one of them has another answer, so that none can be taken for another's."""


def measured(result: BatchResult) -> object:
    """What a result says of the frames, without who said it and when."""
    return (result.status, result.emotions, result.faces_areas, result.frames, result.errors)


class SteadyLoad:
    """Batches that are submitted one after the other, on a thread of its own."""

    def __init__(self, client: FerClient, jpegs: Sequence[bytes], per_s: float) -> None:
        """Store the parts.

        Args:
            client: submits the batches, of one frame each.
            jpegs: sent in turn.
            per_s: batches per second.
        """
        self.client = client
        self._jpegs = jpegs
        self._right: list[object] = []
        self._interval_s = 1 / per_s
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run)
        self._futures: list[Future[BatchResult]] = []
        self.results: list[BatchResult] = []
        """All answers in the order of the batches, once the load is over."""

    def begin(self) -> None:
        """Ask for the right answers, one at a time, before anything goes wrong; then submit."""
        self._right = [measured(self.client.analyze([jpeg], timeout_s=60)) for jpeg in self._jpegs]
        self._thread.start()

    def pile_up(self, batches: int) -> None:
        """Submit some at once, and return when the first is answered: the rest is in work."""
        first = len(self._futures)
        for _ in range(batches):
            self._submit()
        self._futures[first].result(60)

    def goes_on(self, batches: int = 20, timeout_s: float = 60) -> None:
        """Wait until so many of the batches that are submitted from now on are answered."""
        first = len(self._futures)
        wait_until(
            lambda: sum(future.done() for future in self._futures[first:]) >= batches,
            timeout_s,
            "new batches are answered",
        )

    @property
    def submitted(self) -> int:
        """Batches so far: the place in `results` of the next one."""
        return len(self._futures)

    def catches_up(self, timeout_s: float = 60) -> None:
        """Wait until all batches that are submitted by now are answered."""
        late = wait(list(self._futures), timeout_s).not_done
        assert not late, f"{len(late)} batches are not answered within {timeout_s:g} s"

    def finish(self, timeout_s: float = 60) -> None:
        """Submit no more, and wait for every answer; they must be the right ones."""
        self.stop()
        assert self._futures
        self.results = [future.result(timeout_s) for future in self._futures]
        for number, result in enumerate(self.results):
            assert measured(result) == self._right[number % len(self._jpegs)]

    def stop(self) -> None:
        """Submit no more."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            self._submit()

    def _submit(self) -> None:
        with self._lock:
            jpeg = self._jpegs[len(self._futures) % len(self._jpegs)]
            self._futures.append(self.client.submit([jpeg]))


@contextmanager
def steady_load(
    broker: BrokerConfig, jpegs: Sequence[bytes] = JPEGS, per_s: float = 40
) -> Iterator[SteadyLoad]:
    """Submit batches while the block runs; at its end every one must get its right answer."""
    with FerClient(broker) as client:
        load = SteadyLoad(client, jpegs, per_s)
        load.begin()
        try:
            yield load
        finally:
            load.stop()
        load.finish()
