"""From an upload to the client library and back: limits, waiting, and what errors mean in HTTP."""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from fer_client import AsyncFerClient
from fer_client.errors import (
    BatchTooLargeError,
    BrokerError,
    FerWorkerError,
    NoAnswerError,
    NoWorkerQueueError,
    QueueFullError,
)
from fer_schemas import (
    MAX_FRAMES,
    MAX_MESSAGE_BYTES,
    MAX_NAME_LENGTH,
    BatchResult,
    FaceSelection,
    Frame,
    Status,
)
from fer_worker.inference.jpeg.kinds import start_of_jpeg, why_no_jpeg
from fer_worker.limits import DEFAULT_LIMITS

MAX_FRAME_BYTES: Final = DEFAULT_LIMITS.frame.max_bytes

MAX_BODY_BYTES: Final = MAX_MESSAGE_BYTES + MAX_FRAMES * 1024
"""A message, and around each of its frames what a form needs."""

MAX_HELD_BYTES: Final = 8 * MAX_BODY_BYTES
"""Of all requests at once: 128 MiB. Others wait, unread, and TCP slows their senders down. Read,
encoded and on its way to the broker a request takes up to three times as much as it is large."""

MAX_SILENCE_S: Final = 5.0
"""Between two pieces of an upload: a sender that holds room has to send."""

MIN_BYTES_PER_S: Final = 4096
"""On average, from MAX_SILENCE_S on: a byte now and then does not hold room either."""

MAX_FIELDS: Final = 64
MAX_FIELD_BYTES: Final = 4096
"""Of a form, beside its files. Nothing of them is used."""

RETRY_AFTER: Final = {"Retry-After": "1"}

STATUSES: Final[dict[type[FerWorkerError], int]] = {
    BatchTooLargeError: 413,
    QueueFullError: 429,
    NoWorkerQueueError: 503,
    BrokerError: 503,
    NoAnswerError: 504,
}

NOT_CONNECTED: Final = "not connected to the broker"


class UploadHandler:
    """Lets uploads in, as many as there is room for, and hands their results out."""

    def __init__(self, client: AsyncFerClient, timeout_s: float) -> None:
        """Store what is needed.

        Args:
            client: started; its maker closes it.
            timeout_s: how long a request may take, from the end of its headers to its answer.
        """
        self._client = client
        self._timeout_s = timeout_s
        self._budget = ByteBudget(MAX_HELD_BYTES)

    def require_broker(self) -> None:
        """Raise HTTPException (503) unless the broker is connected and takes messages."""
        if (reason := self._client.blocked) is not None:
            raise HTTPException(503, f"the broker takes no messages: {reason}")
        if not self._client.connected:
            raise HTTPException(503, NOT_CONNECTED)

    async def analyze(
        self,
        request: Request,
        field: str,
        max_files: int = MAX_FRAMES,
        faces: FaceSelection | None = None,
    ) -> BatchResult:
        """Read the files of a form and have them analysed as one batch.

        `request.state.correlation_id` is set once the client has the batch.

        Args:
            request: whose body nobody has read yet.
            field: name of the form's field that holds the files.
            max_files: how many there may be.
            faces: of each frame; None: as the workers are told.

        Raises:
            HTTPException: there is no result; its status is one of `problems.MEANINGS`.
            ClientDisconnect: the sender has hung up.
        """
        self.require_broker()
        size = _announced_bytes(request)
        deadline = datetime.now(UTC) + timedelta(seconds=self._timeout_s)
        late = HTTPException(429, "too many uploads came before this one", RETRY_AFTER)
        try:
            async with asyncio.timeout(self._timeout_s), self._budget.of(size):
                late = HTTPException(408, f"the upload took more than {self._timeout_s:g} s")
                frames = await _read_frames(request, field, max_files)
                late = HTTPException(504, f"no answer within {self._timeout_s:g} s")
                result = await self._submit(request, frames, faces, deadline)
        except TimeoutError:
            raise late from None
        except asyncio.CancelledError:  # by a server that waits no longer
            raise HTTPException(503, "the gateway is stopping") from None
        if result.status is Status.EXPIRED:
            raise HTTPException(504, "no worker had time for it before its deadline")
        return result

    async def _submit(
        self,
        request: Request,
        frames: list[Frame],
        faces: FaceSelection | None,
        deadline: datetime,
    ) -> BatchResult:
        correlation_id = uuid.uuid4().hex
        try:
            result = self._client.submit(
                frames, faces=faces, deadline=deadline, correlation_id=correlation_id
            )
            request.state.correlation_id = correlation_id
            frames.clear()  # while it waits the client's encoded copy is enough
            return await _while_connected(request, result)
        except FerWorkerError as error:
            raise _problem_of(error) from error


