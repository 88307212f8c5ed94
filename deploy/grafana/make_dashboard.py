"""Write the Grafana dashboard, dashboards/fer-worker.json, by Grafana's own library.

    python deploy/grafana/make_dashboard.py

`$instance` chooses supervisors, `$namespace` names the queues, `$datasource` is a Prometheus. The
library would prefer the second form of dashboards; the first is the one that every Grafana reads.
"""

from pathlib import Path

from grafana_foundation_sdk.builders import common, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as boards
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.common import (
    DataSourceRef,
    LegendDisplayMode,
    StackingMode,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DataTransformerConfig,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

PATH = Path(__file__).parent / "dashboards" / "fer-worker.json"
UID = "fer-worker"

PROMETHEUS = DataSourceRef(type_val="prometheus", uid="${datasource}")
HERE = '{instance=~"$instance"}'
QUEUE = 'queue="$namespace.frames"'

Queries = dict[str, str]
"""Legend, or a template of one -> expression."""

READY = 'sum(fer_worker_processes{instance=~"$instance", state="ready"})'
FRAMES = f"sum(rate(fer_worker_frames_total{HERE}[$__rate_interval]))"
REQUESTS = f"sum(rate(fer_worker_requests_total{HERE}[$__rate_interval]))"
BUSY = f"sum(rate(fer_worker_busy_seconds_total{HERE}[$__rate_interval]))"
# Several nodes of a cluster may report one queue; every supervisor works on it, chosen or not.
WAIT = (
    f"max(rabbitmq_detailed_queue_messages_ready{{{QUEUE}}})"
    " / sum(rate(fer_worker_requests_total[$__rate_interval]))"
)
BURIED = f"sum(increase(fer_worker_dead_letters_total{HERE}[$__range]))"


def rate(metric: str, by: str) -> str:
    """How much of a counter a second, by a label."""
    return f"sum by ({by}) (rate({metric}{HERE}[$__rate_interval]))"


def increases(*metrics: str) -> Queries:
    """How much counters grew from point to point, all supervisors together."""
    return {
        metric.removeprefix("fer_worker_").removesuffix("_total"): (
            f"sum(increase({metric}{HERE}[$__rate_interval]))"
        )
        for metric in metrics
    }


def quantile(share: float, histogram: str, by: str = "") -> str:
    """A quantile of a histogram, in seconds, by a label besides."""
    labels = f"le, {by}" if by else "le"
    buckets = f"sum by ({labels}) (rate({histogram}_bucket{HERE}[$__rate_interval]))"
    return f"histogram_quantile({share}, {buckets})"


def targets(queries: Queries) -> list[Builder[Dataquery]]:
    """Queries of a panel over time."""
    return [
        prometheus.Dataquery().ref_id(chr(ord("A") + index)).expr(expr).legend_format(legend)
        for index, (legend, expr) in enumerate(queries.items())
    ]


def number(title: str, expr: str, unit: str, red_from: float | None = None) -> stat.Panel:
    """One figure, red from a value on."""
    steps = [Threshold(color="green", value=None)]
    if red_from is not None:
        steps.append(Threshold(color="red", value=red_from))
    thresholds = boards.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
    return (
        stat.Panel()
        .title(title)
        .datasource(PROMETHEUS)
        .targets(targets({"": expr}))
        .unit(unit)
        .thresholds(thresholds)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .height(4)
        .span(4)
    )


def lines(
    title: str, unit: str, queries: Queries, description: str = "", stacked: bool = False
) -> timeseries.Panel:
    """Curves over time, half a page wide."""
    panel = (
        timeseries.Panel()
        .title(title)
        .datasource(PROMETHEUS)
        .targets(targets(queries))
        .unit(unit)
        .min(0)
        .line_width(1)
        .fill_opacity(30 if stacked else 5)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.TABLE)
            .calcs(["mean", "max", "lastNotNull"])
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
        .height(8)
        .span(12)
    )
    if description:
        panel.description(description)
    if stacked:
        panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    return panel


def engines() -> table.Panel:
    """What each supervisor runs."""
    query = prometheus.Dataquery().ref_id("A").expr(f"fer_worker_info{HERE}")
    unwanted = dict.fromkeys(("Time", "Value", "__name__", "job"), True)
    return (
        table.Panel()
        .title("Versions and engines")
        .datasource(PROMETHEUS)
        .with_target(query.instant().format(PromQueryFormat.TABLE))
        .with_transformation(
            DataTransformerConfig(id_val="organize", options={"excludeByName": unwanted})
        )
        .height(8)
        .span(12)
    )


