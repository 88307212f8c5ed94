"""The processes of one host, and all that goes on around them, in one loop.

run:      reconcile the processes with what is wanted, complete what was asked for, say how it is
_serve:   what needs the broker, on one connection after another
"""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING

from fer_client.amqp.connection import Connection
from fer_client.amqp.parameters import warn_if_exposed
from fer_client.amqp.sessions import keep_connected
from fer_client.amqp.topology import Topology, redeclare
from fer_client.config import host_name
from fer_client.errors import BrokerRefusedError
from fer_schemas import ScaleCommand, ScaleReply, StatusQuery, SupervisorStatus
from fer_worker import __version__
from fer_worker.metrics import MetricsRecorder
from fer_worker.platform import run_loop, system
from fer_worker.serving.dead_letter_consumer import DeadLetterConsumer
from fer_worker.serving.request_checks import RequestChecks
from fer_worker.serving.responder import Responder
from fer_worker.supervision.autoscaler import Autoscaler, Load
from fer_worker.supervision.command_listener import Command, CommandListener, Reply
from fer_worker.supervision.process_manager import ProcessManager
from fer_worker.supervision.quarantine import Quarantine
from fer_worker.supervision.snapshot import Snapshot
from fer_worker.supervision.worker_config import ExitCode, WorkerConfig

if TYPE_CHECKING:
    from fer_worker.supervision.health_server import HealthServer

log = logging.getLogger(__name__)

TICK_S = 0.5

RECENT_S = 5.0
"""What an autoscaler is told of: long enough for a steady rate, short enough to follow a change."""

LOOK_INTERVAL_S = 1.0

DECLARE_INTERVAL_S = 2.0
"""How soon a queue of ours that was deleted is there again."""


