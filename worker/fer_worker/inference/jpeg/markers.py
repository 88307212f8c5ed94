"""The segments of a JPEG file (ITU-T T.81, annex B), walked as libjpeg does."""

import re
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from fer_client.errors import FrameError
from fer_schemas import ErrorCode
from fer_worker.inference.jpeg.exif import orientation_of

SOI, EOI, SOS, DQT, DHT, DRI = 0xD8, 0xD9, 0xDA, 0xDB, 0xC4, 0xDD
APP0, APP1, APP14 = 0xE0, 0xE1, 0xEE
FRAME_HEADERS: Final = frozenset(range(0xC0, 0xD0)) - {DHT, 0xC8, 0xCC}
"""SOF0 to SOF15, without DHT, JPG and DAC."""
PROGRESSIVE: Final = 0xC2

_MARKER: Final = re.compile(rb"\xff[\x01-\xfe]")
_SCAN_END: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_WITHOUT_LENGTH: Final = {0x01, *range(0xD0, 0xDA)}
"""TEM, RST0 to RST7, SOI, EOI."""
_FRAME_HEADER: Final = struct.Struct(">BHHB")  # bits per sample, height, width, components
_BITS: Final = 8
_COMPONENTS: Final = (1, 3, 4)
"""Grey; YCbCr or RGB; CMYK or YCCK."""
_MAX_SEGMENTS: Final = 1000
"""Real files have a few dozen; a hostile one could have millions."""
_MAX_SCANS: Final = 100
"""A progressive JPEG has about ten. A scan can have 60 bytes and still cost a pass over all pixels:
a hundred of them at 40 megapixels take 1.5 s."""

_OTHER_KINDS: Final = {
    0xC3: "a lossless JPEG",
    0xF7: "a JPEG-LS picture",
    **dict.fromkeys((0xC5, 0xC6, 0xC7), "a hierarchical JPEG"),
    **dict.fromkeys((0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF), "a JPEG with arithmetic coding"),
}


class Segment(NamedTuple):
    """One marker and what belongs to it, without its length."""

    marker: int
    at: int
    """Byte offset of the marker; the next two of its body, and behind it."""
    start: int
    end: int


class Component(NamedTuple):
    """One channel of the picture."""

    number: int
    across: int
    """How many of its blocks lie side by side in a unit."""
    down: int


class Header(NamedTuple):
    """What a JPEG says of itself before its first scan."""

    begin: int
    """Byte offset of the last start marker before the scan."""
    width: int
    """Before the orientation is applied, as is the height."""
    height: int
    components: tuple[Component, ...]
    is_progressive: bool
    has_one_scan: bool
    """All components are in the first one, and libjpeg reads no other."""
    orientation: int
    """Of EXIF: 1 to 8."""


def walk(jpeg: bytes) -> Iterator[Segment]:
    """Walk the segments; bytes between them are skipped, a segment is as long as it says.

    The coded data of a scan lies between the segment of its SOS and the next one.

    Raises:
        FrameError: `broken_jpeg`: there are more than any real file has.
    """
    at = 0
    for _ in range(_MAX_SEGMENTS):
        found = _MARKER.search(jpeg, at)
        if found is None:
            return
        start = found.end()
        marker = jpeg[start - 1]
        length = 0
        if marker not in _WITHOUT_LENGTH:
            length = int.from_bytes(jpeg[start : start + 2]) - 2
            start += 2
        # One that says less than its own two bytes is empty for libjpeg.
        end = min(start + max(length, 0), len(jpeg))
        yield Segment(marker, found.start(), min(start, end), end)
        if marker == EOI:
            return
        at = end
        if marker == SOS:
            scan_end = _SCAN_END.search(jpeg, end)
            if scan_end is None:
                return
            at = scan_end.start()
    raise FrameError(ErrorCode.BROKEN_JPEG, f"the JPEG has more than {_MAX_SEGMENTS} segments")


def read_header(jpeg: bytes) -> Header:
    """Read what comes before the first scan; of several start markers the last one counts.

    Raises:
        FrameError: `broken_jpeg`: there is no frame header, or it is of a kind that is not read.
    """
    frame: tuple[Segment, int, int, tuple[Component, ...]] | None = None
    begin = orientation = earlier = 0
    for segment in walk(jpeg):
        marker, at, start, end = segment
        if marker == SOI:
            begin, frame, orientation, earlier = at, None, 0, orientation or earlier
        elif marker == EOI:
            break
        elif marker == APP1 and not orientation:
            orientation = orientation_of(jpeg[start:end])
        elif (marker in FRAME_HEADERS or marker in _OTHER_KINDS) and frame is None:
            frame = (segment, *_read_frame_header(marker, jpeg[start:end]))
        elif marker == SOS and frame is not None and start < end:
            kind, width, height, components = frame
            is_progressive = kind.marker == PROGRESSIVE
            has_one_scan = not is_progressive and jpeg[start] == len(components)
            upright = orientation or earlier or 1
            return Header(begin, width, height, components, is_progressive, has_one_scan, upright)
    raise FrameError(ErrorCode.BROKEN_JPEG, "the JPEG has no frame header, or no scan")


def _read_frame_header(marker: int, body: bytes) -> tuple[int, int, tuple[Component, ...]]:
    if marker in _OTHER_KINDS:
        raise FrameError(
            ErrorCode.BROKEN_JPEG,
            f"{_OTHER_KINDS[marker]}, neither a baseline nor a progressive one",
        )
    if len(body) < _FRAME_HEADER.size:
        raise FrameError(ErrorCode.BROKEN_JPEG, "the JPEG has half a frame header")
    bits, height, width, count = _FRAME_HEADER.unpack_from(body)
    if bits != _BITS:
        raise FrameError(ErrorCode.BROKEN_JPEG, f"a JPEG with samples of {bits} bits, not 8")
    if height == 0:
        raise FrameError(
            ErrorCode.BROKEN_JPEG, "the JPEG's header says height 0, and leaves it to a later one"
        )
    if count not in _COMPONENTS:
        raise FrameError(ErrorCode.BROKEN_JPEG, f"a JPEG with {count} components")
    parts = [body[at : at + 3] for at in range(_FRAME_HEADER.size, len(body), 3)][:count]
    if len(parts) < count or any(len(part) < 3 for part in parts):
        raise FrameError(ErrorCode.BROKEN_JPEG, "the JPEG has half a frame header")
    return width, height, tuple(Component(part[0], part[1] >> 4, part[1] & 15) for part in parts)


def check_scans(jpeg: bytes) -> None:
    """Refuse a file that would keep a decoder busy.

    Raises:
        FrameError: `broken_jpeg`: it has more scans than any real one.
    """
    if sum(segment.marker == SOS for segment in walk(jpeg)) > _MAX_SCANS:
        raise FrameError(ErrorCode.BROKEN_JPEG, f"the JPEG has more than {_MAX_SCANS} scans")
