"""`amqps://` against a TLS listener of a real RabbitMQ, with certificates made here."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from fer_client import FerClient
from fer_client.amqp.blocking import connect
from fer_client.amqp.connection import Connection
from fer_client.amqp.sessions import keep_connected
from fer_client.config import BrokerConfig, TlsFiles
from fer_client.errors import BrokerRefusedError, BrokerUnavailableError, FerWorkerError
from fer_schemas import Status
from fer_worker.tools.embedded_rabbitmq.node import EmbeddedBroker
from fer_worker.tools.embedded_rabbitmq.ports import claim_ports
from tests.engines import SizeEngine, plain_jpeg
from tests.serving import fer_worker, fer_worker_process, serving

LISTENER = """
listeners.ssl.1 = 127.0.0.1:{port}
ssl_options.cacertfile = {folder}/ca.pem
ssl_options.certfile = {folder}/server.pem
ssl_options.keyfile = {folder}/server.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = {mutual}
"""


@dataclass(frozen=True)
class Listener:
    """Where a broker listens for TLS, and the files of a client that it accepts."""

    port: int
    files: TlsFiles

    def url(self, host: str = "localhost") -> str:
        return f"amqps://guest:guest@{host}:{self.port}/"

    def config(self, namespace: str, files: TlsFiles | None = None) -> BrokerConfig:
        return BrokerConfig.from_url(self.url(), namespace, files or self.files)


def write_certificate(certificate: trustme.LeafCert, folder: Path, name: str) -> None:
    (folder / f"{name}.key").write_bytes(certificate.private_key_pem.bytes())
    (folder / f"{name}.pem").write_bytes(
        b"".join(part.bytes() for part in certificate.cert_chain_pems)
    )


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def client_files(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    """What a client with a certificate of its own has."""
    folder = tmp_path_factory.mktemp("client")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    write_certificate(authority.issue_cert("worker"), folder, "client")
    return TlsFiles(folder / "ca.pem", folder / "client.pem", folder / "client.key")


def listen(
    folder: Path, authority: trustme.CA, server: trustme.LeafCert, files: TlsFiles, mutual: bool
) -> Iterator[Listener]:
    authority.cert_pem.write_to_path(folder / "ca.pem")
    write_certificate(server, folder, "server")
    with closing(claim_ports()) as ports:
        (folder / "rabbitmq.conf").write_text(
            LISTENER.format(port=ports.amqp, folder=folder, mutual=str(mutual).lower())
        )
        with EmbeddedBroker(folder):
            yield Listener(ports.amqp, files)


@pytest.fixture(scope="module")
def mutual(
    authority: trustme.CA, client_files: TlsFiles, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Listener]:
    """A broker that asks for a certificate of the client."""
    server = authority.issue_cert("localhost")
    yield from listen(tmp_path_factory.mktemp("mutual"), authority, server, client_files, True)


@pytest.fixture(scope="module")
def expired(
    authority: trustme.CA, client_files: TlsFiles, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Listener]:
    """A broker whose certificate was good until yesterday."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    server = authority.issue_cert(
        "localhost", not_before=yesterday - timedelta(days=9), not_after=yesterday
    )
    yield from listen(tmp_path_factory.mktemp("expired"), authority, server, client_files, False)


def arguments(files: TlsFiles) -> list[str]:
    return [f"--tls-ca={files.ca}", f"--tls-cert={files.cert}", f"--tls-key={files.key}"]


@pytest.mark.broker
def test_worker_supervisor_client_and_operator_speak_tls(mutual: Listener) -> None:
    broker = mutual.config("tls")
    with serving(broker, SizeEngine()), FerClient(broker) as client:
        assert client.analyze([plain_jpeg(60)]).status is Status.SUCCESS
    with FerClient(mutual.url(), namespace="tls", tls=mutual.files):
        pass
    status = fer_worker("status", *arguments(mutual.files), broker=BrokerConfig((mutual.url(),)))
    assert status.returncode == 0, status.stderr
    assert status.stderr == ""


def refusal_of_a_worker(broker: BrokerConfig) -> str:
    """What a service that runs for ever says when it stops trying."""

    async def never(_: Connection) -> None:
        pytest.fail("connected")

    with pytest.raises(BrokerRefusedError) as refusal:
        asyncio.run(keep_connected(broker, "test", never, until=asyncio.Event()))
    return str(refusal.value)


def refusals(broker: BrokerConfig) -> list[str]:
    """What each kind of connection says."""
    with pytest.raises(BrokerRefusedError) as of_command:
        connect(broker, "test", wait_s=5)
    with pytest.raises(BrokerRefusedError) as of_client, FerClient(broker):
        pass
    return [str(of_command.value), str(of_client.value), refusal_of_a_worker(broker)]


@pytest.mark.broker
def test_certificate_of_another_authority_is_refused_at_once(
    mutual: Listener, tmp_path: Path
) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    for files in (TlsFiles(tmp_path / "other.pem"), None):  # None: the system's authorities
        broker = BrokerConfig((mutual.url(),), tls=files or TlsFiles())
        for said in refusals(broker):
            assert said.startswith("the broker's certificate is not accepted: ")
            assert "certificate" in said
            assert "guest:guest" not in said