class Supervisor:
    """Keeps the desired number of worker processes running until it is told to stop."""

    def __init__(
        self,
        config: WorkerConfig,
        processes: int,
        max_processes: int,
        autoscaler: Autoscaler | None = None,
        health: "HealthServer | None" = None,
    ) -> None:
        """Store what is wanted.

        Args:
            config: handed to every worker process.
            processes: how many to run at first; 0 means paused.
            max_processes: what scale commands may ask for at most.
            autoscaler: decides how many to run; without it operators do.
            health: told what goes on, twice per second.
        """
        self._config = config
        self._max_processes = max_processes
        self._autoscaler = autoscaler
        self._health = health
        self._host = host_name()
        self._name = f"{self._host}/{os.getpid()}"
        self._topology = Topology(config.broker.namespace)
        self._meter = MetricsRecorder()
        self._processes = ProcessManager(config, processes, on_change=self._wake)
        self._changed = asyncio.Event()
        self._turn = asyncio.Event()
        """Set at the end of a turn of the loop; the next turn has another one."""
        self._stopping = asyncio.Event()
        self._link_is_over = asyncio.Event()
        self._connected = self._was_connected = False
        self._other_consumers = 0
        """Consumers of the queue that are not ours, as last noticed."""
        self._published = float("-inf")
        self._told = False
        """Whether a signal has said to stop."""
        self._exit_code = 0

    def run(self) -> int:
        """Supervise until SIGTERM, SIGINT or a failure to start; return the exit code.

        The first signal drains, a second one kills.
        """
        return run_loop(self._run())

    async def _run(self) -> int:
        system.listen(self._on_terminate, self._on_hangup, self._on_restart, self._on_resize)
        warn_if_exposed(self._config.broker)
        link = asyncio.create_task(self._keep_link())
        try:
            while not (self._stopping.is_set() and not self._processes):
                await self._next_turn()
                code = self._processes.fatal_exit_code
                if code is not None and not self._stopping.is_set():
                    self._stop(code)
                await self._processes.reconcile(may_start=self._was_connected)
                self._publish_snapshot()
                self._turn.set()
                self._turn = asyncio.Event()
        finally:
            await self._processes.close()
            self._link_is_over.set()
            await link
            system.ignore_signals()
        incomplete = ExitCode.DRAIN_TIMED_OUT if self._processes.drain_incomplete else 0
        return self._exit_code or incomplete

    async def _next_turn(self) -> None:
        """Wait until something has changed, half a second at most."""
        await asyncio.sleep(0)  # others come first, also where something changes all the time
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TICK_S):
                await self._changed.wait()
        self._changed.clear()

    def _wake(self) -> None:
        self._changed.set()

    # Signals

    def _on_terminate(self) -> None:
        if self._told:
            log.warning("told twice; killing %d processes", len(self._processes))
            self._exit_code = self._exit_code or ExitCode.TOLD_TWICE
            self._processes.kill_all()
            return
        self._told = True
        log.info("draining %d processes", len(self._processes))
        self._stop(self._exit_code)

    def _on_hangup(self) -> None:
        # The end of a terminal may say it twice: the shell passes it on, and the kernel sends it.
        if not self._told:
            self._on_terminate()

    def _on_restart(self) -> None:
        if not self._stopping.is_set():
            log.info("replacing %d processes, one after the other", len(self._processes))
            self._processes.replace_all()
            self._wake()

    def _on_resize(self, change: int) -> None:
        wanted = self._processes.desired + change
        if (refusal := self._refusal(wanted)) is not None:
            log.warning("told to run %d processes: %s", wanted, refusal)
        else:
            self._resize(wanted)

    def _stop(self, exit_code: int) -> None:
        self._exit_code = exit_code
        self._stopping.set()
        self._processes.shut_down()
        self._wake()

    # The number of processes

    def _refusal(self, wanted: int) -> str | None:
        """Why there will not be so many processes, or None."""
        if self._stopping.is_set():
            return "stopping"
        if self._autoscaler is not None:
            least, most = self._autoscaler.bounds
            return f"the supervisor decides by itself, between {least} and {most}"
        if not 0 <= wanted <= self._max_processes:
            return f"not between 0 and {self._max_processes}: {wanted}"
        return None

    def _resize(self, wanted: int) -> None:
        paused = "" if wanted else ": paused"
        log.info("scaling from %d to %d processes%s", self._processes.desired, wanted, paused)
        self._processes.resize(wanted)
        self._wake()

    async def _scale(self, command: ScaleCommand) -> AsyncIterator[ScaleReply]:
        """Want another number of processes: say so, and again once they are at work."""
        before = self._processes.desired
        wanted = command.processes if command.processes is not None else before
        wanted += command.change or 0
        reply = partial(ScaleReply, host=self._host, pid=os.getpid(), before=before)
        if (refusal := self._refusal(wanted)) is not None:
            yield reply(after=before, complete=True, error=refusal)
            return
        self._resize(wanted)
        yield reply(after=wanted, complete=False)
        said = None
        while not self._stopping.is_set():
            if self._processes.desired != wanted:
                yield reply(after=wanted, complete=True, error="overtaken by another command")
                return
            if self._processes.is_settled:
                break
            if (error := self._processes.spawn_error) != said:
                said = error
                yield reply(after=wanted, complete=False, error=error)
            await self._turn.wait()
        error = "stopping" if self._stopping.is_set() else None
        yield reply(after=wanted, complete=True, error=error)

    def _autoscale(self, waiting: int, consumers: int) -> None:
        if self._autoscaler is None or self._stopping.is_set():
            return
        rate, busy = self._processes.lately(RECENT_S)
        load = Load(time.monotonic(), waiting, rate, busy)
        settled = self._processes.is_settled
        wanted = self._autoscaler.decide(self._processes.desired, load, settled=settled)
        if wanted != self._processes.desired:
            log.info("%d batches wait, for %.1f s as expected", waiting, load.wait_s)
            self._resize(wanted)
        others = consumers - len(self._processes)
        if others != self._other_consumers and settled:
            self._other_consumers = others
            if others > 0:
                log.warning(
                    "others take requests, too (consumers: %d). Supervisors that scale by one "
                    "queue do not know of each other",
                    others,
                )

    # What needs the broker

    async def _keep_link(self) -> None:
        name, over = f"supervisor {self._name}", self._link_is_over
        try:
            await keep_connected(self._config.broker, name, self._serve, until=over)
        except BrokerRefusedError as error:
            log.error("%s", error)
            self._stop(error.exit_code)

    async def _serve(self, connection: Connection) -> None:
        """Do what is to be done over one connection, until it is lost or the supervisor ends."""
        responder = await Responder.open(connection, self._topology, self._name)
        checks = RequestChecks(self._topology, self._config.limits)
        undeliverable = DeadLetterConsumer(
            self._topology.undeliverable.name, responder, checks, self._name, self._meter
        )
        quarantine = Quarantine(
            self._topology.quarantine.name, self._config, responder, checks, self._meter
        )
        commands = CommandListener(self._topology, responder.publisher, self._execute)
        try:
            async with asyncio.TaskGroup() as duties:
                running = [
                    duties.create_task(duty)
                    for duty in (
                        self._declare_always(connection),
                        undeliverable.run(connection),
                        quarantine.run(connection),
                        commands.run(connection, self._on_listening),
                        self._watch_queue(connection),
                    )
                ]
                await self._link_is_over.wait()
                for duty in running:
                    duty.cancel()
        finally:
            self._connected = False

    def _on_listening(self) -> None:
        self._connected = self._was_connected = True
        self._wake()

    async def _execute(self, command: Command) -> AsyncIterator[Reply]:
        """Carry out what an operator asks for, if it is for us, and yield the answers."""
        match command:
            case StatusQuery():
                yield self._status()
            case ScaleCommand() if command.host in (None, self._host):
                async for reply in self._scale(command):
                    yield reply

    async def _declare_always(self, connection: Connection) -> None:
        """Declare all queues again and again: one that was deleted is there again soon."""
        while True:
            await asyncio.sleep(DECLARE_INTERVAL_S)
            await redeclare(connection, self._topology)

    async def _watch_queue(self, connection: Connection) -> None:
        """Have the autoscaler, if there is one, look at the queue of requests once per second."""
        if self._autoscaler is None:
            return
        channel = await connection.open_channel()
        while True:
            queue = await channel.declare_queue(self._topology.frames.name, passive=True)
            self._autoscale(queue.messages, queue.consumers)
            await asyncio.sleep(LOOK_INTERVAL_S)

    # How it is

    def _status(self) -> SupervisorStatus:
        return SupervisorStatus(
            host=self._host,
            pid=os.getpid(),
            software=__version__,
            engine=self._config.engine.name,
            kernel=self._config.kernel,
            desired=self._processes.desired,
            autoscale=None if self._autoscaler is None else self._autoscaler.bounds,
            restarts=self._processes.restarts,
            resident_bytes=system.resident_bytes(),
            processes=self._processes.statuses,
        )

    def _publish_snapshot(self) -> None:
        """Tell the health server what goes on, once a tick: every report comes by here."""
        now = time.monotonic()
        if self._health is None or now < self._published + TICK_S:
            return
        self._published = now
        self._health.publish(
            Snapshot(
                status=self._status(),
                counts=self._processes.counts + self._meter.counts,
                engine=self._config.engine,
                threads=self._config.threads,
                unroutable=self._processes.unroutable,
                connected=self._connected,
            )
        )
