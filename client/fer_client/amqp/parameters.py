"""How to reach each node of the broker, as pika takes it."""

import logging

import pika

import fer_client.amqp.properties  # noqa: F401 - from here on pika can read all that it is sent
from fer_client.amqp import tls
from fer_client.config import NO_TLS_FILES, BrokerConfig, mask_password
from fer_client.errors import FerWorkerError

log = logging.getLogger(__name__)


def node_parameters(config: BrokerConfig, name: str) -> list[pika.URLParameters]:
    """Connection parameters of every node; `name` is what the broker's operator sees.

    Raises:
        FerWorkerError: the query of a URL has something that pika cannot read, or a TLS file is
            not one.
    """
    return [_parameters(url, config, name) for url in config.urls]


def _parameters(url: str, config: BrokerConfig, name: str) -> pika.URLParameters:
    try:
        parameters = pika.URLParameters(url)
    except (TypeError, ValueError, SyntaxError, OSError):
        # What pika says of it may repeat a password.
        raise FerWorkerError(f"not an AMQP URL: {mask_password(url)}") from None
    if parameters.ssl_options is not None and config.tls != NO_TLS_FILES:
        parameters.ssl_options = pika.SSLOptions(tls.client_context(config.tls))
    parameters.heartbeat = config.heartbeat_s
    parameters.connection_attempts = 1
    parameters.socket_timeout = 5
    parameters.stack_timeout = 10
    parameters.blocked_connection_timeout = None  # an alarm is waited out, never a hang-up
    parameters.client_properties = {"connection_name": f"fer-worker {name}"}
    return parameters


def warn_if_exposed(config: BrokerConfig) -> None:
    """Say once where passwords and frames travel in the clear."""
    if config.exposed_hosts:
        hosts = ", ".join(config.exposed_hosts)
        log.warning("password and frames go to %s in the clear; amqps:// would protect them", hosts)