class ByteBudget:
    """Bytes that may be held at once. Only for one event loop."""

    def __init__(self, max_bytes: int) -> None:
        self._free = max_bytes
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def of(self, size: int) -> AsyncIterator[None]:
        """Hold `size` bytes, once they are free."""
        while self._free < size:
            self._changed.clear()
            await self._changed.wait()
        self._free -= size
        try:
            yield
        finally:
            self._free += size
            self._changed.set()


async def _while_connected(request: Request, result: "asyncio.Future[BatchResult]") -> BatchResult:
    """Wait for a result as long as there is somebody to read it; after that it is cancelled."""

    async def close_quietly() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    gone = asyncio.create_task(close_quietly())
    try:
        await asyncio.wait((result, gone), return_when=asyncio.FIRST_COMPLETED)
        if not result.done():
            raise ClientDisconnect
        return result.result()
    finally:
        result.cancel()
        gone.cancel()


def _problem_of(error: FerWorkerError) -> HTTPException:
    status = next((code for kind, code in STATUSES.items() if isinstance(error, kind)), 500)
    # What the broker says of itself is for the log: it names hosts and accounts.
    detail = NOT_CONNECTED if isinstance(error, BrokerError) else str(error)
    return HTTPException(status, detail, RETRY_AFTER if status == 429 else None)


def _too_large(what: str, most: int) -> HTTPException:
    return HTTPException(413, f"{what} has more than {most} bytes")


def _announced_bytes(request: Request) -> int:
    """How large the body is, or may be where it does not say."""
    # The server holds the sender to it, unless the body is chunked: then it counts for nothing.
    announced = request.headers.get("content-length")
    is_chunked = "transfer-encoding" in request.headers
    size = MAX_BODY_BYTES if announced is None or is_chunked else int(announced)
    if size > MAX_BODY_BYTES:
        raise _too_large("the request", MAX_BODY_BYTES)
    return size


async def _bounded(
    chunks: AsyncIterator[bytes], max_silence_s: float = MAX_SILENCE_S
) -> AsyncGenerator[bytes, None]:
    """Pass an upload on, up to MAX_BODY_BYTES and as long as it keeps coming."""
    size, began = 0, time.monotonic()
    while True:
        try:
            async with asyncio.timeout(max_silence_s):
                chunk = await anext(chunks, None)
        except TimeoutError:
            raise HTTPException(408, f"nothing came for {max_silence_s:g} s") from None
        if chunk is None:
            return
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise _too_large("the request", MAX_BODY_BYTES)
        took_s = time.monotonic() - began
        if took_s > max_silence_s and size < took_s * MIN_BYTES_PER_S:
            raise HTTPException(408, f"{size} bytes came in {took_s:.0f} s")
        yield chunk


async def _read_frames(request: Request, field: str, max_files: int) -> list[Frame]:
    """Read the files in a field of a form. Larger ones are on disk until all of it is there."""
    files_expected = "one file" if max_files == 1 else f"1 to {max_files} files"
    expected = f"expected multipart/form-data with {files_expected} in the field '{field}'"
    content_type = request.headers.get("content-type", "").lower()
    if not content_type.startswith("multipart/form-data"):
        raise HTTPException(422, expected)
    parser = MultiPartParser(
        request.headers,
        _bounded(request.stream()),
        max_files=max_files,
        max_fields=MAX_FIELDS,
        max_part_size=MAX_FIELD_BYTES,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise HTTPException(422, f"{expected}: {error.message}") from None
    except ValueError:  # what is said to be its charset cannot be read as such
        raise HTTPException(422, expected) from None
    try:
        files = [value for value in form.getlist(field) if isinstance(value, UploadFile)]
        if not files:
            raise HTTPException(422, expected)
        return [await _read_frame(index, file) for index, file in enumerate(files)]
    finally:
        await form.close()


async def _read_frame(index: int, file: UploadFile) -> Frame:
    if (file.size or 0) > MAX_FRAME_BYTES:
        raise _too_large(f"file {index}", MAX_FRAME_BYTES)
    jpeg = await file.read()
    if start_of_jpeg(jpeg) is None:
        raise HTTPException(415, f"file {index}: {why_no_jpeg(jpeg)}")
    # A name can be made to hold what is not Unicode.
    name = (file.filename or "").encode(errors="replace").decode()[:MAX_NAME_LENGTH]
    return Frame(jpeg=jpeg, id=name or None)
