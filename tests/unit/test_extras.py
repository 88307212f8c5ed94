"""Commands that need an extra say how to get it."""

import sys

import pytest
from click.testing import CliRunner

from fer_worker.cli import main


@pytest.mark.parametrize(
    ("line", "what", "library", "extra"),
    [
        ("bench --plot=latency.png", "--plot", "matplotlib", "plot"),
        ("evaluate .", "evaluate", "sklearn", "evaluate"),
        ("evaluate . --plot=confusion.png", "--plot", "matplotlib", "plot"),
        ("gateway --port=0", "gateway", "fastapi", "http"),
        ("report results.jsonl", "report", "jinja2", "report"),
    ],
)
def test_missing_extra_is_said_in_one_line(
    line: str, what: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)  # as if it were not installed
    done = CliRunner().invoke(main, line.split())
    assert done.exit_code == 1
    assert done.stderr == f"fer-worker: {what} needs {library}: pip install ./client '.[{extra}]'\n"


def test_the_program_in_one_file_says_that_it_has_no_such_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    done = CliRunner().invoke(main, ["evaluate", "."])
    assert done.exit_code == 1
    assert done.stderr == "fer-worker: evaluate needs sklearn, which this program does not have\n"
