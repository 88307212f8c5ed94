"""The client for programs with threads: publish batches, get futures.

    with FerClient("amqp://localhost") as client:
        future = client.submit([jpeg_bytes], camera_id="door-1")
        result = future.result(timeout=2.0)

Every submitted batch ends: with its result, or with an error that says why there will be none. A
lost connection is mended by itself.
"""

import asyncio
import contextlib
import logging
import math
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

from fer_client.amqp.parameters import warn_if_exposed
from fer_client.client import BaseClient, resolve
from fer_client.config import DEFAULT_NAMESPACE, DEFAULT_URL, NO_TLS_FILES, BrokerConfig, TlsFiles
from fer_client.errors import BrokerUnavailableError, NoAnswerError
from fer_client.exchange import OnEnd
from fer_client.frames import Frames
from fer_schemas import BatchResult, FaceSelection

log = logging.getLogger(__name__)

Outcome = TypeVar("Outcome")

CLOSE_TIMEOUT_S = 10.0

LOOK_S = 0.1 if sys.platform == "win32" else math.inf
"""How often a wait is left for a moment: on Windows Ctrl-C is not heard during one."""


class FerClient(BaseClient):
    """Submits batches of JPEG frames. Thread-safe; a context manager.

    It has a loop on a thread of its own. The callbacks of its futures run on another thread, one
    after the other: they may call the client, or close it.
    """

    def __init__(
        self,
        url: str | BrokerConfig = DEFAULT_URL,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        tls: TlsFiles = NO_TLS_FILES,
        connect_timeout_s: float = 10.0,
        answer_timeout_s: float = 300.0,
    ) -> None:
        """Store what is needed; see `BaseClient`."""
        super().__init__(
            url,
            namespace=namespace,
            tls=tls,
            connect_timeout_s=connect_timeout_s,
            answer_timeout_s=answer_timeout_s,
        )
        self._loop = asyncio.SelectorEventLoop()  # pika's one on Windows
        self._thread = threading.Thread(target=self._run, name="fer-client", daemon=True)
        self._callback_thread: int | None = None
        self._callbacks = ThreadPoolExecutor(
            1, "fer-client-callbacks", initializer=self._note_callback_thread
        )
        self._lock = threading.Lock()
        self._under_way: set[str] = set()

    def __enter__(self) -> "FerClient":
        self.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Begin to connect and return at once; a broker that is away is waited for.

        For a program that serves others meanwhile, and looks at `connected` and `refusal`. What is
        submitted before the broker is there is sent when it is.
        """
        warn_if_exposed(self._config)
        self._started = True
        self._thread.start()

    def connect(self) -> None:
        """Connect, and be ready to receive answers.

        Raises:
            BrokerRefusedError: the broker refuses the credentials or the virtual host.
            BrokerUnavailableError: no broker within `connect_timeout_s`.
        """
        self.start()
        ready = asyncio.run_coroutine_threadsafe(self._exchange.ready.wait(), self._loop)
        try:
            _result(ready, self._connect_timeout_s)
        except TimeoutError:
            ready.cancel()
            self.close()
            raise BrokerUnavailableError(f"no broker at {self._config}") from None
        except BaseException:  # Ctrl-C
            self.close()
            raise
        if self.refusal is not None:
            self.close()
            raise self.refusal

    def close(self) -> None:
        """Hang up. Batches without an answer end with `BrokerUnavailableError`."""
        with self._lock:
            self._closed = True
            with contextlib.suppress(RuntimeError):  # it is closed already
                self._loop.call_soon_threadsafe(self._exchange.close)
        if self._started:
            self._thread.join(CLOSE_TIMEOUT_S)
        else:
            self._loop.close()
        is_callback = threading.get_ident() == self._callback_thread
        self._callbacks.shutdown(wait=not is_callback)

    def submit(
        self,
        frames: Frames,
        *,
        camera_id: str | None = None,
        faces: FaceSelection | None = None,
        deadline: datetime | None = None,
        correlation_id: str | None = None,
        wait_for_workers: bool = True,
    ) -> "Future[BatchResult]":
        """Send a batch and return at once; see `AsyncFerClient.submit`."""
        future = _BatchFuture(self._callbacks, self._exchange.no_answer)
        end = partial(resolve, future)
        batch = self._batch(
            frames, camera_id, faces, deadline, correlation_id, wait_for_workers, end
        )
        with self._lock:  # so that what is added is added before the exchange is closed
            self._raise_if_over()
            if batch.correlation_id in self._under_way:
                raise ValueError("a batch of this correlation id is under way")
            try:
                self._loop.call_soon_threadsafe(self._exchange.add, batch)
            except RuntimeError:  # the loop is closed
                raise BrokerUnavailableError("the client has ended") from None
            self._under_way.add(batch.correlation_id)
        # By its name: a future that its owner keeps should not keep the frames.
        future.call_at_once(partial(self._forget, batch.correlation_id, end))
        return future

    def analyze(
        self,
        frames: Frames,
        *,
        camera_id: str | None = None,
        faces: FaceSelection | None = None,
        timeout_s: float = 30.0,
        wait_for_workers: bool = True,
    ) -> BatchResult:
        """Send a batch and wait for its result; see `AsyncFerClient.analyze`."""
        future = self.submit(
            frames,
            camera_id=camera_id,
            faces=faces,
            deadline=datetime.now(UTC) + timedelta(seconds=timeout_s),
            wait_for_workers=wait_for_workers,
        )
        try:
            return _result(future, timeout_s)
        except TimeoutError:
            future.cancel()
            raise NoAnswerError(self._exchange.no_answer(timeout_s)) from None

    def _run(self) -> None:
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._exchange.run())

    def _note_callback_thread(self) -> None:
        self._callback_thread = threading.get_ident()

    def _forget(self, correlation_id: str, on_end: OnEnd, future: "Future[BatchResult]") -> None:
        with self._lock:
            self._under_way.discard(correlation_id)
            if future.cancelled():  # told under the lock: before another batch of the same name
                with contextlib.suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._exchange.forget, correlation_id, on_end)


class _BatchFuture(Future[BatchResult]):
    """Ends on the client's loop; its done-callbacks are called on another thread."""

    def __init__(self, callbacks: ThreadPoolExecutor, no_answer: Callable[[float], str]) -> None:
        super().__init__()
        self._executor = callbacks
        self._no_answer = no_answer

    def result(self, timeout: float | None = None) -> BatchResult:
        """Wait for the result; a `TimeoutError` says why there is none, if that is known."""
        try:
            return super().result(timeout)
        except TimeoutError:
            raise TimeoutError(self._no_answer(timeout or 0.0)) from None

    def add_done_callback(self, fn: Callable[[Future[BatchResult]], object]) -> None:
        def call(future: Future[BatchResult]) -> None:
            try:
                self._executor.submit(_call, fn, future)
            except RuntimeError:  # the client is closed, and that thread has ended
                fn(future)

        self.call_at_once(call)

    def call_at_once(self, fn: Callable[[Future[BatchResult]], object]) -> None:
        """Have `fn` called on the thread that ends the future; it must not wait for anything."""
        super().add_done_callback(fn)


def _result(future: Future[Outcome], timeout_s: float) -> Outcome:
    """Wait for what a future ends with.

    Raises:
        TimeoutError: not in time.
    """
    deadline = time.monotonic() + timeout_s
    while (left_s := deadline - time.monotonic()) > 0:
        if wait([future], min(left_s, LOOK_S)).done:
            break
    return future.result(0)


def _call(fn: Callable[[Future[BatchResult]], object], future: Future[BatchResult]) -> None:
    try:
        fn(future)
    except Exception:  # the executor would keep it to itself
        log.exception("a callback of a batch failed")
