"""Windows: no signals but those of a console, and no message to a process but over its socket."""

import asyncio
import contextlib
import ctypes
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from ctypes import wintypes
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import IO, Final

assert sys.platform == "win32"

NO_EMBEDDED_BROKER: Final[str | None] = (
    "there is no embedded RabbitMQ on Windows: install one (`choco install rabbitmq`, or "
    "https://www.rabbitmq.com/docs/install-windows) and name it by --amqp-url"
)
REUSES_ADDRESSES: Final = False  # SO_REUSEADDR shares a port that is in use

LOOK_S: Final = 0.1

_HANDLED_SIGNALS: Final = (signal.SIGINT, signal.SIGBREAK)

_EXTENDED_LIMITS: Final = 9
_KILL_ON_CLOSE: Final = 0x2000


class _MemoryCounters(ctypes.Structure):
    """PROCESS_MEMORY_COUNTERS."""

    _fields_ = (
        ("size", wintypes.DWORD),
        ("page_faults", wintypes.DWORD),
        ("peak_working_set", ctypes.c_size_t),
        ("working_set", ctypes.c_size_t),
        ("others", ctypes.c_size_t * 6),
    )


class _JobLimits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION, of which only the flags are set."""

    _fields_ = (
        ("times", wintypes.LARGE_INTEGER * 2),
        ("flags", wintypes.DWORD),
        ("others", ctypes.c_size_t * 15),
    )


_kernel = ctypes.WinDLL("kernel32", use_last_error=True)
_kernel.AssignProcessToJobObject.argtypes = [wintypes.HANDLE, wintypes.HANDLE]
_kernel.CloseHandle.argtypes = [wintypes.HANDLE]
_kernel.CreateJobObjectW.argtypes = [wintypes.LPVOID, wintypes.LPCWSTR]
_kernel.CreateJobObjectW.restype = wintypes.HANDLE
_kernel.GetCurrentProcess.restype = wintypes.HANDLE
_kernel.K32GetProcessMemoryInfo.argtypes = [wintypes.HANDLE, wintypes.LPVOID, wintypes.DWORD]
_kernel.SetInformationJobObject.argtypes = [
    wintypes.HANDLE,
    ctypes.c_int,
    wintypes.LPVOID,
    wintypes.DWORD,
]
_kernel.SetPriorityClass.argtypes = [wintypes.HANDLE, wintypes.DWORD]
_kernel.TerminateJobObject.argtypes = [wintypes.HANDLE, wintypes.UINT]


def listen(terminate: Callable[[], None], *_: object) -> None:
    """Have the running loop, at its next turn, call `terminate` for Ctrl-C and Ctrl-Break.

    There is nothing here that means the others.
    """
    loop = asyncio.get_running_loop()
    for number in _HANDLED_SIGNALS:
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(terminate))


def ignore_signals() -> None:
    """Keep the exit code."""
    for number in _HANDLED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def blocked_signals() -> contextlib.AbstractContextManager[None]:
    """Do nothing: the main thread alone is told."""
    return contextlib.nullcontext()


def start(process: SpawnProcess) -> None:
    """Start a process that inherits that Ctrl-C is ignored; so it is here for that moment."""
    with _ignored_ctrl_c():
        process.start()


@contextlib.contextmanager
def _ignored_ctrl_c() -> Iterator[None]:
    _kernel.SetConsoleCtrlHandler(None, True)
    try:
        yield
    finally:
        _kernel.SetConsoleCtrlHandler(None, False)


def listen_in_child(_: Callable[[], None]) -> None:
    """Leave Ctrl-Break to the supervisor."""
    signal.signal(signal.SIGBREAK, signal.SIG_IGN)


async def wait_for_exit(sentinel: int) -> None:
    """Look ten times per second: the loop waits for sockets only, and threads are few."""
    while not wait([sentinel], 0):
        await asyncio.sleep(LOOK_S)


def send_again(number: int) -> None:
    """Send this process a signal; `os.kill` would end it."""
    signal.raise_signal(number)


def lower_priority() -> None:
    """Have others come first."""
    _kernel.SetPriorityClass(_kernel.GetCurrentProcess(), subprocess.BELOW_NORMAL_PRIORITY_CLASS)


def resident_bytes() -> int:
    """Working set of this process; 0 where the system does not say."""
    counters = _MemoryCounters(size=ctypes.sizeof(_MemoryCounters))
    if not _kernel.K32GetProcessMemoryInfo(
        _kernel.GetCurrentProcess(), ctypes.byref(counters), counters.size
    ):
        return 0
    return int(counters.working_set)


def prepare_output() -> None:
    """Write UTF-8 whatever the code page is, here and in processes that are started later."""
    os.environ["PYTHONUTF8"] = "1"
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8")


def has_own_console() -> bool:
    """Whether all processes of the console are ours; a program in one file is two of them."""
    ours = {os.getpid()}
    unpacked = Path(getattr(sys, "_MEIPASS", sys.executable))
    if unpacked.parent != Path(sys.executable).parent:
        ours.add(os.getppid())  # it has unpacked this one
    found = (wintypes.DWORD * 3)()
    count = _kernel.GetConsoleProcessList(found, len(found))
    return 0 < count <= len(ours) and set(found[:count]) <= ours


class ProcessGroup:
    """Processes that end together, and with ours: a job object ends with its last handle.

    Args:
        held: none is held here.
    """

    def __init__(self, held: Sequence[int] = ()) -> None:
        self._members: list[subprocess.Popen[bytes]] = []
        self._job = _kernel.CreateJobObjectW(None, None)
        limits = _JobLimits(flags=_KILL_ON_CLOSE)
        if not _kernel.SetInformationJobObject(
            self._job, _EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits)
        ):
            raise ctypes.WinError(ctypes.get_last_error())

    def spawn(
        self, command: Sequence[str | Path], env: Mapping[str, str], output: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        """Start a process in the group; both its streams go to `output`."""
        member = subprocess.Popen(  # noqa: S603 - no shell
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            creationflags=subprocess.CREATE_NEW_PROCESS_GROUP,
        )
        self._members.append(member)
        if not _kernel.AssignProcessToJobObject(self._job, int(member._handle)):  # type: ignore[attr-defined]
            member.kill()
            raise ctypes.WinError(ctypes.get_last_error())
        return member

    @staticmethod
    def terminate(member: subprocess.Popen[bytes]) -> None:
        """Press Ctrl-Break for a member, or end it where there is no console to do so."""
        try:
            member.send_signal(signal.CTRL_BREAK_EVENT)
        except OSError:
            member.kill()

    def kill(self) -> None:
        """End all of it at once."""
        _kernel.TerminateJobObject(self._job, 1)
        for member in self._members:
            member.wait()
        _kernel.CloseHandle(self._job)
