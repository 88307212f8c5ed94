"""The program when it is double-clicked on Windows: it has a window, which vanishes with it."""

import contextlib
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

import click

EXPLANATION = """\
fer-worker finds the emotions of faces in JPEG frames. Frames that come over
HTTP go to a broker, RabbitMQ, and from there to workers. Besides this window
it needs

  - a RabbitMQ, on this machine or where FER_WORKER_AMQP_URL says,
  - workers: `fer-worker run` in another window.

`fer-worker --help` lists all commands. This window serves HTTP until Ctrl-C.
"""


def serve_in_window(gateway: Callable[[], object]) -> NoReturn:
    """Explain what this is, serve HTTP, and keep the window if that fails, so that it can be read.

    Args:
        gateway: serves, on a port that it asks for; ends like a command, by SystemExit.
    """
    click.echo(EXPLANATION)
    code: str | int | None = 1
    try:
        gateway()
    except SystemExit as end:
        code = end.code
    except Exception:
        traceback.print_exc()
    if code:
        with contextlib.suppress(click.Abort):
            click.prompt("Enter closes this window", "", show_default=False, prompt_suffix=" ")
    sys.exit(code)
