"""The desired number of worker processes, and a loop that makes it so.

Signals, commands and reports only arrive as events; everything is done by one loop on the main
thread: handle events, bury the dead, reconcile, answer.
"""

import logging
import os
import signal
import time
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import wait
from types import FrameType

from schemas import ScaleCommand, ScaleReply, StatusQuery, SupervisorStatus
from worker import __version__
from worker.child import Child
from worker.config import host_name
from worker.control import ControlLink, ControlRequest
from worker.errors import BrokerRefusedError
from worker.mailbox import Mailbox
from worker.process import ExitCode, WorkerConfig

log = logging.getLogger(__name__)

TICK_S = 0.5

QUICK_DEATH_S = 5.0
"""A process that dies sooner is not replaced at once, or it might eat the machine."""

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0


@dataclass(frozen=True)
class Terminate:
    """SIGTERM or SIGINT came."""


@dataclass(frozen=True)
class Restart:
    """SIGHUP came."""


@dataclass(frozen=True)
class Connected:
    """Commands can be heard, and so the broker is there."""


@dataclass(frozen=True)
class Refused:
    """The broker refuses us."""

    error: BrokerRefusedError


Event = Terminate | Restart | Connected | Refused | ControlRequest


@dataclass
class _Scaling:
    """A scale command that is not complete yet."""

    request: ControlRequest
    before: int
    after: int


