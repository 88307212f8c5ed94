"""The desired number of worker processes, and a loop that makes it so.

Signals, commands and looks at the queue only arrive as events; everything is done by one loop on
the main thread: handle events, bury the dead, reconcile, answer.
"""

import logging
import os
import signal
import time
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import wait
from types import FrameType

from fer_client.config import host_name
from fer_client.errors import BrokerRefusedError
from fer_schemas import ScaleCommand, ScaleReply, StatusQuery, SupervisorStatus
from fer_worker import __version__
from fer_worker.metrics import Meter, resident_bytes
from fer_worker.supervision.autoscaler import Autoscaler, Load
from fer_worker.supervision.command_listener import ControlLink, ControlRequest, QueueLook
from fer_worker.supervision.event_queue import Mailbox
from fer_worker.supervision.health_server import Monitor, Overview
from fer_worker.supervision.process_manager import Team
from fer_worker.supervision.worker_main import ExitCode, WorkerConfig

log = logging.getLogger(__name__)

TICK_S = 0.5

RECENT_S = 5.0
"""What an autoscaler is told of: long enough for a steady rate, short enough to follow a change."""


@dataclass(frozen=True)
class Terminate:
    """SIGTERM or SIGINT came."""


@dataclass(frozen=True)
class Restart:
    """SIGHUP came."""


@dataclass(frozen=True)
class Resize:
    """SIGTTIN or SIGTTOU came: one process more, or one fewer."""

    change: int


@dataclass(frozen=True)
class Connected:
    """Commands can be heard, and so the broker is there."""


@dataclass(frozen=True)
class Disconnected:
    """The connection to the broker is lost."""


@dataclass(frozen=True)
class Refused:
    """The broker refuses us."""

    error: BrokerRefusedError


Event = (
    Terminate | Restart | Resize | Connected | Disconnected | Refused | QueueLook | ControlRequest
)


@dataclass
class _Scaling:
    """A scale command that is not complete yet."""

    request: ControlRequest
    before: int
    after: int


