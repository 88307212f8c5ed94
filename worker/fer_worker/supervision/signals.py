"""What signals mean to a supervisor, with a terminal and without one."""

import asyncio
import signal
from collections.abc import Callable

from fer_worker.platform import HANDLED_SIGNALS, has_controlling_terminal


def listen(
    terminate: Callable[[], None],
    hang_up: Callable[[], None],
    restart: Callable[[], None],
    resize: Callable[[int], None],
) -> None:
    """Have the running loop call what a signal means; the terminal, if there is one, decides.

    Its end (SIGHUP) is `hang_up`; without one SIGHUP is `restart`. Where it is ignored from the
    start, as under nohup, it stays so. A terminal sends SIGTTIN and SIGTTOU by itself to what runs
    in the background; without one they are `resize` by +1 and -1.
    """
    on_signal = asyncio.get_running_loop().add_signal_handler
    for number in (signal.SIGTERM, signal.SIGINT):
        on_signal(number, terminate)
    has_terminal = has_controlling_terminal()
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        on_signal(signal.SIGHUP, hang_up if has_terminal else restart)
    for number, change in ((signal.SIGTTIN, +1), (signal.SIGTTOU, -1)):
        if has_terminal:
            signal.signal(number, signal.SIG_IGN)
        else:
            on_signal(number, resize, change)


def ignore() -> None:
    """Keep the exit code: with the loop ends what signals mean, and one would end the process.

    Both, since a signal may reach any thread: libraries have some that block none.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED_SIGNALS)
    for number in HANDLED_SIGNALS:
        asyncio.get_running_loop().remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)
