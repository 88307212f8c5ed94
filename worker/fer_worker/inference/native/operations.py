"""The networks and the suppression, on the compiled code."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fer_worker.inference.mtcnn.boxes import Floats, Indices
from fer_worker.inference.mtcnn.operations import STRIDE, Cells, Scores
from fer_worker.inference.mtcnn.pyramid import Level, Picture
from fer_worker.inference.native.library import Library
from fer_worker.inference.native.packing import pack_emotion, pack_onet, pack_pnet, pack_rnet
from fer_worker.inference.weights import Weights


class NativeOps:
    """Implements `DetectorOps`, and the emotion network. Safe for threads: it keeps only weights.

    Args:
        library: the compiled code.
        weights: of all four networks; see `read_weights`.

    Raises:
        KeyError: a weight is missing.
        ValueError: weights are of another shape.
    """

    def __init__(self, library: Library, weights: Mapping[str, Weights]) -> None:
        self._library = library
        self._pnet = pack_pnet(weights["pnet"])
        self._rnet = pack_rnet(weights["rnet"])
        self._onet = pack_onet(weights["onet"])
        self._emotion = pack_emotion(weights["emotion"])

    def cells(self, picture: Picture, levels: Sequence[Level], threshold: float) -> Cells:
        """Run P-Net; see `DetectorOps.cells`."""
        each = self._library.propose(picture, levels, self._pnet, _surplus(threshold))
        of_level = np.repeat(np.arange(len(levels)), [len(found) for found in each])
        found = np.concatenate(each)
        scores = _probabilities(found[:, 2])
        sure = np.flatnonzero(scores >= threshold)
        found, of_level = found[sure], of_level[sure]
        first = np.array([window[:2] for _, window in levels], np.float32)
        corners = found[:, :2] * np.float32(STRIDE) + first[of_level]
        return Cells(of_level, corners, scores[sure], found[:, 3:])

    def refine(self, picture: Picture, corners: NDArray[np.int32], threshold: float) -> Scores:
        """Run R-Net; see `DetectorOps.refine`."""
        return _scores(
            self._library.score(picture, corners, self._rnet, _surplus(threshold), output=False)
        )

    def output(self, picture: Picture, corners: NDArray[np.int32], threshold: float) -> Scores:
        """Run O-Net; see `DetectorOps.output`."""
        return _scores(
            self._library.score(picture, corners, self._onet, _surplus(threshold), output=True)
        )

    def suppress_by_union(self, boxes: Floats, scores: Floats, threshold: float) -> Indices:
        """See `DetectorOps.suppress_by_union`."""
        order = np.argsort(-scores, kind="stable")
        return self._library.suppress(boxes, order, threshold, pixel=0, by_minimum=False)

    def suppress_by_minimum(self, boxes: Floats, scores: Floats, threshold: float) -> Indices:
        """See `DetectorOps.suppress_by_minimum`."""
        order = np.ascontiguousarray(np.argsort(scores, kind="stable")[::-1])
        return self._library.suppress(boxes, order, threshold, pixel=1, by_minimum=True)

    def emotions(self, pictures: Floats) -> Floats:
        """Run the emotion network; see `EmotionNetwork`."""
        logits = self._library.classify(pictures, self._emotion)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        scores: Floats = powers / powers.sum(axis=1, keepdims=True)
        return scores


def _surplus(threshold: float) -> float:
    """A little less than the surplus that makes a probability: the latter decides."""
    return float(np.log(threshold / (1 - threshold))) - 1e-3


def _scores(answers: Floats) -> Scores:
    return Scores(_probabilities(answers[:, 0]), answers[:, 1:5], answers[:, 5:])


def _probabilities(surpluses: Floats) -> Floats:
    """Softmax over two logits, of which the difference is given."""
    one = np.float32(1)
    probabilities: Floats = one / (one + np.exp(-surpluses))
    return probabilities