class Supervisor:
    """Keeps the desired number of worker processes running until it is told to stop."""

    def __init__(
        self,
        config: WorkerConfig,
        processes: int,
        max_processes: int,
        autoscaler: Autoscaler | None = None,
        monitor: Monitor | None = None,
    ) -> None:
        """Store what is wanted.

        Args:
            config: handed to every worker process.
            processes: how many to run at first; 0 means paused.
            max_processes: what scale commands may ask for at most.
            autoscaler: decides how many to run; without it operators do.
            monitor: shown what goes on, twice a second.
        """
        self._config = config
        self._max_processes = max_processes
        self._autoscaler = autoscaler
        self._monitor = monitor
        self._host = host_name()
        self._mailbox: Mailbox[Event] = Mailbox()
        self._meter = Meter()
        self._link = ControlLink(
            config.broker,
            f"{self._host}/{os.getpid()}",
            self._meter,
            on_command=self._mailbox.post,
            on_connected=partial(self._mailbox.post, Connected()),
            on_disconnected=partial(self._mailbox.post, Disconnected()),
            on_refused=lambda error: self._mailbox.post(Refused(error)),
            on_look=None if autoscaler is None else self._mailbox.post,
            limits=config.limits,
        )
        self._team = Team(config, processes)
        self._scalings: list[_Scaling] = []
        self._connected = self._was_connected = False
        self._others = 0
        """Consumers of the queue that are not ours, as last noticed."""
        self._shown = float("-inf")
        self._stopping = False
        self._exit_code = 0

    def run(self) -> int:
        """Supervise until SIGTERM, SIGINT or a failure to start; return the exit code.

        The first signal drains, a second one kills. SIGHUP replaces all processes by new ones;
        SIGTTIN adds one, SIGTTOU takes one away.
        """
        events: dict[signal.Signals, Event] = {
            signal.SIGTERM: Terminate(),
            signal.SIGINT: Terminate(),
            signal.SIGHUP: Restart(),
            signal.SIGTTIN: Resize(+1),
            signal.SIGTTOU: Resize(-1),
        }
        for number, event in events.items():
            signal.signal(number, partial(self._on_signal, event))
        self._link.start()
        try:
            while not (self._stopping and not self._team):
                wait([*self._team.sources, self._mailbox], TICK_S)  # type: ignore[list-item]
                self._team.listen()
                for event in self._mailbox.take():
                    self._handle(event)
                if (code := self._team.bury()) is not None:
                    self._stop(code)
                self._team.reconcile(may_start=self._was_connected)
                self._answer_scalings()
                self._show()
        finally:
            self._team.close()
            self._link.close()
        return self._exit_code or (ExitCode.DRAIN_TIMED_OUT if self._team.cut_short else 0)

    def _on_signal(self, event: Event, _: int, __: FrameType | None) -> None:
        self._mailbox.post(event)

    def _handle(self, event: Event) -> None:
        match event:
            case Terminate() if self._stopping:
                log.warning("told twice; killing %d processes", len(self._team))
                self._exit_code = self._exit_code or ExitCode.TOLD_TWICE
                self._team.kill()
            case Terminate():
                log.info("draining %d processes", len(self._team))
                self._stop(0)
            case Restart() if not self._stopping:
                log.info("replacing %d processes, one after the other", len(self._team))
                self._team.replace_all()
            case Resize(change):
                wanted = self._team.desired + change
                if (refusal := self._refusal(wanted)) is not None:
                    log.warning("told to run %d processes: %s", wanted, refusal)
                else:
                    self._resize(wanted)
            case Connected():
                self._connected = self._was_connected = True
            case Disconnected():
                self._connected = False
            case Refused(error):
                log.error("%s", error)
                self._stop(error.exit_code)
            case QueueLook():
                self._autoscale(event)
            case ControlRequest(StatusQuery()):
                event.answer(self._status())
            case ControlRequest(ScaleCommand() as command) if command.host in (None, self._host):
                self._scale(event, command)

    def _stop(self, exit_code: int) -> None:
        self._stopping = True
        self._exit_code = exit_code
        self._team.retire()
        for scaling in self._scalings:
            scaling.request.answer(self._scale_reply(scaling, complete=True, error="stopping"))
        self._scalings.clear()

    def _refusal(self, wanted: int) -> str | None:
        """Why there will not be so many processes, or None."""
        if self._stopping:
            return "stopping"
        if self._autoscaler is not None:
            least, most = self._autoscaler.bounds
            return f"the supervisor decides by itself, between {least} and {most}"
        if not 0 <= wanted <= self._max_processes:
            return f"not between 0 and {self._max_processes}: {wanted}"
        return None

    def _resize(self, wanted: int) -> None:
        paused = "" if wanted else ": paused"
        log.info("scaling from %d to %d processes%s", self._team.desired, wanted, paused)
        self._team.resize(wanted)

    def _scale(self, request: ControlRequest, command: ScaleCommand) -> None:
        before = self._team.desired
        wanted = command.processes if command.processes is not None else before
        wanted += command.change or 0
        if (refusal := self._refusal(wanted)) is not None:
            refused = _Scaling(request, before, before)
            request.answer(self._scale_reply(refused, complete=True, error=refusal))
            return
        self._resize(wanted)
        scaling = _Scaling(request, before, wanted)
        request.answer(self._scale_reply(scaling, complete=False))
        self._scalings.append(scaling)

    def _answer_scalings(self) -> None:
        """Say that a scaling is complete: all wanted are ready, all others have left."""
        if self._scalings and self._team.is_settled:
            for scaling in self._scalings:
                scaling.request.answer(self._scale_reply(scaling, complete=True))
            self._scalings.clear()

    def _scale_reply(
        self, scaling: _Scaling, *, complete: bool, error: str | None = None
    ) -> ScaleReply:
        return ScaleReply(
            host=self._host,
            pid=os.getpid(),
            before=scaling.before,
            after=scaling.after,
            complete=complete,
            error=error,
        )

    def _autoscale(self, look: QueueLook) -> None:
        if self._autoscaler is None or self._stopping:
            return
        rate, busy = self._team.lately(RECENT_S)
        load = Load(time.monotonic(), look.waiting, rate, busy)
        wanted = self._autoscaler.decide(self._team.desired, load, settled=self._team.is_settled)
        if wanted != self._team.desired:
            log.info("%d batches wait, for %.1f s as expected", look.waiting, load.wait_s)
            self._resize(wanted)
        others = look.consumers - len(self._team)
        if others != self._others and self._team.is_settled:
            self._others = others
            if others > 0:
                log.warning(
                    "others take requests, too (consumers: %d). Supervisors that scale by one "
                    "queue do not know of each other",
                    others,
                )

    def _status(self) -> SupervisorStatus:
        return SupervisorStatus(
            host=self._host,
            pid=os.getpid(),
            software=__version__,
            engine=self._config.engine.name,
            desired=self._team.desired,
            autoscale=None if self._autoscaler is None else self._autoscaler.bounds,
            restarts=self._team.restarts,
            resident_bytes=resident_bytes(),
            processes=self._team.statuses,
        )

    def _show(self) -> None:
        """Show the monitor what goes on, once a tick: every report of every process comes by."""
        now = time.monotonic()
        if self._monitor is None or now < self._shown + TICK_S:
            return
        self._shown = now
        self._monitor.show(
            Overview(
                status=self._status(),
                counts=self._team.counts + self._meter.counts,
                engine=self._config.engine,
                threads=self._config.threads,
                held=self._team.held,
                connected=self._connected,
            )
        )
