"""One connection to the broker, its one thread, and reconnecting.

Everything that touches the connection runs on its thread; other threads post callbacks with
`call`. What lives on a connection (channels, consumers, publishers) is never mended: when any of
it breaks the connection is closed, and the listener builds all of it anew on the next one.
"""

import logging
import random
import re
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

import pika
from pika.adapters.select_connection import IOLoop, SelectConnection
from pika.adapters.utils.connection_workflow import (
    AMQPConnectorException,
    AMQPConnectorStackTimeout,
)
from pika.channel import Channel
from pika.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelClosedByBroker,
    ConnectionClosedByBroker,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
)

import fer_client.amqp.properties  # noqa: F401 - from here on pika can read all that it is sent
from fer_client.amqp import tls
from fer_client.amqp.topology import PRECONDITION_FAILED
from fer_client.amqp.transport import IOServices
from fer_client.config import NO_TLS_FILES, BrokerConfig, mask_password
from fer_client.errors import BrokerRefusedError, FerWorkerError

log = logging.getLogger(__name__)

FIRST_DELAY_S = 0.25
LONGEST_DELAY_S = 8.0

CONNECT_ERRORS = (AMQPError, OSError, AMQPConnectorException)
"""What connecting raises. pika makes no AMQPError of everything, such as a login that hangs."""

ACCESS_REFUSED = 403
NOT_ALLOWED = 530
"""An operator's mistake: wrong credentials, a missing permission or virtual host. Anything else,
such as 541 from a broker that is still booting, is waited out."""

_GUESSES = (ProbableAuthenticationError, ProbableAccessDeniedError)
"""What pika makes of any end of a connection while it logs in, a cut line and a booting broker
included. What the broker said, if it said anything, is left in the text only."""

_REFUSAL = re.compile(rf"ConnectionClosedByBroker: \(({ACCESS_REFUSED}|{NOT_ALLOWED})\)")


def node_parameters(config: BrokerConfig, name: str) -> list[pika.URLParameters]:
    """Connection parameters of every node; `name` is what the broker's operator sees.

    Raises:
        FerWorkerError: the query of a URL has something that pika cannot read, or a TLS file is
            not one.
    """
    return [_parameters(url, config, name) for url in config.urls]


def warn_if_exposed(config: BrokerConfig) -> None:
    """Say once where passwords and frames travel in the clear."""
    if config.exposed_hosts:
        hosts = ", ".join(config.exposed_hosts)
        log.warning("password and frames go to %s in the clear; amqps:// would protect them", hosts)


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


class Listener(Protocol):
    """Who uses a connection. Its methods are called on the connection's thread."""

    def on_open(self, connection: SelectConnection) -> None:
        """A new connection is open: build channels, consumers and publishers on it."""

    def on_lost(self) -> None:
        """The connection is gone, and everything built on it. Another one is on its way."""

    def on_refused(self, error: BrokerRefusedError) -> None:
        """The broker refuses us. Nothing more is tried."""


