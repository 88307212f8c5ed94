"""Which ends of a connection are an operator's mistake, and which are to be waited out."""

import pytest
from pika.exceptions import (
    AMQPConnectionError,
    ChannelClosedByBroker,
    ConnectionClosedByBroker,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
    StreamLostError,
)

from fer_client.amqp.failures import explain, explain_refusal

CUT = StreamLostError("Stream connection lost: ConnectionResetError(104, 'reset by peer')")
WRONG_PASSWORD = ConnectionClosedByBroker(403, "ACCESS_REFUSED - Login was refused")
NO_VHOST = ConnectionClosedByBroker(530, "NOT_ALLOWED - vhost nowhere not found")
BOOTING = ConnectionClosedByBroker(541, "INTERNAL_ERROR - vhost / is down")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ProbableAuthenticationError(repr(WRONG_PASSWORD)), "user name or password"),
        (AMQPConnectionError(ProbableAccessDeniedError(repr(NO_VHOST))), "the virtual host"),
        (NO_VHOST, "vhost nowhere not found"),
        (ChannelClosedByBroker(403, "ACCESS_REFUSED - write"), "ACCESS_REFUSED - write"),
    ],
)
def test_mistake_of_an_operator_is_a_refusal(error: Exception, said: str) -> None:
    assert said in (explain_refusal(error) or "")


@pytest.mark.parametrize(
    "error",
    [
        # pika takes any end during the login for a refusal.
        ProbableAuthenticationError(repr(CUT)),
        ProbableAccessDeniedError(repr(CUT)),
        AMQPConnectionError(ProbableAccessDeniedError(repr(BOOTING))),
        CUT,
        ConnectionClosedByBroker(320, "CONNECTION_FORCED - broker forced connection closure"),
    ],
)
def test_cut_line_and_booting_broker_are_no_refusal(error: Exception) -> None:
    assert explain_refusal(error) is None
    assert "probable" not in explain(error)
