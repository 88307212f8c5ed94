"""`scripts/make_venv.sh` removes nothing that it did not make, and blames what is at fault."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.pages import ROOT


def make_venv(venv: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / "make_venv.sh", str(venv), "."],
        env=os.environ | {"LC_ALL": "C"} | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("name", [".venv", "with a space"])
def test_an_environment_that_was_made_elsewhere_is_left_alone(tmp_path: Path, name: str) -> None:
    (work := tmp_path / name / "work.txt").parent.mkdir()
    work.write_text("of many days")
    done = make_venv(tmp_path / name)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{tmp_path / name} was not made here, and is no environment")
    assert work.read_text() == "of many days"


def test_a_file_in_its_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".venv").write_text("mine")
    assert "was not made here" in make_venv(tmp_path / ".venv").stderr
    assert (tmp_path / ".venv").read_text() == "mine"


def test_a_place_that_cannot_be_written_to_is_to_blame_and_nothing_else() -> None:
    done = make_venv(Path("/proc/none/.venv"))
    assert done.returncode == 1
    _, said = done.stderr.splitlines()
    assert said.endswith("cannot create directory '/proc/none/.venv': No such file or directory")


def test_an_interpreter_that_is_none_is_named(tmp_path: Path) -> None:
    done = make_venv(tmp_path / ".venv", PYTHON="/no python")
    assert done.stderr == "Python 3.11 or later is missing: /no python is not one.\n"
    assert not (tmp_path / ".venv").exists()
