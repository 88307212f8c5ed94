"""`fer-worker scale`: another number of worker processes, from now on."""

import re

import click

from schemas import ScaleCommand
from worker.cli.options import broker_options
from worker.config import BrokerConfig
from worker.errors import FerWorkerError
from worker.operator import Operator


class _Amount(click.ParamType[ScaleCommand]):
    """`3`, `+1` or `-1`."""

    name = "amount"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> ScaleCommand:
        text = str(value)
        if not re.fullmatch(r"[+-]?\d{1,6}", text):
            self.fail(f"{text!r} is neither a number nor a change such as +1 or -1", param, ctx)
        if text[0] in "+-":
            return ScaleCommand(change=int(text))
        return ScaleCommand(processes=int(text))


# -1 is an amount here, not an option.
@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("amount", type=_Amount())
@click.option("--host", help="Only the supervisors of this host.")
@click.option(
    "--timeout",
    type=click.FloatRange(0),
    default=60.0,
    metavar="SECONDS",
    help="How long to wait until the new processes are ready and the old ones drained.",
)
@broker_options
def scale(broker: BrokerConfig, amount: ScaleCommand, host: str | None, timeout: float) -> None:
    """Run AMOUNT worker processes under every supervisor from now on, or +N more, or -N fewer."""
    command = amount.model_copy(update={"host": host})
    refused = []
    with Operator(broker) as operator:
        for reply in operator.scale(command, timeout):
            supervisor = f"{reply.host}/{reply.pid}"
            if reply.error is not None:
                refused.append(f"{supervisor} refused: {reply.error}")
            else:
                click.echo(f"{supervisor}: {reply.before} -> {reply.after} processes")
    if refused:
        raise FerWorkerError("; ".join(refused))
