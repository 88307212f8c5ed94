"""The MTCNN face detector: facenet-pytorch 2.5.3's cascade, written out.

Zhang et al., "Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks"
(2016): P-Net scores every cell of a pyramid of pictures, R-Net and O-Net score what is left. Held
to facenet-pytorch's own results box for box. The networks are handed in (`DetectorOps`).

`largest_first.py` finds the largest face without looking everywhere.
"""

import numpy as np
from numpy.typing import NDArray

from fer_worker.inference.mtcnn.cascade import Cascade
from fer_worker.inference.mtcnn.operations import DetectorOps, FoundFaces
from fer_worker.inference.mtcnn.proposals import propose
from fer_worker.inference.mtcnn.pyramid import Picture, pyramid_scales


def detect_faces(
    image: NDArray[np.uint8],
    ops: DetectorOps,
    min_face_size: int,
    min_probability: float = 0.0,
) -> FoundFaces:
    """Find the faces of one picture.

    Args:
        image: (height, width, 3) uint8. The networks were trained on RGB; fer hands over BGR.
        ops: the networks and the suppression.
        min_face_size: side in pixels of the smallest face looked for; at least 12.
        min_probability: faces that O-Net is less sure of are dropped.

    Returns:
        Faces with at least a pixel inside the picture, the largest area first.
    """
    picture = Picture(image)
    cascade = Cascade(picture, ops, min_probability)
    cascade.add(propose(picture, ops, pyramid_scales(picture.height, picture.width, min_face_size)))
    refined = cascade.refine()
    cascade.output(refined)
    return cascade.found(cascade.faces(cascade.accepted(refined)))
