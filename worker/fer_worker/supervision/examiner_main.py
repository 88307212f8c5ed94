"""An examiner: a process with an engine and no connection, which may die of a request.

It is handed one request after another over its socket, and answers with what it made of each.
"""

import asyncio
import logging
import os
import socket
from typing import TYPE_CHECKING

import pika

from fer_client.amqp.consumer import Delivery
from fer_client.config import host_name
from fer_client.errors import EngineError, MessageError
from fer_schemas import RequestError
from fer_worker.logging_setup import setup_logs
from fer_worker.metrics import MetricsRecorder
from fer_worker.platform import run_loop, system
from fer_worker.serving.progress import Progress
from fer_worker.supervision.message_stream import MessageStream
from fer_worker.supervision.messages import CHILD_MESSAGE, Examination, Report
from fer_worker.supervision.worker_config import ExitCode, WorkerConfig
from fer_worker.supervision.worker_main import REPORT_INTERVAL_S, load_engine, open_stream

if TYPE_CHECKING:
    from fer_worker.serving.frame_pool import FramePool

log = logging.getLogger(__name__)


def run_examiner(config: WorkerConfig, end: socket.socket) -> None:
    """Examine requests until the socket ends; what an examiner runs. Ends the interpreter.

    Args:
        config: as of the workers.
        end: of the socket pair that leads to the supervisor.
    """
    system.lower_priority()  # ordinary workers come first
    name = f"{host_name()}/{os.getpid()}"
    setup_logs(name, config.log_level, config.log_format)

    async def run() -> None:
        code = await _examine(config, name, end)
        logging.shutdown()
        os._exit(code)

    run_loop(run())


async def _examine(config: WorkerConfig, name: str, end: socket.socket) -> int:
    stream = await open_stream(end)
    requests: asyncio.Queue[bytes] = asyncio.Queue()
    tasks = {asyncio.create_task(_hear(stream, requests))}  # held, or they might be collected
    try:
        engine = await asyncio.to_thread(load_engine, config)
    except EngineError as error:
        log.error("%s", error)
        return ExitCode.ENGINE_FAILED
    # Not at the top: a supervisor that starts this imports no OpenCV.
    from fer_worker.serving.frame_pool import FramePool

    meter = MetricsRecorder()
    pool = FramePool(engine, config.threads, config.limits, name, meter)
    _report(stream, pool, meter)  # before it reads a request that it might die of
    tasks.add(asyncio.create_task(_report_always(stream, pool, meter)))
    while True:
        request = unpack(await requests.get())
        try:
            examination = Examination(result=await pool.analyse(request))
        except MessageError as error:
            fault = RequestError(frame=None, code=error.code, message=error.message)
            examination = Examination(error=fault)
        stream.send(CHILD_MESSAGE.dump_json(examination))


async def _hear(stream: MessageStream, requests: "asyncio.Queue[bytes]") -> None:
    """Take requests. End the process, also amid a load or a frame, when the supervisor is gone."""
    while (request := await stream.receive()) is not None:
        requests.put_nowait(request)
    os._exit(ExitCode.DRAINED)


async def _report_always(stream: MessageStream, pool: "FramePool", meter: MetricsRecorder) -> None:
    while True:
        await asyncio.sleep(REPORT_INTERVAL_S)
        if stream.is_idle:  # else the supervisor does not read
            _report(stream, pool, meter)


def _report(stream: MessageStream, pool: "FramePool", meter: MetricsRecorder) -> None:
    progress = Progress(consuming=True, working_since=pool.working_since)
    report = Report(progress, meter.counts, system.resident_bytes())
    stream.send(CHILD_MESSAGE.dump_json(report))


def pack(delivery: Delivery) -> tuple[bytes, ...]:
    """Write a request as parts of one message: its AMQP properties as on the wire, its body."""
    properties = b"".join(delivery.properties.encode())
    return len(properties).to_bytes(4), properties, delivery.body


def unpack(message: bytes) -> Delivery:
    """Read what `pack` has written."""
    body_at = 4 + int.from_bytes(message[:4])
    properties = pika.BasicProperties().decode(message[4:body_at])
    return handed_over(message[body_at:], properties)


def handed_over(body: bytes, properties: pika.BasicProperties) -> Delivery:
    """Make a delivery that came by no channel, and is not to be acked."""
    return Delivery(
        queue="",
        exchange="",
        body=body,
        properties=properties,
        redelivered=True,
        tag=0,
        channel=None,
    )
