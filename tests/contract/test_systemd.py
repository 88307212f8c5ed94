"""systemd takes the unit, which agrees with the command."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fer_worker.cli import COMMANDS
from fer_worker.supervision.worker_config import DEFAULT_DRAIN_TIMEOUT_S, ExitCode
from tests.pages import ROOT

UNIT = (ROOT / "deploy" / "systemd" / "fer-worker.service").read_text(encoding="utf-8")
PROGRAM = "/opt/fer-worker/bin/fer-worker"
MOST_EXPOSED = 20
"""Per cent, as systemd measures it: a service without any protection has 96."""


def said(setting: str) -> str:
    (value,) = re.findall(rf"^{setting}=(.*)$", UNIT, flags=re.MULTILINE)
    return str(value)


@pytest.mark.parametrize("check", [("verify",), ("security", f"--threshold={MOST_EXPOSED}")])
def test_systemd_takes_it(check: tuple[str, ...], tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd on this system")
    unit = tmp_path / "fer-worker.service"
    unit.write_text(UNIT.replace(PROGRAM, "/bin/true"))
    offline = ("--offline=yes",) if check[0] == "security" else ()
    done = subprocess.run(
        ["systemd-analyze", *check, *offline, str(unit)], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_command_and_its_broker_are_known() -> None:
    program, command = said("ExecStart").split()
    assert program == PROGRAM
    assert command in COMMANDS
    credential, _, _ = said("LoadCredential").partition(":")
    assert said("Environment") == f"FER_WORKER_AMQP_URL_FILE=%d/{credential}"


def test_it_may_drain_and_is_not_started_again_in_vain() -> None:
    assert int(said("TimeoutStopSec")) > DEFAULT_DRAIN_TIMEOUT_S
    assert said("KillMode") == "mixed"  # the processes are the supervisor's to stop
    usage = 2
    assert said("RestartPreventExitStatus") == f"{usage} {ExitCode.ENGINE_FAILED:d}"
