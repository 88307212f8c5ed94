"""The embedded RabbitMQ node: starts, keeps its data, keeps to itself, leaves nothing behind."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pika
import pytest

from fer_client.errors import BrokerError, BrokerUnavailableError
from fer_worker.tools.embedded_rabbitmq.node import EmbeddedBroker
from fer_worker.tools.embedded_rabbitmq.ports import claim_ports
from fer_worker.tools.embedded_rabbitmq.programs import SERVER_VARIABLE, find_server
from tests.leftovers import listening_addresses, processes_with
from tests.waiting import wait_until

pytestmark = pytest.mark.broker

QUEUE = "kept"
LOOPBACK = ("0100007F", "00000000000000000000000001000000")  # 127.0.0.1 and ::1 as /proc has them
FER_WORKER = Path(sys.executable).with_name("fer-worker")


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


def connect(broker: EmbeddedBroker) -> pika.BlockingConnection:
    return pika.BlockingConnection(pika.URLParameters(broker.url))


def put(broker: EmbeddedBroker, body: bytes) -> None:
    with connect(broker) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
        persistent = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
        channel.basic_publish("", QUEUE, body, persistent, mandatory=True)


def take(broker: EmbeddedBroker) -> bytes | None:
    with connect(broker) as connection:
        _, _, body = connection.channel().basic_get(QUEUE, auto_ack=True)
        assert body is None or isinstance(body, bytes)
        return body


def assert_nothing_left(data_dir: Path, ports: list[int]) -> None:
    wait_until(lambda: not processes_with(str(data_dir)), what="the node's processes are gone")
    for port in ports:
        assert not listening_addresses(port)


def all_ports(broker: EmbeddedBroker) -> list[int]:
    return [broker.ports.amqp, broker.ports.distribution, broker.ports.mapper]


def test_answers_when_it_is_entered(broker: EmbeddedBroker) -> None:
    with connect(broker) as connection:
        assert connection.is_open


def test_listens_on_loopback_only(broker: EmbeddedBroker) -> None:
    for port in all_ports(broker):
        addresses = listening_addresses(port)
        assert addresses
        assert set(addresses) <= set(LOOPBACK)


def test_confirmed_messages_outlive_a_clean_restart(broker: EmbeddedBroker) -> None:
    url = broker.url
    put(broker, b"before a stop")
    broker.stop()
    broker.start()
    assert broker.url == url
    assert take(broker) == b"before a stop"


def test_confirmed_messages_outlive_a_kill(broker: EmbeddedBroker) -> None:
    put(broker, b"before a kill")
    broker.kill()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", broker.ports.amqp))
    broker.start()
    assert take(broker) == b"before a kill"


def test_rabbitmqctl_talks_to_this_node(broker: EmbeddedBroker) -> None:
    assert "rabbitmq" in broker.rabbitmqctl("status").lower()
    with pytest.raises(BrokerError, match=r"^rabbitmqctl nonsense: Command 'nonsense' not found"):
        broker.rabbitmqctl("nonsense")


def test_a_data_directory_is_read_again(tmp_path: Path) -> None:
    data_dir = tmp_path / "a b ü"
    with EmbeddedBroker(data_dir) as first:
        put(first, b"from an earlier run")
    with EmbeddedBroker(data_dir) as second:
        assert take(second) == b"from an earlier run"


def test_a_data_directory_has_one_node_at_a_time(broker: EmbeddedBroker) -> None:
    with (
        pytest.raises(BrokerUnavailableError, match=r"^another broker is using /"),
        EmbeddedBroker(broker.data_dir),
    ):
        pass


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(BrokerUnavailableError, match=r"^cannot keep data in .*/file/below: "),
        EmbeddedBroker(tmp_path / "file" / "below"),
    ):
        pass


def test_a_port_in_use_is_named(broker: EmbeddedBroker) -> None:
    port = broker.ports.amqp
    with (
        pytest.raises(BrokerUnavailableError, match=f"^port {port} is in use"),
        EmbeddedBroker(port=port),
    ):
        pass


def test_a_start_that_fails_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    server = tmp_path / "rabbitmq-server"
    server.write_text("#!/bin/sh\nsleep 60 & echo; echo 'ERROR: no such luck'; echo bye; exit 1\n")
    server.chmod(0o755)
    with (
        pytest.raises(
            BrokerUnavailableError, match=r"^RabbitMQ did not start: ERROR: no such luck"
        ),
        EmbeddedBroker(tmp_path / "data", server=server),
    ):
        pass
    assert_nothing_left(tmp_path / "data", [])


def test_nothing_is_left_after_it() -> None:
    with EmbeddedBroker() as broker:
        data_dir, ports = broker.data_dir, all_ports(broker)
        assert processes_with(str(data_dir))
    assert_nothing_left(data_dir, ports)
    assert not data_dir.exists()


def test_missing_rabbitmq_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SERVER_VARIABLE, raising=False)
    with pytest.raises(BrokerUnavailableError, match="sudo apt install rabbitmq-server"):
        find_server(places=(), search_path="/nowhere")


def test_rabbitmq_that_the_environment_names_is_the_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SERVER_VARIABLE, "/bin/true")
    assert find_server() == Path("/bin/true")
    monkeypatch.setenv(SERVER_VARIABLE, "/nowhere/rabbitmq-server")
    with pytest.raises(BrokerUnavailableError, match="/nowhere/rabbitmq-server"):
        find_server()


def test_ports_claimed_at_once_never_meet() -> None:
    claims = [claim_ports() for _ in range(50)]
    with ExitStack() as held:
        for claim in claims:
            held.enter_context(closing(claim))
        ports = [port for c in claims for port in (c.amqp, c.distribution, c.mapper)]
        assert len(set(ports)) == len(ports)


class Command:
    """`fer-worker broker` as a process of its own."""

    def __init__(self, data_dir: Path, port: int) -> None:
        self.data_dir = data_dir
        self.port = port
        self.process = subprocess.Popen(
            [FER_WORKER, "broker", "--port", str(port), "--data-dir", str(data_dir)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def url(self) -> str:
        """Wait for the line that says it is ready."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill_node(self) -> None:
        """End the server alone, as the kernel does when memory is short."""
        processes = processes_with(str(self.data_dir)).items()
        (server,) = (pid for pid, command in processes if "beam.smp" in command)
        os.kill(server, signal.SIGKILL)


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    with closing(claim_ports()) as ports:
        command = Command(tmp_path / "data", ports.amqp)
        yield command
        command.process.kill()
        command.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_command_prints_its_url_and_leaves_on_a_signal(
    command: Command, number: signal.Signals
) -> None:
    assert command.url() == f"amqp://guest:guest@127.0.0.1:{command.port}/"
    pika.BlockingConnection(pika.URLParameters(f"amqp://127.0.0.1:{command.port}")).close()
    command.process.send_signal(number)
    assert command.process.wait(30) == 0
    assert_nothing_left(command.data_dir, [command.port])
    assert "SIGTERM received" in (command.data_dir / "rabbitmq.log").read_text()


