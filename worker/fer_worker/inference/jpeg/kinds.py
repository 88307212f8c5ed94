"""What bytes are that are no JPEG, so that a sender can be told. Loads no OpenCV."""

import re
from typing import Final

_JPEG_START: Final = re.compile(rb"\xff*(\xff\xd8\xff)")
"""The marker SOI, its fill bytes, and the first byte of the next marker (ITU-T T.81, B.1.1.3)."""

_STARTS: Final = {
    b"\x89PNG\r\n\x1a\n": "a PNG picture",
    b"GIF8": "a GIF picture",
    b"BM": "a BMP picture",
    b"II*\x00": "a TIFF picture",
    b"MM\x00*": "a TIFF picture",
    b"\x00\x00\x00\x0cjP  ": "a JPEG 2000 picture",
    b"\xff\x4f\xff\x51": "a JPEG 2000 picture",
    b"\xff\x0a": "a JPEG XL picture",
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "a ZIP archive",
    b"%PDF": "a PDF document",
    b"<?xml": "an XML document",
    b"<!DOCTYPE html": "an HTML page",
    b"<html": "an HTML page",
    b"{": "JSON",
    b"data:": "a data URL",
    b"HTTP/": "an HTTP answer",
    b"\x00\x00\x00\x01": "H.264 or H.265 video",
}
_BRANDS: Final = {b"avif": "an AVIF picture", b"heic": "a HEIC picture", b"mif1": "a HEIC picture"}
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/\s]{16,}={0,2}")
_LOOKED_AT: Final = 65536


def start_of_jpeg(content: bytes) -> int | None:
    """Where a JPEG begins: behind its fill bytes, which may precede any marker; or None."""
    found = _JPEG_START.match(content)
    return found.start(1) if found else None


def kind_of(content: bytes) -> str | None:
    """Name what bytes are that are no JPEG: "a PNG picture"; None where they are unknown."""
    for start, name in _STARTS.items():
        if content.startswith(start):
            return name
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return "a WebP picture"
    if content[4:8] == b"ftyp":
        return _BRANDS.get(content[8:12], "an MP4 file")
    if _BASE64.fullmatch(content[:_LOOKED_AT].strip()):
        return "base64 text"
    at = content.find(b"\xff\xd8\xff")
    return f"a JPEG begins at byte {at}, behind other bytes" if at > 0 else None


def why_no_jpeg(content: bytes) -> str:
    """Say why bytes are no JPEG, as a message to their sender."""
    kind = kind_of(content)
    return f"the frame is no JPEG: {kind}" if kind else "the frame does not start as a JPEG"
