"""Make `examples/frames/` from photographs that are in the public domain.

Run once, in an environment of its own; the pictures are committed:

    pip install scikit-image matplotlib "opencv-python-headless>=4.14,<5"
    python examples/make_frames.py

Where the photographs come from, and under which terms, is in `examples/frames/NOTICE.md`.
"""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

if TYPE_CHECKING:
    from fer_worker.inference.types import BGRImage

FRAMES: Final = Path(__file__).parent / "frames"

CAMERA_SIZE: Final = (640, 480)
"""Width and height in pixels of the burst's frames."""

BURST: Final = (
    # left and top edge and width, in pixels of the photograph, and brightness
    (70, 0, 442, 0.70),
    (82, 0, 400, 0.82),
    (78, 4, 350, 0.92),
    (92, 10, 300, 1.00),
    (150, 2, 342, 1.06),
    (174, 0, 338, 1.12),
)
"""What the camera sees as somebody walks towards it and past: the fourth face is the largest."""


def photograph(package: str, path: str) -> "BGRImage":
    """Read a photograph that an installed package brings along, without importing the package.

    Returns:
        (height, width, 3) uint8, BGR.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{package} is not installed")
    image = cv2.imread(str(Path(spec.origin).parent / path), cv2.IMREAD_COLOR)
    if image is None:
        raise SystemExit(f"{package} has no {path}")
    return image.astype(np.uint8, copy=False)


def write(name: str, image: "BGRImage", quality: int) -> bytes:
    """Write a BGR picture as `examples/frames/<name>` and return the file's bytes."""
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    jpeg = encoded.tobytes()
    (FRAMES / name).write_bytes(jpeg)
    return jpeg


def camera_view(
    photo: "BGRImage", left: int, top: int, width: int, brightness: float
) -> "BGRImage":
    """Cut a 4:3 view out of a BGR photograph and show it as a camera of `CAMERA_SIZE` would."""
    height = width * CAMERA_SIZE[1] // CAMERA_SIZE[0]
    view = cv2.resize(
        photo[top : top + height, left : left + width], CAMERA_SIZE, interpolation=cv2.INTER_CUBIC
    )
    return cv2.convertScaleAbs(view, alpha=brightness).astype(np.uint8, copy=False)


def main() -> None:
    """Write every frame."""
    FRAMES.mkdir(exist_ok=True)
    astronaut = photograph("skimage", "data/astronaut.png")
    whole = write("astronaut.jpg", astronaut, quality=92)
    (FRAMES / "broken.jpg").write_bytes(whole[: len(whole) // 2])

    hopper = photograph("matplotlib", "mpl-data/sample_data/grace_hopper.jpg")
    write("grace_hopper.jpg", hopper, quality=92)
    write("no_face.jpg", photograph("skimage", "data/coffee.png"), quality=90)
    for number, view in enumerate(BURST, start=1):
        write(f"burst-{number}.jpg", camera_view(astronaut, *view), quality=85)


if __name__ == "__main__":
    main()
