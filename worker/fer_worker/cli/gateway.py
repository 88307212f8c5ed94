"""`fer-worker gateway`: HTTP in front of the queue."""

import logging
import os
import sys
from pathlib import Path
from typing import Final

import click

from fer_client import AsyncFerClient
from fer_client.config import BrokerConfig, host_name
from fer_client.errors import FerWorkerError
from fer_worker.cli.extras import check_extra
from fer_worker.cli.options import broker_options, log_options
from fer_worker.cli.types import SECONDS
from fer_worker.logging_setup import LogFormat, setup_logs
from fer_worker.tools.files import reading
from fer_worker.tools.interruption import Interruption

DEFAULT_PORT: Final = 8012
PORT: Final = click.IntRange(0, 65535)


@click.command()
@click.option(
    "--port",
    type=PORT,
    show_default=f"asked for on a terminal, else {DEFAULT_PORT}",
    help="TCP port to listen on; 0 takes any free one.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    help="Address to listen on; 0.0.0.0 for all of this machine's.",
)
@click.option(
    "--timeout",
    type=SECONDS,
    default=30.0,
    metavar="SECONDS",
    help="How long a request may take, from the end of its headers to its answer.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help="A file that holds the bearer token which requests with images must have.",
)
@click.option("--no-try", is_flag=True, help="Do not serve the page to try it, /try.")
@log_options
@broker_options
def gateway(
    broker: BrokerConfig,
    port: int | None,
    host: str,
    timeout: float,
    token_file: Path | None,
    no_try: bool,
    log_level: str,
    log_format: LogFormat,
) -> None:
    """Take images over HTTP and have the workers analyse them, until SIGTERM or Ctrl-C.

    POST /detect_batch takes up to 64 files, POST /detect-emotions one, GET / says whether the
    broker is connected. /try is a page for pictures and a camera, /docs describes the routes. A
    broker that is away is waited for. What is under way is finished before the end. Needs the
    extra `http`.
    """
    check_extra("gateway", "fastapi", "http")
    from fer_worker.gateway import access_log
    from fer_worker.gateway.app import create_app
    from fer_worker.gateway.server import Server, listen
    from fer_worker.gateway.uploads import UploadHandler

    token = None if token_file is None else _read_token(token_file)
    if port is None:
        port = _ask_port() if sys.stdin.isatty() else DEFAULT_PORT
    every_request = [access_log.log.name]
    setup_logs(f"{host_name()}/{os.getpid()}", log_level, log_format, every_request)
    # What is wrong with an upload is told by its status; this library would tell it once more.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    client = AsyncFerClient(broker, answer_timeout_s=timeout)
    app = create_app(UploadHandler(client, timeout), token, with_try_page=not no_try)
    server = Server(app, client, timeout)
    pages = "described at /docs" if no_try else "described at /docs, to try at /try"
    with listen(host, port) as listener, Interruption(server.stop):
        server.serve_until_told(listener, pages)


def _ask_port() -> int:
    port: int = click.prompt("Port", default=DEFAULT_PORT, type=PORT, err=True)
    return port


def _read_token(path: Path) -> str:
    try:
        with reading(path):
            token = path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise FerWorkerError(f"{path} is not a text") from None
    if not token.isascii() or not token.isprintable() or token.split() != [token]:
        raise FerWorkerError(f"{path} holds no token: printable ASCII without spaces")
    return token
