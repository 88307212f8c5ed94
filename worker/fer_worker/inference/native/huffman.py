"""The coded data of a JPEG's scan, read by the compiled code."""

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Final

from fer_worker.inference.native.kernels import load_library

TABLE_BYTES: Final = 16 + 256
TABLES: Final = 8
_ROOM: Final = 4096


def read_scan(
    data: bytes,
    tables: bytes,
    blocks: Sequence[tuple[int, int]],
    units: int,
    interval: int,
    is_cut: bool,
) -> tuple[int, bytes]:
    """Read a scan of a sequential JPEG without decoding it.

    Args:
        data: what lies between SOS and the marker that ends the scan.
        tables: four Huffman tables for DC, four for AC: how many codes there are of 1 to 16 bits,
            and room for 256 symbols.
        blocks: of a minimum coded unit: which DC and which AC table each has; 10 at most.
        units: of the scan.
        interval: units from one restart marker to the next; 0: there are none.
        is_cut: whether the file ends there without a marker.

    Returns:
        How many units are there before the first one that is damaged or missing; and the data as a
        strict decoder takes it: without the few bytes that some cameras leave before a marker, and
        with zeros for what is cut off of the last units.

    Raises:
        ValueError: tables or blocks are not as described.
    """
    used = bytes(index for block in blocks for index in block)
    is_scan = 1 <= len(blocks) <= 10 and max(used) <= 3 and units >= 1
    if len(tables) != TABLES * TABLE_BYTES or not is_scan:
        raise ValueError("no tables or blocks of a JPEG")
    clean = ctypes.create_string_buffer(len(data) + _ROOM)
    size = ctypes.c_int64()
    there = _function()(
        data,
        len(data),
        tables,
        used,
        len(blocks),
        units,
        interval,
        is_cut,
        clean,
        ctypes.byref(size),
    )
    if there < 0:
        raise MemoryError
    return there, clean.raw[: size.value]


@cache
def _function() -> "ctypes._NamedFuncPointer":
    function = load_library().jpeg_read_scan
    function.restype = ctypes.c_int64
    text, number = ctypes.c_char_p, ctypes.c_int64
    function.argtypes = [
        *(text, number, text, text, number, number, number, ctypes.c_int),
        *(text, ctypes.POINTER(number)),
    ]
    return function
