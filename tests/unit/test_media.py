import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fer_client.amqp.codec import encode_request
from fer_client.errors import FerWorkerError
from fer_schemas import MAX_NAME_LENGTH, BatchRequest
from fer_worker.tools.media import (
    MediaFrame,
    batches,
    expected_frames,
    find_media,
    find_pictures,
    matching,
    read_frame,
    read_frames,
)

JPEG = b"\xff\xd8\xff\xe0 not much of a picture"


def picture(path: Path, depth: type = np.uint8, channels: int = 3) -> Path:
    """Write a picture whose left half is blue."""
    image: NDArray[Any] = np.zeros((40, 60, channels), depth)
    image[:, :30, 0] = np.iinfo(depth).max
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return path


def jpeg(path: Path, content: bytes = JPEG) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def clip(path: Path, greys: Iterable[int]) -> Path:
    """Write a clip, a frame of 64x48 for each grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48))
    for grey in greys:
        writer.write(np.full((48, 64, 3), grey, np.uint8))
    writer.release()
    return path


def media(*sizes: int) -> Iterator[MediaFrame]:
    return (MediaFrame(b"x" * size, str(i), str(i)) for i, size in enumerate(sizes))


def frames(paths: Iterable[Path]) -> Iterator[MediaFrame]:
    return map(read_frame, find_pictures(paths))


def ids(grouped: Iterator[list[MediaFrame]]) -> list[list[str]]:
    return [[frame.id for frame in batch] for batch in grouped]


@pytest.mark.parametrize("content", [JPEG, JPEG[:5], b"", b"no JPEG at all"])
def test_file_named_jpg_is_sent_as_it_is(tmp_path: Path, content: bytes) -> None:
    (frame,) = frames([jpeg(tmp_path / "a.JPG", content)])
    assert frame.jpeg == content


def test_other_picture_that_is_named_jpg_becomes_one(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(picture(tmp_path / "b.png").read_bytes())
    (frame,) = frames([path])
    assert frame.jpeg.startswith(b"\xff\xd8\xff")


@pytest.mark.parametrize("name", ["snapshot", "a.png", "a.dat"])
def test_jpeg_is_known_by_its_content(tmp_path: Path, name: str) -> None:
    (frame,) = frames([jpeg(tmp_path / name)])
    assert frame.jpeg == JPEG


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp", ".tiff", ".TIF", ".PNG"])
def test_other_pictures_become_jpeg(tmp_path: Path, suffix: str) -> None:
    (frame,) = frames([picture(tmp_path / f"a{suffix}")])
    decoded = cv2.imdecode(np.frombuffer(frame.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert frame.jpeg.startswith(b"\xff\xd8\xff")
    assert decoded is not None
    assert decoded.shape == (40, 60, 3)
    assert decoded[20, 10].tolist() == pytest.approx([255, 0, 0], abs=3)
    assert decoded[20, 50].tolist() == pytest.approx([0, 0, 0], abs=3)


@pytest.mark.parametrize(("depth", "channels"), [(np.uint16, 3), (np.uint8, 4), (np.uint8, 1)])
def test_deep_transparent_and_grey_pictures_become_colour_jpeg(
    tmp_path: Path, depth: type, channels: int
) -> None:
    (frame,) = frames([picture(tmp_path / "a.png", depth, channels)])
    decoded = cv2.imdecode(np.frombuffer(frame.jpeg, np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded is not None
    assert decoded.shape == (40, 60, 3)


def test_folder_gives_its_pictures_in_order_without_the_hidden(tmp_path: Path) -> None:
    names = ["b.jpg", "frame-10.jpg", "frame-2.jpg", "sub/c.jpeg", "sub/deeper/a.jpg"]
    for name in [*names, ".hidden.jpg", ".git/x.jpg", "sub/.cache/y.jpg", "notes.txt"]:
        jpeg(tmp_path / name)
    picture(tmp_path / "a.png")
    (tmp_path / "folder.jpg").mkdir()
    found = [Path(frame.source).relative_to(tmp_path).as_posix() for frame in frames([tmp_path])]
    assert found == [
        "a.png",
        "b.jpg",
        "frame-2.jpg",
        "frame-10.jpg",
        "sub/c.jpeg",
        "sub/deeper/a.jpg",
    ]


def test_folder_that_is_hidden_itself_can_be_named(tmp_path: Path) -> None:
    jpeg(tmp_path / ".camera" / "a.jpg")
    assert len(list(frames([tmp_path / ".camera"]))) == 1


def test_paths_keep_the_order_in_which_they_are_given(tmp_path: Path) -> None:
    given = [jpeg(tmp_path / "z.jpg"), jpeg(tmp_path / "a.jpg"), tmp_path / "z.jpg"]
    assert [Path(frame.source) for frame in frames(given)] == given


def test_frame_id_is_the_path_or_its_end(tmp_path: Path) -> None:
    path = jpeg(tmp_path / ("d" * 100) / ("e" * 100) / "a.jpg")
    (frame,) = frames([path])
    assert len(frame.id) == MAX_NAME_LENGTH
    assert path.as_posix().endswith(frame.id)


def test_name_that_is_not_utf_8_can_be_sent(tmp_path: Path) -> None:
    picture = jpeg(tmp_path / os.fsdecode(b"d\xf6rr.jpg"))
    film = clip(tmp_path / "a.mp4", [0]).rename(tmp_path / os.fsdecode(b"d\xf6rr.mp4"))
    found = [*read_frames(picture), *read_frames(film)]
    assert [Path(frame.source).name for frame in found] == ["d?rr.jpg", "d?rr.mp4"]
    assert [Path(frame.id).name for frame in found] == ["d?rr.jpg", "d?rr.mp4#0"]


@pytest.mark.parametrize("missing", ["nowhere.jpg", "a.jpg/b.jpg", "notes.txt", "empty"])
def test_bad_path_is_refused_before_anything_is_read(tmp_path: Path, missing: str) -> None:
    jpeg(tmp_path / "a.jpg")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FerWorkerError) as refusal:
        frames([tmp_path / "a.jpg", tmp_path / missing])
    assert str(tmp_path / missing) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"no picture"])
def test_picture_that_cannot_be_decoded_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = jpeg(tmp_path / "a.png", content)
    with pytest.raises(FerWorkerError, match=r"^cannot read .*a\.png: not a picture"):
        list(frames([path]))


def test_file_that_vanishes_is_one_line(tmp_path: Path) -> None:
    path = jpeg(tmp_path / "a.jpg")
    found = frames([path])
    path.unlink()
    with pytest.raises(FerWorkerError, match=r"^cannot read .*a\.jpg: No such file"):
        next(found)


def test_clip_gives_its_frames_in_order_named_by_number(tmp_path: Path) -> None:
    path = clip(tmp_path / "door.mp4", [0, 80, 160, 240])
    found = list(read_frames(path))
    assert [frame.id for frame in found] == [f"{path.as_posix()}#{number}" for number in range(4)]
    assert {frame.source for frame in found} == {path.as_posix()}
    decoded = [cv2.imdecode(np.frombuffer(f.jpeg, np.uint8), cv2.IMREAD_COLOR) for f in found]
    assert [image.shape for image in decoded if image is not None] == [(48, 64, 3)] * 4
    greys = [image.mean() for image in decoded if image is not None]
    assert greys == pytest.approx([0, 80, 160, 240], abs=8)


def test_clip_is_decoded_only_as_frames_are_asked_for(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", range(0, 250, 10))
    frames_of_clip = read_frames(path)
    path.rename(tmp_path / "b.mp4")
    path.touch()
    with pytest.raises(FerWorkerError, match="not a clip"):
        next(frames_of_clip)


def test_picture_is_one_frame(tmp_path: Path) -> None:
    (frame,) = read_frames(jpeg(tmp_path / "a.jpg"))
    assert (frame.jpeg, frame.id) == (JPEG, (tmp_path / "a.jpg").as_posix())


@pytest.mark.parametrize("content", [b"", b"no clip", JPEG])
def test_clip_that_cannot_be_decoded_is_one_line_and_nothing_else(
    tmp_path: Path, content: bytes
) -> None:
    path = jpeg(tmp_path / "a.mp4", content)
    # In a process of its own: FFmpeg is told to be quiet before it is used for the first time.
    read = (
        "import sys, pathlib, fer_client.errors, fer_worker.tools.media\n"
        "try: list(fer_worker.tools.media.read_frames(pathlib.Path(sys.argv[1])))\n"
        "except fer_client.errors.FerWorkerError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", read, path], capture_output=True, text=True)
    assert done.stdout == f"cannot read {path}: not a clip, or damaged\n"
    assert done.stderr == ""


def test_clip_that_vanishes_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(FerWorkerError, match=r"^cannot read .*a\.mp4: No such file"):
        list(read_frames(tmp_path / "a.mp4"))


def test_clip_that_is_cut_off_gives_what_is_there_and_says_so(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.avi", range(0, 250, 10))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 4 // 5])
    found: list[MediaFrame] = []
    with pytest.raises(FerWorkerError) as refusal:
        found.extend(read_frames(path))
    assert 0 < len(found) < 25
    assert str(refusal.value) == f"{path} ended at frame {len(found)} of 25"


@pytest.mark.parametrize(
    ("fps", "numbers"),
    [
        (None, range(25)),
        (5, range(0, 25, 2)),
        (4, [0, 3, 5, 8, 10, 13, 15, 18, 20, 23]),
        (1, [0, 10, 20]),
        (0.5, [0, 20]),
        (100, range(25)),
    ],
)
def test_frames_are_taken_by_the_time_of_the_clip(
    tmp_path: Path, fps: float | None, numbers: Iterable[int]
) -> None:
    path = clip(tmp_path / "a.mp4", range(0, 250, 10))
    found = list(read_frames(path, fps))
    assert [frame.position for frame in found] == list(numbers)
    assert [frame.position_s for frame in found] == pytest.approx([n / 10 for n in numbers])
    assert {frame.rate for frame in found} == {min(fps or 10, 10)}
    assert expected_frames(path, fps) == pytest.approx(len(found), abs=1)


def test_a_picture_is_one_frame_whatever_the_rate(tmp_path: Path) -> None:
    path = jpeg(tmp_path / "a.jpg")
    assert len(list(read_frames(path, 4))) == expected_frames(path, 4) == 1


def test_clip_that_is_broken_announces_nothing(tmp_path: Path) -> None:
    assert expected_frames(jpeg(tmp_path / "a.mp4")) == 0


def test_pattern_that_no_shell_has_expanded_is_what_it_matches(tmp_path: Path) -> None:
    for name in ("frame-10.jpg", "frame-2.jpg", "sub/frame-3.jpg", "[1].jpg"):
        jpeg(tmp_path / name)
    assert [path.name for path in matching(f"{tmp_path}/frame-*.jpg")] == [
        "frame-2.jpg",
        "frame-10.jpg",
    ]
    assert len(matching(f"{tmp_path}/**/*.jpg")) == 4
    assert len(find_media(matching(f"{tmp_path}/**"))) == 4
    assert len(find_media(matching(f"{tmp_path}/**/*"))) == 4
    assert matching(f"{tmp_path}/[1].jpg") == [tmp_path / "[1].jpg"]
    assert matching("nowhere.jpg") == [Path("nowhere.jpg")]
    with pytest.raises(FerWorkerError, match=r"^nothing matches .*\*\.png$"):
        matching(f"{tmp_path}/*.png")


def test_pictures_and_clips_are_found_together_where_both_are_asked_for(tmp_path: Path) -> None:
    jpeg(tmp_path / "frame-2.jpg")
    clip(tmp_path / "frame-10.MP4", [0])
    jpeg(tmp_path / "notes.txt", b"no picture")
    assert [path.name for path in find_media([tmp_path])] == ["frame-2.jpg", "frame-10.MP4"]
    assert [path.name for path in find_pictures([tmp_path])] == ["frame-2.jpg"]
    assert find_media([tmp_path / "frame-10.MP4"]) == [tmp_path / "frame-10.MP4"]
    with pytest.raises(FerWorkerError, match="not a picture: "):
        find_pictures([tmp_path / "frame-10.MP4"])
    with pytest.raises(FerWorkerError, match="not a picture or clip: "):
        find_media([tmp_path / "notes.txt"])
    (tmp_path / "a.heic").touch()
    with pytest.raises(FerWorkerError, match=r"that can be read: .*a\.heic; convert it first"):
        find_media([tmp_path / "a.heic"])


def test_folder_without_pictures_and_clips_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FerWorkerError, match=r"^no pictures or clips in "):
        find_media([tmp_path])


def test_batches_hold_size_frames_and_the_last_the_rest() -> None:
    assert ids(batches(media(*[1] * 5), size=2)) == [["0", "1"], ["2", "3"], ["4"]]


def test_batches_of_nothing_are_none() -> None:
    assert ids(batches(media(), size=2)) == []


def test_batch_ends_where_the_message_would_get_too_large() -> None:
    grouped = batches(media(4000, 4000, 4000, 50_000, 10), size=9, max_bytes=12_000)
    assert ids(grouped) == [["0", "1"], ["2"], ["3"], ["4"]]


def test_full_batch_fits_the_message_limit_once_encoded() -> None:
    limit = 100_000
    named = (MediaFrame(b"x" * 900, "ö" * MAX_NAME_LENGTH, "") for _ in range(200))
    for batch in batches(named, size=64, max_bytes=limit):
        fields = [
            {"jpeg": frame.jpeg, "id": frame.id, "captured_at": "2026-11-23T10:00:00.250000+01:00"}
            for frame in batch
        ]
        request = BatchRequest.model_validate({"version": 1, "frames": fields})
        assert len(encode_request(request)) <= limit


def test_moment_without_a_frame_gives_an_empty_batch_and_holds_what_there_is() -> None:
    a, b, c = media(1, 1, 1)
    grouped = batches(iter([None, a, None, b, c]), size=2)
    assert ids(grouped) == [[], [], ["0", "1"], ["2"]]


def test_batch_that_was_held_long_enough_is_given_in_part() -> None:
    a, b = media(1, 1)
    assert ids(batches(iter([a, None, b, None]), size=8, hold_s=0)) == [["0"], [], ["1"], []]


def test_frames_are_pulled_only_as_batches_are_asked_for() -> None:
    pulled = []

    def source() -> Iterator[MediaFrame]:
        for frame in media(*[1] * 9):
            pulled.append(frame.id)
            yield frame

    grouped = batches(source(), size=3)
    assert pulled == []
    next(grouped)
    assert pulled == ["0", "1", "2"]


def test_importing_media_loads_no_opencv() -> None:
    check = (
        "import sys, fer_worker.tools.media;"
        "sys.exit('cv2' in sys.modules or 'numpy' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check], check=True)
