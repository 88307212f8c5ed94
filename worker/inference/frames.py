"""JPEG bytes to a checked picture. The sender is not trusted: sizes are read before decoding."""

import re
import struct
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from schemas import ErrorCode
from worker.config import FrameLimits
from worker.errors import FrameError

if TYPE_CHECKING:
    from worker.inference.engine import BGRImage

_MAGIC = b"\xff\xd8\xff"

# ITU-T T.81, annex B. A marker is 0xff and a byte that is neither 0 nor 0xff.
_MARKER = re.compile(rb"\xff([\x01-\xfe])")
_FRAME_HEADERS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15, without DHT, JPG, DAC
_FRAME_HEADER = struct.Struct(">HBHH")  # length, bits a sample, height, width
_ACCEPTED = {0xC0, 0xC1, 0xC2}  # baseline, extended, progressive; all coded by Huffman
_BITS = 8
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD8)}  # TEM, RST0 to RST7
_TOO_LATE = {0xD8, 0xD9, 0xDA}  # SOI, EOI, SOS: a frame header comes before them or not at all
_MAX_SEGMENTS = 1000
"""Before the frame header. Real files have a few dozen; a hostile one could have millions."""

_SCAN = (0xFF, 0xDA)
_MAX_SCANS = 100
"""A progressive JPEG has about ten. Each takes as long as the picture is large, and 60 bytes: a
hundred of them, for 40 megapixels, 1.5 s."""


def decode_frame(jpeg: bytes, limits: FrameLimits) -> "BGRImage":
    """Decode one frame, upright: an EXIF orientation is applied.

    Args:
        jpeg: a JPEG file; grey and CMYK ones are converted. One that ends too early never decodes;
            one that is damaged inside may, with grey where its pixels are missing.
        limits: what is accepted.

    Returns:
        (height, width, 3) uint8, BGR.

    Raises:
        FrameError: `empty_frame`, `frame_too_large`, `not_a_jpeg`, `too_many_pixels` or
            `frame_too_small` (both by the header, before decoding), `broken_jpeg`.
    """
    width, height = _check(jpeg, limits)
    data = np.frombuffer(jpeg, np.uint8)
    # `bytes.count` takes eight times as long, and the interpreter lock with it.
    scans = np.count_nonzero((data[:-1] == _SCAN[0]) & (data[1:] == _SCAN[1]))
    if scans > _MAX_SCANS:
        raise FrameError(ErrorCode.BROKEN_JPEG, f"the JPEG has more than {_MAX_SCANS} scans")
    return _decode(data, width, height)


def count_pixels(jpeg: bytes, limits: FrameLimits) -> int:
    """Count the pixels of a frame by its header; 0 for one that is refused before it is decoded."""
    try:
        width, height = _check(jpeg, limits)
    except FrameError:
        return 0
    return width * height


def _check(jpeg: bytes, limits: FrameLimits) -> tuple[int, int]:
    """Return width and height of what may be decoded, or raise as `decode_frame`."""
    if not jpeg:
        raise FrameError(ErrorCode.EMPTY_FRAME, "the frame has no bytes")
    if len(jpeg) > limits.max_bytes:
        text = f"the frame has {len(jpeg)} bytes, more than {limits.max_bytes}"
        raise FrameError(ErrorCode.FRAME_TOO_LARGE, text)
    if not jpeg.startswith(_MAGIC):
        raise FrameError(ErrorCode.NOT_A_JPEG, "the frame does not start as a JPEG")

    width, height = _read_size(jpeg)
    if width * height > limits.max_pixels:
        text = f"the frame has {width}x{height} pixels, more than {limits.max_pixels}"
        raise FrameError(ErrorCode.TOO_MANY_PIXELS, text)
    if min(width, height) < limits.min_side:
        text = f"the frame has {width}x{height} pixels; its sides must have {limits.min_side}"
        raise FrameError(ErrorCode.FRAME_TOO_SMALL, text)
    return width, height


def _decode(jpeg: NDArray[np.uint8], width: int, height: int) -> "BGRImage":
    # OpenCV 4.10 filled what was cut off with the picture decoded before it; 4.14 refuses.
    try:
        image = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None or image.shape not in {(height, width, 3), (width, height, 3)}:
        raise FrameError(ErrorCode.BROKEN_JPEG, "the JPEG is cut off, damaged or of a rare kind")
    return np.asarray(image, dtype=np.uint8)


def _read_size(jpeg: bytes) -> tuple[int, int]:
    """Read width and height from the first frame header (SOF), before any EXIF rotation.

    Walks the segments as libjpeg does, so that the header found is the one it decodes by: bytes
    between segments are skipped, a segment is as long as it says.

    Raises:
        FrameError: there is no such header, or it is of a kind that is not accepted.
    """
    at = 2  # after SOI
    for _ in range(_MAX_SEGMENTS):
        found = _MARKER.search(jpeg, at)
        if found is None:
            break
        marker, at = jpeg[found.start(1)], found.end()
        if marker in _WITHOUT_LENGTH:
            continue
        if marker in _TOO_LATE:
            break
        segment = jpeg[at : at + int.from_bytes(jpeg[at : at + 2])]
        if marker in _FRAME_HEADERS and len(segment) >= _FRAME_HEADER.size:
            _, bits, height, width = _FRAME_HEADER.unpack_from(segment)
            if marker not in _ACCEPTED or bits != _BITS:
                # Arithmetic coding, above all: its decoder does not notice that data is missing.
                raise FrameError(
                    ErrorCode.BROKEN_JPEG, "the JPEG is neither a baseline nor a progressive one"
                )
            return width, height
        if marker in _FRAME_HEADERS or len(segment) < 2:
            break
        at += len(segment)
    raise FrameError(ErrorCode.BROKEN_JPEG, "the JPEG has no frame header")