def dashboard() -> boards.Dashboard:
    """All of it, first what an operator looks at first."""
    by_reason = f"sum by (reason) (increase(fer_worker_dead_letters_total{HERE}[$__rate_interval]))"
    board = (
        boards.Dashboard("fer-worker")
        .uid(UID)
        .tags(["fer-worker"])
        .time("now-1h", "now")
        .refresh("10s")
        .with_variable(boards.DatasourceVariable("datasource").label("Source").type("prometheus"))
        .with_variable(
            boards.QueryVariable("instance")
            .label("Supervisor")
            .datasource(PROMETHEUS)
            .query("label_values(fer_worker_processes_desired, instance)")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(VariableSort.ALPHABETICAL_ASC)
            .multi(True)
            .include_all(True)
            .all_value(".*")
        )
        .with_variable(boards.TextBoxVariable("namespace").label("Namespace").default_value("fer"))
    )
    panels: tuple[stat.Panel | timeseries.Panel | table.Panel, ...] = (
        number("Processes ready", READY, units.Short),
        number("Frames", FRAMES, "frames/s"),
        number("Requests", REQUESTS, units.RequestsPerSecond),
        number(
            "p95, delivery to ack", quantile(0.95, "fer_worker_request_seconds"), units.Seconds, 1
        ),
        number("Expected wait", WAIT, units.Seconds, 5),
        number("Dead-lettered in this time", BURIED, units.Short, 1),
        lines(
            "Throughput",
            units.Short,
            {
                "frames/s": FRAMES,
                "faces/s": f"sum(rate(fer_worker_faces_total{HERE}[$__rate_interval]))",
                "damaged frames/s": f"sum(rate(fer_worker_damaged_frames_total{HERE}"
                "[$__rate_interval]))",
                "requests/s": REQUESTS,
            },
        ),
        lines(
            "Outcomes",
            units.RequestsPerSecond,
            {"{{outcome}}": rate("fer_worker_requests_total", "outcome")},
            "partial: some frames could not be analysed. expired: too late, nothing was analysed. "
            "dead-lettered: a copy is in the dead letters.",
            stacked=True,
        ),
        lines(
            "Request, delivery to ack",
            units.Seconds,
            {
                f"p{share}": quantile(share / 100, "fer_worker_request_seconds")
                for share in (50, 95, 99)
            },
            "What the workers take, their prefetched requests included; the wait in the queue not.",
        ),
        lines(
            "Stages, p95",
            units.Seconds,
            {"{{stage}}": quantile(0.95, "fer_worker_stage_seconds", "stage")},
            "decode, detect, classify: of one frame. queued: from sent_at to delivery, where the "
            "clocks are in step. publish: from result to the broker's confirm.",
        ),
        lines(
            "Queues",
            units.Short,
            {
                "{{queue}} ready": (
                    "max by (queue) (rabbitmq_detailed_queue_messages_ready"
                    '{queue=~"$namespace[.](frames.*|results)"})'
                ),
                "{{queue}} unacked": (
                    "max by (queue) (rabbitmq_detailed_queue_messages_unacked"
                    '{queue=~"$namespace[.](frames.*|results)"})'
                ),
            },
            "unacked: a worker has it. frames.dead: dead-lettered. results: nobody read them.",
        ),
        lines(
            "Expected wait",
            units.Seconds,
            {"wait": WAIT},
            "Requests ready / requests done a second.",
        ),
        lines(
            "At work",
            units.Short,
            {
                "in flight": f"sum(fer_worker_in_flight{HERE})",
                "unroutable": f"sum(fer_worker_unroutable{HERE})",
                "threads": f"sum(fer_worker_threads{HERE})",
                "threads busy": BUSY,
            },
            "unroutable: outcomes that no queue takes. As many threads busy as there are: full.",
        ),
        lines(
            "Time of the threads",
            units.Short,
            {
                "{{stage}}": (
                    "sum by (stage) (rate(fer_worker_stage_seconds_sum"
                    '{instance=~"$instance", stage=~"decode|detect|classify"}[$__rate_interval]))'
                )
            },
            "Threads that are at each stage.",
            stacked=True,
        ),
        lines(
            "Processes",
            units.Short,
            {
                "{{state}}": f"sum by (state) (fer_worker_processes{HERE})",
                "desired": f"sum(fer_worker_processes_desired{HERE})",
            },
        ),
        lines(
            "Memory",
            units.BytesIEC,
            {
                "{{instance}} {{role}}": (
                    f"sum by (instance, role) (fer_worker_resident_memory_bytes{HERE})"
                )
            },
            "Resident. Pages that processes share count for each of them.",
        ),
        lines(
            "Trouble",
            units.Short,
            increases(
                "fer_worker_restarts_total",
                "fer_worker_redeliveries_total",
                "fer_worker_reconnects_total",
            )
            | {"supervisors without broker": f"sum(1 - fer_worker_connected{HERE})"},
        ),
        lines("Dead-lettered, by reason", units.Short, {"{{reason}}": f"{by_reason} > 0"}),
        lines(
            "Bytes in the queue of requests",
            units.BytesIEC,
            {"fer.frames": f"max(rabbitmq_detailed_queue_messages_bytes{{{QUEUE}}})"},
            "From 1 GiB on the broker refuses what is published.",
        ),
        engines(),
    )
    for index, panel in enumerate(panels, start=1):
        board.with_panel(panel.id(index))
    return board


def text() -> str:
    """The dashboard as it is in its file."""
    return JSONEncoder(indent=2, sort_keys=True).encode(dashboard().build()) + "\n"


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
