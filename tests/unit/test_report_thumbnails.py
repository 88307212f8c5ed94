import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fer_worker.tools.face_table import Row
from fer_worker.tools.html_report.counts import Best
from fer_worker.tools.html_report.thumbnails import (
    SIZE,
    Thumbnail,
    around,
    choose,
    read_thumbnails,
)
from fer_worker.tools.media.clips import read_clip
from tests.face_rows import face_row
from tests.frames import FOLDER
from tests.unit.test_report_summary import summary_of

ASTRONAUT = FOLDER / "astronaut.jpg"
FACE: dict[str, Any] = {
    "x": 179,
    "y": 69,
    "box_width": 88,
    "box_height": 111,
    "width": 512,
    "height": 512,
}


def thumbnail(row: Row, folder: Path = Path()) -> Thumbnail:
    (read,) = read_thumbnails([Best(1, row)], folder)
    return read


def decoded(read: Thumbnail) -> Any:
    assert read.jpeg is not None, read.missing
    image = cv2.imdecode(np.frombuffer(read.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape == (SIZE[1], SIZE[0], 3)
    return image


def clip_of_greys(path: Path, count: int) -> None:
    """Write a clip whose frames are told apart from their neighbours by their brightness."""
    codec = cv2.VideoWriter.fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, 25.0, (64, 48))
    assert writer.isOpened()
    for number in range(count):
        writer.write(np.full((48, 64, 3), number % 6 * 40, np.uint8))
    writer.release()


def slow_down(path: Path, count: int) -> None:
    """Let each frame of an MP4's second half last ten times as long, by its table of times."""
    data = bytearray(path.read_bytes())
    entries = data.rindex(b"stts") + 8  # after the name, version and flags (ISO 14496-12, 8.6.1.2)
    _, _, ticks = struct.unpack_from(">3I", data, entries)
    half = count // 2
    data[entries : entries + 12] = struct.pack(">5I", 2, half, ticks, count - half, 10 * ticks)
    for box in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stts"):
        size = data.rindex(box) - 4
        struct.pack_into(">I", data, size, struct.unpack_from(">I", data, size)[0] + 8)
    path.write_bytes(data)


def of_clip(path: Path, position: int, position_s: float | None = None) -> Row:
    box: dict[str, Any] = {
        "x": 20,
        "y": 20,
        "box_width": 8,
        "box_height": 8,
        "width": 64,
        "height": 48,
    }
    at_s = position / 25 if position_s is None else position_s
    return face_row(0, source=str(path), position=position, position_s=at_s, **box)


def chosen(batches_of_series: list[int], most: int) -> list[list[Best]]:
    rows = [
        face_row(0, batch=f"{name}-{n}", camera_id=str(name), side=10 + n % 7, most_relevant=True)
        for name, batches in enumerate(batches_of_series)
        for n in range(batches)
    ]
    return choose(list(summary_of(*rows).series.values()), most)


@pytest.mark.parametrize(
    ("batches", "most", "shown"),
    [
        ([5], 36, [5]),
        ([100], 36, [36]),
        ([100, 2, 100], 12, [5, 2, 5]),
        ([3, 3, 3, 3], 2, [0, 0, 1, 1]),
        ([1000], 7, [7]),
        ([3], 0, [0]),
    ],
)
def test_pictures_are_shared_out_among_cameras(
    batches: list[int], most: int, shown: list[int]
) -> None:
    assert [len(frames) for frames in chosen(batches, most)] == shown


def test_pictures_are_spread_over_all_batches_and_are_of_the_largest_faces() -> None:
    (frames,) = chosen([140], 20)
    assert [best.batches for best in frames] == [7] * 20
    assert {best.row.area for best in frames if best.row} == {16 * 16}


def test_only_most_relevant_frames_are_candidates() -> None:
    rows = [face_row(0), face_row(1, most_relevant=True, side=5), face_row(2)]
    ((best,),) = choose(list(summary_of(*rows).series.values()), 10)
    assert best.row == rows[1]


@pytest.mark.parametrize(
    "box",
    [(300, 200, 80, 100), (0, 0, 80, 100), (-20, 430, 90, 90), (600, 400, 200, 200), (5, 5, 1, 1)],
)
def test_part_that_is_shown_holds_the_face_and_is_within_the_frame(
    box: tuple[int, int, int, int],
) -> None:
    x, y, width, height = around(box, 640, 480)
    assert 0 <= x <= 640 - width
    assert 0 <= y <= 480 - height
    assert width / height == pytest.approx(SIZE[0] / SIZE[1], rel=0.05)
    middle = min(max(box[0] + box[2] / 2, 0), 640), min(max(box[1] + box[3] / 2, 0), 480)
    assert x <= middle[0] <= x + width + 1
    assert y <= middle[1] <= y + height + 1


def test_picture_is_cut_around_the_face_and_a_box_in_its_colour_drawn() -> None:
    image = decoded(thumbnail(face_row(0, "angry", source=str(ASTRONAUT), **FACE)))
    vermilion = np.abs(image.astype(int) - (0, 94, 213)).sum(axis=2) < 60
    assert vermilion.sum() > 300
    assert decoded(thumbnail(face_row(0, source=str(ASTRONAUT), **FACE))).tolist() != image.tolist()


def test_annotated_copy_is_shown_as_it_is(tmp_path: Path) -> None:
    copy = tmp_path / "copy.png"
    cv2.imwrite(str(copy), np.full((512, 512, 3), (10, 200, 30), np.uint8))
    row = face_row(0, source=str(ASTRONAUT), annotated=str(copy), **FACE)
    assert np.abs(decoded(thumbnail(row)).astype(int) - (10, 200, 30)).max() < 8


def test_relative_paths_begin_where_the_results_are(tmp_path: Path) -> None:
    (tmp_path / "there.jpg").write_bytes(ASTRONAUT.read_bytes())
    decoded(thumbnail(face_row(0, source="there.jpg", **FACE), tmp_path))


def test_frames_of_a_clip_are_found_by_their_number(tmp_path: Path) -> None:
    clip = tmp_path / "greys.mp4"
    clip_of_greys(clip, 600)
    wanted = [100, 3, 99, 598, 3]
    read = read_thumbnails([Best(1, of_clip(clip, position)) for position in wanted], Path())
    for position, one in zip(wanted, read, strict=True):
        corner = decoded(one)[-30:, :30].mean()
        assert corner == pytest.approx(position % 6 * 40, abs=8), position


def test_frames_of_a_clip_with_an_uneven_rate_are_found_by_their_number(tmp_path: Path) -> None:
    clip = tmp_path / "uneven.mp4"
    clip_of_greys(clip, 600)
    slow_down(clip, 600)
    times = [frame.position_s for frame in read_clip(clip)]
    assert times[250] == 10
    assert times[599] == pytest.approx(12 + 299 * 0.4)
    wanted = [250, 400, 598]
    rows = [of_clip(clip, position, times[position]) for position in wanted]
    read = read_thumbnails([Best(1, row) for row in rows], Path())
    for position, one in zip(wanted, read, strict=True):
        corner = decoded(one)[-30:, :30].mean()
        assert corner == pytest.approx(position % 6 * 40, abs=8), position


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"source": "gone.jpg"}, "neither the frame nor an annotated copy of it is there"),
        ({"source": "rtsp://127.0.0.1:9/"}, "neither the frame nor"),
        ({"source": "http://127.0.0.1:9/a.jpg"}, "neither the frame nor"),
        ({"source": "camera:0"}, "neither the frame nor"),
        ({"source": "x" * 5000}, "neither the frame nor"),
        ({"source": "a\0b"}, "neither the frame nor"),
        ({"source": str(FOLDER)}, "neither the frame nor"),
        ({"source": str(FOLDER / "NOTICE.md")}, "not a picture"),
        ({"source": str(FOLDER / "broken.jpg")}, "damaged"),
        ({"source": str(FOLDER / "no_face.jpg")}, "another size"),
        ({"source": str(ASTRONAUT), "x": 600}, "outside of the frame"),
        ({"source": str(ASTRONAUT), "box_width": None}, "where the face is"),
    ],
)
def test_picture_that_cannot_be_had_says_why(fields: dict[str, Any], why: str) -> None:
    read = thumbnail(face_row(0, **{**FACE, **fields}))
    assert read.jpeg is None
    assert why in read.missing


def test_clip_that_is_none_or_too_short_says_so(tmp_path: Path) -> None:
    none = tmp_path / "none.mp4"
    none.write_bytes(b"this is no clip")
    short = tmp_path / "short.mp4"
    clip_of_greys(short, 5)
    for path, position in ((none, 0), (short, 5), (short, 5000)):
        assert "has no frame" in thumbnail(of_clip(path, position)).missing
