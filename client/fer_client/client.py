"""The client for asyncio programs: publish batches, await results.

    async with AsyncFerClient("amqp://localhost") as client:
        result = await client.analyze([jpeg_bytes])

Every submitted batch ends: with its result, or with an error that says why there will be none. A
lost connection is mended by itself (`exchange.py`).
"""

import asyncio
import time
import uuid
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from functools import partial

from fer_client.amqp.codec import encode_request
from fer_client.amqp.parameters import warn_if_exposed
from fer_client.config import DEFAULT_NAMESPACE, DEFAULT_URL, NO_TLS_FILES, BrokerConfig, TlsFiles
from fer_client.errors import (
    BatchTooLargeError,
    BrokerRefusedError,
    BrokerUnavailableError,
    NoAnswerError,
)
from fer_client.exchange import BatchExchange, OnEnd, PendingBatch
from fer_client.frames import Frames, to_frames
from fer_schemas import MAX_MESSAGE_BYTES, BatchRequest, BatchResult, FaceSelection

MAX_NAME_BYTES = 255
"""A correlation id is a short string of AMQP."""


class BaseClient:
    """What both clients are told, and say of themselves."""

    def __init__(
        self,
        url: str | BrokerConfig = DEFAULT_URL,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        tls: TlsFiles = NO_TLS_FILES,
        connect_timeout_s: float = 10.0,
        answer_timeout_s: float = 300.0,
    ) -> None:
        """Store what is needed; `connect`, `start`, or entering the context, connects.

        Args:
            url: AMQP URL of the broker, several separated by commas, or a whole configuration.
            namespace: the workers' own; a configuration brings its own.
            tls: files for `amqps://`; a configuration brings its own.
            connect_timeout_s: how long `connect` waits for the broker.
            answer_timeout_s: after this a batch without an answer ends with `NoAnswerError`.

        Raises:
            FerWorkerError: a URL or a TLS file cannot be used.
        """
        self._config = (
            url if isinstance(url, BrokerConfig) else BrokerConfig.from_url(url, namespace, tls)
        )
        self._connect_timeout_s = connect_timeout_s
        self._answer_timeout_s = answer_timeout_s
        self._exchange = BatchExchange(self._config, answer_timeout_s)
        self._started = self._closed = False

    @property
    def connected(self) -> bool:
        """Whether batches can be sent, and answers received, at the moment."""
        return self._exchange.connected

    @property
    def blocked(self) -> str | None:
        """Why the broker takes no messages at the moment: an alarm. Known once one was sent."""
        return self._exchange.blocked

    @property
    def refusal(self) -> BrokerRefusedError | None:
        """Why the broker refuses us, once it has; nothing more is tried then."""
        return self._exchange.refusal

    @property
    def silence(self) -> str | None:
        """Why no answers come at the moment: no broker, an alarm, or nobody who takes batches.

        None where answers come, or none are waited for: only who waits asks for workers.
        """
        return self._exchange.silence

    @property
    def dropped(self) -> int:
        """Answers nobody waits for: second copies, and those that came too late."""
        return self._exchange.dropped

    def _raise_if_over(self) -> None:
        if self._closed:
            raise BrokerUnavailableError("the client was closed")
        if not self._started:
            raise BrokerUnavailableError("the client is not connected: use `with`, or connect()")
        if self.refusal is not None:
            raise self.refusal

    def _batch(
        self,
        frames: Frames,
        camera_id: str | None,
        faces: FaceSelection | None,
        deadline: datetime | None,
        correlation_id: str | None,
        wait_for_workers: bool,
        on_end: OnEnd,
    ) -> PendingBatch:
        request = BatchRequest(
            version=1,
            frames=to_frames(frames),
            camera_id=camera_id,
            faces=faces,
            deadline=deadline,
            sent_at=datetime.now(UTC),
        )
        body = encode_request(request)
        if len(body) > MAX_MESSAGE_BYTES:
            raise BatchTooLargeError(
                f"the batch has {len(body)} bytes; a message may have {MAX_MESSAGE_BYTES}"
            )
        expires = time.monotonic() + self._answer_timeout_s
        name = correlation_id or uuid.uuid4().hex
        if len(name.encode()) > MAX_NAME_BYTES:
            raise ValueError(f"a correlation id may have {MAX_NAME_BYTES} bytes in UTF-8")
        return PendingBatch(name, body, on_end, expires, wait_for_workers)


