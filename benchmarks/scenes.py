"""The default set: ten made frames as cameras send them, drawn from the sample frames.

480p to 1080p, faces near and far, a crowd, and none at all. The pictures they are made of are in
the public domain (`examples/frames/NOTICE.md`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

if TYPE_CHECKING:
    from fer_worker.inference.types import BGRImage

FRAMES: Final = Path(__file__).parents[1] / "examples" / "frames"

NOISE: Final = 3.0
"""Standard deviation of the sensor noise put on a scene. Enlarged photographs alone are smoother
than what a camera sees, and a detector is done with them sooner."""


@dataclass(frozen=True)
class Person:
    """A sample frame within a scene: its height, left and top in shares of the scene's height."""

    photograph: str
    height: float
    left: float = 0.0
    top: float = 0.0


@dataclass(frozen=True)
class Scene:
    """People in front of a table with a cup of coffee, or the table alone."""

    name: str
    width: int
    height: int
    people: tuple[Person, ...] = ()


_CROWD: Final = tuple(
    Person(
        photograph=("grace_hopper", "astronaut", "burst-4")[(row + column) % 3],
        height=(0.25, 0.18, 0.22)[(row * 5 + column) % 3],
        left=column * 0.35,
        top=row * 0.25,
    )
    for row in range(4)
    for column in range(5)
)

SCENES: Final = (
    Scene("480p near", 640, 480, (Person("burst-4", 1.0),)),
    Scene("480p far", 854, 480, (Person("astronaut", 0.5, 0.6, 0.3),)),
    Scene("480p none", 640, 480),
    Scene("720p near", 1280, 720, (Person("grace_hopper", 1.0, 0.4),)),
    Scene(
        "720p two",
        1280,
        720,
        (Person("grace_hopper", 0.7, 0.1, 0.3), Person("astronaut", 0.6, 1.0, 0.4)),
    ),
    Scene("720p far", 1280, 720, (Person("astronaut", 0.4, 0.9, 0.5),)),
    Scene("1080p near", 1920, 1080, (Person("grace_hopper", 1.0, 0.5),)),
    Scene("1080p middle", 1920, 1080, (Person("astronaut", 1.0, 0.5),)),
    Scene("1080p crowd", 1920, 1080, _CROWD),
    Scene("1080p none", 1920, 1080),
)


def draw(scene: Scene) -> "BGRImage":
    """Draw a scene: (height, width, 3) uint8, BGR, the same on every run."""
    canvas = _table(scene)
    for person in scene.people:
        photograph = _photograph(person.photograph)
        shown = _enlarge(photograph, person.height * scene.height / photograph.shape[0])
        left, top = round(person.left * scene.height), round(person.top * scene.height)
        space = canvas[top : top + shown.shape[0], left : left + shown.shape[1]]
        space[:] = shown[: space.shape[0], : space.shape[1]]
    noise = np.random.default_rng(0).normal(0, NOISE, canvas.shape)
    noisy: BGRImage = np.clip(canvas + noise, 0, 255).astype(np.uint8)
    return noisy


def _table(scene: Scene) -> "BGRImage":
    """The photograph without a face, so large that it fills the scene.

    Wood and coffee have the colour of skin and keep a detector that sees RGB busy with candidates:
    the hard case of a frame without a face. Behind people it is grey.
    """
    table = _photograph("no_face")
    table = _enlarge(table, max(scene.height / table.shape[0], scene.width / table.shape[1]))
    if scene.people:
        table = _bgr(cv2.cvtColor(cv2.cvtColor(table, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR))
    return table[: scene.height, : scene.width]


def _enlarge(image: "BGRImage", scale: float) -> "BGRImage":
    return _bgr(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC))


def _photograph(name: str) -> "BGRImage":
    image = cv2.imread(str(FRAMES / f"{name}.jpg"), cv2.IMREAD_COLOR)
    assert image is not None, name
    return _bgr(image)


def _bgr(image: cv2.typing.MatLike) -> "BGRImage":
    return np.asarray(image, dtype=np.uint8)
