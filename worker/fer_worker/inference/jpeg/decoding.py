"""JPEG bytes to a checked picture. Sizes are read before decoding."""

from typing import TYPE_CHECKING, Final, NamedTuple

import cv2
import numpy as np
import simplejpeg

from fer_client.errors import FrameError
from fer_schemas import ErrorCode
from fer_worker.inference.jpeg.kinds import start_of_jpeg, why_no_jpeg
from fer_worker.inference.jpeg.markers import Header, check_scans, read_header
from fer_worker.inference.jpeg.repair import repair
from fer_worker.limits import MIN_FRAME_SIDE, FrameLimits

if TYPE_CHECKING:
    from fer_worker.inference.types import BGRImage

_WARNINGS: Final = (
    "Corrupt JPEG data",
    "Premature end of JPEG file",
    "Invalid SOS parameters",
    "Inconsistent progression sequence",
    "Unknown Adobe color transform",
    "Warning: unknown JFIF revision",
)
"""How libjpeg's warnings begin (jerror.h). It writes every row then; after any other message some
may be missing."""
_FLIPS: Final = {2: 1, 3: -1, 4: 0}
_FLIPS_OF_TRANSPOSED: Final = {5: None, 6: 1, 7: -1, 8: 0}
"""By EXIF's orientation: the flip code for OpenCV that makes it upright."""


class Decoded(NamedTuple):
    """A picture, and whether it is all there."""

    image: "BGRImage"
    """(height, width, 3) uint8, BGR, upright."""
    damage: str | None = None
    """What is lost or displaced, as a message; only where `analyze_damaged` lets it pass."""


def decode_frame(jpeg: bytes, limits: FrameLimits) -> Decoded:
    """Decode one frame, upright: an EXIF orientation is applied.

    A frame that libjpeg decodes without a word is whole. Otherwise it is mended of what is known to
    be harmless (`repair`) and decoded once more: without a word now, it is whole.

    Args:
        jpeg: a JPEG file; grey and CMYK ones are converted.
        limits: what is accepted.

    Raises:
        FrameError: `empty_frame`, `frame_too_large`, `not_a_jpeg`, `too_many_pixels` or
            `frame_too_small` (both by the header, before decoding), `broken_jpeg`, `damaged_jpeg`.
    """
    jpeg, header = _check(jpeg, limits)
    if not header.has_one_scan:
        check_scans(jpeg)
    image, damage = _decode_silent(jpeg, header), None
    if image is None:
        image, damage = _decode_suspicious(jpeg, header, limits)
    return Decoded(_upright(image, header.orientation), damage)


def count_pixels(jpeg: bytes, limits: FrameLimits) -> int:
    """Count the pixels of a frame by its header; 0 where the header is refused."""
    try:
        _, header = _check(jpeg, limits)
    except FrameError:
        return 0
    return header.width * header.height


def _check(jpeg: bytes, limits: FrameLimits) -> tuple[bytes, Header]:
    """Return what may be decoded, from its first start marker on, or raise as `decode_frame`."""
    if not jpeg:
        raise FrameError(ErrorCode.EMPTY_FRAME, "the frame has no bytes")
    if len(jpeg) > limits.max_bytes:
        text = f"the frame has {len(jpeg)} bytes, more than {limits.max_bytes}"
        raise FrameError(ErrorCode.FRAME_TOO_LARGE, text)
    start = start_of_jpeg(jpeg)
    if start is None:
        raise FrameError(ErrorCode.NOT_A_JPEG, why_no_jpeg(jpeg))

    jpeg = jpeg[start:] if start else jpeg
    header = read_header(jpeg)
    width, height = header.width, header.height
    if width * height > limits.max_pixels:
        text = f"the frame has {width}x{height} pixels, more than {limits.max_pixels}"
        raise FrameError(ErrorCode.TOO_MANY_PIXELS, text)
    if min(width, height) < MIN_FRAME_SIDE:
        text = f"the frame has {width}x{height} pixels; its sides must have {MIN_FRAME_SIDE}"
        raise FrameError(ErrorCode.FRAME_TOO_SMALL, text)
    return jpeg, header


def _decode_silent(jpeg: bytes, header: Header) -> "BGRImage | None":
    """Decode what libjpeg has no word about; None for anything else."""
    if not header.has_one_scan and not header.is_progressive:
        return None  # it does not miss a channel whose scan is lost
    image = np.empty((header.height, header.width, 3), np.uint8)
    try:
        _decode_into(image, jpeg)
    except ValueError:
        return None
    return image


def _decode_suspicious(
    jpeg: bytes, header: Header, limits: FrameLimits
) -> tuple["BGRImage", str | None]:
    """Decode what libjpeg had a word about: the picture as it is coded, and its damage."""
    repaired = repair(jpeg, header)
    reason = repaired.damage
    if reason is None:
        image = np.empty((header.height, header.width, 3), np.uint8)
        try:
            _decode_into(image, repaired.jpeg)
            return image, None
        except ValueError as error:
            reason = str(error)
    damage = f"the JPEG is damaged: {reason}"
    # Four inks are converted behind libjpeg, and not where it has a word.
    if limits.damaged == "refuse" or len(header.components) == 4:
        raise FrameError(ErrorCode.DAMAGED_JPEG, damage)
    # Into memory of ours: what is not written stays black, and is no other frame's.
    image = np.zeros((header.height, header.width, 3), np.uint8)
    try:
        _decode_into(image, repaired.jpeg)
    except ValueError as error:
        if not str(error).startswith(_WARNINGS):
            raise FrameError(ErrorCode.DAMAGED_JPEG, f"{damage}; rows are missing") from None
    return image, damage


def _decode_into(image: "BGRImage", jpeg: bytes) -> None:
    """Decode, strictly, a JPEG of this size; it never takes more memory.

    Raises:
        ValueError: libjpeg has a word about it.
    """
    made = simplejpeg.decode_jpeg(jpeg, "BGR", buffer=image)
    if made.shape != image.shape:
        raise ValueError(f"decodes to {made.shape[1]}x{made.shape[0]} pixels")


def _upright(image: "BGRImage", orientation: int) -> "BGRImage":
    if orientation in _FLIPS_OF_TRANSPOSED:
        image = np.asarray(cv2.transpose(image), np.uint8)
        flip = _FLIPS_OF_TRANSPOSED[orientation]
    else:
        flip = _FLIPS.get(orientation)
    return image if flip is None else np.asarray(cv2.flip(image, flip), np.uint8)
