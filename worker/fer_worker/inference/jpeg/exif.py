"""Which way up a picture is (EXIF 2.3, 4.6: the tag Orientation of the first directory)."""

import struct
from typing import Final

_EXIF: Final = b"Exif\x00\x00"
_ORIENTATION: Final = 0x0112
_LONGS: Final = (4, 9)
"""TIFF's types of four bytes, in which some phones write it."""
_MAX_ENTRIES: Final = 512


def orientation_of(app1: bytes) -> int:
    """Read the orientation, 1 to 8, from an APP1 segment; 0 where it says none.

    1 is upright; 6, say, is to be turned clockwise by 90°.
    """
    tiff = app1[len(_EXIF) :]
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if not app1.startswith(_EXIF) or order is None:
        return 0
    try:
        (at,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, at)
        for entry in range(min(count, _MAX_ENTRIES)):
            tag, kind = struct.unpack_from(f"{order}HH", tiff, at + 2 + 12 * entry)
            if tag == _ORIENTATION:
                # For OpenCV it is a SHORT, as in the standard, whatever its type and count say.
                form = "I" if kind in _LONGS else "H"
                (value,) = struct.unpack_from(order + form, tiff, at + 10 + 12 * entry)
                return value if 1 <= value <= 8 else 0
    except struct.error:  # it points out of itself
        return 0
    return 0
