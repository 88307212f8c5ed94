"""A line to the broker that breaks at a chosen moment."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

BASIC_ACK = bytes([0, 60, 0, 80])
"""Class and method of an acknowledgement, as it stands in its frame."""


@contextmanager
def line_that_breaks(url: str, breaks: Callable[[bytes], bool]) -> Iterator[str]:
    """Forward one connection to the broker until the client sends something.

    Args:
        url: AMQP URL of the broker.
        breaks: told each piece that the client sends; true cuts the line instead of passing it on.

    Yields:
        The URL to connect to instead.
    """
    parts = urlsplit(url)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def forward() -> None:
            with suppress(OSError):
                client, _ = listening.accept()
                broker = socket.create_connection((parts.hostname, parts.port))
                back = threading.Thread(target=pump, args=(broker, client, lambda _: False))
                back.start()
                pump(client, broker, breaks)
                back.join()

        thread = threading.Thread(target=forward, daemon=True)
        thread.start()
        address = f"{parts.username}:{parts.password}@127.0.0.1:{listening.getsockname()[1]}"
        yield urlunsplit(parts._replace(netloc=address))
    thread.join(20)


def pump(source: socket.socket, target: socket.socket, breaks: Callable[[bytes], bool]) -> None:
    with suppress(OSError):
        while (piece := source.recv(65536)) and not breaks(piece):
            target.sendall(piece)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
