"""From faces to their emotions.

The network is fer's ("mini Xception", trained on FER2013: grey 48x48 pictures of whole faces,
scaled to 64x64).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fer_schemas import Emotion
from fer_worker.inference.crops import face_crops
from fer_worker.inference.detection import Detection
from fer_worker.inference.types import Crop, Views

if TYPE_CHECKING:
    from fer_worker.inference.types import BGRImage

EmotionNetwork: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""fer's network: faces (N, 64, 64), grey, in [-1, 1], to scores (N, 7) that add up to 1, in the
order of `Emotion`. What it says of a face does not depend on the others."""


def classify_faces(
    image: "BGRImage",
    faces: Sequence[Detection],
    network: EmotionNetwork,
    crop: Crop,
    views: Views = 1,
) -> list[Mapping[Emotion, float]]:
    """Recognise the emotions of faces, in one batch.

    Args:
        image: (height, width, 3) uint8, BGR.
        faces: each with at least one pixel inside the picture.
        network: the emotion network.
        crop: what it is shown of a face.
        views: how often; the scores are averaged.

    Returns:
        Seven scores per face, in the order given.
    """
    if not faces:
        return []
    scores = network(face_crops(image, faces, crop, views))
    means = scores.reshape(len(faces), views, -1).mean(axis=1)
    return [dict(zip(Emotion, map(float, row), strict=True)) for row in means]
