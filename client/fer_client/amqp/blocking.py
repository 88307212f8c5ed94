"""A short connection for a command: connect within a wait, or say in one line why not."""

import time

from pika.adapters.blocking_connection import BlockingConnection

from fer_client.amqp.failures import CONNECT_ERRORS, explain, explain_refusal
from fer_client.amqp.parameters import node_parameters, warn_if_exposed
from fer_client.config import BrokerConfig
from fer_client.errors import BrokerRefusedError, BrokerUnavailableError

PAUSE_S = 0.25

HANG_TIMEOUT_S = 3.0
"""Under a memory or disk alarm the broker stops reading from connections that published. A
command does not wait for its end."""


def connect(config: BrokerConfig, name: str, wait_s: float) -> BlockingConnection:
    """Connect to the first node that answers.

    Args:
        config: where the broker is.
        name: what the broker's operator sees.
        wait_s: how long a broker that is not up yet is waited for, in seconds.

    Raises:
        BrokerRefusedError: it refuses our credentials, or the virtual host.
        BrokerUnavailableError: none answered within the wait.
    """
    warn_if_exposed(config)
    give_up = time.monotonic() + wait_s
    while True:
        for parameters in node_parameters(config, name):
            parameters.blocked_connection_timeout = HANG_TIMEOUT_S
            try:
                return BlockingConnection(parameters)
            except CONNECT_ERRORS as error:
                if (refusal := explain_refusal(error)) is not None:
                    raise BrokerRefusedError(f"{refusal} ({config})") from error
                reason = explain(error)
        if time.monotonic() + PAUSE_S > give_up:
            raise BrokerUnavailableError(f"no broker at {config}: {reason}")
        time.sleep(PAUSE_S)


def close_quietly(connection: BlockingConnection, error: BaseException | None) -> None:
    """Close a connection that is of no use any more, or not after an `error` such as Ctrl-C.

    That may have come in the middle of one of pika's steps, and its close would wait for the end of
    it for ever. The broker notices when this process has ended.
    """
    if connection.is_open and (error is None or isinstance(error, Exception)):
        connection.close()
