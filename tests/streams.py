"""Cameras of the network for tests: JPEG over HTTP, and GStreamer's RTSP server."""

import socketserver
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FPS = 30
SYSTEM_PYTHON = "/usr/bin/python3"
RTSP_PROGRAM = str(Path(__file__).with_name("rtsp_server.py"))


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
        started = time.monotonic() - self.shown / FPS
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
    answer: bytes

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


@contextmanager
def streaming(film: Film) -> Iterator[str]:
    """Run a camera that speaks HTTP; give its address."""
    with _Server(("127.0.0.1", 0), _Http) as server:
        server.film, server.gone = film, threading.Event()
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/live"
        finally:
            server.gone.set()
            server.shutdown()
            thread.join()


class _Answer(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        self.wfile.write(self.server.answer)


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """Give everybody the same answer; yields host and port."""
    with _Server(("127.0.0.1", 0), _Answer) as server:
        server.answer = answer
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@dataclass(frozen=True)
class RtspServer:
    """A running `tests/rtsp_server.py`."""

    port: int
    locked_port: int

    def address(self, path: str = "/live") -> str:
        """Give the address of a camera that everybody may see."""
        return f"rtsp://127.0.0.1:{self.port}{path}"

    def locked_address(self, login: str = "me:secret", path: str = "/live") -> str:
        """Give the address of one that asks for a password."""
        return f"rtsp://{login}@127.0.0.1:{self.locked_port}{path}"


@contextmanager
def rtsp_server(port: int = 0) -> Iterator[RtspServer]:
    """Run a real RTSP server at a port; 0 takes a free one."""
    command = (SYSTEM_PYTHON, RTSP_PROGRAM, str(port))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield RtspServer(*map(int, process.stdout.readline().split()))
        finally:
            process.kill()


def has_rtsp_server() -> bool:
    """Whether the distribution's Python has GStreamer's RTSP server, as after `make test`."""
    look = "import gi; gi.require_version('GstRtspServer', '1.0')"
    try:
        done = subprocess.run((SYSTEM_PYTHON, "-c", look), capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return done.returncode == 0
