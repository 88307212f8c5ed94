"""OpenVINO gives the thread that creates its CPU plugin a signal stack of its own, and frees it."""

import subprocess
import sys

CODE = """
import gc, signal
from fer_worker.inference.factory import create_engine
from fer_worker.inference.types import EngineOptions

first = create_engine(EngineOptions(), threads=1)
second = create_engine(EngineOptions(), threads=1)
del first; gc.collect()
third = create_engine(EngineOptions(), threads=1)
del second; gc.collect()
del third; gc.collect()
signal.signal(signal.SIGTERM, lambda *_: print("handled"))
signal.raise_signal(signal.SIGTERM)
"""


def test_signals_are_handled_after_engines_have_come_and_gone() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", CODE],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr
