"""Fixtures that every part of the tests may use."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from fer_client.config import BrokerConfig
from fer_worker.admin.temporary_namespace import temporary_namespace
from tests.forwarder import Forwarder
from tests.loops import declare_queues
from tests.serving import Sender
from tests.shared_broker import SharedBroker, ask

SHARED_BROKER = pytest.StashKey[SharedBroker]()


def pytest_configure(config: pytest.Config) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # also where the tests run under nohup
    if not hasattr(config, "workerinput"):  # not in a process of xdist
        config.stash[SHARED_BROKER] = SharedBroker()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node) -> None:  # type: ignore[no-untyped-def]  # xdist has no types
    node.workerinput["shared_broker"] = node.config.stash[SHARED_BROKER].serve()


def pytest_unconfigure(config: pytest.Config) -> None:
    if SHARED_BROKER in config.stash:
        config.stash[SHARED_BROKER].close()


@pytest.fixture(scope="session")
def broker_url(request: pytest.FixtureRequest) -> str:
    """AMQP URL of the broker for this run: FER_WORKER_TEST_AMQP_URL, else an embedded node."""
    if url := os.environ.get("FER_WORKER_TEST_AMQP_URL"):
        return url
    if SHARED_BROKER in request.config.stash:
        return request.config.stash[SHARED_BROKER].url()
    return ask(request.config.workerinput["shared_broker"])  # type: ignore[attr-defined]  # xdist's


@pytest.fixture
def namespace(broker_url: str) -> Iterator[str]:
    """A namespace for one test; its queues and exchanges are deleted afterwards."""
    with temporary_namespace(broker_url, "t") as config:
        yield config.namespace


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared pictures and data, which is no part of the repository."""
    default = Path(__file__).parents[2] / "shared"
    folder = Path(os.environ.get("FER_WORKER_SHARED", default))
    if not folder.is_dir():
        pytest.skip("no shared folder; FER_WORKER_SHARED names it")
    return folder


@pytest.fixture
def broker(broker_url: str, namespace: str) -> BrokerConfig:
    """The broker of this run and the namespace of this test."""
    return BrokerConfig.from_url(broker_url, namespace)


@pytest.fixture
def sender(broker: BrokerConfig) -> Iterator[Sender]:
    """A controller that knows pika and the contract only. The namespace's queues exist."""
    declare_queues(broker.urls[0], broker.namespace)
    with Sender(broker.urls[0], broker.namespace) as connected:
        yield connected


@pytest.fixture
def line(broker: BrokerConfig) -> Iterator[Forwarder]:
    """A line of one's own to the broker of this run."""
    with Forwarder.to(broker) as forwarder:
        yield forwarder
