import contextlib
import socket
from collections.abc import Callable, Iterator

import pytest
from pika.adapters.select_connection import IOLoop

from fer_client.amqp.transport import READ_BYTES, IOServices

DEADLINE_S = 20


class Recorder:
    """What pika's connection is to a transport."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.lost: list[BaseException | None] = []
        self.at_end = False
        self.refuses = False

    def connection_made(self, transport: object) -> None:
        self.transport = transport

    def connection_lost(self, error: BaseException | None) -> None:
        self.lost.append(error)

    def eof_received(self) -> bool:
        self.at_end = True
        return False

    def data_received(self, data: bytes) -> None:
        if self.refuses:
            raise ValueError("no frame")
        self.received.append(data)


class Line:
    """A transport, and the other end of its socket."""

    def __init__(self) -> None:
        ours, self.other = socket.socketpair()
        ours.setblocking(False)
        self.protocol = Recorder()
        self.loop = IOLoop()
        self.linked: list[object] = []
        self.reference = IOServices(self.loop).create_streaming_connection(
            lambda: self.protocol, ours, self.linked.append
        )

    def until(self, condition: Callable[[], object]) -> None:
        """Run the loop, a few turns at least, until something has come about."""

        def look() -> None:
            self.loop.stop() if condition() else self.loop.call_later(0.002, look)

        late = self.loop.call_later(DEADLINE_S, self.loop.stop)
        self.loop.call_later(0.002, look)
        self.loop.start()
        self.loop.remove_timeout(late)
        assert condition()


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.other.close()
    line.loop.close()


@pytest.fixture
def linked(line: Line) -> Line:
    line.until(lambda: line.linked)
    return line


def frame(payload: bytes) -> bytes:
    return b"\x03\x00\x01" + len(payload).to_bytes(4) + payload + b"\xce"


def test_frames_that_come_together_are_handed_over_one_by_one(linked: Line) -> None:
    frames = [frame(b""), frame(b"abc"), frame(bytes(5000))]
    linked.other.sendall(b"".join(frames))
    linked.until(lambda: len(linked.protocol.received) == 3)
    assert linked.protocol.received == frames


def test_frame_that_comes_in_pieces_is_handed_over_whole(linked: Line) -> None:
    whole = frame(b"abcdef")
    for at in range(len(whole)):
        assert linked.protocol.received == []
        linked.other.sendall(whole[at : at + 1])
        linked.until(lambda: True)
    linked.until(lambda: linked.protocol.received)
    assert linked.protocol.received == [whole]


def test_frame_may_be_larger_than_one_read(linked: Line) -> None:
    whole = frame(bytes(READ_BYTES + 1))
    linked.other.setblocking(False)
    left = memoryview(whole)

    def send() -> bool:
        nonlocal left
        if left:
            with contextlib.suppress(BlockingIOError):
                left = left[linked.other.send(left) :]
        return bool(linked.protocol.received)

    linked.until(send)
    assert linked.protocol.received == [whole]


def test_all_that_is_written_arrives_in_its_order(linked: Line) -> None:
    pieces = [bytes([number]) * 100_000 for number in range(40)]
    for piece in pieces:
        linked.protocol.transport.write(piece)  # type: ignore[attr-defined]
    linked.other.setblocking(False)
    received = bytearray()

    def receive() -> bool:
        with contextlib.suppress(BlockingIOError):
            received.extend(linked.other.recv(READ_BYTES))
        return len(received) == 4_000_000

    linked.until(receive)
    assert received == b"".join(pieces)
    assert linked.protocol.transport.get_write_buffer_size() == 0  # type: ignore[attr-defined]


def test_line_that_drops_is_told_once(linked: Line) -> None:
    linked.other.close()
    linked.until(lambda: linked.protocol.lost)
    linked.protocol.transport.write(b"late")  # type: ignore[attr-defined]
    linked.protocol.transport.abort()  # type: ignore[attr-defined]
    linked.until(lambda: True)
    assert linked.protocol.at_end
    assert linked.protocol.lost == [None]


def test_aborted_line_is_closed_once_pika_knows(linked: Line) -> None:
    linked.protocol.transport.abort()  # type: ignore[attr-defined]
    assert linked.protocol.lost == []
    linked.until(lambda: linked.protocol.lost)
    assert linked.protocol.lost == [None]
    assert linked.other.recv(1) == b""


def test_what_pika_cannot_read_ends_the_line(linked: Line) -> None:
    linked.protocol.refuses = True
    linked.other.sendall(frame(b"") * 2)
    linked.until(lambda: linked.protocol.lost)
    assert [str(error) for error in linked.protocol.lost] == ["no frame"]


def test_cancelled_before_it_is_linked_it_closes_its_socket(line: Line) -> None:
    assert line.reference.cancel()
    assert not line.reference.cancel()
    line.until(lambda: True)
    assert line.linked == []
    assert line.other.recv(1) == b""
