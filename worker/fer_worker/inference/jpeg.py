"""JPEG bytes to a checked picture. The sender is not trusted: sizes are read before decoding."""

import re
import struct
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from fer_client.errors import FrameError
from fer_schemas import ErrorCode
from fer_worker.limits import JPEG_START, MIN_FRAME_SIDE, FrameLimits

if TYPE_CHECKING:
    from fer_worker.inference.types import BGRImage

# ITU-T T.81, annex B. A marker is 0xff and a byte that is neither 0 nor 0xff.
_MARKER = re.compile(rb"\xff[\x01-\xfe]")
_SOS = 0xDA
_NOT_HERE = {0xD8, 0xD9}  # SOI, EOI: before the first scan they end all
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD8)}  # TEM, RST0 to RST7
_FRAME_HEADERS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15, without DHT, JPG, DAC
_FRAME_HEADER = struct.Struct(">HBHHB")  # length, bits per sample, height, width, components
_PROGRESSIVE = 0xC2
_ACCEPTED = {0xC0, 0xC1, _PROGRESSIVE}  # baseline, extended, progressive; all coded by Huffman
_BITS = 8
_COMPONENTS_AT = 2  # of a scan, in the segment of SOS
_MAX_SEGMENTS = 1000
"""Before the first scan. Real files have a few dozen; a hostile one could have millions."""

_MAX_SCANS = 100
"""A progressive JPEG has about ten. Each takes as long as the picture is large, and 60 bytes: a
hundred of them, for 40 megapixels, 1.5 s."""


_Segment = tuple[int, int, int]
"""Marker; where its segment begins, behind the marker; bytes of it."""


class _Header(NamedTuple):
    """What a JPEG says of itself before its first scan."""

    width: int
    height: int
    has_one_scan: bool
    """All components are in the first one, and libjpeg reads no other."""


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
    header = _check(jpeg, limits)
    if not header.has_one_scan and _count_scans(jpeg) > _MAX_SCANS:
        raise FrameError(ErrorCode.BROKEN_JPEG, f"the JPEG has more than {_MAX_SCANS} scans")
    return _decode(jpeg, header)


def count_pixels(jpeg: bytes, limits: FrameLimits) -> int:
    """Count the pixels of a frame by its header; 0 for one that is refused before it is decoded."""
    try:
        header = _check(jpeg, limits)
    except FrameError:
        return 0
    return header.width * header.height


def _check(jpeg: bytes, limits: FrameLimits) -> _Header:
    """Return the header of what may be decoded, or raise as `decode_frame`."""
    if not jpeg:
        raise FrameError(ErrorCode.EMPTY_FRAME, "the frame has no bytes")
    if len(jpeg) > limits.max_bytes:
        text = f"the frame has {len(jpeg)} bytes, more than {limits.max_bytes}"
        raise FrameError(ErrorCode.FRAME_TOO_LARGE, text)
    if not jpeg.startswith(JPEG_START):
        raise FrameError(ErrorCode.NOT_A_JPEG, "the frame does not start as a JPEG")

    header = _read_header(jpeg)
    width, height = header.width, header.height
    if width * height > limits.max_pixels:
        text = f"the frame has {width}x{height} pixels, more than {limits.max_pixels}"
        raise FrameError(ErrorCode.TOO_MANY_PIXELS, text)
    if min(width, height) < MIN_FRAME_SIDE:
        text = f"the frame has {width}x{height} pixels; its sides must have {MIN_FRAME_SIDE}"
        raise FrameError(ErrorCode.FRAME_TOO_SMALL, text)
    return header


def _decode(jpeg: bytes, header: _Header) -> "BGRImage":
    width, height = header.width, header.height
    # OpenCV 4.10 filled what was cut off with the picture decoded before it; 4.14 refuses.
    try:
        image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None or image.shape not in {(height, width, 3), (width, height, 3)}:
        raise FrameError(ErrorCode.BROKEN_JPEG, "the JPEG is cut off, damaged or of a rare kind")
    return np.asarray(image, dtype=np.uint8)


def _read_header(jpeg: bytes) -> _Header:
    """Read the first frame header (SOF); its width and height are those before any EXIF rotation.

    Raises:
        FrameError: there is no such header, or it is of a kind that is not accepted.
    """
    segments = _segments(jpeg)
    for marker, at, length in segments:
        if marker == _SOS:
            break
        if marker not in _FRAME_HEADERS:
            continue
        if length < _FRAME_HEADER.size:
            break
        _, bits, height, width, components = _FRAME_HEADER.unpack_from(jpeg, at)
        if marker not in _ACCEPTED or bits != _BITS:
            # Arithmetic coding, above all: its decoder does not notice that data is missing.
            raise FrameError(
                ErrorCode.BROKEN_JPEG, "the JPEG is neither a baseline nor a progressive one"
            )
        return _Header(
            width, height, marker != _PROGRESSIVE and _has_all(jpeg, segments, components)
        )
    raise FrameError(ErrorCode.BROKEN_JPEG, "the JPEG has no frame header")


def _has_all(jpeg: bytes, segments: Iterator[_Segment], components: int) -> bool:
    """Whether the first scan has all components, so that there is no other one to read."""
    return any(
        marker == _SOS and length > _COMPONENTS_AT and jpeg[at + _COMPONENTS_AT] == components
        for marker, at, length in segments
    )


def _segments(jpeg: bytes) -> Iterator[_Segment]:
    """Walk the segments up to the first scan, each as its marker, its place and its length.

    As libjpeg does, so that what is found here is what it decodes by: bytes between segments are
    skipped, a segment is as long as it says.
    """
    at = 2  # after SOI
    for _ in range(_MAX_SEGMENTS):
        found = _MARKER.search(jpeg, at)
        if found is None:
            return
        at = found.end()
        marker = jpeg[at - 1]
        if marker in _WITHOUT_LENGTH:
            continue
        length = min(int.from_bytes(jpeg[at : at + 2]), len(jpeg) - at)
        if marker in _NOT_HERE or length < 2:
            return
        yield marker, at, length
        if marker == _SOS:
            return
        at += length


def _count_scans(jpeg: bytes) -> int:
    """Count SOS markers, at even places and at odd ones. What stands within a comment counts too.

    `bytes.count` takes four times as long, and the interpreter lock with it.
    """
    sos = int.from_bytes((0xFF, _SOS), sys.byteorder)
    pairs = (np.frombuffer(jpeg, np.uint16, (len(jpeg) - at) // 2, at) for at in (0, 1))
    return sum(int(np.count_nonzero(words == sos)) for words in pairs)
