"""Annotated copies of frames: pictures in a folder, and videos."""

import os
import resource
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fer_client.errors import FerWorkerError, NoAnswerError
from fer_schemas import BatchResult, ErrorCode, FrameResult, RequestError, Status
from fer_worker.cli.annotated_video import VideoAnnotator
from fer_worker.cli.annotation import Annotator, check_copies
from fer_worker.tools.media import MediaFrame, open_clip
from fer_worker.tools.submission.answers import Answer

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)


def frame(
    grey: int,
    source: str = "a.mp4",
    position: int | None = None,
    position_s: float | None = None,
    captured_s: float | None = None,
    rate: float | None = None,
    size: tuple[int, int] = (64, 48),
) -> MediaFrame:
    """A frame of one grey; a second of it is a step of 1 in time."""
    width, height = size
    jpeg = cv2.imencode(".jpg", np.full((height, width, 3), grey, np.uint8))[1].tobytes()
    captured_at = None if captured_s is None else NOW + timedelta(seconds=captured_s)
    return MediaFrame(jpeg, str(grey), source, position, position_s, captured_at, rate)


def clip(*times: float, rate: float = 10) -> list[MediaFrame]:
    """Frames of a clip, of growing greys."""
    return [
        frame(20 + 20 * i, position=i, position_s=at_s, rate=rate) for i, at_s in enumerate(times)
    ]


def answered(*frames: MediaFrame) -> Answer:
    """An answer that found nothing in any frame."""
    found = tuple(FrameResult(id=one.id, width=64, height=48, faces=()) for one in frames)
    return Answer(
        list(frames),
        NOW,
        result=BatchResult(status=Status.SUCCESS, frames=found, worker="host/1"),
    )


def written(path: Path) -> tuple[list[NDArray[np.uint8]], float]:
    """The frames of a video, and how many of them are a second."""
    video = open_clip(path)
    images = []
    while (read := video.read())[0]:
        images.append(np.asarray(read[1], np.uint8))
    return images, video.get(cv2.CAP_PROP_FPS)


def greys(path: Path) -> list[int]:
    """The greys of a video's frames, as `clip` has them, away from what is written on them."""
    return [20 * round(float(image[:20].mean()) / 20) for image in written(path)[0]]


