"""Whatever the machine refuses, and whenever Ctrl-C comes: one line, and never a traceback.

Every command of the tree is walked through it, and so is one that is added.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from fer_client.config import BrokerConfig
from tests.pages import ROOT
from tests.serving import command, variables
from tests.walk import commands

LIBGL = "libGL.so.1: cannot open shared object file: No such file or directory"

EVERY_COMMAND = pytest.mark.parametrize(
    "words", [words for words, _ in commands()], ids=lambda words: " ".join(words)
)


def walk(
    folder: Path, broker: BrokerConfig, paths: Sequence[str] = (), libraries: Path | None = None
) -> dict[str, str]:
    """What each command says last, called in a folder, with a broker that refuses it."""
    refusing = BrokerConfig((f"{broker.urls[0].rstrip('/')}/nowhere",))
    environment = {name: text for name, text in os.environ.items() if "FER_WORKER" not in name}
    environment |= variables(refusing) | {
        "PYTHONPATH": os.pathsep.join(map(str, filter(None, (libraries, ROOT)))),
        "FER_WORKER_RABBITMQ_SERVER": "/bin/false",
        "FER_WORKER_RUN_PROCESSES": "0",
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.walk", *paths],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert (done.returncode, done.stderr) == (0, "")
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    for outcome in outcomes:
        assert outcome["raised"] is None, outcome
        assert "Traceback" not in outcome["said"], outcome
        assert outcome["code"] in (1, 2, 3, 4), outcome
    return {outcome["line"]: outcome["said"].splitlines()[-1] for outcome in outcomes}


@pytest.mark.broker
def test_a_path_that_cannot_be_read_or_written_is_one_line(
    tmp_path: Path, broker: BrokerConfig
) -> None:
    (tmp_path / "file").touch()
    # Of /proc root is refused, too.
    names = ["/proc/x", "/proc/x.jsonl", "/proc/x.png", "/proc/none/x.mp4", f"/{'x' * 300}.csv"]
    said = walk(tmp_path, broker, [*names, str(tmp_path / "file" / "x")])
    assert said["demo --output /proc/x"] == (
        "fer-worker: cannot write /proc/x: No such file or directory"
    )


@pytest.mark.broker
def test_a_folder_that_cannot_be_written_to_is_one_line(broker: BrokerConfig) -> None:
    said = walk(Path("/proc"), broker)
    assert said["demo"] == "fer-worker: cannot write demo-output: No such file or directory"


@pytest.mark.broker
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (f"raise ImportError({LIBGL!r}, name='cv2')", LIBGL),
        ("", "module 'cv2' has no attribute "),  # what is left when one of two was removed
    ],
    ids=["no libGL", "half removed"],
)
def test_two_owners_of_opencv_are_named_where_it_does_not_work(
    tmp_path: Path, broker: BrokerConfig, content: str, reason: str
) -> None:
    for name in ("opencv-python", "opencv-python-headless"):
        (info := tmp_path / f"{name.replace('-', '_')}-4.99.dist-info").mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 4.99\n")
        (info / "top_level.txt").write_text("cv2\n")
    (tmp_path / "cv2.py").write_text(content)
    said = walk(tmp_path, broker, libraries=tmp_path)["report 1"]
    assert said.startswith(f"fer-worker: cv2 cannot be used: {reason}")
    assert said.endswith(
        "; opencv-python and opencv-python-headless overwrite each other's files; install it anew: "
        "`pip uninstall -y opencv-python opencv-python-headless`, then "
        "`pip install opencv-python-headless`"
    )
    line, environment = command("run", "--processes=1", broker=broker)
    environment["PYTHONPATH"] = str(tmp_path)
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 4
    assert f"cv2 cannot be used: {reason}" in done.stderr
    assert "Traceback" not in done.stderr


CTRL_C_AT_IMPORT = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, *_):
        if name == moment:
            os.kill(os.getpid(), signal.SIGINT)

moment = sys.argv.pop(1)
sys.meta_path.insert(0, Interrupt())
from fer_worker.__main__ import main
main()
"""
"""Python itself is up by then: before, it has tracebacks of its own."""


@pytest.mark.parametrize(
    ("moment", "code"),
    [
        ("fer_worker.tools.interruption", -signal.SIGINT),  # nothing is imported yet
        ("fer_worker.cli.submit", 128 + signal.SIGINT),
    ],
)
def test_ctrl_c_amid_an_import_ends_without_a_word(moment: str, code: int, tmp_path: Path) -> None:
    _, environment = command(broker=BrokerConfig(("amqp://127.0.0.1:1/",)))
    done = subprocess.run(
        [sys.executable, "-c", CTRL_C_AT_IMPORT, moment, "submit", "x.jpg"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


@EVERY_COMMAND
def test_ctrl_c_soon_after_the_start_of_a_command_shows_no_traceback(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    code = "from fer_worker.__main__ import main; print(flush=True); main()"
    _, environment = command(broker=BrokerConfig(("amqp://127.0.0.1:1/",)))
    with subprocess.Popen(
        [sys.executable, "-c", code, *words],
        cwd=tmp_path,
        env=environment | {"FER_WORKER_RABBITMQ_SERVER": "/bin/false"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        assert started.stdout is not None
        started.stdout.readline()
        timer = threading.Timer(0.2, started.send_signal, (signal.SIGINT,))
        timer.start()
        _, said = started.communicate(timeout=60)
        timer.join()
    assert "Traceback" not in said


def test_a_full_disk_is_one_line_also_for_the_help() -> None:
    line, environment = command("--help", broker=BrokerConfig())
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            line, env=environment, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert (done.returncode, done.stderr) == (1, "fer-worker: No space left on device\n")
