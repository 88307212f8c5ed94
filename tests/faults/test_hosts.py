"""Workers on two hosts beside their broker; one of them is cut off under load."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from fer_client.config import BrokerConfig
from fer_schemas import BatchResult, SupervisorStatus
from fer_worker.tools.embedded_rabbitmq.node import EmbeddedBroker
from tests.engines import SLOW_HEIGHT, plain_jpeg
from tests.faults.load import steady_load
from tests.hosts import Host, own_network, why_none
from tests.serving import RunningWorkers, fer_worker, fer_worker_process, running
from tests.waiting import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

PORT = 5672
LISTENER = f"""
listeners.tcp.lines = 0.0.0.0:{PORT}
loopback_users = none
"""

SLOW_JPEGS = [plain_jpeg(width, SLOW_HEIGHT) for width in range(30, 80, 5)]
"""They take a tenth of a second each: a host that is cut off is at work."""

PROMISED_S = 30
"""What a host that is cut off holds is answered by others within this time."""


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Host, Host]]:
    """Two hosts, and a broker in the network of this thread, to which each has a line."""
    if (reason := why_none()) is not None:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("broker")
    (folder / "rabbitmq.conf").write_text(LISTENER)
    with (
        own_network(),
        Host("host-a", 1) as a,
        Host("host-b", 2) as b,
        EmbeddedBroker(folder, PORT),
    ):
        yield a, b


@pytest.fixture
def broker(hosts: tuple[Host, Host], request: pytest.FixtureRequest) -> BrokerConfig:
    """The broker as it is reached from here, and a namespace for one test."""
    return BrokerConfig((url("127.0.0.1"),), request.node.name)


def url(address: str) -> str:
    return f"amqp://guest:guest@{address}:{PORT}/"


Run = Callable[[Host], AbstractContextManager[RunningWorkers]]


@pytest.fixture
def run(broker: BrokerConfig, tmp_path: Path) -> Run:
    """Run a worker process on a host."""

    def on(host: Host) -> AbstractContextManager[RunningWorkers]:
        return running(
            tmp_path / host.name,
            BrokerConfig((url(host.our_address),), broker.namespace),
            "--processes=1",
            "--threads=1",
            engine="FaultyEngine",
            prefix=host.prefix,
        )

    return on


def supervisors(broker: BrokerConfig, prefix: Sequence[str] = ()) -> dict[str, SupervisorStatus]:
    """What `fer-worker status` says of each host."""
    said = fer_worker_process("status", "--json", broker=broker, prefix=prefix).stdout
    found = map(SupervisorStatus.model_validate, json.loads(said)["supervisors"])
    return {status.host: status for status in found}


def ready(broker: BrokerConfig) -> dict[str, int]:
    """How many processes are ready on each host."""
    return {
        host: [process.state for process in status.processes].count("ready")
        for host, status in supervisors(broker).items()
    }


def await_ready(broker: BrokerConfig, **processes: int) -> None:
    wanted = {name.replace("_", "-"): number for name, number in processes.items()}
    wait_until(lambda: ready(broker) == wanted, 60, f"ready processes: {wanted}")


def hosts_of(results: Sequence[BatchResult]) -> set[str]:
    return {(result.worker or "").partition("/")[0] for result in results}


def test_workers_of_both_hosts_share_the_load_and_are_scaled_apart(
    hosts: tuple[Host, Host], broker: BrokerConfig, run: Run
) -> None:
    a, b = hosts
    with run(a) as on_a, run(b) as on_b, steady_load(broker) as load:
        await_ready(broker, host_a=1, host_b=1)
        load.goes_on()
        from_a = partial(fer_worker_process, broker=on_a.broker, prefix=a.prefix)
        known = json.loads(from_a("status", "--json").stdout)["supervisors"]
        assert [(status["host"], status["pid"]) for status in known] == [
            ("host-a", on_a.process.pid),
            ("host-b", on_b.process.pid),
        ]
        # An operator on one host scales the other.
        done = from_a("scale", "2", "--host=host-b")
        assert done.stdout == f"host-b/{on_b.process.pid}: 1 -> 2 processes\n"
        assert ready(broker) == {"host-a": 1, "host-b": 2}
        load.goes_on()
    assert hosts_of(load.results) == {"host-a", "host-b"}
    assert load.client.dropped == 0


def test_host_that_is_cut_off_under_load_is_stood_in_for_and_works_again_when_it_is_back(
    hosts: tuple[Host, Host], broker: BrokerConfig, run: Run
) -> None:
    a, b = hosts
    with run(a) as on_a, run(b), steady_load(broker, SLOW_JPEGS, per_s=5) as load:
        await_ready(broker, host_a=1, host_b=1)
        load.pile_up(20)
        a.cut_off()
        cut_off = load.submitted
        load.catches_up(PROMISED_S)
        load.goes_on(5)
        alone = load.submitted
        load.catches_up()
        assert ready(broker) == {"host-b": 1}
        done = fer_worker("scale", "2", "--host=host-a", broker=broker)
        assert done.returncode == 5
        assert done.stderr == "fer-worker: no supervisor on host-a answered within 1 s\n"
        a.reconnect()
        await_ready(broker, host_a=1, host_b=1)
        back = load.submitted
        load.goes_on()
        assert on_a.status().restarts == 0
    assert any(result.redelivered for result in load.results[:cut_off])
    assert hosts_of(load.results[cut_off:alone]) == {"host-b"}
    assert hosts_of(load.results[back:]) == {"host-a", "host-b"}
