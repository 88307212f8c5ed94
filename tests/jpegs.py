"""JPEG files by hand, as no encoder at hand writes them (ITU-T T.81, annex B; Exif 2.3, 4.6)."""

import struct

SOI, EOI = b"\xff\xd8", b"\xff\xd9"

BASELINE, EXTENDED, PROGRESSIVE, LOSSLESS = 0xC0, 0xC1, 0xC2, 0xC3
ARITHMETIC, ARITHMETIC_PROGRESSIVE = 0xC9, 0xCA

_NO_HUFFMAN_CODE_BUT_0 = bytes([1] + [0] * 15) + b"\x00"


def segment(marker: int, body: bytes) -> bytes:
    """A marker segment: what it is, how long, and what it says."""
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2) + body


def frame_header(
    kind: int, width: int, height: int, components: int = 1, precision: int = 8
) -> bytes:
    """A start-of-frame segment, without subsampling."""
    body = struct.pack(">BHHB", precision, height, width, components)
    return segment(kind, body + b"".join(bytes([n, 0x11, 0]) for n in range(1, components + 1)))


def flat_jpeg(
    kind: int,
    width: int = 32,
    height: int = 24,
    *,
    components: int = 1,
    precision: int = 8,
    before: bytes = b"",
    data: bytes | None = None,
) -> bytes:
    """A picture of one colour: every coefficient is zero, two bits a block in Huffman coding.

    Args:
        kind: marker of its frame header.
        width: in pixels.
        height: in pixels.
        components: 1 is grey, 4 are inks.
        precision: bits per sample.
        before: segments in front of everything.
        data: what is coded, instead of the zeros.
    """
    blocks = -(-width // 8) * -(-height // 8) * components
    scan = bytes([components]) + b"".join(bytes([n, 0]) for n in range(1, components + 1))
    return (
        SOI
        + before
        + segment(0xDB, b"\x00" + bytes([1] * 64))
        + frame_header(kind, width, height, components, precision)
        + segment(0xC4, b"\x00" + _NO_HUFFMAN_CODE_BUT_0)
        + segment(0xC4, b"\x10" + _NO_HUFFMAN_CODE_BUT_0)
        + segment(0xDA, scan + b"\x00\x3f\x00")
        + (bytes(-(-blocks * 2 // 8)) if data is None else data)
        + EOI
    )


def exif(tiff: bytes) -> bytes:
    """An APP1 segment of Exif."""
    return segment(0xE1, b"Exif\x00\x00" + tiff)


def tiff(*entries: bytes, first: int = 8, count: int | None = None, following: int = 0) -> bytes:
    """A big-endian TIFF of one directory.

    Args:
        entries: of the directory, 12 bytes each.
        first: where the header says the directory is.
        count: how many entries it says there are.
        following: where it says the next directory is.
    """
    many = len(entries) if count is None else count
    return (
        struct.pack(">2sHIH", b"MM", 42, first, many)
        + b"".join(entries)
        + struct.pack(">I", following)
    )


def tag(number: int, kind: int, count: int, value: int) -> bytes:
    """An entry of a directory: a short value is in the upper half of `value`."""
    return struct.pack(">HHII", number, kind, count, value)


ROTATE_90 = tag(0x0112, 3, 1, 6 << 16)
"""Orientation, 'rotate 90 clockwise'."""
