"""Files made to break, stall or deceive a decoder: refused, or decoded to their own pixels."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fer_client.errors import FrameError
from fer_schemas import ErrorCode
from fer_worker.inference.jpeg.decoding import decode_frame
from fer_worker.limits import FrameLimits
from tests import jpegs
from tests.jpegs import EOI, ROTATE_90, exif, flat_jpeg, segment, tag, tiff

LIMITS = FrameLimits()
NOISE: NDArray[np.uint8] = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
JPEG: bytes = cv2.imencode(".jpg", NOISE)[1].tobytes()
LONGEST_SEGMENT = 65_533


def decode(jpeg: bytes) -> NDArray[np.uint8] | ErrorCode:
    try:
        return decode_frame(jpeg, LIMITS).image
    except FrameError as error:
        return error.code


def behind_soi(*segments: bytes) -> bytes:
    return JPEG[:2] + b"".join(segments) + JPEG[2:]


@pytest.mark.parametrize(
    ("kind", "components", "adobe"),
    [
        (jpegs.BASELINE, 1, b""),
        (jpegs.BASELINE, 3, b""),
        (jpegs.BASELINE, 4, b"\x00"),  # CMYK
        (jpegs.BASELINE, 4, b"\x02"),  # YCCK
        (jpegs.EXTENDED, 1, b""),
    ],
    ids=["grey", "colour", "CMYK", "YCCK", "extended"],
)
def test_kinds_of_the_contract_decode(kind: int, components: int, adobe: bytes) -> None:
    app14 = segment(0xEE, b"Adobe\x00\x64\x00\x00\x00\x00" + adobe) if adobe else b""
    image = decode(flat_jpeg(kind, components=components, before=app14))
    assert isinstance(image, np.ndarray)
    assert image.shape == (24, 32, 3)
    assert (image == image[0, 0]).all()


@pytest.mark.parametrize("precision", [0, 1, 2, 7, 12, 16, 255])
@pytest.mark.parametrize("kind", [jpegs.BASELINE, jpegs.EXTENDED, jpegs.PROGRESSIVE])
def test_samples_of_other_than_8_bits_are_refused(kind: int, precision: int) -> None:
    assert decode(flat_jpeg(kind, precision=precision)) is ErrorCode.BROKEN_JPEG


LOSSLESS_AND_HIERARCHICAL = [jpegs.LOSSLESS, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF]


@pytest.mark.parametrize("data", [None, b"", bytes(range(1, 255)) * 4])
@pytest.mark.parametrize(
    "kind", [jpegs.ARITHMETIC, jpegs.ARITHMETIC_PROGRESSIVE, *LOSSLESS_AND_HIERARCHICAL]
)
def test_other_kinds_are_refused_before_they_are_decoded(
    kind: int, data: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    assert decode(flat_jpeg(kind, data=data)) is ErrorCode.BROKEN_JPEG


@pytest.mark.parametrize("side", [6325, 20_000, 65_535])
@pytest.mark.parametrize("kind", [jpegs.BASELINE, jpegs.EXTENDED, jpegs.PROGRESSIVE])
@pytest.mark.timeout(10)
def test_hundred_bytes_that_claim_more_pixels_than_allowed_are_never_decoded(
    kind: int, side: int
) -> None:
    bomb = flat_jpeg(kind, side, side, data=b"")
    assert len(bomb) < 200
    assert decode(bomb) is ErrorCode.TOO_MANY_PIXELS


def test_more_components_than_there_are_colours_are_refused() -> None:
    assert decode(flat_jpeg(jpegs.BASELINE, components=255)) is ErrorCode.BROKEN_JPEG


@pytest.mark.parametrize("first", [(32, 24), (60_000, 60_000)])
@pytest.mark.parametrize("second", [(32, 24), (60_000, 60_000)])
def test_second_frame_header_gains_nothing(first: tuple[int, int], second: tuple[int, int]) -> None:
    jpeg = flat_jpeg(
        jpegs.BASELINE, *second, before=jpegs.frame_header(jpegs.BASELINE, *first), data=bytes(99)
    )
    assert decode(jpeg) in {ErrorCode.DAMAGED_JPEG, ErrorCode.TOO_MANY_PIXELS}


def test_size_is_that_of_the_picture_and_not_of_its_thumbnail() -> None:
    thumbnail = cv2.imencode(".jpg", NOISE[:20, :20])[1].tobytes()
    image = decode(behind_soi(exif(tiff() + thumbnail)))
    assert isinstance(image, np.ndarray)
    assert image.shape == (48, 64, 3)


@pytest.mark.parametrize(
    "other",
    [
        b"PK\x03\x04 a zip",
        b"<html><script>",
        b"%PDF-1.7",
        b"GIF89a\x01\x00\x01\x00\x00",
        cv2.imencode(".png", 255 - NOISE)[1].tobytes(),
        cv2.imencode(".jpg", 255 - NOISE)[1].tobytes(),
        b"#!/bin/sh\n",
        b"/etc/passwd",
        b"http://127.0.0.1/face.jpg",
    ],
    ids=["zip", "html", "pdf", "gif", "png", "jpeg", "script", "path", "url"],
)
def test_file_that_is_something_else_as_well_is_only_ever_a_jpeg(other: bytes) -> None:
    plain = decode(JPEG)
    assert np.array_equal(decode(JPEG + other), plain)
    assert np.array_equal(decode(behind_soi(segment(0xFE, other[:LONGEST_SEGMENT]))), plain)
    if not other.startswith(JPEG[:3]):
        assert decode(other + JPEG) is ErrorCode.NOT_A_JPEG


EXIF_ATTACKS = {
    "a directory that follows itself": tiff(ROTATE_90, following=8),
    "directories within each other": tiff(
        tag(0x8769, 4, 1, 8), tag(0x8825, 4, 1, 8), tag(0xA005, 4, 1, 8), ROTATE_90
    ),
    "a text of 4 GB": tiff(tag(0x010E, 2, 0xFFFFFFFF, 8), ROTATE_90),
    "four billion orientations": tiff(tag(0x0112, 3, 0xFFFFFFFF, 8)),
    "a fraction far away": tiff(tag(0x011A, 5, 0xFFFFFFFF, 0xFFFFFFF0), ROTATE_90),
    "more entries than there are": tiff(ROTATE_90, count=0xFFFF),
    "no entries": tiff(count=0),
    "a directory beyond the end": tiff(ROTATE_90, first=0xFFFFFFFF),
    "a directory in its own header": tiff(ROTATE_90, first=0),
    "thousands of long texts": tiff(*[tag(0x010E, 2, 60_000, 8)] * 5000),
    "an orientation that is none": tiff(tag(0x0112, 3, 1, 99 << 16)),
    "an orientation of another type": tiff(tag(0x0112, 12, 1, 6)),
    "no byte order": b"XX\x00*" + tiff(ROTATE_90)[4:],
    "nothing": b"",
}


@pytest.mark.parametrize("attack", EXIF_ATTACKS)
@pytest.mark.timeout(10)
def test_exif_made_to_confuse_changes_no_pixel(attack: str) -> None:
    plain = decode(JPEG)
    assert isinstance(plain, np.ndarray)
    image = decode(behind_soi(exif(EXIF_ATTACKS[attack])))
    assert isinstance(image, np.ndarray)
    assert np.array_equal(image, plain) or np.array_equal(image, np.rot90(plain, -1))


def test_first_of_many_exif_segments_counts() -> None:
    plain = decode(JPEG)
    assert isinstance(plain, np.ndarray)
    image = decode(behind_soi(*[exif(tiff(ROTATE_90))] * 900))
    assert isinstance(image, np.ndarray)
    assert np.array_equal(image, np.rot90(plain, -1))


def test_hundreds_of_scans_are_refused() -> None:
    jpeg = cv2.imencode(".jpg", NOISE, (cv2.IMWRITE_JPEG_PROGRESSIVE, 1))[1].tobytes()
    last_scan = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    assert isinstance(decode(jpeg), np.ndarray)
    assert decode(jpeg.removesuffix(EOI) + last_scan * 100 + EOI) is ErrorCode.BROKEN_JPEG
