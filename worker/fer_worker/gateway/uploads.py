"""From an upload to the client library and back: room, waiting, and what errors mean in HTTP."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from fer_client import AsyncFerClient
from fer_client.errors import (
    BatchTooLargeError,
    BrokerError,
    FerWorkerError,
    NoAnswerError,
    NoWorkerQueueError,
    NoWorkersError,
    QueueFullError,
)
from fer_schemas import MAX_FRAMES, BatchRequest, BatchResult, FaceSelection, Status
from fer_worker.gateway.bodies import MAX_FORM_BYTES, announced_bytes, read_batch

MAX_HELD_BYTES: Final = 8 * MAX_FORM_BYTES
"""Of all requests at once: 128 MiB. Others wait, unread, and TCP slows their senders down. Read,
encoded and on its way to the broker a request takes up to three times as much as it is large."""

RETRY_AFTER: Final = {"Retry-After": "1"}

STATUSES: Final[dict[type[FerWorkerError], int]] = {
    BatchTooLargeError: 413,
    QueueFullError: 429,
    NoWorkerQueueError: 503,
    NoWorkersError: 503,
    BrokerError: 503,
    NoAnswerError: 504,
}
"""The first kind that an error is of counts."""

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
        """Read the files of a form, or a batch in JSON, and have them analysed as one batch.

        `request.state.correlation_id` is set once the client has the batch.

        Args:
            request: whose body nobody has read yet.
            field: name of the form's field that holds the files.
            max_files: how many there may be.
            faces: of each frame, where the request does not say; None: as the workers are told.

        Raises:
            HTTPException: there is no result; its status is one of `problems.MEANINGS`.
            ClientDisconnect: the sender has hung up.
        """
        self.require_broker()
        size = announced_bytes(request)
        deadline = datetime.now(UTC) + timedelta(seconds=self._timeout_s)
        late = HTTPException(429, "too many uploads came before this one", RETRY_AFTER)
        try:
            async with asyncio.timeout(self._timeout_s), self._budget.of(size):
                late = HTTPException(408, f"the upload took more than {self._timeout_s:g} s")
                batch = await read_batch(request, field, max_files)
                late = HTTPException(504, f"no answer within {self._timeout_s:g} s")
                future = self._submit(request, batch, faces, deadline)
                del batch  # while it waits the client's encoded copy is enough
                result = await _while_connected(request, future)
        except TimeoutError:
            raise late from None
        except FerWorkerError as error:
            raise _problem_of(error) from error
        except asyncio.CancelledError:  # by a server that waits no longer
            raise HTTPException(503, "the gateway is stopping") from None
        if result.status is Status.EXPIRED:
            raise HTTPException(504, "no worker had time for it before its deadline")
        return result

    def _submit(
        self,
        request: Request,
        batch: BatchRequest,
        faces: FaceSelection | None,
        deadline: datetime,
    ) -> "asyncio.Future[BatchResult]":
        correlation_id = uuid.uuid4().hex
        future = self._client.submit(
            batch.frames,
            camera_id=batch.camera_id,
            faces=batch.faces or faces,
            deadline=min(deadline, batch.deadline or deadline),
            correlation_id=correlation_id,
            wait_for_workers=False,
        )
        request.state.correlation_id = correlation_id
        return future


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
