"""A copy of a JPEG without what is known to be harmless, and what is damaged in it.

libjpeg names only the first thing that it stumbles over, and a harmless one hides the worse one
behind it: so it is to be shown a copy in which nothing harmless is left. Of a sequential JPEG the
coded data is read as well, which says how many of its rows are there.
"""

import math
import re
from collections.abc import Sequence
from functools import cache
from typing import Final, NamedTuple

import numpy as np
import simplejpeg

from fer_worker.inference.jpeg.markers import (
    APP0,
    APP14,
    DHT,
    DQT,
    DRI,
    EOI,
    FRAME_HEADERS,
    SOI,
    SOS,
    Component,
    Header,
    walk,
)
from fer_worker.inference.native.huffman import TABLE_BYTES, TABLES, read_scan

_JFIF: Final = b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
_ADOBE: Final = b"Adobe"
_ADOBE_TRANSFORM: Final = 11
_KNOWN_TRANSFORMS: Final = {3: (0, 1), 4: (0, 2)}
"""By the number of components; others libjpeg takes for the last one, with a warning."""
_SEQUENTIAL_PARAMETERS: Final = b"\x00\x3f\x00"
"""Of an SOS: the first and the last coefficient, no approximation. Some cameras write others."""


_RESTART: Final = re.compile(rb"\xff[\xd0-\xd7]")
_MOST_ZEROS: Final = 4
"""At the end of coded data; real data hardly ever ends in more."""


class Repaired(NamedTuple):
    """A copy of a JPEG, and what cannot be mended."""

    jpeg: bytes
    damage: str | None
    """Such as "from row 240 of 480 on"; None where nothing was seen."""


class _Scan(NamedTuple):
    """How the coded data of one scan is laid out."""

    blocks: Sequence[tuple[int, int]]
    """Of a unit: which DC and which AC table each has."""
    units: int
    units_per_row: int
    rows_per_unit: int
    """Of pixels."""


def repair(jpeg: bytes, header: Header) -> Repaired:
    """Make a copy with what decides about pixels, and nothing else.

    Kept: tables, frame header, scans, and what says how colours are coded. Mended: a missing end
    marker, a start marker too many, bytes between segments, lengths of segments that decide
    nothing, parameters of a sequential scan, up to 4 bytes ahead of a marker in it; and where the
    file is cut off there, what is missing of its last unit.

    Args:
        jpeg: from its first start marker on.
        header: of it.
    """
    copy = bytearray([0xFF, SOI])
    tables = bytearray(TABLES * TABLE_BYTES)
    has_tables = has_scan = False
    interval, is_interval_ours = 0, True
    scanned: set[int] = set()
    damage: str | None = None
    segments = list(walk(jpeg))
    for index, (marker, at, start, end) in enumerate(segments):
        body = jpeg[start:end]
        # Of what comes before the last start marker only tables count.
        is_ours = at > header.begin
        if marker == APP0 and is_ours and body.startswith(b"JFIF\x00") and len(body) >= len(_JFIF):
            _add(copy, marker, _JFIF)
        elif (
            marker == APP14 and is_ours and body.startswith(_ADOBE) and len(body) > _ADOBE_TRANSFORM
        ):
            _add(copy, marker, _with_known_transform(body, len(header.components)))
        elif marker == DQT or (marker in FRAME_HEADERS and is_ours):
            _add(copy, marker, body)
        elif marker == DRI and len(body) == 2:
            interval, is_interval_ours = int.from_bytes(body), is_ours
        elif marker == DHT:
            _add(copy, marker, body)
            _read_tables(body, tables)
            has_tables = True
        elif marker == SOS:
            following = segments[index + 1] if index + 1 < len(segments) else None
            is_cut = following is None or following.marker == SOI
            data = _without_padding(jpeg[end : following.at if following else len(jpeg)])
            if not is_interval_ours and not _RESTART.search(data):
                interval = 0
            _add(copy, DRI, interval.to_bytes(2))
            scan = None if header.is_progressive else _layout(body, header)
            if header.is_progressive:
                _add(copy, marker, body)
                copy += data.removesuffix(b"\xff")
            elif scan is None:
                return Repaired(bytes(copy), "a scan's header makes no sense")
            else:
                _add(copy, marker, body[:-3] + _SEQUENTIAL_PARAMETERS)
                known = bytes(tables) if has_tables else _standard_tables()
                scanned.update(body[1 : 1 + 2 * body[0] : 2])
                there, clean = read_scan(data, known, scan.blocks, scan.units, interval, is_cut)
                copy += clean if there == scan.units else data
                if there < scan.units and damage is None:
                    row = there // scan.units_per_row * scan.rows_per_unit
                    damage = f"from row {min(row, header.height)} of {header.height} on"
            has_scan = True
        elif marker == EOI or (marker == SOI and has_scan):  # another picture begins
            break
    copy += bytes([0xFF, EOI])
    if not header.is_progressive and scanned < {one.number for one in header.components}:
        damage = damage or "a channel is missing"
    return Repaired(bytes(copy), damage)


