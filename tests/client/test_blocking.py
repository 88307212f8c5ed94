"""The connections of commands: to the first node that answers, or an error of one line."""

import pytest

from fer_client.amqp.blocking import connect
from fer_client.config import BrokerConfig
from fer_client.errors import BrokerRefusedError, BrokerUnavailableError


def test_no_broker_within_the_wait_is_said_in_one_line() -> None:
    away = BrokerConfig(("amqp://someone:secret@127.0.0.1:1/",))
    with pytest.raises(BrokerUnavailableError) as error:
        connect(away, "test", 0.5)
    assert str(error.value).startswith("no broker at amqp://someone:***@127.0.0.1:1/: ")
    assert str(error.value).endswith("Connection refused")
    assert "\n" not in str(error.value)


@pytest.mark.broker
def test_a_command_takes_the_node_that_answers(broker: BrokerConfig) -> None:
    nodes = BrokerConfig(("amqp://127.0.0.1:1/", *broker.urls))
    with connect(nodes, "test", 0) as connection:
        assert connection.is_open


@pytest.mark.broker
def test_a_command_is_told_at_once_that_it_is_refused(broker: BrokerConfig) -> None:
    wrong = BrokerConfig((broker.urls[0].replace(":guest@", ":wrong@"),))
    with pytest.raises(BrokerRefusedError, match="refuses the user name or password"):
        connect(wrong, "test", 60)