class AsyncFerClient(BaseClient):
    """Submits batches of JPEG frames from an asyncio program. An async context manager."""

    _running: "asyncio.Task[None] | None" = None

    async def __aenter__(self) -> "AsyncFerClient":
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def start(self) -> None:
        """Begin to connect and return at once; a broker that is away is waited for.

        For a program that serves others meanwhile, and looks at `connected` and `refusal`. What is
        submitted before the broker is there is sent when it is.
        """
        warn_if_exposed(self._config)
        self._started = True
        self._running = asyncio.create_task(self._exchange.run())

    async def connect(self) -> None:
        """Connect, and be ready to receive answers.

        Raises:
            BrokerRefusedError: the broker refuses the credentials or the virtual host.
            BrokerUnavailableError: no broker within `connect_timeout_s`.
        """
        self.start()
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                await self._exchange.ready.wait()
        except TimeoutError:
            await self.close()
            raise BrokerUnavailableError(f"no broker at {self._config}") from None
        except asyncio.CancelledError:
            await self.close()
            raise
        if self.refusal is not None:
            await self.close()
            raise self.refusal

    async def close(self) -> None:
        """Hang up. Batches without an answer end with `BrokerUnavailableError`."""
        self._closed = True
        self._exchange.close()
        if self._running is not None:
            await self._running

    def submit(
        self,
        frames: Frames,
        *,
        camera_id: str | None = None,
        faces: FaceSelection | None = None,
        deadline: datetime | None = None,
        correlation_id: str | None = None,
        wait_for_workers: bool = True,
    ) -> "asyncio.Future[BatchResult]":
        """Send a batch and return at once.

        Args:
            frames: one JPEG file or up to 64, in any buffer of bytes, such as the array that
                `cv2.imencode` gives, or with an id and a time as `Frame`.
            camera_id: echoed in the result.
            faces: `first` (largest) or `all` faces of each frame; the workers' option without it.
            deadline: answered `expired` if picked up later; with a time zone.
            correlation_id: by which log lines, here and there, tell of this batch; a new one for
                each. A random one without it.
            wait_for_workers: keep the batch in the queue where nobody takes any; else its future
                ends with `NoWorkersError` within 3 s if no supervisor is there either.

        Returns:
            A future of the result. It may end with `QueueFullError`, `NoWorkerQueueError`,
            `NoAnswerError` or `BrokerError` instead. Cancel it to give up on it.

        Raises:
            BatchTooLargeError: over the message limit; nothing was sent.
            TypeError: a frame is a path, an image that is not encoded, or something else.
            pydantic.ValidationError: it is not a valid request; nothing was sent.
            ValueError: a batch of this correlation id has no answer yet, or the id is too long.
            BrokerError: the client is not started or closed, or the broker refuses us.
        """
        self._raise_if_over()
        future: asyncio.Future[BatchResult] = asyncio.get_running_loop().create_future()
        end = partial(resolve, future)
        batch = self._batch(
            frames, camera_id, faces, deadline, correlation_id, wait_for_workers, end
        )
        self._exchange.add(batch)
        # By its name: a future that its owner keeps should not keep the frames.
        future.add_done_callback(partial(_forget, self._exchange, batch.correlation_id, end))
        return future

    async def analyze(
        self,
        frames: Frames,
        *,
        camera_id: str | None = None,
        faces: FaceSelection | None = None,
        timeout_s: float = 30.0,
        wait_for_workers: bool = True,
    ) -> BatchResult:
        """Send a batch and wait for its result. It is not analysed after `timeout_s`.

        Raises:
            NoAnswerError: no answer within `timeout_s`; the text says why, if that is known.
            FerWorkerError: as `submit` and its future.
        """
        future = self.submit(
            frames,
            camera_id=camera_id,
            faces=faces,
            deadline=datetime.now(UTC) + timedelta(seconds=timeout_s),
            wait_for_workers=wait_for_workers,
        )
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            raise NoAnswerError(self._exchange.no_answer(timeout_s)) from None


def resolve(
    future: "asyncio.Future[BatchResult] | Future[BatchResult]", outcome: BatchResult | Exception
) -> None:
    """End a future, unless it is cancelled."""
    if isinstance(future, Future):
        if not future.set_running_or_notify_cancel():  # from here on no thread can cancel it
            return
    elif future.cancelled():
        return
    if isinstance(outcome, BatchResult):
        future.set_result(outcome)
    else:
        future.set_exception(outcome)


def _forget(
    exchange: BatchExchange,
    correlation_id: str,
    on_end: OnEnd,
    future: "asyncio.Future[BatchResult]",
) -> None:
    if future.cancelled():
        exchange.forget(correlation_id, on_end)
    else:
        future.exception()  # taken note of: who submits and does not await wants no log line