def _without_padding(data: bytes) -> bytes:
    """Coded data without the zeros behind it, which some cameras send from their memory.

    A few may belong to it.
    """
    solid = data.rstrip(b"\x00")
    return data if len(data) - len(solid) <= _MOST_ZEROS else solid


def _add(copy: bytearray, marker: int, body: bytes) -> None:
    copy += bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2) + body


def _with_known_transform(adobe: bytes, components: int) -> bytes:
    known = _KNOWN_TRANSFORMS.get(components, ())
    if not known or adobe[_ADOBE_TRANSFORM] in known:
        return adobe
    return adobe[:_ADOBE_TRANSFORM] + bytes([known[-1]]) + adobe[_ADOBE_TRANSFORM + 1 :]


def _read_tables(body: bytes, tables: bytearray) -> None:
    """Take the Huffman tables of a DHT into the eight that there can be."""
    at = 0
    while at + 17 <= len(body):
        is_ac, number = body[at] >> 4, body[at] & 15
        symbols = sum(body[at + 1 : at + 17])
        end = at + 17 + symbols
        if is_ac > 1 or number > 3 or symbols > 256 or end > len(body):
            return
        first = (4 * is_ac + number) * TABLE_BYTES
        tables[first : first + TABLE_BYTES] = body[at + 1 : end].ljust(TABLE_BYTES, b"\x00")
        at = end


@cache
def _standard_tables() -> bytes:
    """Those of T.81, annex K, which a file without any is coded with (Motion JPEG)."""
    tables = bytearray(TABLES * TABLE_BYTES)
    written = simplejpeg.encode_jpeg(np.zeros((8, 8, 3), np.uint8))
    for marker, _, start, end in walk(written):
        if marker == DHT:
            _read_tables(written[start:end], tables)
    return bytes(tables)


def _layout(sos: bytes, header: Header) -> _Scan | None:
    """How a sequential scan is laid out (T.81, A.2), or None where its header makes no sense."""
    count = sos[0] if sos else 0
    if not 1 <= count <= 4 or len(sos) < 4 + 2 * count:
        return None
    by_number = {component.number: component for component in header.components}
    parts: list[tuple[Component, tuple[int, int]]] = []
    for at in range(1, 1 + 2 * count, 2):
        component, (dc, ac) = by_number.get(sos[at]), divmod(sos[at + 1], 16)
        if component is None or max(dc, ac) > 3:
            return None
        parts.append((component, (dc, ac)))
    across = max(component.across for component in header.components)
    down = max(component.down for component in header.components)
    if not all(1 <= side <= 4 for one in header.components for side in one[1:]):
        return None
    if count == 1:  # a unit is one block, and there are none beyond the picture
        component, tables = parts[0]
        columns = math.ceil(math.ceil(header.width * component.across / across) / 8)
        rows = math.ceil(math.ceil(header.height * component.down / down) / 8)
        return _Scan([tables], columns * rows, columns, 8 * down // component.down)
    blocks = [
        tables for component, tables in parts for _ in range(component.across * component.down)
    ]
    if len(blocks) > 10:
        return None
    columns, rows = math.ceil(header.width / (8 * across)), math.ceil(header.height / (8 * down))
    return _Scan(blocks, columns * rows, columns, 8 * down)
