import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fer_client.errors import FrameError
from fer_schemas import ErrorCode
from fer_worker.inference.jpeg.decoding import decode_frame
from fer_worker.limits import FrameLimits

LIMITS = FrameLimits()
EOI = b"\xff\xd9"
ORIENTATION_6 = (  # APP1 with a big-endian TIFF of one entry: Orientation, "rotate 90 clockwise"
    b"\xff\xe1\x00\x22Exif\x00\x00MM\x00*\x00\x00\x00\x08"
    b"\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00"
)


def picture(width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    """A BGR picture that is blue on the left, red on the right and brighter further down."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2, 0] = 200
    image[:, width // 2 :, 2] = 200
    image[:, :, 1] = np.linspace(0, 60, height, dtype=np.uint8)[:, None]
    return image


def encode(image: NDArray[np.uint8], *parameters: int) -> bytes:
    return cv2.imencode(".jpg", image, parameters)[1].tobytes()


JPEG = encode(picture())
PROGRESSIVE = encode(picture(), cv2.IMWRITE_JPEG_PROGRESSIVE, 1)


def decoded(jpeg: bytes, limits: FrameLimits = LIMITS) -> NDArray[np.uint8]:
    image, damage = decode_frame(jpeg, limits)
    assert damage is None
    return image


def refusal(jpeg: bytes, limits: FrameLimits = LIMITS) -> ErrorCode:
    with pytest.raises(FrameError) as refused:
        decoded(jpeg, limits)
    return refused.value.code


def with_size(jpeg: bytes, width: int, height: int) -> bytes:
    """The same JPEG with another size in its header."""
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + height.to_bytes(2) + width.to_bytes(2) + jpeg[at + 4 :]


@pytest.mark.parametrize("jpeg", [JPEG, PROGRESSIVE])
def test_a_jpeg_becomes_a_bgr_array_of_its_size(jpeg: bytes) -> None:
    image = decoded(jpeg)
    assert image.shape == (48, 64, 3)
    assert image.dtype == np.uint8
    assert image[:, 8, 0].min() > 150 > 50 > image[:, 8, 2].max()
    assert image[:, 56, 2].min() > 150 > 50 > image[:, 56, 0].max()


def test_a_grey_jpeg_becomes_three_equal_channels() -> None:
    image = decoded(encode(picture()[:, :, 1]))
    assert image.shape == (48, 64, 3)
    assert (image == image[:, :, :1]).all()


def test_a_jpeg_with_four_inks_decodes() -> None:
    # By hand, as OpenCV writes none: 8x8 blocks of one colour, every coefficient zero.
    def segment(marker: int, body: bytes) -> bytes:
        return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2) + body

    components = b"".join(bytes([number, 0x11, 0]) for number in range(1, 5))
    one_code = bytes([1] + [0] * 15) + b"\x00"  # a Huffman table whose only code, 0, is "nothing"
    scan = bytes([4]) + b"".join(bytes([number, 0]) for number in range(1, 5)) + b"\x00\x3f\x00"
    jpeg = (
        b"\xff\xd8"
        + segment(0xEE, b"Adobe\x00\x64\x00\x00\x00\x00\x00")  # APP14: no transform, so CMYK
        + segment(0xDB, b"\x00" + bytes([1] * 64))
        + segment(0xC0, b"\x08" + (24).to_bytes(2) + (32).to_bytes(2) + b"\x04" + components)
        + segment(0xC4, b"\x00" + one_code)
        + segment(0xC4, b"\x10" + one_code)
        + segment(0xDA, scan)
        + bytes(12)  # 3 rows of 4 blocks, 4 inks, 2 bits each
        + EOI
    )
    image = decoded(jpeg)
    assert image.shape == (24, 32, 3)
    assert (image == image[0, 0]).all()


def test_an_exif_orientation_is_applied() -> None:
    jpeg = JPEG[:2] + ORIENTATION_6 + JPEG[2:]
    upright = np.rot90(decoded(JPEG), -1)
    assert np.array_equal(decoded(jpeg), upright)


@pytest.mark.parametrize(
    "junk",
    [b"\xff\xff\xff", b"no marker", b"\x00\xff\x00", b"\xff\xfe\x00\x04\xff\xc0", b"\xff\x01"],
    ids=["fill bytes", "garbage", "stuffing", "marker inside a comment", "marker without length"],
)
def test_the_header_is_found_behind_what_libjpeg_skips(junk: bytes) -> None:
    # Behind the first segment: a JPEG starts with 0xff 0xd8 0xff.
    at = 4 + int.from_bytes(JPEG[4:6])
    jpeg = JPEG[:at] + junk + JPEG[at:]
    assert decoded(jpeg).shape == (48, 64, 3)


def test_bytes_after_the_end_do_not_matter() -> None:
    assert np.array_equal(decoded(JPEG + bytes(999)), decoded(JPEG))


def test_no_bytes_are_an_empty_frame() -> None:
    assert refusal(b"") is ErrorCode.EMPTY_FRAME


@pytest.mark.parametrize(
    "data",
    [
        cv2.imencode(".png", picture())[1].tobytes(),
        cv2.imencode(".bmp", picture())[1].tobytes(),
        b"http://example.org/face.jpg",
        b"\xff\xd8",
        b"\x00" + JPEG,
    ],
    ids=["png", "bmp", "text", "two bytes", "shifted by one"],
)
def test_what_does_not_start_as_a_jpeg_is_not_a_jpeg(data: bytes) -> None:
    assert refusal(data) is ErrorCode.NOT_A_JPEG


def test_more_bytes_than_allowed_are_refused() -> None:
    limits = replace(LIMITS, max_bytes=len(JPEG) - 1)
    assert refusal(JPEG, limits) is ErrorCode.FRAME_TOO_LARGE
    assert decoded(JPEG, replace(LIMITS, max_bytes=len(JPEG))).size


def test_more_pixels_than_allowed_are_refused() -> None:
    assert refusal(JPEG, replace(LIMITS, max_pixels=64 * 48 - 1)) is ErrorCode.TOO_MANY_PIXELS
    assert decoded(JPEG, replace(LIMITS, max_pixels=64 * 48)).size


@pytest.mark.parametrize("size", [(65535, 65535), (65535, 1), (8000, 8000)])
def test_a_header_that_claims_a_huge_picture_is_refused_before_decoding(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def decoded(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(simplejpeg, "decode_jpeg", decoded)
    code = refusal(with_size(JPEG, *size))
    assert code in {ErrorCode.TOO_MANY_PIXELS, ErrorCode.FRAME_TOO_SMALL}


@pytest.mark.parametrize("size", [(19, 400), (400, 19), (1, 1)])
def test_a_side_shorter_than_the_smallest_face_is_refused(size: tuple[int, int]) -> None:
    assert refusal(encode(picture(*size))) is ErrorCode.FRAME_TOO_SMALL


def test_a_side_as_long_as_the_smallest_face_is_enough() -> None:
    assert decoded(encode(picture(20, 20))).shape == (20, 20, 3)


def test_a_header_without_a_size_is_refused() -> None:
    assert refusal(with_size(JPEG, 0, 48)) is ErrorCode.FRAME_TOO_SMALL
    # A height of 0 is allowed: then it stands behind the scan.
    assert refusal(with_size(JPEG, 64, 0)) is ErrorCode.BROKEN_JPEG


@pytest.mark.parametrize("jpeg", [JPEG, PROGRESSIVE], ids=["baseline", "progressive"])
def test_a_jpeg_cut_off_anywhere_yields_nothing_or_all_of_it(jpeg: bytes) -> None:
    whole, first_scan = decoded(jpeg), jpeg.index(b"\xff\xda")
    codes = set()
    for length in range(3, len(jpeg)):
        try:
            image = decoded(jpeg[:length])
        except FrameError as error:
            codes.add((length > first_scan + 4, error.code))
        else:
            # Of a baseline one the last unit may miss some bits, of a progressive one whole scans.
            assert jpeg is PROGRESSIVE or np.array_equal(image[:31], whole[:31])
            assert jpeg is PROGRESSIVE or np.array_equal(image[:, :47], whole[:, :47])
    assert codes == {(False, ErrorCode.BROKEN_JPEG), (True, ErrorCode.DAMAGED_JPEG)}


def test_a_jpeg_that_lacks_only_its_end_marker_is_whole() -> None:
    for jpeg in (JPEG, PROGRESSIVE):
        assert np.array_equal(decoded(jpeg.removesuffix(EOI)), decoded(jpeg))


NOISE = encode(np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    "jpeg",
    [NOISE[:100_000] + EOI, with_size(NOISE, 640, 4800), with_size(NOISE, 1280, 480)],
    ids=["cut off, with an end marker", "header claims it taller", "header claims it wider"],
)
def test_pixels_that_are_missing_inside_a_jpeg_are_never_those_of_another(jpeg: bytes) -> None:
    seen = []
    for brightness in (0, 255):
        other = encode(np.full((480, 640, 3), brightness, np.uint8))
        assert (decoded(other) == brightness).all()
        seen.append(decode_frame(jpeg, replace(LIMITS, damaged="analyze")).image)
    assert np.array_equal(seen[0], seen[1])


@pytest.mark.parametrize(
    "attack",
    [
        b"\xff\xd8" + b"\xff" * 1_000_000,
        b"\xff\xd8\xff\xfe\x00\x02" + b"\xff\x00" * 1_000_000,
        b"\xff\xd8" + b"\xff\xfe\x00\x02" * 1_000_000,
        b"\xff\xd8\xff\xfe\x00\x00" * 1_000_000,
        b"\xff\xd8" + b"\xff\xd0" * 1_000_000,
        b"\xff\xd8\xff\xc0\x00\x02",
        b"\xff\xd8\xff\xc0\xff\xff\x08",
        b"\xff\xd8\xff\xda" + JPEG[2:],
    ],
    ids=[
        "only fill bytes",
        "only stuffing",
        "a million comments",
        "segments of length zero",
        "only restart markers",
        "a header too short",
        "a header cut off",
        "a scan before the header",
    ],
)
@pytest.mark.timeout(10)
def test_headers_made_to_confuse_are_refused(attack: bytes) -> None:
    assert refusal(attack) is ErrorCode.BROKEN_JPEG


@pytest.mark.timeout(10)
def test_a_small_file_cannot_keep_the_decoder_busy_with_thousands_of_scans() -> None:
    # Unguarded, these 1.2 MB take several minutes.
    bomb = encode(np.full((5000, 5000, 3), 90, np.uint8), cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    last_scan = bomb[bomb.rindex(b"\xff\xda") : -2]
    bomb = bomb.removesuffix(EOI) + last_scan * 20_000 + EOI
    assert refusal(bomb) is ErrorCode.BROKEN_JPEG


def test_scans_behind_the_only_one_are_not_decoded() -> None:
    grey, white = (encode(np.full((64, 64, 3), shade, np.uint8)) for shade in (90, 255))
    scan = white[white.rindex(b"\xff\xda") : -2]
    with suppress(FrameError):
        image = decoded(grey.removesuffix(EOI) + scan * 1000 + EOI)
        assert np.array_equal(image, decoded(grey))


def test_scans_are_counted_where_the_first_has_not_all_components() -> None:
    jpeg = encode(np.full((64, 64, 3), 90, np.uint8))
    luma_alone = (
        b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + jpeg[jpeg.rindex(b"\xff\xda") + 14 : -2]
    )
    with pytest.raises(FrameError, match="scans"):
        decoded(jpeg[: jpeg.rindex(b"\xff\xda")] + luma_alone * 101 + EOI)


def is_refused_or_of_the_headers_size(jpeg: bytes) -> bool:
    try:
        image = decoded(jpeg, replace(LIMITS, max_pixels=1_000_000))
    except FrameError:
        return True
    height, width, channels = image.shape
    size_in_header = [
        height.to_bytes(2) + width.to_bytes(2),
        width.to_bytes(2) + height.to_bytes(2),
    ]
    return (
        channels == 3 and image.dtype == np.uint8 and any(size in jpeg for size in size_in_header)
    )


@given(st.binary(max_size=300), st.sampled_from([b"", b"\xff\xd8\xff", JPEG[:200]]))
@settings(deadline=None)
def test_any_bytes_are_refused_or_decoded(data: bytes, start: bytes) -> None:
    assert is_refused_or_of_the_headers_size(start + data)


def overwrite(jpeg: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(jpeg))
    return jpeg[:at] + chance.randbytes(chance.randint(1, 8)) + jpeg[at + 8 :]


def delete(jpeg: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(jpeg))
    return jpeg[:at] + jpeg[at + chance.randint(1, 50) :]


def repeat(jpeg: bytes, chance: random.Random) -> bytes:
    start, end = sorted(chance.choices(range(len(jpeg)), k=2))
    return jpeg[:end] + jpeg[start:]


@given(
    st.sampled_from([JPEG, PROGRESSIVE, JPEG[:2] + ORIENTATION_6 + JPEG[2:]]),
    st.lists(st.sampled_from([overwrite, delete, repeat]), min_size=1, max_size=3),
    st.randoms(use_true_random=False),
)
@settings(max_examples=500, deadline=None)
def test_a_damaged_jpeg_is_refused_or_decoded(
    jpeg: bytes, damages: list[Callable[[bytes, random.Random], bytes]], chance: random.Random
) -> None:
    for damage in damages:
        jpeg = damage(jpeg, chance) or b"\xff"
    assert is_refused_or_of_the_headers_size(jpeg)
