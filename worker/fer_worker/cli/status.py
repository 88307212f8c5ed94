"""`fer-worker status`: supervisors, their processes, and the depth of the queues."""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import click
from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fer_client.config import BrokerConfig
from fer_client.errors import BrokerUnavailableError
from fer_schemas import Percentiles, ProcessStatus, SupervisorStatus
from fer_worker.admin.supervisor_client import QueueDepth, SupervisorClient
from fer_worker.cli.options import broker_options
from fer_worker.cli.tables import NOTHING, PER_FRAME_NOTE, plain
from fer_worker.metrics import STAGES
from fer_worker.tools.counted import counted
from fer_worker.tools.interruption import Interruption

TIMES = (*STAGES, "total")

STATE_STYLES = {"ready": "green", "not_ready": "red", "starting": "yellow", "draining": "yellow"}


@dataclass(frozen=True)
class _Look:
    """What the broker and the supervisors say at one moment."""

    supervisors: list[SupervisorStatus]
    queues: list[QueueDepth]
    blocked: str | None


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of tables.")
@click.option("--watch", is_flag=True, help="Look again and again, until Ctrl-C.")
@broker_options
def status(broker: BrokerConfig, as_json: bool, watch: bool) -> None:
    """Say who works, how fast, and what waits. Needs no more than the broker.

    Rates and percentiles are of the last minute. Under a memory or disk alarm the broker passes no
    question on; that is said instead.
    """
    if as_json and watch:
        raise click.UsageError("--json and --watch exclude each other")
    if watch:
        _watch(broker)
        return
    look = _look(broker)
    if as_json:
        document = {
            "supervisors": [supervisor.model_dump(mode="json") for supervisor in look.supervisors],
            "queues": [dataclasses.asdict(depth) for depth in look.queues],
            "blocked": look.blocked,
        }
        click.echo(json.dumps(document))
    else:
        Console().print(_render(look))


def _look(broker: BrokerConfig, wait_s: float = 10.0) -> _Look:
    with SupervisorClient(broker, wait_s) as operator:
        depths = operator.depths()  # first: an alarm lets nothing through once something is sent
        return _Look(operator.statuses(), depths, operator.blocked)


def _watch(broker: BrokerConfig) -> None:
    shown: RenderableType = _render(_look(broker))
    live = Live(shown, auto_refresh=False, screen=Console().is_terminal)
    with Interruption() as interruption, live:
        while not interruption:
            live.update(shown, refresh=True)
            try:
                shown = _render(_look(broker, wait_s=1.0))
            except BrokerUnavailableError as error:
                shown = Text(f"{error}; waiting for it")


def _render(look: _Look) -> RenderableType:
    parts: list[RenderableType] = []
    for supervisor in look.supervisors:
        parts.append(_processes(supervisor))
        parts.extend(_last_errors(supervisor))
        if any(process.stages_ms for process in supervisor.processes):
            parts.append(_stages(supervisor))
    if look.blocked is not None:
        parts.append(f"The broker takes no messages: {look.blocked}. No supervisor can be asked.")
    elif not look.supervisors:
        parts.append("No supervisor answered.")
    return Group(*parts, _queues(look.queues))


def _processes(supervisor: SupervisorStatus) -> Table:
    state = f"{supervisor.desired} wanted" if supervisor.desired else "paused"
    if supervisor.autoscale is not None:
        state += " (autoscale {}:{})".format(*supervisor.autoscale)
    engine = supervisor.engine + (f" ({supervisor.kernel})" if supervisor.kernel else "")
    title = (
        f"{supervisor.host}/{supervisor.pid}: {engine}, {state}, "
        f"{counted(supervisor.restarts, 'restart')}, {_memory(supervisor.resident_bytes)}"
    )
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("process", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for column in ("uptime", "frames/s", "in flight", "memory", "restarts"):
        table.add_column(column, justify="right", no_wrap=True)
    for process in supervisor.processes:
        table.add_row(
            str(process.pid),
            Text(process.state, style=STATE_STYLES.get(process.state, "")),
            str(timedelta(seconds=int(process.uptime_s))),
            f"{process.frames_per_s:.1f}",
            str(process.in_flight),
            _memory(process.resident_bytes),
            str(process.restarts),
        )
    return table


def _last_errors(supervisor: SupervisorStatus) -> Iterator[Text]:
    for process in supervisor.processes:
        if process.last_error is not None:
            yield plain(f"  last before {process.pid}: {process.last_error}", style="yellow")


def _stages(supervisor: SupervisorStatus) -> Table:
    """Where the time went."""
    title = "milliseconds over a minute, p50 / p95"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.caption, table.caption_justify = PER_FRAME_NOTE, "left"
    table.add_column("process")
    for stage in TIMES:
        table.add_column(stage, justify="right")
    for process in supervisor.processes:
        table.add_row(str(process.pid), *(_percentiles(process, stage) for stage in TIMES))
    return table


def _percentiles(process: ProcessStatus, stage: str) -> Text:
    found: Percentiles | None = process.stages_ms.get(stage)
    return NOTHING if found is None else Text(f"{_short(found.p50)} / {_short(found.p95)}")


def _short(milliseconds: float) -> str:
    return f"{milliseconds:.1f}" if milliseconds < 10 else f"{milliseconds:.0f}"


def _memory(resident_bytes: int) -> str:
    return f"{resident_bytes / 2**20:.0f} MiB" if resident_bytes else "-"


def _queues(depths: list[QueueDepth]) -> Table:
    table = Table(title="queues", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("queue", no_wrap=True)
    table.add_column("waiting", justify="right")
    table.add_column("consumers", justify="right")
    for depth in reversed(depths):  # the requests first
        waiting = "not declared" if depth.ready is None else str(depth.ready)
        table.add_row(depth.name, waiting, "" if depth.consumers is None else str(depth.consumers))
    return table