@pytest.mark.broker
def test_certificate_for_another_host_is_refused_at_once(mutual: Listener) -> None:
    broker = BrokerConfig.from_url(mutual.url("127.0.0.1"), tls=mutual.files)
    for said in refusals(broker):
        assert "not accepted: IP address mismatch" in said


@pytest.mark.broker
def test_certificate_that_has_expired_is_refused_at_once(expired: Listener) -> None:
    for said in refusals(expired.config("tls")):
        assert "not accepted: certificate has expired" in said


@pytest.mark.broker
def test_client_without_the_certificate_that_is_asked_for_is_refused_at_once(
    mutual: Listener,
) -> None:
    for said in refusals(mutual.config("tls", TlsFiles(mutual.files.ca))):
        assert said.startswith("no TLS with the broker: ")


@pytest.mark.broker
def test_tls_with_a_listener_that_has_none_is_refused_at_once(broker: BrokerConfig) -> None:
    url = broker.urls[0].replace("amqp:", "amqps:")
    for said in refusals(BrokerConfig((url,))):
        assert said.startswith("no TLS with the broker: ")


@pytest.mark.broker
@pytest.mark.parametrize("command", ["run", "status", "scale", "submit"])
def test_command_that_does_not_trust_the_broker_ends_with_one_line(
    mutual: Listener, tmp_path: Path, command: str
) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    (tmp_path / "a.jpg").write_bytes(plain_jpeg(60))
    operands = {"scale": ["1"], "submit": [str(tmp_path / "a.jpg")]}.get(command, [])
    run = fer_worker_process if command == "run" else fer_worker
    done = run(
        command,
        f"--tls-ca={tmp_path / 'other.pem'}",
        *operands,
        broker=BrokerConfig((mutual.url(),)),
    )
    assert done.returncode == 3
    assert done.stderr.count("certificate is not accepted") == 1
    assert "Traceback" not in done.stderr


BAD_FILES = {
    "missing authority": ("missing", None, None, "cannot read missing: No such file"),
    "a folder": (".", None, None, "cannot read .: Is a directory"),
    "empty authority": ("empty", None, None, "empty has no certificate in PEM"),
    "missing key": (None, "one.pem", "missing", "cannot read missing: No such file"),
    "key of another": (None, "one.pem", "two.key", "not a certificate with its own"),
    "no key": (None, "one.pem", None, "not a certificate with its own"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_file_that_is_of_no_use_is_named(
    name: str, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for one in ("one", "two"):
        write_certificate(authority.issue_cert(one), tmp_path, one)
    (tmp_path / "empty").touch()
    *paths, said = BAD_FILES[name]
    files = TlsFiles(*[None if path is None else Path(path) for path in paths])
    with pytest.raises(FerWorkerError) as caught:
        connect(BrokerConfig.from_url("amqps://localhost:1/", tls=files), "test", wait_s=0)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "files", "said"),
    [
        ("amqp://localhost", TlsFiles(ca=Path("ca.pem")), "no URL begins with amqps://"),
        ("amqps://localhost", TlsFiles(key=Path("key.pem")), "a TLS key needs its certificate"),
    ],
)
def test_files_without_a_use_are_a_mistake(url: str, files: TlsFiles, said: str) -> None:
    with pytest.raises(FerWorkerError, match=said):
        BrokerConfig.from_url(url, tls=files)


@pytest.mark.parametrize(
    ("url", "exposed"),
    [
        ("amqp://localhost,amqp://127.0.0.1,amqp://[::1]:5672", ()),
        ("amqp://rabbit-1,amqps://rabbit-2,amqp://10.0.0.1", ("rabbit-1", "10.0.0.1")),
        ("amqp://localhost.example.org", ("localhost.example.org",)),
    ],
)
def test_hosts_that_are_spoken_to_in_the_clear_are_known(
    url: str, exposed: tuple[str, ...]
) -> None:
    assert BrokerConfig.from_url(url).exposed_hosts == exposed


@pytest.mark.broker
def test_host_that_is_spoken_to_in_the_clear_is_warned_of_once(broker: BrokerConfig) -> None:
    urls = (*broker.urls, "amqp://worker:secret-word@rabbit-2.example/")
    done = fer_worker_process("status", broker=BrokerConfig(urls, broker.namespace))
    assert done.returncode == 0
    (warning,) = done.stderr.splitlines()
    assert "go to rabbit-2.example in the clear" in warning


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_listener_that_says_nothing_is_one_clear_line(silent: int) -> None:
    broker = BrokerConfig.from_url(f"amqp://localhost:{silent}")
    with pytest.raises(BrokerUnavailableError, match="takes the connection and then says nothing"):
        connect(broker, "test", wait_s=0)


@pytest.mark.broker
def test_node_after_one_that_says_nothing_is_tried(broker: BrokerConfig, silent: int) -> None:
    urls = (f"amqps://localhost:{silent}", *broker.urls)
    with FerClient(BrokerConfig(urls, broker.namespace), connect_timeout_s=60):
        pass
