"""`fer-worker scale`: another number of worker processes, from now on."""

import sys

import click

from fer_client.config import BrokerConfig
from fer_client.errors import FerWorkerError
from fer_schemas import ScaleCommand, ScaleReply
from fer_worker.admin.supervisor_client import SupervisorClient
from fer_worker.cli.options import broker_options
from fer_worker.cli.types import SECONDS_OR_NONE, Amount


# -1 is an amount here, not an option.
@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("amount", type=Amount())
@click.option("--host", help="Only the supervisors of this host.")
@click.option(
    "--timeout",
    type=SECONDS_OR_NONE,
    default=60.0,
    metavar="SECONDS",
    help="How long to wait until the new processes are ready and the old ones drained.",
)
@broker_options
def scale(broker: BrokerConfig, amount: ScaleCommand, host: str | None, timeout: float) -> None:
    """Run AMOUNT worker processes under every supervisor from now on, or +N more, or -N fewer.

    0 pauses: what is sent meanwhile waits in the queue. A line per supervisor is printed when its
    new processes are ready and its old ones drained.
    """
    command = amount.model_copy(update={"host": host})
    refused = False
    with SupervisorClient(broker) as operator:
        for reply in operator.scale(command, timeout):
            refused |= reply.error is not None
            click.echo(_line(reply), err=reply.error is not None)
    if refused:
        sys.exit(FerWorkerError.exit_code)


def _line(reply: ScaleReply) -> str:
    supervisor = f"{reply.host}/{reply.pid}"
    if reply.error is not None:
        return f"fer-worker: {supervisor} refused: {reply.error}"
    paused = " (paused)" if reply.after == 0 else ""
    return f"{supervisor}: {reply.before} -> {reply.after} processes{paused}"
