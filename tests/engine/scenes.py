"""Made-up pictures full of faces: beside, over and inside each other, cut by the border."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Paste:
    """A photograph scaled to a height, its centre put at a share of the ground's sides.

    The ground is the whole scene or, `inside`, the rectangle of the paste before.
    """

    photograph: int
    height: float
    x: float
    y: float
    inside: bool
    mirrored: bool


@dataclass(frozen=True)
class Scene:
    """Pastes on a plain, noisy or photographed background."""

    height: int
    width: int
    background: int
    pastes: tuple[Paste, ...]

    def draw(self, photographs: Sequence[Picture]) -> Picture:
        """Paint the scene, (height, width, 3) BGR."""
        scene = self._ground(photographs)
        ground = (0.0, 0.0, float(self.width), float(self.height))
        last = ground
        for paste in self.pastes:
            left, top, width, height = last if paste.inside else ground
            picture = photographs[paste.photograph % len(photographs)]
            size = max(8, round(paste.height * height))
            scale = size / picture.shape[0]
            picture = _scaled(picture, max(8, round(picture.shape[1] * scale)), size)
            x = round(left + paste.x * width - picture.shape[1] / 2)
            y = round(top + paste.y * height - size / 2)
            _put(scene, picture[:, ::-1] if paste.mirrored else picture, x, y)
            last = (x, y, picture.shape[1], size)
        return scene

    def _ground(self, photographs: Sequence[Picture]) -> Picture:
        if self.background == 0:
            return np.full((self.height, self.width, 3), 120, np.uint8)
        if self.background == 1:
            chance = np.random.default_rng(0)
            return chance.integers(0, 256, (self.height, self.width, 3), np.uint8)
        return _scaled(photographs[self.background % len(photographs)], self.width, self.height)


pastes = st.builds(
    Paste,
    photograph=st.integers(0, 30),
    height=st.floats(0.05, 1.6),
    x=st.floats(-0.1, 1.1),
    y=st.floats(-0.1, 1.1),
    inside=st.booleans(),
    mirrored=st.booleans(),
)
scenes = st.builds(
    Scene,
    height=st.integers(60, 700),
    width=st.integers(60, 900),
    background=st.integers(0, 12),
    pastes=st.lists(pastes, min_size=1, max_size=7).map(tuple),
)


def _scaled(picture: Picture, width: int, height: int) -> Picture:
    resized = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(resized, dtype=np.uint8)


def _put(scene: Picture, picture: Picture, x: int, y: int) -> None:
    """Lay a picture over the scene; what reaches over the edge is cut off."""
    x1, y1 = max(x, 0), max(y, 0)
    x2 = min(x + picture.shape[1], scene.shape[1])
    y2 = min(y + picture.shape[0], scene.shape[0])
    if x1 < x2 and y1 < y2:
        scene[y1:y2, x1:x2] = picture[y1 - y : y2 - y, x1 - x : x2 - x]
