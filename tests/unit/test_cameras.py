"""Cameras: streams over HTTP, and those that are not there."""

import socket
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_client.errors import FerWorkerError
from fer_worker.tools.media import Camera, MediaFrame, camera_address
from tests.streams import Film, answering, streaming
from tests.waiting import wait_until

GREYS = range(0, 250, 10)


def film(frames: int | None = None, stalls: bool = False) -> Film:
    """Frames of 64x48, each of one grey; the grey says which it is."""
    jpegs = [cv2.imencode(".jpg", np.full((48, 64, 3), grey, np.uint8))[1] for grey in GREYS]
    return Film([jpeg.tobytes() for jpeg in jpegs], frames, stalls)


def grey(frame: MediaFrame) -> float:
    image = cv2.imdecode(np.frombuffer(frame.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return float(image.mean())


def some(frames: Iterator[MediaFrame | None], count: int) -> list[MediaFrame]:
    """The next frames; moments without one are passed over."""
    return [next(frame for frame in frames if frame is not None) for _ in range(count)]


def test_stream_gives_its_frames_with_their_time_and_number() -> None:
    with streaming(film()) as address:
        name = address.replace("//", "//me:***@")
        with Camera(address.replace("//", "//me:secret@")) as camera:
            found = some(camera.frames(), 5)
    positions = [frame.position or 0 for frame in found]
    assert [frame.id for frame in found] == [f"{name}#{position}" for position in positions]
    assert {frame.source for frame in found} == {name}
    assert positions == sorted(set(positions))
    times = [frame.captured_at for frame in found]
    assert times == sorted(times, key=lambda time: time.timestamp() if time else 0)
    shown = [GREYS[position % len(GREYS)] for position in positions]
    assert [grey(frame) for frame in found] == pytest.approx(shown, abs=4)


def test_who_comes_late_gets_the_newest_frame_and_not_those_before() -> None:
    showing = film()
    with streaming(showing) as address, Camera(address) as camera:
        frames = camera.frames()
        some(frames, 1)
        missed = showing.shown + 40
        wait_until(lambda: showing.shown >= missed)
        next_one, after = some(frames, 2)
        assert next_one.position is not None
        assert after.position is not None
        assert after.position > missed - 20  # what FFmpeg itself holds is a few frames
        assert after.position - next_one.position < 20


def test_no_more_frames_are_given_than_asked_for() -> None:
    with streaming(film()) as address, Camera(address, fps=5) as camera:
        found = some(camera.frames(), 5)
    times = [frame.captured_at.timestamp() for frame in found if frame.captured_at]
    assert times[-1] - times[1] > 3 / 5 - 2 / 30  # at 30 frames/s they come at the next one
    assert {frame.rate for frame in found} == {5}


def test_few_frames_that_are_asked_for_are_no_stall() -> None:
    with streaming(film()) as address, Camera(address, fps=0.7, timeout_s=1) as camera:
        assert len(some(camera.frames(), 2)) == 2


@pytest.mark.parametrize("stalls", [False, True])
def test_stream_that_ends_or_stalls_is_opened_again(stalls: bool) -> None:
    showing, said = film(frames=40, stalls=stalls), list[str]()
    with (
        streaming(showing) as address,
        Camera(address, timeout_s=1, say=said.append) as camera,
    ):
        frames = camera.frames()
        before = some(frames, 1)[0]
        wait_until(lambda: bool(said), what="the loss is said")
        assert said == ["no more frames; trying again"]
        showing.frames = None
        after = next(f for f in frames if f is not None and (f.position or 0) >= 40)
    assert said[-1] == "frames again"
    assert (before.captured_at, after.captured_at) == tuple(
        sorted(one.captured_at for one in (before, after) if one.captured_at)
    )


def test_moment_without_a_frame_is_none() -> None:
    with (
        streaming(film(frames=5, stalls=True)) as address,
        Camera(address, timeout_s=5) as camera,
    ):
        assert None in (frame for _, frame in zip(range(20), camera.frames(), strict=False))


def trouble(address: str, timeout_s: float = 5) -> str:
    """What is said of a camera that is tried again."""
    said: list[str] = []
    with Camera(address, timeout_s=timeout_s, say=said.append):
        wait_until(lambda: bool(said), what="the trouble is said")
    return said[0]


def refusal(address: str) -> str:
    """What is said of a camera that is not tried again."""
    with Camera(address) as camera, pytest.raises(FerWorkerError) as raised:
        list(camera.frames())
    return str(raised.value)


@pytest.mark.parametrize("scheme", ["http", "https", "rtsp", "rtsps"])
def test_address_where_nobody_listens_is_tried_again(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    said = f"connection refused: nothing listens at port {port}; trying again"
    assert trouble(f"{scheme}://me:secret@127.0.0.1:{port}/a?b") == said


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_address_that_never_answers_is_tried_again(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        said = trouble(f"{scheme}://127.0.0.1:{port}/", timeout_s=0.3)
    assert said == f"no answer from port {port}; trying again"


def test_host_that_does_not_exist_is_named() -> None:
    assert trouble("rtsp://camera.invalid/") == "no host is called camera.invalid; trying again"


def test_server_that_speaks_something_else_is_said() -> None:
    with streaming(film()) as address:
        said = trouble(address.replace("http", "rtsp"))
    assert "does not speak RTSP" in said


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("401 Unauthorized", "401 Unauthorized: user name or password is missing or wrong"),
        ("404 Not Found", "404 Not Found: it has nothing under this path"),
        ("200 OK\r\nContent-Type: text/html", "no video at this address, but text/html"),
    ],
)
def test_what_a_camera_says_over_http_is_said_without_the_password(answer: str, said: str) -> None:
    with answering(f"HTTP/1.0 {answer}\r\n\r\n".encode()) as place:
        assert (
            refusal(f"http://me:secret@{place}/a") == f"cannot read http://me:***@{place}/a: {said}"
        )


def test_recording_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for grey in GREYS:
        writer.write(np.full((48, 64, 3), grey, np.uint8))
    writer.release()
    with answering(
        b"HTTP/1.0 200 OK\r\nContent-Type: video/avi\r\n\r\n" + path.read_bytes()
    ) as place:
        said = refusal(f"http://{place}/a.avi")
    assert said == f"cannot read http://{place}/a.avi: it is a recording, and has ended"


def test_port_that_is_no_number_is_refused() -> None:
    assert refusal("rtsp://127.0.0.1:x/").endswith(": its address has no valid host and port")


def test_camera_that_this_machine_does_not_have_is_one_line() -> None:
    assert refusal("camera:97").startswith("cannot read camera:97: there is no such camera")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("camera:0", "camera:0"),
        ("0", "camera:0"),
        ("/dev/video12", "camera:12"),
        ("rtsp://host/a", "rtsp://host/a"),
        ("RTSP://host/A", "rtsp://host/A"),
        ("http://u:p@host", "http://u:p@host"),
    ],
)
def test_cameras_are_known_by_their_names(text: str, address: str) -> None:
    assert camera_address(text) == address


@pytest.mark.parametrize("text", ["a.mp4", "camera:a", "camera", "./camera:0", "a/b://c", "*.jpg"])
def test_anything_else_is_a_path(text: str) -> None:
    assert camera_address(text) is None


def test_folder_that_is_called_as_a_camera_is_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "0").mkdir()
    monkeypatch.chdir(tmp_path)
    assert camera_address("0") is None


def test_address_of_another_kind_is_one_line_without_the_password() -> None:
    with pytest.raises(
        FerWorkerError, match=r"^cannot read ftp://u:\*\*\*@host/a\.mp4; only rtsp:"
    ):
        camera_address("ftp://u:secret@host/a.mp4")
