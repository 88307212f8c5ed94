"""`fer-worker status`: supervisors, their processes, and the depth of the queues."""

import dataclasses
import json
from datetime import timedelta

import click
from rich import box
from rich.console import Console
from rich.table import Table

from schemas import SupervisorStatus
from worker.cli.options import broker_options
from worker.config import BrokerConfig
from worker.operator import Operator, QueueDepth


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of tables.")
@broker_options
def status(broker: BrokerConfig, as_json: bool) -> None:
    """Say who works, and what waits. Needs no more than the broker.

    Under a memory or disk alarm the broker passes no question on; that is said instead.
    """
    with Operator(broker) as operator:
        depths = operator.depths()  # first: an alarm lets nothing through once something is sent
        supervisors, blocked = operator.statuses(), operator.blocked
    if as_json:
        document = {
            "supervisors": [supervisor.model_dump(mode="json") for supervisor in supervisors],
            "queues": [dataclasses.asdict(depth) for depth in depths],
            "blocked": blocked,
        }
        click.echo(json.dumps(document))
        return
    console = Console()
    for supervisor in supervisors:
        console.print(_processes(supervisor))
    if blocked is not None:
        console.print(f"The broker takes no messages: {blocked}. No supervisor can be asked.")
    elif not supervisors:
        console.print("No supervisor answered.")
    console.print(_queues(depths))


def _processes(supervisor: SupervisorStatus) -> Table:
    state = "paused" if not supervisor.desired else f"{supervisor.desired} wanted"
    title = (
        f"{supervisor.host}/{supervisor.pid}: {supervisor.engine}, {state}, "
        f"{supervisor.restarts} restarts"
    )
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("process")
    table.add_column("state")
    for column in ("uptime", "in flight", "batches", "frames"):
        table.add_column(column, justify="right")
    for process in supervisor.processes:
        table.add_row(
            str(process.pid),
            process.state,
            str(timedelta(seconds=int(process.uptime_s))),
            str(process.in_flight),
            str(process.batches),
            str(process.frames),
        )
    return table


def _queues(depths: list[QueueDepth]) -> Table:
    table = Table(title="queues", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("queue", no_wrap=True)
    table.add_column("waiting", justify="right")
    table.add_column("consumers", justify="right")
    for depth in depths:
        waiting = "not declared" if depth.ready is None else str(depth.ready)
        table.add_row(depth.name, waiting, "" if depth.consumers is None else str(depth.consumers))
    return table
