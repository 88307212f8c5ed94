"""`fer-worker broker`: the embedded RabbitMQ node in the foreground."""

from contextlib import suppress
from pathlib import Path

import click

from fer_client.errors import FerWorkerError
from fer_worker.tools.embedded_rabbitmq.node import EmbeddedBroker
from fer_worker.tools.interruption import Interruption, interrupt


@click.command()
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=5672,
    help="AMQP port, on 127.0.0.1 only.",
)
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where queues and messages are kept for the next run. "
    "Without it they are gone at the end.",
)
def broker(port: int, data_dir: Path | None) -> None:
    """Run a private RabbitMQ node until Ctrl-C or SIGTERM.

    For development and for trying things out: it is this user's own, keeps to this machine and
    leaves nothing running. Its URL goes to stdout once it answers.
    """
    with (
        suppress(KeyboardInterrupt),
        Interruption(interrupt),
        EmbeddedBroker(data_dir, port) as node,
    ):
        click.echo(node.url)
        click.echo("RabbitMQ is ready. Ctrl-C stops it; a second one does not wait.", err=True)
        node.wait()
        raise FerWorkerError(f"RabbitMQ ended by itself: {node.last_words()}")
