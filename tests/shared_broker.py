"""One RabbitMQ node for a whole test run, also when pytest-xdist spreads it over processes.

The process that pytest was started in owns the node and starts it when a test first asks for it;
a run without broker tests starts none. The others ask over a local connection.
"""

import threading
from contextlib import ExitStack
from multiprocessing.connection import Client, Listener

from fer_client.errors import BrokerError
from fer_worker.tools.embedded_rabbitmq.node import EmbeddedBroker


class SharedBroker:
    """The node, started on demand, and the listener through which other processes ask for it."""

    def __init__(self) -> None:
        self._held = ExitStack()
        self._starting = threading.Lock()
        self._url: str | None = None

    def url(self) -> str:
        """Return the AMQP URL of the node, starting it the first time.

        Raises:
            BrokerUnavailableError: it does not start.
        """
        with self._starting:
            if self._url is None:
                self._url = self._held.enter_context(EmbeddedBroker()).url
            return self._url

    def serve(self) -> str:
        """Answer other processes from now on; return the address for `ask`."""
        self._listener = Listener(family="AF_UNIX")
        threading.Thread(target=self._answer, daemon=True).start()
        return str(self._listener.address)

    def close(self) -> None:
        """Stop the node."""
        self._held.close()

    def _answer(self) -> None:
        while True:
            with self._listener.accept() as asking:
                try:
                    asking.send((self.url(), None))
                except BrokerError as error:
                    asking.send((None, str(error)))


def ask(address: str) -> str:
    """Return the URL of the node that another process of this run owns.

    Raises:
        BrokerError: it does not start.
    """
    with Client(address) as connection:
        url, error = connection.recv()
    if error is not None:
        raise BrokerError(error)
    return str(url)
