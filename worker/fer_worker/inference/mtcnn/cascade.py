"""The candidates of one picture on their way through MTCNN's cascade."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fer_worker.inference.mtcnn.boxes import (
    Floats,
    Indices,
    areas,
    regressed,
    shows_in,
    squared,
    sure,
)
from fer_worker.inference.mtcnn.operations import Candidates, DetectorOps, FoundFaces, Scores
from fer_worker.inference.mtcnn.pyramid import Picture

REFINE_THRESHOLD: Final = 0.7
OUTPUT_THRESHOLD: Final = 0.7

_Network = Callable[[Picture, NDArray[np.int32], float], Scores]

_CANDIDATE = np.dtype(
    [
        *[("proposed", "f4", 4), ("proposed_score", "f4")],
        *[("refined", "f4", 4), ("refined_score", "f4")],
        *[("face", "f4", 4), ("face_score", "f4"), ("landmarks", "f4", 10)],
    ]
)
"""A candidate: its box and score after each network. A score is NaN until the network is asked.
Landmarks as O-Net has them, in shares of the refined box."""


class Cascade:
    """What is known of one picture so far. No network is asked twice about a candidate.

    What a network says of a candidate does not depend on the others, so the order in which
    candidates are added and asked about makes no difference. Suppression does depend on them: it is
    done anew over what is known. Candidates stand by the score P-Net gave them, of equal ones those
    of a finer level first; facenet-pytorch's order, which decides between equal scores later.

    Args:
        picture: the picture.
        ops: the networks and the suppression.
        min_probability: faces of which O-Net is less sure are dropped before they suppress others;
            see `sure`.
    """

    def __init__(self, picture: Picture, ops: DetectorOps, min_probability: float = 0.0) -> None:
        self._picture = picture
        self._ops = ops
        self._min_probability = min_probability
        self.known: NDArray[Any] = np.empty(0, _CANDIDATE)

    def add(self, proposals: Candidates) -> None:
        """Add what P-Net proposes on levels finer than all those before."""
        known = np.empty(len(proposals) + len(self.known), _CANDIDATE)
        known.view(np.float32).fill(np.nan)
        known[len(proposals) :] = self.known
        added = known[: len(proposals)]
        added["proposed"], added["proposed_score"] = proposals.boxes, proposals.scores
        self.known = known[np.argsort(-known["proposed_score"], kind="stable")]

    def refine(self) -> Indices:
        """Second stage, for all candidates: those R-Net believes in, each place once.

        Returns:
            Which candidates, highest score of R-Net first.
        """
        known = self.known
        asked = np.flatnonzero(np.isnan(known["refined_score"]))
        if len(asked):
            boxes = known["proposed"][asked]
            answers = self._ask(self._ops.refine, boxes, REFINE_THRESHOLD)
            known["refined"][asked] = squared(regressed(boxes, answers.regressions, pixel=1))
            known["refined_score"][asked] = answers.scores
        passed = np.flatnonzero(known["refined_score"] > REFINE_THRESHOLD)
        if not len(passed):
            return passed
        candidates = known[passed]
        return passed[
            self._ops.suppress_by_union(candidates["proposed"], candidates["refined_score"], 0.7)
        ]

    def output(self, asked: Indices) -> None:
        """Third stage: show some refined candidates to O-Net."""
        if len(asked):
            boxes = self.known["refined"][asked]
            answers = self._ask(self._ops.output, boxes, OUTPUT_THRESHOLD)
            self.known["face"][asked] = regressed(boxes, answers.regressions, pixel=1)
            self.known["face_score"][asked] = answers.scores
            self.known["landmarks"][asked] = answers.landmarks

    def faces(self, accepted: Indices) -> Indices:
        """The faces among accepted candidates, each once.

        Returns:
            Which candidates, the largest area first.
        """
        faces = self.known[accepted]
        kept = accepted[self._ops.suppress_by_minimum(faces["face"], faces["face_score"], 0.7)]
        boxes = self.known["face"][kept]
        shown = shows_in(boxes, self._picture.height, self._picture.width)
        # Reversed, as facenet-pytorch has it: of equal areas the later one comes first.
        return kept[shown][np.argsort(areas(boxes[shown]), kind="stable")[::-1]]

    def accepted(self, refined: Indices) -> Indices:
        """Refined candidates that O-Net believes in, before they suppress each other.

        Candidates that it was not shown yet are not among them.
        """
        boxes, scores = self.known["face"][refined], self.known["face_score"][refined]
        size = self._picture.height, self._picture.width
        is_sure = sure(boxes, scores, self._min_probability, *size)
        return refined[(scores > OUTPUT_THRESHOLD) & is_sure]

    def found(self, faces: Indices) -> FoundFaces:
        """What is known of faces."""
        known = self.known[faces]
        return FoundFaces(
            known["face"], known["face_score"], _placed(known["landmarks"], known["refined"])
        )

    def _ask(self, network: _Network, boxes: Floats, threshold: float) -> Scores:
        """Show candidates to R-Net or O-Net."""
        corners = _pixels(boxes, self._picture.height, self._picture.width)
        # A box wholly outside the picture has nothing to score. facenet-pytorch fails there.
        is_visible = (corners[:, 2:] > corners[:, :2]).all(axis=1)
        if is_visible.all():
            return network(self._picture, corners, threshold)
        visible = np.flatnonzero(is_visible)
        answers = Scores(*(np.zeros((len(boxes), *of), np.float32) for of in ((), (4,), (10,))))
        if len(visible):
            seen = network(self._picture, corners[visible], threshold)
            answers.scores[visible], answers.regressions[visible] = seen.scores, seen.regressions
            answers.landmarks[visible, : seen.landmarks.shape[1]] = seen.landmarks
        return answers


def _placed(landmarks: Floats, boxes: Floats) -> Floats:
    """Landmarks (N, 10) in shares of boxes (N, 4) -> (N, 5, 2) in pixels, as facenet-pytorch does.

    The first pixel counts as 1 in a box: hence the two ones.
    """
    corners, sides = boxes[:, None, :2], boxes[:, None, 2:] - boxes[:, None, :2] + np.float32(1)
    placed: Floats = (
        sides * landmarks.reshape(-1, 2, 5).transpose(0, 2, 1) + corners - np.float32(1)
    )
    return placed


def _pixels(boxes: Floats, height: int, width: int) -> NDArray[np.int32]:
    """Boxes as left, top, right, bottom inside the picture, the last two exclusive.

    The first pixel counts as 1 in a box (Caffe's original was written in MATLAB), so x1 = 1.0 is
    the left edge.
    """
    corners = boxes.astype(np.int32)  # towards zero, as torch's trunc
    corners[:, :2] = np.maximum(corners[:, :2], 1) - 1
    corners[:, 2:] = np.minimum(corners[:, 2:], (width, height))
    return corners