class Supervisor:
    """Keeps the desired number of worker processes running until it is told to stop."""

    def __init__(self, config: WorkerConfig, processes: int, max_processes: int) -> None:
        """Store what is wanted.

        Args:
            config: handed to every worker process.
            processes: how many to run at first; 0 means paused.
            max_processes: what scale commands may ask for at most.
        """
        self._config = config
        self._desired = processes
        self._max_processes = max_processes
        self._host = host_name()
        self._mailbox: Mailbox[Event] = Mailbox()
        self._link = ControlLink(
            config.broker,
            f"{self._host}/{os.getpid()}",
            on_command=self._mailbox.post,
            on_connected=partial(self._mailbox.post, Connected()),
            on_refused=lambda error: self._mailbox.post(Refused(error)),
            limits=config.limits,
        )
        self._children: list[Child] = []
        self._scalings: list[_Scaling] = []
        self._connected = False
        self._proven = False  # whether the engine has ever started
        self._stopping = False
        self._exit_code = 0
        self._restarts = 0
        self._pause_s = FIRST_PAUSE_S
        self._not_before = 0.0

    def run(self) -> int:
        """Supervise until SIGTERM, SIGINT or a failure to start; return the exit code.

        The first signal drains, a second one kills. SIGHUP replaces all processes by new ones.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, partial(self._on_signal, Terminate()))
        signal.signal(signal.SIGHUP, partial(self._on_signal, Restart()))
        self._link.start()
        try:
            while not (self._stopping and not self._children):
                self._wait()
                for event in self._mailbox.take():
                    self._handle(event)
                self._bury()
                self._reconcile()
                self._answer_scalings()
        finally:
            for child in self._children:
                child.kill()
                child.close()
            self._link.close()
        return self._exit_code

    def _on_signal(self, event: Event, _: int, __: FrameType | None) -> None:
        self._mailbox.post(event)

    def _wait(self) -> None:
        sources = [child.pipe for child in self._children if not child.pipe.closed]
        sentinels = [child.process.sentinel for child in self._children]
        wait([*sources, *sentinels, self._mailbox], TICK_S)  # type: ignore[list-item]
        for child in self._children:
            child.read_reports()
            self._proven |= child.state == "ready"

    def _handle(self, event: Event) -> None:
        match event:
            case Terminate() if self._stopping:
                log.warning("told twice; killing %d processes", len(self._children))
                for child in self._children:
                    child.kill()
            case Terminate():
                log.info("draining %d processes", len(self._children))
                self._stopping = True
            case Restart() if not self._stopping:
                log.info("replacing %d processes, one after the other", len(self._children))
                for child in self._children:
                    child.outdated = True
            case Connected():
                self._connected = True
            case Refused(error):
                log.error("%s", error)
                self._fail(error.exit_code)
            case ControlRequest(StatusQuery()):
                event.answer(self._status())
            case ControlRequest(ScaleCommand() as command) if command.host in (None, self._host):
                self._scale(event, command)

    def _fail(self, exit_code: int) -> None:
        self._stopping = True
        self._exit_code = exit_code

    def _scale(self, request: ControlRequest, command: ScaleCommand) -> None:
        before = self._desired
        wanted = command.processes if command.processes is not None else before
        wanted += command.change or 0
        reply = partial(ScaleReply, host=self._host, pid=os.getpid(), before=before)
        if not 0 <= wanted <= self._max_processes or self._stopping:
            error = (
                "stopping"
                if self._stopping
                else f"not between 0 and {self._max_processes}: {wanted}"
            )
            request.answer(reply(after=before, complete=True, error=error))
            return
        log.info("scaling from %d to %d processes", before, wanted)
        self._desired = wanted
        self._not_before = 0.0
        request.answer(reply(after=wanted, complete=False))
        self._scalings.append(_Scaling(request, before, wanted))

    def _bury(self) -> None:
        """Take note of every process that has ended."""
        dead = [child for child in self._children if child.process.exitcode is not None]
        for child in dead:
            self._children.remove(child)
            code = child.process.exitcode
            if child.draining or self._stopping:
                log.info("process %d left (%s)", child.pid, code)
                if child.outdated and not any(other.outdated for other in self._children):
                    log.info("all processes are replaced")
            elif code == ExitCode.BROKER_REFUSED or (
                code == ExitCode.ENGINE_FAILED and not self._proven
            ):
                # Another process would not fare better.
                log.error("process %d could not start; stopping", child.pid)
                self._fail(code)
            else:
                self._replace(child, code)
            child.close()

    def _replace(self, child: Child, code: int | None) -> None:
        self._restarts += 1
        if child.uptime_s > QUICK_DEATH_S:
            self._pause_s = FIRST_PAUSE_S
            pause_s = 0.0
        else:
            pause_s = self._pause_s
            self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
        self._not_before = time.monotonic() + pause_s
        log.warning("process %d died (%s); starting another in %.0f s", child.pid, code, pause_s)

    def _reconcile(self) -> None:
        wanted = 0 if self._stopping else self._desired
        retiring = self._retiring()
        active = [child for child in self._children if not child.draining and child is not retiring]
        for child in active[wanted:]:
            child.drain()
        if self._connected and time.monotonic() >= self._not_before:
            for _ in range(wanted - len(active)):
                self._start_child()
        if retiring is not None and [child.state for child in active].count("ready") >= wanted:
            retiring.drain()
        now = time.monotonic()
        for child in self._children:
            if child.kill_at is not None and now > child.kill_at:
                log.error("process %d does not leave; killing it", child.pid)
                child.kill()
            elif child.stuck_s > self._config.hang_timeout_s:
                log.error("process %d hangs: no progress for %.0f s", child.pid, child.stuck_s)
                child.kill()

    def _retiring(self) -> Child | None:
        """Whom a rolling restart replaces now: at work until enough others are ready."""
        if any(child.draining for child in self._children):
            return None  # one after the other
        outdated = [child for child in self._children if child.outdated]
        return min(outdated, key=lambda child: child.state == "ready", default=None)

    def _start_child(self) -> None:
        child = Child(self._config)
        self._children.append(child)
        log.info("started process %d", child.pid)

    def _answer_scalings(self) -> None:
        """Say that a scaling is complete: all wanted are ready, all others have left."""
        states = [child.state for child in self._children]
        if states != ["ready"] * self._desired:
            return
        for scaling in self._scalings:
            scaling.request.answer(
                ScaleReply(
                    host=self._host,
                    pid=os.getpid(),
                    before=scaling.before,
                    after=scaling.after,
                    complete=True,
                )
            )
        self._scalings.clear()

    def _status(self) -> SupervisorStatus:
        return SupervisorStatus(
            host=self._host,
            pid=os.getpid(),
            software=__version__,
            engine=self._config.engine.name,
            desired=self._desired,
            restarts=self._restarts,
            processes=tuple(child.status for child in self._children),
        )
