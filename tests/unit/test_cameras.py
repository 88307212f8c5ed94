"""Cameras: streams over real connections, and those that are not there."""

import socket
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from fer_client.errors import FerWorkerError
from fer_worker.tools.media import Camera, MediaFrame, is_address
from tests.streams import Film, streaming
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


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_stream_gives_its_frames_with_their_time_and_number(scheme: str) -> None:
    with streaming(film(), scheme) as address:
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
    with streaming(showing, "http") as address, Camera(address) as camera:
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
    with streaming(film(), "http") as address, Camera(address, fps=5) as camera:
        found = some(camera.frames(), 5)
    times = [frame.captured_at.timestamp() for frame in found if frame.captured_at]
    assert times[-1] - times[1] > 3 / 5 - 2 / 30  # at 30 frames/s they come at the next one
    assert {frame.rate for frame in found} == {5}


def test_few_frames_that_are_asked_for_are_no_stall() -> None:
    with streaming(film(), "http") as address, Camera(address, fps=0.7, timeout_s=1) as camera:
        assert len(some(camera.frames(), 2)) == 2


@pytest.mark.parametrize("stalls", [False, True])
def test_stream_that_ends_or_stalls_is_one_line_after_its_last_frame(stalls: bool) -> None:
    with (
        streaming(film(frames=40, stalls=stalls), "http") as address,
        Camera(address, timeout_s=1) as camera,
        pytest.raises(FerWorkerError) as refusal,
    ):
        list(camera.frames())
    assert str(refusal.value) == f"{address} gives no more frames"


def test_moment_without_a_frame_is_none() -> None:
    with (
        streaming(film(frames=5, stalls=True), "http") as address,
        Camera(address, timeout_s=5) as camera,
    ):
        assert None in (frame for _, frame in zip(range(20), camera.frames(), strict=False))


def test_address_where_nobody_is_is_one_line_without_the_password() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(FerWorkerError) as refusal, Camera(f"rtsp://me:secret@127.0.0.1:{port}/a?b"):
        pass
    assert str(refusal.value).startswith(f"cannot open rtsp://me:***@127.0.0.1:{port}/a: ")


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_address_that_never_answers_is_given_up(scheme: str) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(FerWorkerError, match=r"not reachable within 0\.5 s, or no video"),
        Camera(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/", timeout_s=0.5),
    ):
        pass


def test_camera_that_this_machine_does_not_have_is_one_line() -> None:
    with (
        pytest.raises(FerWorkerError, match=r"^cannot open camera:97: there is no such camera"),
        Camera("camera:97"),
    ):
        pass


@pytest.mark.parametrize("text", ["camera:0", "rtsp://host/a", "RTSP://host/a", "http://u:p@host"])
def test_cameras_are_known_by_their_names(text: str) -> None:
    assert is_address(text)


@pytest.mark.parametrize("text", ["a.mp4", "camera:a", "camera", "./camera:0", "a/b://c", "*.jpg"])
def test_anything_else_is_a_path(text: str) -> None:
    assert not is_address(text)


def test_address_of_another_kind_is_one_line_without_the_password() -> None:
    with pytest.raises(
        FerWorkerError, match=r"^cannot read ftp://u:\*\*\*@host/a\.mp4; only rtsp:"
    ):
        is_address("ftp://u:secret@host/a.mp4")
