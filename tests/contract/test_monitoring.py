"""Dashboard, alerts and documents name the metrics that there are, and each other."""

import json
import re
import runpy
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fer_client.amqp.topology import Topology
from tests.contract.metrics import BROKER_METRICS, WORKER_METRICS, WORKER_SERIES
from tests.contract.test_containers import DOCKERFILE, SERVICES
from tests.docs.test_docs import anchors

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PROMETHEUS = DEPLOY / "prometheus"
RUNBOOK = ROOT / "docs" / "runbook.md"
PAGE = RUNBOOK.read_text(encoding="utf-8")

CONFIG = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
GROUPS = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
ALERTS = {rule["alert"]: rule for group in GROUPS for rule in group["rules"]}
CASES = yaml.safe_load((PROMETHEUS / "alerts.test.yml").read_text())["tests"]
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "fer-worker.json").read_text())

SERIES = {"up": set(), **BROKER_METRICS} | {
    name: set(labels) for name, labels in WORKER_SERIES.items()
}
SELECTOR = re.compile(r"\b((?:fer_worker|rabbitmq)_\w+|up)\b(?:\{(.*?)\})?")
MATCHER = re.compile(r'(\w+)\s*(=~|!=|!~|=)\s*"([^"]*)"')
OF_PROMETHEUS = {"instance", "job"}


def queries_of_the_dashboard() -> dict[str, str]:
    """Its expressions by their panel, as Grafana sends them."""
    found = {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in DASHBOARD["panels"]
        for target in panel["targets"]
    }
    variables = {"$__rate_interval": "1m", "$__range": "1h", "$namespace": "fer", "$instance": ".*"}
    for variable, value in variables.items():
        found = {panel: expr.replace(variable, value) for panel, expr in found.items()}
    assert not any("$" in expr for expr in found.values())
    return found


QUERIES = {name: rule["expr"] for name, rule in ALERTS.items()} | queries_of_the_dashboard()


def misnamed(expr: str) -> Iterator[str]:
    """Metrics, labels and values in an expression that there are not."""
    for metric, selector in SELECTOR.findall(expr):
        if metric not in SERIES:
            yield metric
            continue
        for label, operator, value in MATCHER.findall(selector):
            if label not in SERIES[metric] | OF_PROMETHEUS:
                yield f"{metric}{{{label}}}"
            values = value.split("|") if "~" in operator else [value]
            known = WORKER_SERIES.get(metric, {}).get(label, set(values))
            if not set(values) <= known:
                yield f"{label}={value}"
            if label == "queue" and operator == "=" and value not in Topology().queues:
                yield f"{label}={value}"
    for group in re.findall(r"\bby \((.*?)\)", expr):
        known_labels = set().union(*SERIES.values()) | OF_PROMETHEUS
        yield from set(re.split(r",\s*", group)) - known_labels


@pytest.mark.parametrize("name", QUERIES)
def test_query_names_what_there_is(name: str) -> None:
    assert SELECTOR.search(QUERIES[name])
    assert list(misnamed(QUERIES[name])) == []


@pytest.mark.parametrize(
    "expr",
    [
        "rate(fer_worker_request_total[1m])",
        'fer_worker_processes{status="ready"}',
        'fer_worker_processes{state="readi"}',
        'sum(fer_worker_dead_letters_total{reason="poison"})',
        "sum by (colour) (fer_worker_threads)",
        'rabbitmq_detailed_queue_messages_ready{queue="fer.frame"}',
    ],
)
def test_misspelt_name_would_be_found(expr: str) -> None:
    assert list(misnamed(expr))


def test_every_metric_is_on_the_dashboard() -> None:
    shown = " ".join(queries_of_the_dashboard().values())
    assert {name for name in WORKER_METRICS if not re.search(rf"\b{name}", shown)} == set()


def test_page_says_what_each_metric_means() -> None:
    section = PAGE.partition("\n## What each metric means\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(fer_worker_\w+)(?:\{([\w,]+)\})?` \|", section, flags=re.MULTILINE)
    named = {name: set(filter(None, labels.split(","))) for name, labels in rows}
    assert len(named) == len(rows)
    assert named == {
        name: labels if name != "fer_worker_info" else set()
        for name, labels in WORKER_METRICS.items()
    }


def test_page_names_no_other_metric() -> None:
    named = set(re.findall(r"\bfer_worker_\w+", PAGE))
    assert named <= set(WORKER_METRICS) | set(SERIES)


def test_page_says_what_to_do_at_each_alert() -> None:
    section = PAGE.partition("\n## Alerts and what to do\n")[2].partition("\n## ")[0]
    table = re.findall(r"^\| \[(\w+)\]\(#\w+\) \| (\w+) \|", section, flags=re.MULTILINE)
    assert table == [(name, rule["labels"]["severity"]) for name, rule in ALERTS.items()]
    assert re.findall(r"^### (\w+)$", section, flags=re.MULTILINE) == list(ALERTS)


