"""The bad messages of `python -m benchmarks.bad_messages`."""

import pytest

from benchmarks.bad_messages import BAD, MAX_MESSAGE_BYTES, BadTraffic
from fer_client.config import BrokerConfig
from fer_worker.limits import Limits
from tests.engines import SizeEngine
from tests.serving import Sender, serving

pytestmark = pytest.mark.broker


def test_each_kind_ends_as_the_benchmark_expects(broker: BrokerConfig, sender: Sender) -> None:
    traffic = BadTraffic(sender)
    with serving(broker, SizeEngine(), limits=Limits(max_bytes=MAX_MESSAGE_BYTES)):
        traffic.send(2 * len(BAD))
        traffic.check()
