"""Cameras of the network for tests: JPEG over HTTP, and as RTP within an RTSP connection."""

import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

FPS = 30
CLOCK_HZ = 90_000
"""Of RTP's time stamps for video."""

PACKET_BYTES = 1400


@dataclass
class Film:
    """What a camera shows to each who connects, at `FPS`."""

    jpegs: Sequence[bytes]
    """Baseline, 4:2:0, as OpenCV writes them; shown again and again."""
    frames: int | None = None
    """How many there are before the camera hangs up; None: it never does."""
    stalls: bool = False
    """Whether it says nothing more instead of hanging up."""
    shown: int = 0
    """How many there have been."""

    def show(self, send: Callable[[bytes], None], gone: threading.Event) -> None:
        """Send frame after frame, in time, until there are no more or nobody looks."""
        started = time.monotonic()
        while not gone.is_set() and (self.frames is None or self.shown < self.frames):
            send(self.jpegs[self.shown % len(self.jpegs)])
            self.shown += 1
            gone.wait(started + self.shown / FPS - time.monotonic())
        if self.stalls:
            gone.wait()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    film: Film
    gone: threading.Event

    def handle_error(self, request: object, client_address: object) -> None:
        """Who looks may leave whenever he likes."""


class _Http(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        self.wfile.write(
            b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"
        )

        def send(jpeg: bytes) -> None:
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            self.wfile.write(head.encode() + jpeg + b"\r\n")

        self.server.film.show(send, self.server.gone)


class _Rtsp(socketserver.StreamRequestHandler):
    """As much of RFC 2326 as a client needs that takes RTP in the same connection."""

    server: _Server

    def handle(self) -> None:
        while request := self.rfile.readline().decode():
            headers = {}
            while line := self.rfile.readline().strip().decode():
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            method, url, _ = request.split()
            self._answer(method, url, headers["cseq"])
            if method == "PLAY":
                self._play()
                return

    def _answer(self, method: str, url: str, cseq: str) -> None:
        body = ""
        extra = {
            "OPTIONS": "Public: DESCRIBE, SETUP, PLAY",
            "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Base: {url}/",
            "SETUP": "Transport: RTP/AVP/TCP;unicast;interleaved=0-1",
            "PLAY": "Range: npt=0-",
        }[method]
        if method == "DESCRIBE":
            body = (
                "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\n"
                f"m=video 0 RTP/AVP 26\r\na=framerate:{FPS}\r\na=control:track\r\n"
            )
        head = f"RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\nSession: 1\r\n{extra}\r\n"
        self.wfile.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())

    def _play(self) -> None:
        sequence = 0

        def send(jpeg: bytes) -> None:
            nonlocal sequence
            stamp = self.server.film.shown * CLOCK_HZ // FPS
            for payload, is_last in _payloads(jpeg):
                kind = 26 | (is_last << 7)
                packet = struct.pack(">BBHII", 0x80, kind, sequence & 0xFFFF, stamp, 1) + payload
                self.wfile.write(struct.pack(">cBH", b"$", 0, len(packet)) + packet)
                sequence += 1

        self.server.film.show(send, self.server.gone)


def _payloads(jpeg: bytes) -> Iterator[tuple[bytes, bool]]:
    """Cut a JPEG into the payloads of RTP packets (RFC 2435); say which is the last."""
    tables, size, position = b"", b"", 2
    while (marker := jpeg[position + 1]) != 0xDA:
        length = int.from_bytes(jpeg[position + 2 : position + 4])
        body = jpeg[position + 4 : position + 2 + length]
        if marker == 0xDB:
            tables += b"".join(body[i + 1 : i + 65] for i in range(0, len(body), 65))
        elif marker == 0xC0:
            height, width = struct.unpack(">HH", body[1:5])
            size = bytes([width // 8, height // 8])
        position += 2 + length
    scan = jpeg[position + 2 + int.from_bytes(jpeg[position + 2 : position + 4]) : -2]
    for offset in range(0, len(scan), PACKET_BYTES):
        head = b"\x00" + offset.to_bytes(3) + bytes([1, 255]) + size  # 4:2:0, tables within
        if offset == 0:
            head += struct.pack(">BBH", 0, 0, len(tables)) + tables
        yield head + scan[offset : offset + PACKET_BYTES], offset + PACKET_BYTES >= len(scan)


@contextmanager
def streaming(film: Film, scheme: str) -> Iterator[str]:
    """Run a camera; give its address, `http://…` or `rtsp://…`."""
    with _Server(("127.0.0.1", 0), _Rtsp if scheme == "rtsp" else _Http) as server:
        server.film, server.gone = film, threading.Event()
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"{scheme}://127.0.0.1:{server.server_address[1]}/live"
        finally:
            server.gone.set()
            server.shutdown()
            thread.join()