def test_command_leaves_on_a_signal_while_it_starts(command: Command) -> None:
    wait_until(
        lambda: any("beam.smp" in p for p in processes_with(str(command.data_dir)).values()),
        what="the node is being started",
    )
    command.process.send_signal(signal.SIGTERM)
    assert command.process.wait(30) == 0
    assert_nothing_left(command.data_dir, [command.port])


def test_command_says_in_one_line_that_its_port_is_in_use(
    tmp_path: Path, broker: EmbeddedBroker
) -> None:
    command = Command(tmp_path, broker.ports.amqp)
    _, complaint = command.process.communicate(timeout=30)
    assert command.process.returncode == BrokerUnavailableError.exit_code
    assert complaint == f"fer-worker: port {broker.ports.amqp} is in use, or only for root\n"


def test_nothing_is_left_when_the_command_is_killed(command: Command) -> None:
    assert command.url()
    command.process.kill()
    assert_nothing_left(command.data_dir, [command.port])


def test_command_fails_when_its_node_dies(command: Command) -> None:
    assert command.url()
    command.kill_node()
    _, complaint = command.process.communicate(timeout=30)
    assert command.process.returncode == 1
    assert complaint.splitlines()[-1].startswith("fer-worker: RabbitMQ ended by itself: ")
    assert_nothing_left(command.data_dir, [command.port])
