"""What the client takes as frames, and what it says of what are none."""

from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fer_client import Frame
from fer_client.frames import to_frames
from fer_schemas import BatchRequest
from tests.engines import plain_jpeg

JPEG = plain_jpeg(50)
ARRAY = np.frombuffer(JPEG, np.uint8)


@pytest.mark.parametrize(
    "make",
    [
        bytes,
        bytearray,
        memoryview,
        lambda jpeg: array("B", jpeg),
        lambda _: ARRAY,
        lambda _: ARRAY.reshape(-1, 1),
        lambda _: np.repeat(ARRAY, 2)[::2],
    ],
    ids=["bytes", "bytearray", "memoryview", "array", "numpy", "a column", "strided"],
)
def test_a_frame_is_any_buffer_of_bytes_alone_or_in_a_list(make: Callable[[bytes], Any]) -> None:
    given = make(JPEG)
    frame = Frame(jpeg=JPEG)
    assert to_frames(given) == (frame,)
    assert to_frames([given, frame]) == (frame, frame)
    assert to_frames(iter((given,))) == (frame,)
    assert Frame(jpeg=given, id="f-1").jpeg == JPEG


def test_what_opencv_encodes_is_taken_as_it_is() -> None:
    encoded = cv2.imencode(".jpg", np.zeros((40, 50, 3), np.uint8))[1]
    assert to_frames(encoded)[0].jpeg == encoded.tobytes()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("door.jpg", "a path or a text: give the bytes of the file, Path(name).read_bytes()"),
        (Path("door.jpg"), "a path or a text: give the bytes of the file"),
        (
            np.zeros((480, 640, 3), np.uint8),
            "an array of 480x640x3: encode the image, cv2.imencode('.jpg', image)[1]",
        ),
        (np.zeros((480, 640)), "an array of 480x640: encode the image"),
        (None, "of the type NoneType: give the bytes of a JPEG file"),
    ],
    ids=["text", "path", "image", "grey image", "none"],
)
def test_what_is_no_frame_is_said_with_what_to_do(given: Any, said: str) -> None:
    with pytest.raises(TypeError) as error:
        to_frames(given)
    assert str(error.value).startswith(f"frame 0 is {said}")
    with pytest.raises(TypeError) as error:
        to_frames([JPEG, given])
    assert str(error.value).startswith(f"frame 1 is {said}")


def test_a_frame_in_json_is_base64_and_nothing_else() -> None:
    request = BatchRequest(version=1, frames=(Frame(jpeg=JPEG),))
    assert BatchRequest.model_validate_json(request.model_dump_json()) == request
