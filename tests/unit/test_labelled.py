from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fer_client.errors import FerWorkerError
from fer_schemas import Emotion
from fer_worker.tools.evaluation.samples import LabelledPicture
from tests.frames import sample
from tests.jpegs import ROTATE_90, exif, tiff


def picture(path: Path, content: bytes) -> LabelledPicture:
    path.write_bytes(content)
    return LabelledPicture(path.name, Emotion.HAPPY, path)


def encoded(suffix: str, height: int, width: int) -> bytes:
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.imencode(suffix, cv2.blur(image, (9, 9)))[1].tobytes()


def decoded(jpeg: bytes) -> NDArray[np.uint8]:
    assert jpeg.startswith(b"\xff\xd8\xff")
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image, np.uint8)


def test_jpeg_that_is_large_enough_stays_as_it_is(tmp_path: Path) -> None:
    jpeg = sample("astronaut")
    assert picture(tmp_path / "a.jpg", jpeg).to_jpeg(192) == jpeg


def test_png_becomes_a_jpeg_of_the_same_pixels(tmp_path: Path) -> None:
    original = decoded(sample("astronaut"))
    png = cv2.imencode(".png", original)[1].tobytes()
    jpeg = decoded(picture(tmp_path / "a.png", png).to_jpeg(192))
    assert np.abs(jpeg.astype(int) - original).mean() < 2


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize(
    ("height", "width", "shape"),
    [(48, 48, (192, 192, 3)), (100, 50, (384, 192, 3)), (12, 15, (192, 240, 3))],
)
def test_small_picture_is_enlarged_to_its_shorter_side(
    suffix: str, height: int, width: int, shape: tuple[int, ...], tmp_path: Path
) -> None:
    small = picture(tmp_path / f"a{suffix}", encoded(suffix, height, width))
    assert decoded(small.to_jpeg(192)).shape == shape
    assert decoded(small.to_jpeg(0)).shape == (height, width, 3)


def test_orientation_is_kept_when_a_picture_is_enlarged(tmp_path: Path) -> None:
    jpeg = encoded(".jpg", 48, 96)
    rotated = picture(tmp_path / "a.jpg", jpeg[:2] + exif(tiff(ROTATE_90)) + jpeg[2:])
    assert decoded(rotated.to_jpeg(192)).shape == (384, 192, 3)


def test_listed_pixels_become_a_grey_jpeg() -> None:
    pixels = np.tile(np.arange(48, dtype=np.uint8) * 5, (48, 1))
    listed = LabelledPicture("fer2013.csv:2", Emotion.SAD, Path("fer2013.csv"), pixels.tobytes())
    image = decoded(listed.to_jpeg(192))
    assert image.shape == (192, 192, 3)
    assert np.array_equal(image[..., 0], image[..., 2])
    assert image[96, 5, 0] < 10
    assert image[96, 187, 0] > 220


@pytest.mark.parametrize("content", [b"", b"no picture", sample("broken")[:3000]])
def test_what_is_no_picture_is_one_line(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(FerWorkerError, match="not a picture"):
        picture(tmp_path / "a.jpg", content).to_jpeg(192)


def test_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(FerWorkerError, match="No such file or directory"):
        LabelledPicture("a", Emotion.SAD, tmp_path / "a.jpg").to_jpeg(192)


def test_strip_is_not_enlarged_beyond_what_workers_take(tmp_path: Path) -> None:
    with pytest.raises(FerWorkerError, match="2x5000 pixels"):
        picture(tmp_path / "a.png", encoded(".png", 5000, 2)).to_jpeg(192)
