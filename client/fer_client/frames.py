"""From what a caller has to frames: JPEG files in any buffer of bytes, one or several."""

from collections.abc import Iterable
from pathlib import PurePath
from typing import TYPE_CHECKING, TypeAlias, TypeGuard

from fer_schemas import Frame, flat_bytes

if TYPE_CHECKING:
    from typing_extensions import Buffer

Frames: TypeAlias = "Buffer | Frame | Iterable[Buffer | Frame]"
"""One frame or several, each a JPEG file: `bytes`, `bytearray`, `memoryview`, a one-dimensional
array of bytes as `cv2.imencode` gives it, or a `Frame`."""


def to_frames(given: Frames) -> tuple[Frame, ...]:
    """Make frames of what a caller has.

    Raises:
        TypeError: one of them is a path, an image that is not encoded, or something else; the text
            says what to do.
    """
    is_one = isinstance(given, Frame | str | PurePath) or _is_buffer(given)
    several = (given,) if is_one or not isinstance(given, Iterable) else given
    return tuple(_frame(index, one) for index, one in enumerate(several))


def _frame(index: int, given: object) -> Frame:
    if isinstance(given, Frame):
        return given
    jpeg = flat_bytes(given)
    if not isinstance(jpeg, bytes):
        raise TypeError(f"frame {index} is {_explain(given)}")
    return Frame(jpeg=jpeg)


def _explain(given: object) -> str:
    """Say what it is, and what to do."""
    if isinstance(given, str | PurePath):
        return "a path or a text: give the bytes of the file, Path(name).read_bytes()"
    if _is_buffer(given):
        shape = "x".join(map(str, memoryview(given).shape or ()))
        return f"an array of {shape}: encode the image, cv2.imencode('.jpg', image)[1]"
    return f"of the type {type(given).__name__}: give the bytes of a JPEG file"


def _is_buffer(given: object) -> "TypeGuard[Buffer]":
    try:
        memoryview(given)  # type: ignore[arg-type]  # to be seen
    except TypeError:
        return False
    return True
