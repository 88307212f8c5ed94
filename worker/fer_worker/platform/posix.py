"""Linux and systems of its kind."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import IO, Final

assert sys.platform != "win32"

HANDLED_SIGNALS: Final = frozenset(
    {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU}
)
"""What a supervisor listens to."""

NO_EMBEDDED_BROKER: Final[str | None] = None
"""Why no RabbitMQ node can be run as a program of one's own, and what to do; None where one can."""

REUSES_ADDRESSES: Final = True
"""Whether SO_REUSEADDR leaves a port to the one that has it, and only shortens a wait for it."""


def listen(
    terminate: Callable[[], None],
    hang_up: Callable[[], None],
    restart: Callable[[], None],
    resize: Callable[[int], None],
) -> None:
    """Have the running loop call what a signal means to a supervisor.

    The terminal, if there is one, decides: its end (SIGHUP) is `hang_up`; without one SIGHUP is
    `restart`. Where it is ignored from the start, as under nohup, it stays so. A terminal sends
    SIGTTIN and SIGTTOU by itself to what runs in the background; without one they are `resize` by
    +1 and -1.
    """
    on_signal = asyncio.get_running_loop().add_signal_handler
    for number in (signal.SIGTERM, signal.SIGINT):
        on_signal(number, terminate)
    has_terminal = _has_controlling_terminal()
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        on_signal(signal.SIGHUP, hang_up if has_terminal else restart)
    for number, change in ((signal.SIGTTIN, +1), (signal.SIGTTOU, -1)):
        if has_terminal:
            signal.signal(number, signal.SIG_IGN)
        else:
            on_signal(number, resize, change)


def _has_controlling_terminal() -> bool:
    """Whether this process belongs to a terminal, whose end would be told by SIGHUP."""
    try:
        os.close(os.open(Path("/dev/tty"), os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def ignore_signals() -> None:
    """Keep the exit code: with the loop ends what `listen` has set, and a signal would end us.

    Both, since a signal may reach any thread: libraries have some that block none.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED_SIGNALS)
    for number in HANDLED_SIGNALS:
        asyncio.get_running_loop().remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def blocked_signals() -> Iterator[None]:
    """Keep what is started meanwhile, a thread or a process, from what `listen` hears."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start(process: SpawnProcess) -> None:
    """Start a process that hears nothing of what is for its supervisor.

    It sees no signals while it starts, or it would die of them. Ctrl-C and the end of a terminal
    reach the whole group: the supervisor tells its processes to leave.

    Raises:
        OSError: the machine has no room for it.
    """
    # The first start brings up multiprocessing's tracker as well, and that lets SIGINT through
    # again: so it is brought up before.
    resource_tracker.ensure_running()
    with blocked_signals():
        process.start()


def listen_in_child(terminate: Callable[[], None]) -> None:
    """Have the running loop of a process that `start` has started call this at SIGTERM."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


async def wait_for_exit(sentinel: int) -> None:
    """Wait until the process has ended whose sentinel this is."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sentinel, ended.set)  # no thread: there may be none left
    try:
        await ended.wait()
    finally:
        loop.remove_reader(sentinel)


def send_again(number: int) -> None:
    """Send this process a signal."""
    os.kill(os.getpid(), number)


def lower_priority() -> None:
    """Have others come first."""
    os.nice(10)


def resident_bytes() -> int:
    """Resident memory of this process; 0 where the system does not say (no Linux)."""
    try:
        _, pages, *_ = Path("/proc/self/statm").read_text().split()
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def prepare_output() -> None:
    """Leave the encoding to the locale."""


def has_own_console() -> bool:
    """Whether the window is this program's alone, as after a double click: it closes with it."""
    return False


class ProcessGroup:
    """Processes that end together, and with ours at the latest.

    Its leader is a shell that reads from us. When our end of the pipe closes, and be it because we
    were killed, the shell kills the group, itself included.

    Args:
        held: file descriptors (locks, claimed ports) to keep open until the group has ended.
    """

    def __init__(self, held: Sequence[int] = ()) -> None:
        self._members: list[subprocess.Popen[bytes]] = []
        self._leader = subprocess.Popen(
            ["/bin/sh", "-c", "read -r _; kill -KILL 0"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=held,
            process_group=0,
        )

    def spawn(
        self, command: Sequence[str | Path], env: Mapping[str, str], output: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        """Start a process in the group; both its streams go to `output`."""
        member = subprocess.Popen(  # noqa: S603 - programs of the system, no shell
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=self._leader.pid,
        )
        self._members.append(member)
        return member

    @staticmethod
    def terminate(member: subprocess.Popen[bytes]) -> None:
        """Tell a member to end in order."""
        member.terminate()

    def kill(self) -> None:
        """End all of it with SIGKILL."""
        # The leader is not waited for before this, so its id cannot be another group's by now.
        os.killpg(self._leader.pid, signal.SIGKILL)
        for process in (self._leader, *self._members):
            process.wait()
        assert self._leader.stdin is not None
        self._leader.stdin.close()
