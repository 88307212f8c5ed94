"""Requests that a worker had before and did not answer, examined apart from the others.

Most are innocent: their worker died of another one, or its line was cut. So each is handed to an
examiner, a process that may die of it. Three deaths make a verdict, unless a picture of ours fails
too: then the host is to blame, and the request goes back.
"""

import asyncio
import contextlib
import logging
import time
from importlib import resources

import pika

from fer_client.amqp.codec import encode_request
from fer_client.amqp.connection import Connection
from fer_client.amqp.consumer import Consumer, Delivery
from fer_client.backoff import Backoff
from fer_client.errors import MessageError
from fer_schemas import BatchRequest, BatchResult, ContentType, ErrorCode, Frame, Status
from fer_worker.logging_setup import log_context
from fer_worker.metrics import MetricsRecorder
from fer_worker.serving.request_checks import RequestChecks
from fer_worker.serving.responder import Responder
from fer_worker.supervision.child_process import ChildProcess, explain_exit
from fer_worker.supervision.examiner_main import handed_over, pack, run_examiner
from fer_worker.supervision.messages import Examination
from fer_worker.supervision.worker_config import WorkerConfig

log = logging.getLogger(__name__)

DEATHS = 3
"""Examiners that die of a request before it is called poison."""

IDLE_S = 20.0
"""How long an examiner is kept that has nothing to examine."""

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
"""Before a request goes back that the host, and not the request, is to blame for."""

LOOK_S = 1.0
"""How often a hang is looked for."""

CONTROL_PICTURE = "control_picture.jpg"


class _ExaminerDiedError(Exception):
    """An examiner died, or was killed since it hung. Its text says how."""


class _HostError(Exception):
    """This host is to blame, not the request. Its text says how."""


class Quarantine:
    """Examines what is in quarantine, one request at a time; ends with its connection."""

    def __init__(
        self,
        queue: str,
        config: WorkerConfig,
        responder: Responder,
        checks: RequestChecks,
        meter: MetricsRecorder,
    ) -> None:
        """Store the parts.

        Args:
            queue: the one in quarantine.
            config: as of the workers.
            responder: of the connection that is consumed on.
            checks: those of a worker.
            meter: counts the requests.
        """
        self._queue = queue
        self._config = config
        self._responder = responder
        self._checks = checks
        self._meter = meter
        self._examiner: ChildProcess | None = None
        self._pauses = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)

    async def run(self, connection: Connection) -> None:
        """Examine what comes, until cancelled; a request at hand then goes back uncounted."""
        deliveries: asyncio.Queue[Delivery] = asyncio.Queue()
        try:
            await Consumer.start(connection, self._queue, 1, deliveries.put_nowait)
            while True:
                await self._handle(await self._next(deliveries))
        finally:
            await self._dismiss()

    async def _next(self, deliveries: "asyncio.Queue[Delivery]") -> Delivery:
        """Wait for a request; without one an examiner is not kept for long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(IDLE_S):
                return await deliveries.get()
        await self._dismiss()
        return await deliveries.get()

    async def _handle(self, delivery: Delivery) -> None:
        """Bring one request to its end, or send it back."""
        taken = time.perf_counter()
        known = log_context(delivery.correlation_id)
        log.debug("taken from %s: %d bytes", delivery.queue, len(delivery.body), extra=known)
        try:
            self._checks.check(delivery)
            result = await self._examine(delivery)
            examined = time.perf_counter()
            await self._responder.reply(delivery, result)
            now = time.perf_counter()
            self._meter.answered(
                result.status.value, queued_s=None, publish_s=now - examined, took_s=now - taken
            )
        except MessageError as error:
            await self._responder.dead_letter(delivery, error)
            self._meter.dead_lettered(error.code.value)
        except _HostError as error:
            pause_s = self._pauses.next()
            log.error(
                "this host cannot examine: %s. The request goes back in %.0f s",
                error,
                pause_s,
                extra=log_context(delivery.correlation_id),
            )
            await asyncio.sleep(pause_s)
            delivery.requeue()
            return
        self._pauses.reset()
        delivery.ack()

    async def _examine(self, delivery: Delivery) -> BatchResult:
        """Return the result of a request.

        Raises:
            MessageError: what is wrong with it; `poison_message` if examiners die of it.
            _HostError: no examiner can be started, or they die of a picture of ours too.
        """
        for death in range(1, DEATHS + 1):
            try:
                return await self._ask(delivery)
            except _ExaminerDiedError as error:
                log.warning(
                    "an examiner died of a request (%d of %d): %s",
                    death,
                    DEATHS,
                    error,
                    extra=log_context(delivery.correlation_id),
                )
        try:
            result = await self._ask(_control_request())
        except (MessageError, _ExaminerDiedError) as error:
            raise _HostError(f"examiners die of a picture of ours too: {error}") from error
        if result.status is not Status.SUCCESS:
            raise _HostError(f"a picture of ours fails too: {result.errors[0].message}")
        raise MessageError(
            ErrorCode.POISON_MESSAGE, "every process that took this request died of it"
        )

    async def _ask(self, delivery: Delivery) -> BatchResult:
        """Hand a request to the examiner, a new one if need be, and return its result.

        Raises:
            MessageError: what the examiner found wrong with it.
            _ExaminerDiedError: it died.
            _HostError: it could not be started.
        """
        if self._examiner is not None and not self._examiner.is_alive:
            await self._dismiss()  # it has died of no request
        if self._examiner is None:
            try:
                self._examiner = await ChildProcess.start(run_examiner, self._config)
            except OSError as error:
                raise _HostError(f"no process can be started: {error}") from error
            log.info("started examiner %d", self._examiner.pid)
        examiner = self._examiner
        examiner.send(*pack(delivery))
        watching = asyncio.create_task(self._kill_if_stuck(examiner))
        try:
            while not isinstance(said := await examiner.receive(), Examination):
                if said is None:
                    self._examiner = None
                    cause = explain_exit(examiner.exit_code)
                    if examiner.report is None:  # it has not read the request
                        raise _HostError(f"an examiner died while it started: {cause}")
                    raise _ExaminerDiedError(cause)
        finally:
            watching.cancel()
        if said.error is not None:
            raise MessageError(said.error.code, said.error.message)
        assert said.result is not None
        return said.result

    async def _kill_if_stuck(self, examiner: ChildProcess) -> None:
        while examiner.stuck_s <= self._config.hang_timeout_s:
            await asyncio.sleep(LOOK_S)
        log.error("examiner %d hangs: no progress for %.0f s", examiner.pid, examiner.stuck_s)
        examiner.kill()

    async def _dismiss(self) -> None:
        """End the examiner, if there is one."""
        examiner, self._examiner = self._examiner, None
        if examiner is not None:
            examiner.kill()
            while await examiner.receive() is not None:
                pass


def _control_request() -> Delivery:
    """A request with a picture of ours: an examiner that dies of it would die of any."""
    picture = resources.files(__package__).joinpath(CONTROL_PICTURE).read_bytes()
    request = BatchRequest(version=1, frames=(Frame(jpeg=picture),))
    properties = pika.BasicProperties(content_type=ContentType.MSGPACK.value)
    return handed_over(encode_request(request), properties)