class Connection:
    """Keeps one connection open from `start` to `close`, on a thread of its own."""

    def __init__(
        self,
        config: BrokerConfig,
        name: str,
        listener: Listener,
        prepare: Callable[[pika.ConnectionParameters], None],
    ) -> None:
        """Store what is needed; nothing is opened yet.

        Args:
            config: where the broker is.
            name: what the broker's operator sees.
            listener: told when a connection is open, lost or refused.
            prepare: called before each attempt with the node's parameters, to declare what the
                listener will use; may block for a moment and raise what pika raises.
        """
        self._config = config
        self._nodes = node_parameters(config, name)
        self._listener = listener
        self._prepare = prepare
        self._loop = IOLoop()
        self._lock = threading.Lock()
        self._posted: list[Callable[[], None]] = []
        self._thread = threading.Thread(target=self._run, name=f"amqp-{name}", daemon=True)
        self._current: SelectConnection | None = None
        self._attempts = 0
        self._delay_s = FIRST_DELAY_S
        self._closing = False

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self.call(self._connect)
        self._thread.start()

    def close(self) -> None:
        """Begin to close the connection and to end the thread. Safe from any thread."""
        self.call(self._close)

    def join(self, timeout_s: float = 10.0) -> None:
        """Wait for the thread to end, after `close`."""
        self._thread.join(timeout_s)

    def call(self, callback: Callable[[], None]) -> None:
        """Have `callback` called on the connection's thread. Safe from any thread."""
        with self._lock:
            self._posted.append(callback)
            is_first = len(self._posted) == 1
        if is_first:  # to wake the loop is a system call; the others go along
            self._loop.add_callback_threadsafe(self._run_posted)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        """Have `callback` called after a delay. Only from the connection's own thread."""
        self._loop.call_later(delay_s, partial(self._guard, callback))

    def _run(self) -> None:
        """Run the loop until it is stopped, whatever happens in it."""
        while True:
            try:
                self._loop.start()
                return
            except Exception as error:
                # pika 1.4.4 fails an assertion where a line drops while its connection is being
                # closed before it was open, and says no more of that connection then.
                log.warning("the AMQP library failed: %r", error)
                if self._current is not None and self._current.is_open:
                    self._current.close()
                elif self._current is not None:
                    self._on_closed(self._current, error)
                if self._closing and self._current is None:
                    return
                time.sleep(FIRST_DELAY_S)

    def _run_posted(self) -> None:
        with self._lock:
            posted, self._posted = iter(self._posted), []
        try:
            for callback in posted:
                self._guard(callback)
        finally:
            if rest := list(posted):  # `_guard` itself failed, and so will the loop
                with self._lock:
                    self._posted[:0] = rest
                self._loop.add_callback_threadsafe(self._run_posted)

    def _guard(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception:
            log.exception("unexpected fault on the broker's thread; connecting anew")
            if self._current is not None and self._current.is_open:
                self._current.close()

    def _connect(self) -> None:
        if self._closing:
            return
        node = self._nodes[self._attempts % len(self._nodes)]
        self._attempts += 1
        try:
            self._prepare(node)
            self._current = SelectConnection(
                node,
                on_open_callback=self._on_open,
                on_open_error_callback=self._on_closed,
                on_close_callback=self._on_closed,
                custom_ioloop=IOServices(self._loop),
            )
        except Exception as error:
            if not isinstance(error, CONNECT_ERRORS):
                log.exception("unexpected fault while connecting; trying again")
            self._retry(error)

    def _on_open(self, connection: SelectConnection) -> None:
        if connection is not self._current:
            return
        log.info("connected to %s", self._config)
        self._attempts = 0
        self.call_later(self._delay_s, partial(self._trust, connection))
        self._listener.on_open(connection)

    def _trust(self, connection: SelectConnection) -> None:
        """Reset the backoff once a connection has outlived it."""
        if connection.is_open:
            self._delay_s = FIRST_DELAY_S

    def _on_closed(self, connection: SelectConnection, error: BaseException) -> None:
        if connection is not self._current:
            return  # given up before
        self._current = None
        self._listener.on_lost()
        if self._closing:
            self._loop.stop()
            return
        self._retry(error)

    def _retry(self, error: BaseException) -> None:
        if (refusal := explain_refusal(error)) is not None:
            self._listener.on_refused(BrokerRefusedError(f"{refusal} ({self._config})"))
            return
        if self._attempts <= 1:
            log.warning("no broker at %s: %s; trying again", self._config, explain(error))
        delay_s = self._delay_s * random.uniform(0.8, 1.2)
        self._delay_s = min(self._delay_s * 2, LONGEST_DELAY_S)
        self.call_later(delay_s, self._connect)

    def _close(self) -> None:
        self._closing = True
        if self._current is None:
            self._loop.stop()
        elif not (self._current.is_closing or self._current.is_closed):
            self._current.close()


def open_channel(connection: SelectConnection, on_open: Callable[[Channel], None]) -> None:
    """Open a channel whose unexpected end closes the whole connection."""

    def on_close(_: Channel, reason: Exception) -> None:
        if connection.is_open:
            log.warning("channel closed: %s; connecting anew", explain(reason))
            connection.close()

    def opened(channel: Channel) -> None:
        channel.add_on_close_callback(on_close)
        on_open(channel)

    connection.channel(on_open_callback=opened)


def explain(error: BaseException) -> str:
    """Say in one line why a connection or channel failed."""
    root = _root(error)
    if isinstance(root, AMQPConnectorStackTimeout):
        return "it takes the connection and then says nothing"
    if isinstance(root, ConnectionClosedByBroker | ChannelClosedByBroker):
        return f"{root.reply_code} {root.reply_text}"
    if isinstance(root, _GUESSES):
        return str(root.args[0])
    return str(root) or type(root).__name__


def explain_refusal(error: BaseException) -> str | None:
    """Say why the broker refuses us for good, or return None where waiting may help."""
    root = _root(error)
    if (refusal := tls.explain_refusal(root)) is not None:
        return refusal
    if isinstance(root, _GUESSES) and not _REFUSAL.search(str(root)):
        return None
    if isinstance(root, AuthenticationError | ProbableAuthenticationError):
        return "the broker refuses the user name or password"
    if isinstance(root, ProbableAccessDeniedError):
        return "the broker refuses the virtual host"
    if isinstance(root, ConnectionClosedByBroker) and root.reply_code in (
        ACCESS_REFUSED,
        NOT_ALLOWED,
    ):
        return f"the broker refuses us: {root.reply_text}"
    if isinstance(root, ChannelClosedByBroker) and root.reply_code in (
        ACCESS_REFUSED,
        PRECONDITION_FAILED,
    ):
        return f"the broker refuses us: {root.reply_text}"
    return None


def _root(error: BaseException) -> BaseException:
    """Unwrap the exceptions that pika puts around the one that matters."""
    inner = getattr(error, "exception", None) or (error.args[0] if error.args else None)
    return _root(inner) if isinstance(inner, BaseException) else error
