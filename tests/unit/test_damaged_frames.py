"""Frames as cameras, relays and readers send them: what is whole, and what is damaged."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray

from fer_client.errors import FrameError
from fer_schemas import ErrorCode
from fer_worker.inference.jpeg.decoding import Decoded, decode_frame
from fer_worker.inference.jpeg.kinds import kind_of
from fer_worker.limits import FrameLimits
from tests.engine.golden import read_picture
from tests.frames import FOLDER
from tests.jpegs import EOI, SOI, exif, segment, tag, tiff

LIMITS = FrameLimits()
ANALYZE = replace(LIMITS, damaged="analyze")
PICTURE = read_picture(FOLDER / "astronaut.jpg")
Change = Callable[[bytes], bytes]


def encode(*parameters: int) -> bytes:
    return cv2.imencode(".jpg", PICTURE, parameters)[1].tobytes()


PLAIN = encode()
WITH_RESTARTS = encode(cv2.IMWRITE_JPEG_RST_INTERVAL, 16)
PROGRESSIVE = encode(cv2.IMWRITE_JPEG_PROGRESSIVE, 1)


def whole(jpeg: bytes) -> NDArray[np.uint8]:
    image, damage = decode_frame(jpeg, LIMITS)
    assert damage is None
    return image


def refusal(jpeg: bytes) -> FrameError:
    with pytest.raises(FrameError) as refused:
        decode_frame(jpeg, LIMITS)
    return refused.value


# As `../shared/camera_jpegs` describes them


def expected_of_cameras(folder: Path) -> dict[str, str]:
    rows = re.findall(
        r"^\| (\S+\.jpg) \|.*\| (.*) \|$", (folder / "README.md").read_text(), re.MULTILINE
    )
    assert len(rows) > 40
    return dict(rows)


def test_frames_of_cameras_are_judged_as_a_person_would(
    shared: Path, subtests: pytest.Subtests
) -> None:
    folder = shared / "camera_jpegs"
    for name, expected in expected_of_cameras(folder).items():
        jpeg = (folder / name).read_bytes()
        with subtests.test(name):
            if expected.startswith(("whole", "begin")):
                assert whole(jpeg).size
            elif expected.startswith("damaged"):
                assert refusal(jpeg).code is ErrorCode.DAMAGED_JPEG
            else:
                assert expected.startswith("refuse")
                assert refusal(jpeg).code in {ErrorCode.NOT_A_JPEG, ErrorCode.BROKEN_JPEG}


# Harmless kinds, each by itself and with every kind of damage


def behind_soi(jpeg: bytes, junk: bytes) -> bytes:
    return SOI + junk + jpeg[2:]


def with_other_scan_parameters(jpeg: bytes) -> bytes:
    at = jpeg.index(b"\x00\x3f\x00", jpeg.index(b"\xff\xda"))
    return jpeg[:at] + bytes(3) + jpeg[at + 3 :]


def before_restarts(jpeg: bytes) -> bytes:
    """1 to 4 bytes more before each restart marker."""
    start = jpeg.index(b"\xff\xda") + 14
    count = iter(range(10_000))
    junk = (b"\x17", b"\x17\x18", b"\x00\x01\x02", b"\x55\x55\x55\x55")
    marked = re.sub(
        rb"\xff[\xd0-\xd7]", lambda found: junk[next(count) % 4] + found[0], jpeg[start:]
    )
    return jpeg[:start] + marked


HARMLESS: dict[str, Change] = {
    "nothing": lambda jpeg: jpeg,
    "no end marker": lambda jpeg: jpeg.removesuffix(EOI),
    "half an end marker": lambda jpeg: jpeg.removesuffix(b"\xd9"),
    "a tail": lambda jpeg: jpeg + bytes(513),
    "another frame behind it": lambda jpeg: jpeg + PLAIN,
    "fill bytes ahead": lambda jpeg: b"\xff\xff\xff" + jpeg,
    "a start marker twice": lambda jpeg: SOI + jpeg,
    "a comment that is too short": lambda jpeg: behind_soi(
        jpeg, segment(0xFE, b"camera") + bytes(99)
    ),
    "a segment of length 1": lambda jpeg: behind_soi(jpeg, b"\xff\xe5\x00\x01"),
    "junk ahead of a table": lambda jpeg: jpeg.replace(b"\xff\xdb", b"\x01\x02\x03\xff\xdb", 1),
    "an unknown colour transform": lambda jpeg: behind_soi(
        jpeg, segment(0xEE, b"Adobe\x00\x64\x00\x00\x00\x00\x07")
    ),
    "an unknown JFIF": lambda jpeg: jpeg.replace(b"JFIF\x00\x01", b"JFIF\x00\x07"),
    "other scan parameters": with_other_scan_parameters,
    "bytes before restart markers": before_restarts,
}


def scan_of(jpeg: bytes) -> tuple[int, int]:
    """Where the coded data begins and ends."""
    start = jpeg.index(b"\xff\xda") + 14
    end = jpeg.find(EOI, start)
    return start, len(jpeg) if end < 0 else end


def cut(share: float) -> Change:
    def change(jpeg: bytes) -> bytes:
        start, end = scan_of(jpeg)
        return jpeg[: start + round((end - start) * share)]

    return change


def zeroed(jpeg: bytes) -> bytes:
    start, end = scan_of(jpeg)
    at = (start + end) // 2
    return jpeg[:at] + bytes(1400) + jpeg[at + 1400 :]


def without_a_packet(jpeg: bytes) -> bytes:
    start, end = scan_of(jpeg)
    at = start + (end - start) // 3
    return jpeg[:at] + jpeg[at + 1400 :]


def claims_to_be_taller(jpeg: bytes) -> bytes:
    at = jpeg.index(b"\xff\xc0") + 5
    height = int.from_bytes(jpeg[at : at + 2])
    return jpeg[:at] + (height + 64).to_bytes(2) + jpeg[at + 2 :]


DAMAGE: dict[str, Change] = {
    "half of it": cut(0.5),
    "nearly all of it": cut(0.97),
    "half of it, and an end marker": lambda jpeg: cut(0.5)(jpeg) + EOI,
    "half of it, then another frame": lambda jpeg: cut(0.6)(jpeg) + PLAIN,
    "a zeroed packet": zeroed,
    "a lost packet": without_a_packet,
    "rows that were never there": claims_to_be_taller,
}


@pytest.mark.parametrize("sound", [PLAIN, WITH_RESTARTS], ids=["plain", "with restarts"])
@pytest.mark.parametrize("kind", HARMLESS)
def test_what_is_harmless_changes_no_pixel(kind: str, sound: bytes) -> None:
    jpeg = HARMLESS[kind](sound)
    assert jpeg is sound or jpeg != sound or b"\xff\xd0" not in sound
    assert np.array_equal(whole(jpeg), whole(sound))


@pytest.mark.parametrize("sound", [PLAIN, WITH_RESTARTS], ids=["plain", "with restarts"])
@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("kind", HARMLESS)
def test_damage_does_not_hide_behind_what_is_harmless(kind: str, damage: str, sound: bytes) -> None:
    jpeg = HARMLESS[kind](DAMAGE[damage](sound))
    error = refusal(jpeg)
    assert error.code is ErrorCode.DAMAGED_JPEG
    assert "\n" not in error.message


def test_three_lost_intervals_are_damage() -> None:
    marks = [found.start() for found in re.finditer(rb"\xff[\xd0-\xd7]", WITH_RESTARTS)]
    jpeg = WITH_RESTARTS[: marks[9]] + WITH_RESTARTS[marks[12] :]
    assert "from row" in refusal(jpeg).message


def test_restart_markers_without_their_interval_are_damage() -> None:
    interval = WITH_RESTARTS.index(b"\xff\xdd\x00\x04")
    assert refusal(WITH_RESTARTS[:interval] + WITH_RESTARTS[interval + 6 :])


def test_the_row_that_is_named_is_the_first_that_is_damaged() -> None:
    image = whole(PLAIN)
    (row,) = map(
        int, re.findall(r"from row (\d+) of", refusal(DAMAGE["half of it"](PLAIN)).message)
    )
    decoded = decode_frame(DAMAGE["half of it"](PLAIN), ANALYZE).image
    # Up to the block above, whose lowest rows are smoothed with it.
    assert np.array_equal(decoded[: row - 1], image[: row - 1])
    assert not np.array_equal(decoded[row : row + 16], image[row : row + 16])


def test_frames_without_huffman_tables_have_the_standard_ones() -> None:
    tables = rb"\xff\xc4(\x00\x1f\x00|\x00\xb5\x10|\x00\x1f\x01|\x00\xb5\x11)"
    parts = re.split(tables, PLAIN.partition(b"\xff\xda")[0])
    lengths = iter((0x1F, 0xB5, 0x1F, 0xB5))
    head = parts[0] + b"".join(part[next(lengths) - 3 :] for part in parts[2::2])
    motion_jpeg = head + PLAIN[PLAIN.index(b"\xff\xda") :]
    assert b"\xff\xc4" not in motion_jpeg
    for jpeg in (motion_jpeg, motion_jpeg.removesuffix(EOI)):
        assert np.array_equal(whole(jpeg), whole(PLAIN))
    assert refusal(cut(0.5)(motion_jpeg)).code is ErrorCode.DAMAGED_JPEG


def test_zeros_behind_a_cut_are_no_picture() -> None:
    for padding in (40, 4096, 200_000):
        for share in (0.5, 0.9, 0.98):
            assert refusal(cut(share)(PLAIN) + bytes(padding)).code is ErrorCode.DAMAGED_JPEG
    start = PROGRESSIVE.index(b"\xff\xda")
    for length in range(start + 20, len(PROGRESSIVE) - 200, 997):
        assert refusal(PROGRESSIVE[:length] + bytes(40)).code is ErrorCode.DAMAGED_JPEG


@pytest.mark.parametrize("sound", [PLAIN, WITH_RESTARTS, PROGRESSIVE])
@pytest.mark.parametrize("end", [b"", EOI, PLAIN], ids=["nothing", "end marker", "another frame"])
def test_zeros_behind_a_whole_scan_are_harmless(sound: bytes, end: bytes) -> None:
    jpeg = sound.removesuffix(EOI) + bytes(510) + end
    assert np.array_equal(whole(jpeg), whole(sound))


def test_intervals_that_come_twice_are_damage() -> None:
    jpeg = WITH_RESTARTS.removesuffix(EOI)
    marks = [found.start() for found in re.finditer(rb"\xff[\xd0-\xd7]", jpeg)]
    assert refusal(jpeg[: marks[17]] + jpeg[marks[9] :]).code is ErrorCode.DAMAGED_JPEG
    lower = jpeg.index(b"\xff\xc0") + 5
    shorter = jpeg[:lower] + (256).to_bytes(2) + jpeg[lower + 2 :]
    assert refusal(shorter).code is ErrorCode.DAMAGED_JPEG


def test_a_lost_byte_that_libjpeg_has_a_word_about_is_damage() -> None:
    small = cv2.imencode(".jpg", cv2.resize(PICTURE, (320, 180)))[1].tobytes()
    start, end = scan_of(small)
    told = 0
    for at in range(start + 10, end - 10, 31):
        jpeg = small[:at] + small[at + 1 :]
        try:
            simplejpeg.decode_jpeg(jpeg)
        except ValueError:  # where it has none, nobody sees it
            told += 1
            assert refusal(jpeg).code is ErrorCode.DAMAGED_JPEG
    assert told > 10


def test_a_sequential_picture_without_one_of_its_channels_is_damaged() -> None:
    table = cv2.imencode(".jpg", np.full((64, 64, 3), 90, np.uint8))[1].tobytes()
    at = table.rindex(b"\xff\xda")
    luma_alone = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + table[at + 14 : -2]
    assert refusal(table[:at] + luma_alone + EOI).code is ErrorCode.DAMAGED_JPEG


def test_an_interval_ahead_of_the_last_start_marker_does_not_count() -> None:
    jpeg = SOI + segment(0xDD, b"\x00\x05") + PLAIN
    assert np.array_equal(whole(jpeg), whole(PLAIN))


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "content", [b" " * 65_535 + b"\0", b"A" * 65_535 + b"\0", b"A \n" * 30_000 + b"!"]
)
def test_text_that_is_nearly_base64_is_told_at_once(content: bytes) -> None:
    assert kind_of(content) is None or len(content) > 65_536


@pytest.mark.timeout(10)
def test_scans_behind_a_thousand_segments_are_refused() -> None:
    jpeg = cv2.imencode(
        ".jpg", np.full((64, 64, 3), 128, np.uint8), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    )[1].tobytes()
    last = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    bomb = jpeg[:-2] + b"\xff\xfe\x00\x02" * 1000 + last * 200 + EOI
    assert refusal(bomb).code is ErrorCode.BROKEN_JPEG


# Analysed all the same


def analysed(jpeg: bytes) -> Decoded | None:
    try:
        return decode_frame(jpeg, ANALYZE)
    except FrameError as error:
        if error.code is not ErrorCode.DAMAGED_JPEG:
            raise
        return None


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_frames_can_be_analysed_and_say_so(damage: str) -> None:
    decoded = analysed(DAMAGE[damage](PLAIN))
    assert decoded is not None
    assert decoded.damage is not None
    assert decoded.image.shape[1:] == PICTURE.shape[1:]


def test_four_inks_that_are_damaged_are_refused_all_the_same(shared: Path) -> None:
    jpeg = (shared / "camera_jpegs" / "cmyk.jpg").read_bytes()
    assert analysed(jpeg[: len(jpeg) // 2] + EOI) is None


def test_no_frame_shows_the_pixels_of_another() -> None:
    chance = np.random.default_rng(0)
    white, black = (
        cv2.imencode(".jpg", np.full_like(PICTURE, shade))[1].tobytes() for shade in (255, 0)
    )
    answered = 0
    for number in range(300):
        jpeg = bytearray((PLAIN, WITH_RESTARTS, PROGRESSIVE)[number % 3])
        for at in chance.integers(jpeg.index(b"\xff\xda"), len(jpeg), 3):
            jpeg[at] = chance.integers(256)
        if number % 2:
            del jpeg[chance.integers(len(jpeg) // 2, len(jpeg)) :]
        seen = []
        for other in (white, black):
            decode_frame(other, LIMITS)
            seen.append(analysed(bytes(jpeg)))
        first, second = seen
        assert (first is None) == (second is None)
        if first is not None and second is not None:
            assert np.array_equal(first.image, second.image)
            answered += 1
    assert answered > 50


# Which way is up


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_applied_as_opencv_does(orientation: int, order: str) -> None:
    short = orientation.to_bytes(2, "little" if order == "<" else "big") + bytes(2)
    word = b"\x03\x00" if order == "<" else b"\x00\x03"
    one = b"\x01\x00\x00\x00" if order == "<" else b"\x00\x00\x00\x01"
    head = (
        b"II*\x00\x08\x00\x00\x00\x01\x00\x12\x01"
        if order == "<"
        else b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12"
    )
    jpeg = behind_soi(PLAIN, exif(head + word + one + short + bytes(4)))
    expected = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert expected is not None
    assert np.array_equal(whole(jpeg), expected)


def test_an_orientation_in_four_bytes_counts_as_well() -> None:
    jpeg = behind_soi(PLAIN, exif(tiff(tag(0x0112, 4, 1, 6))))
    assert np.array_equal(whole(jpeg), np.rot90(whole(PLAIN), -1))


# What is no JPEG


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (cv2.imencode(".png", PICTURE)[1].tobytes(), "a PNG picture"),
        (cv2.imencode(".webp", PICTURE)[1].tobytes(), "a WebP picture"),
        (cv2.imencode(".bmp", PICTURE)[1].tobytes(), "a BMP picture"),
        (b"GIF89a", "a GIF picture"),
        (b"\x1f\x8b\x08", "gzip"),
        (b'<?xml version="1.0"?>', "an XML document"),
        (b"<html>", "an HTML page"),
        (b"/9j/4AAQSkZJRgABAQAAAQ==\n", "base64 text"),
        (b'{"error": "no frame"}', "JSON"),
        (b"\x00\x00\x00\x20ftypavif", "an AVIF picture"),
        (b"\x00\x00\x00\x20ftypisom", "an MP4 file"),
        (b"--part\r\n\r\n" + PLAIN, "a JPEG begins at byte 10, behind other bytes"),
        (b"\x02\x03", None),
    ],
)
def test_what_is_no_jpeg_is_named(content: bytes, kind: str | None) -> None:
    assert kind_of(content) == kind
    error = refusal(content)
    assert error.code is ErrorCode.NOT_A_JPEG
    assert (kind or "does not start as a JPEG") in error.message


@pytest.mark.parametrize(
    ("marker", "said"),
    [(0xC3, "lossless"), (0xC9, "arithmetic"), (0xF7, "JPEG-LS"), (0xC5, "hierarchical")],
)
def test_kinds_of_jpeg_that_are_not_read_are_named(marker: int, said: str) -> None:
    error = refusal(PLAIN.replace(b"\xff\xc0", bytes([0xFF, marker]), 1))
    assert error.code is ErrorCode.BROKEN_JPEG
    assert said in error.message


def test_samples_of_12_bits_are_named() -> None:
    at = PLAIN.index(b"\xff\xc0") + 4
    assert "12 bits" in refusal(PLAIN[:at] + b"\x0c" + PLAIN[at + 1 :]).message