def save(path: Path, *answers: Answer) -> Path:
    video = VideoAnnotator(path)
    for answer in answers:
        assert video.save(answer) == []
    video.close()
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".MP4", os.fsdecode(b"\xf6.mp4")])
def test_video_has_the_frames_and_the_rate_of_what_was_sent(
    tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = save(tmp_path / f"out{suffix}", answered(*clip(0, 0.1, 0.2)), answered())
    images, rate = written(path)
    assert [image.shape for image in images] == [(48, 64, 3)] * 3
    assert rate == 10
    assert greys(path) == [20, 40, 60]
    assert capfd.readouterr().err == ""


def test_gap_is_filled_with_the_frame_before_so_that_time_stays_true(tmp_path: Path) -> None:
    path = save(tmp_path / "out.mp4", answered(*clip(0, 0.1, 0.5, 0.52, 0.6)))
    assert greys(path) == [20, 40, 40, 40, 40, 60, 100]


def test_cameras_frames_are_placed_by_when_they_were_taken(tmp_path: Path) -> None:
    at = (7.0, 7.1, 7.33, 7.4)
    frames = [frame(20 * i, "camera:0", i, captured_s=s, rate=10) for i, s in enumerate(at, 1)]
    assert greys(save(tmp_path / "out.mp4", answered(*frames))) == [20, 40, 40, 60, 80]


def test_second_source_follows_the_first_and_fits_into_its_size(tmp_path: Path) -> None:
    other = [frame(200, "b.mp4", i, 3 + i / 10, rate=25, size=(100, 20)) for i in range(2)]
    path = save(tmp_path / "out.mp4", answered(*clip(0, 0.1)), answered(*other))
    images, _ = written(path)
    assert [image.shape for image in images] == [(48, 64, 3)] * 4
    assert images[2][24, 62].mean() == pytest.approx(200, abs=6)
    assert images[2][4, 32].mean() < 20


def test_pictures_are_shown_for_a_second_each(tmp_path: Path) -> None:
    path = save(tmp_path / "out.mp4", answered(frame(20, "a.jpg"), frame(40, "b.jpg")))
    assert written(path)[1] == 1
    assert greys(path) == [20, 40]


def test_frame_without_an_answer_is_there_and_says_so(tmp_path: Path) -> None:
    late = Answer(
        [frame(100, position=0, position_s=0, rate=10, size=(640, 480))],
        NOW,
        error=NoAnswerError("no answer in time"),
    )
    ((image,), _) = written(save(tmp_path / "out.mp4", late))
    assert image[:400].std() < 2
    assert image[440:, :150].std() > 20


def test_frame_that_cannot_be_decoded_is_left_out(tmp_path: Path) -> None:
    broken = MediaFrame(b"\xff\xd8\xff", "b", "a.mp4", 1, 0.1, rate=10)
    errors = (RequestError(frame=1, code=ErrorCode.BROKEN_JPEG, message="cut off"),)
    first, _, last = clip(0, 0.1, 0.2)
    found = [FrameResult(id=None, width=w, height=w, faces=()) for w in (9, None, 9)]
    result = BatchResult(status=Status.PARTIAL, frames=tuple(found), errors=errors, worker="host/1")
    answer = Answer([first, broken, last], NOW, result=result)
    assert greys(save(tmp_path / "out.mp4", answer)) == [20, 20, 60]


def test_video_without_a_frame_is_none(tmp_path: Path) -> None:
    assert not save(tmp_path / "out.mp4").exists()


def test_clock_that_is_set_makes_no_gap_and_loses_nothing(tmp_path: Path) -> None:
    at = (0, 0.1, 3600, 3600.1, 7)
    frames = [frame(20 * i, "camera:0", i, captured_s=s, rate=10) for i, s in enumerate(at, 1)]
    assert greys(save(tmp_path / "out.mp4", answered(*frames))) == [20, 40, 60, 80, 100]


def test_video_of_before_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_text("of before")
    assert greys(save(path, answered(*clip(0)))) == [20]


def test_video_in_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(FerWorkerError, match=r"^cannot write .*out\.mp4: No such file"):
        VideoAnnotator(tmp_path / "nowhere" / "out.mp4")


def test_video_that_could_not_be_written_whole_is_one_line(tmp_path: Path) -> None:
    video = VideoAnnotator(tmp_path / "out.mp4")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))  # as on a disk that is full
    try:
        video.save(answered(*clip(0, 0.1, 0.2)))
        with pytest.raises(FerWorkerError, match=r"^cannot write .*out\.mp4: it is not complete$"):
            video.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_copies_are_named_by_source_and_number(tmp_path: Path) -> None:
    copies = Annotator(tmp_path / "new").save(
        answered(
            frame(20, "some/a.jpg"),
            frame(20, "other/a.png"),
            frame(20, "some/b.mp4", 12, 0.4),
            frame(20, "other/b.mp4", 0, 0.0),
            frame(20, "some/b.mp4", 13, 0.5),
            frame(20, "rtsp://me:***@host:554/live", 7, captured_s=0),
        )
    )
    names = [
        *("a.jpg", "a-2.jpg", "b-000012.jpg", "b-2-000000.jpg", "b-000013.jpg"),
        "rtsp-me-host-554-live-000007.jpg",
    ]
    assert copies == [tmp_path / "new" / name for name in names]
    assert all(path is not None and path.stat().st_size for path in copies)


def test_picture_and_frame_of_a_clip_that_are_called_alike_are_both_kept(tmp_path: Path) -> None:
    picture, film = frame(20, "a-000001.png"), frame(20, "a.mp4", 1, 0.1)
    for order in ([picture, film], [film, picture]):
        assert len(set(Annotator(tmp_path).save(answered(*order)))) == 2


@pytest.mark.parametrize("link", [None, os.symlink, os.link])
def test_what_is_to_be_sent_is_never_replaced(
    tmp_path: Path, link: Callable[[Path, Path], None] | None
) -> None:
    for name in ("sent/a.jpg", "sent/b.mp4", "copies/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    picture, film, copies = tmp_path / "sent/a.jpg", tmp_path / "sent/b.mp4", tmp_path / "copies"
    check_copies(copies, [picture, film])
    check_copies(tmp_path / "sent", [film])
    check_copies(tmp_path / "new.mp4", [picture, film])
    folder, video = tmp_path / "sent", film
    if link is not None:
        folder, video = copies, tmp_path / "out.mp4"
        link(picture, copies / "a.jpg")
        link(film, video)
    for target in (folder, video):
        with pytest.raises(FerWorkerError, match=r"would replace what is to be sent$"):
            check_copies(target, [film, picture])
