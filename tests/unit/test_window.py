"""The ways in which the module was started that came before, and a double click."""

import sys
from collections.abc import Callable

import click
import pytest
from click.testing import CliRunner, Result

from fer_worker.cli import main
from fer_worker.cli.window import EXPLANATION, serve_in_window


@pytest.mark.parametrize("arguments", [["--port", "70000"], ["--port=70000"]])
def test_a_port_without_a_command_is_the_gateways(arguments: list[str]) -> None:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert " gateway [OPTIONS]" in done.stderr


def in_window(gateway: Callable[[], object], typed: str = "") -> Result:
    command = click.Command("window", callback=lambda: serve_in_window(gateway))
    return CliRunner().invoke(command, input=typed)


def test_a_window_explains_itself_and_closes_after_ctrl_c() -> None:
    done = in_window(lambda: sys.exit(0))
    assert done.exit_code == 0
    assert done.stdout == f"{EXPLANATION}\n"


@pytest.mark.parametrize("typed", ["\n", ""])
def test_a_window_waits_when_it_failed(typed: str) -> None:
    done = in_window(lambda: sys.exit(3), typed)
    assert done.exit_code == 3
    assert "Enter closes this window" in done.stdout


def test_a_window_shows_a_fault_of_ours_before_it_waits() -> None:
    done = in_window(lambda: 1 / 0, "\n")
    assert done.exit_code == 1
    assert "ZeroDivisionError" in done.stderr
    assert "Enter closes this window" in done.stdout
