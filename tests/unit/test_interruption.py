"""Ctrl-C and SIGTERM: noted once, obeyed at once, and never a traceback."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from fer_worker.tools.interruption import SIGNALS, Interruption, leaving_on_signals


def test_first_signal_is_noted_and_something_done_about_it() -> None:
    done: list[str] = []
    with Interruption(lambda: done.append("stopped")) as interruption:
        assert not interruption
        signal.raise_signal(signal.SIGTERM)
        assert interruption
    assert (done, interruption.exit_code) == (["stopped"], 143)
    assert 0 < interruption.deadline - time.monotonic() <= 5


def test_second_signal_leaves_at_once() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Interruption():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(SystemExit) as leaving:
            signal.raise_signal(signal.SIGTERM)
    assert leaving.value.code == 130
    assert signal.getsignal(signal.SIGTERM) is before


class Dropping:
    """Python drops what is raised here."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


def be_interrupted_in_a_destructor() -> None:
    Dropping()
    threading.Event().wait(60)


def be_interrupted_in_an_import() -> None:
    try:
        signal.raise_signal(signal.SIGTERM)
    except SystemExit as error:
        raise RuntimeError("as Python 3.11 raises in a __set_name__") from error


@pytest.mark.parametrize("work", [be_interrupted_in_a_destructor, be_interrupted_in_an_import])
def test_signal_leaves_also_where_its_exception_is_lost(work: Callable[[], None]) -> None:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        with pytest.raises(SystemExit) as leaving, leaving_on_signals():
            work()
        assert leaving.value.code == 143
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_sigterm_at_any_moment_of_a_command_shows_no_traceback() -> None:
    # The first line is printed before anything of ours is imported, and by then Python is up.
    code = (
        "import runpy; from fer_worker.tools import interruption; print(flush=True);"
        "runpy.run_module('fer_worker', run_name='__main__')"
    )
    line = [sys.executable, "-c", code, "status", "--watch"]
    environment = os.environ | {"FER_WORKER_AMQP_URL": "amqp://127.0.0.1:1/"}
    for delay_s in (0.02, 0.05, 0.1, 0.2, 0.4, 0.8):
        with subprocess.Popen(
            line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as watching:
            assert watching.stdout is not None
            watching.stdout.readline()
            timer = threading.Timer(delay_s, watching.send_signal, (signal.SIGTERM,))
            timer.start()
            _, said = watching.communicate(timeout=60)
            timer.join()
        assert watching.returncode in (143, -signal.SIGTERM, 3), said
        assert "Traceback" not in said
