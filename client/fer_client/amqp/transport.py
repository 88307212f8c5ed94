"""The bytes of a plain connection: read as much as there is, written all at once.

pika's own transport reads 4 KiB at a time and writes frame by frame. Each of these calls gives the
interpreter lock away, and where the threads of a frame pool want it too, getting it back is what a
message costs most. A message of 100 kB takes 25 reads there; here ten of them come with one. What
is read goes on a whole AMQP frame at a time, since pika copies whatever it has to keep.

Built on pika's public interface for other I/O loops (`pika.adapters.utils.nbio_interface`). TLS
connections keep pika's transport.
"""

import contextlib
import socket
import ssl
from collections.abc import Callable
from functools import partial

from pika.adapters.utils.nbio_interface import (
    AbstractIOReference,
    AbstractStreamProtocol,
    AbstractStreamTransport,
)
from pika.adapters.utils.selector_ioloop_adapter import SelectorIOServicesAdapter

READ_BYTES = 1024 * 1024
"""Taken from the socket at once, at most. Handling them takes about a millisecond."""

# AMQP 0-9-1, 4.2.3: type (1 byte), channel (2), size of the payload (4), payload, frame end (1).
_SIZE = slice(3, 7)
_AROUND_PAYLOAD = 8

Linked = tuple[AbstractStreamTransport, AbstractStreamProtocol]


class IOServices(SelectorIOServicesAdapter):  # type: ignore[misc]  # pika is not typed
    """What a `SelectConnection` asks of its loop; plain connections get our transport."""

    def create_streaming_connection(
        self,
        protocol_factory: Callable[[], AbstractStreamProtocol],
        sock: socket.socket,
        on_done: Callable[[Linked | BaseException], None],
        ssl_context: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
    ) -> AbstractIOReference:
        """Implement `AbstractIOServices`."""
        if ssl_context is not None:
            return super().create_streaming_connection(
                protocol_factory, sock, on_done, ssl_context, server_hostname
            )
        return _Linking(self, protocol_factory, sock, on_done)


class _Linking(AbstractIOReference):  # type: ignore[misc]
    """Joins transport and protocol in the loop's next turn, unless cancelled before."""

    def __init__(
        self,
        services: IOServices,
        protocol_factory: Callable[[], AbstractStreamProtocol],
        sock: socket.socket,
        on_done: Callable[[Linked | BaseException], None],
    ) -> None:
        self._services = services
        self._protocol_factory = protocol_factory
        self._socket = sock
        self._on_done = on_done
        self._over = False
        services.add_callback_threadsafe(self._link)

    def cancel(self) -> bool:
        if self._over:
            return False
        self._over = True
        self._socket.close()
        return True

    def _link(self) -> None:
        if self._over:
            return
        self._over = True
        try:
            protocol = self._protocol_factory()
            transport = _Transport(self._socket, protocol, self._services)
            protocol.connection_made(transport)
        except Exception as error:
            self._socket.close()
            self._on_done(error)
        else:
            self._on_done((transport, protocol))


class _Transport(AbstractStreamTransport):  # type: ignore[misc]
    """Moves bytes between a socket and pika. Everything here runs on the connection's thread."""

    def __init__(
        self, sock: socket.socket, protocol: AbstractStreamProtocol, services: IOServices
    ) -> None:
        self._socket = sock
        self._protocol = protocol
        self._services = services
        self._incoming = b""
        """The beginning of a frame whose end has not come yet."""
        self._outgoing = bytearray()
        self._ended = False
        services.set_reader(sock.fileno(), self._read)

    def get_protocol(self) -> AbstractStreamProtocol:
        return self._protocol

    def get_write_buffer_size(self) -> int:
        return len(self._outgoing)

    def write(self, data: bytes) -> None:
        if self._ended:
            return
        if not self._outgoing:
            self._services.set_writer(self._socket.fileno(), self._send)
        self._outgoing += data

    def abort(self) -> None:
        self._end(None)

    def _read(self) -> None:
        try:
            received = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(error)
            return
        if not received:
            self._protocol.eof_received()
            self._end(None)
            return
        try:
            self._hand_over(self._incoming + received)
        except Exception as error:
            self._end(error)

    def _hand_over(self, received: bytes) -> None:
        at, end_of_frame = 0, _end_of_frame(received, 0)
        while end_of_frame is not None and not self._ended:
            self._protocol.data_received(received[at:end_of_frame])
            at, end_of_frame = end_of_frame, _end_of_frame(received, end_of_frame)
        self._incoming = received[at:]

    def _send(self) -> None:
        try:
            sent = self._socket.send(self._outgoing)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(error)
            return
        del self._outgoing[:sent]
        if not self._outgoing:
            self._services.remove_writer(self._socket.fileno())

    def _end(self, error: Exception | None) -> None:
        """Stop, and tell pika in the loop's next turn; None stands for our own wish."""
        if self._ended:
            return
        self._ended = True
        self._services.remove_reader(self._socket.fileno())
        self._services.remove_writer(self._socket.fileno())
        self._services.add_callback_threadsafe(partial(self._close, error))

    def _close(self, error: Exception | None) -> None:
        try:
            self._protocol.connection_lost(error)
        finally:
            with contextlib.suppress(OSError):  # the other side may have been first
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()


def _end_of_frame(received: bytes, at: int) -> int | None:
    """Where the frame that begins at `at` ends; None if its end is not there yet."""
    header = received[at : at + _AROUND_PAYLOAD]
    end = at + int.from_bytes(header[_SIZE]) + _AROUND_PAYLOAD
    return end if len(header) == _AROUND_PAYLOAD and end <= len(received) else None