@pytest.mark.parametrize("name", ALERTS)
def test_alert_points_at_its_section(name: str) -> None:
    page, _, anchor = ALERTS[name]["annotations"]["runbook_url"].partition("#")
    assert (ROOT / page) == RUNBOOK
    assert anchor == name.lower()
    assert anchor in anchors(RUNBOOK)


@pytest.mark.parametrize("name", ALERTS)
def test_alert_is_seen_to_fire_and_to_wait(name: str) -> None:
    cases = [case for test in CASES for case in test["alert_rule_test"]]
    fired = {bool(case.get("exp_alerts")) for case in cases if case["alertname"] == name}
    assert fired == {True, False}


def test_memory_alert_knows_the_limit_of_the_container() -> None:
    limits = SERVICES["worker"]["deploy"]["resources"]["limits"]
    assert limits["memory"] == "${WORKER_MEMORY:-2G}"
    assert ALERTS["FerWorkerMemory"]["expr"].endswith("> 0.9 * 2 * 1024 ^ 3")


def test_queue_alert_knows_the_limit_of_the_queue() -> None:
    assert Topology().frames.arguments["x-max-length-bytes"] == 1024**3
    assert ALERTS["FerWorkerQueueFull"]["expr"].endswith("> 0.8 * 1024 ^ 3")


def test_kubernetes_gets_the_same_alerts() -> None:
    rules = yaml.safe_load((DEPLOY / "kubernetes" / "monitoring" / "rules.yaml").read_text())
    assert rules["spec"]["groups"] == GROUPS, "scripts/make_alert_rules.sh"


@pytest.mark.filterwarnings("ignore:Prefer using dashboardv2")
def test_dashboard_is_what_its_script_makes() -> None:
    made = runpy.run_path(str(DEPLOY / "grafana" / "make_dashboard.py"))
    assert made["PATH"].read_text() == made["text"](), "python deploy/grafana/make_dashboard.py"
    assert DASHBOARD["uid"] == "fer-worker"


def test_every_panel_asks_the_chosen_source() -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    assert all(panel["datasource"] == chosen for panel in DASHBOARD["panels"])
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_prometheus_asks_every_worker_and_the_broker() -> None:
    jobs = {job["job_name"]: job for job in CONFIG["scrape_configs"]}
    (workers,) = jobs.pop("worker")["dns_sd_configs"]
    assert set(workers["names"]) <= SERVICES.keys()
    assert f"FER_WORKER_RUN_METRICS_PORT={workers['port']}\n" in DOCKERFILE
    for job in jobs.values():
        (static,) = job["static_configs"]
        assert static["targets"] == ["rabbitmq:15692"]
    assert jobs.keys() == {"rabbitmq", "rabbitmq-queues"}


def test_kubernetes_asks_for_the_same() -> None:
    monitor: Any = yaml.safe_load((DEPLOY / "kubernetes/monitoring/rabbitmq.yaml").read_text())
    asked = [(end.get("path"), end.get("params")) for end in monitor["spec"]["endpoints"]]
    jobs = [job for job in CONFIG["scrape_configs"] if job["job_name"] != "worker"]
    assert asked == [(job.get("metrics_path"), job.get("params")) for job in jobs]


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    provisioning = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    assert source["url"] == "http://prometheus:9090"
    assert source["jsonData"]["timeInterval"] == CONFIG["global"]["scrape_interval"]
    (provider,) = yaml.safe_load((provisioning / "dashboards/fer-worker.yml").read_text())[
        "providers"
    ]
    mounted = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
    assert mounted["./deploy/grafana/dashboards"] == provider["options"]["path"]
    assert mounted["./deploy/grafana/provisioning"] == "/etc/grafana/provisioning"
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == provider["options"]["path"]
    assert (DEPLOY / "grafana" / "dashboards" / home.name).exists()


@pytest.fixture(scope="module")
def promtool() -> str:
    """Prometheus' own checker."""
    made = ROOT / "build" / "promtool" / "promtool"
    found = str(made) if made.exists() else shutil.which("promtool")
    if found is None:
        pytest.skip("no promtool: scripts/install_promtool.sh fetches it")
    return found


def succeeds(promtool: str, *arguments: str, directory: Path = PROMETHEUS) -> None:
    done = subprocess.run([promtool, *arguments], cwd=directory, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_configuration_and_the_alerts(promtool: str) -> None:
    succeeds(promtool, "check", "config", "prometheus.yml")


def test_alerts_fire_when_they_should(promtool: str) -> None:
    succeeds(promtool, "test", "rules", "alerts.test.yml")


def test_prometheus_understands_the_queries_of_the_dashboard(promtool: str, tmp_path: Path) -> None:
    records = [
        {"record": f"panel_{index}", "expr": expr}
        for index, expr in enumerate(queries_of_the_dashboard().values())
    ]
    rules = {"groups": [{"name": "dashboard", "rules": records}]}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
    succeeds(promtool, "check", "rules", "--lint=none", "rules.yml", directory=tmp_path)
