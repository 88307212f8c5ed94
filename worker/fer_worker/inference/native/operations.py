"""The heavy steps on the compiled code, and the weights of the networks as it reads them."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fer_worker.inference.mtcnn.boxes import Floats, Indices
from fer_worker.inference.native.library import Library
from fer_worker.inference.mtcnn.operations import STRIDE, Cells, Scores
from fer_worker.inference.mtcnn.pyramid import AreaResizer, Window
from fer_worker.inference.mtcnn.suppression import by_score

Weights = Mapping[str, Floats]
"""Of one network, by the names of facenet-pytorch's state dict."""

_BLOCK: Final = 32
_VECTOR: Final = 16


class NativeOps:
    """Implements `DetectorOps`. Safe for threads: it keeps nothing but weights.

    Args:
        library: see `find_library`.
        pnet: weights, and those of the other two.
        rnet: see `pnet`.
        onet: see `pnet`.
    """

    def __init__(self, library: Library, pnet: Weights, rnet: Weights, onet: Weights) -> None:
        self._library = library
        self._pnet = np.concatenate(
            [
                _convolution(pnet, 1, of_picture=True),
                *(_convolution(pnet, number) for number in (2, 3)),
                _heads(pnet, "conv4_1", "conv4_2"),
            ]
        )
        self._rnet = np.concatenate(
            [
                _convolution(rnet, 1, of_picture=True),
                *(_convolution(rnet, number) for number in (2, 3)),
                _dense(rnet, 4),
                _heads(rnet, "dense5_1", "dense5_2"),
            ]
        )
        self._onet = np.concatenate(
            [
                _convolution(onet, 1, of_picture=True),
                *(_convolution(onet, number) for number in (2, 3, 4)),
                _dense(onet, 5),
                # The landmarks fill up a vector that was there anyway: they cost nothing.
                _heads(onet, "dense6_1", "dense6_2", "dense6_3"),
            ]
        )

    def cells(self, picture: AreaResizer, scale: float, window: Window, threshold: float) -> Cells:
        """Run P-Net; see `DetectorOps.cells`."""
        found = self._library.propose(picture, scale, window, self._pnet, _surplus(threshold))
        scores = _probabilities(found[:, 2])
        found, scores = found[scores >= threshold], scores[scores >= threshold]
        corners = found[:, :2] * np.float32(STRIDE) + np.array(window[:2], np.float32)
        return Cells(corners, scores, found[:, 3:])

    def refine(self, picture: AreaResizer, corners: NDArray[np.int32], threshold: float) -> Scores:
        """Run R-Net; see `DetectorOps.refine`."""
        return _scores(
            self._library.score(picture, corners, self._rnet, _surplus(threshold), output=False)
        )

    def output(self, picture: AreaResizer, corners: NDArray[np.int32], threshold: float) -> Scores:
        """Run O-Net; see `DetectorOps.output`."""
        return _scores(
            self._library.score(picture, corners, self._onet, _surplus(threshold), output=True)
        )

    def suppress_by_union(self, boxes: Floats, scores: Floats, threshold: float) -> Indices:
        """See `suppression.suppress_by_union`."""
        order = by_score(scores, first_of_equals=True)
        return self._library.suppress(boxes, order, threshold, pixel=0, by_minimum=False)

    def suppress_by_minimum(self, boxes: Floats, scores: Floats, threshold: float) -> Indices:
        """See `suppression.suppress_by_minimum`."""
        order = by_score(scores, first_of_equals=False)
        return self._library.suppress(boxes, order, threshold, pixel=1, by_minimum=True)


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


def _convolution(weights: Weights, number: int, of_picture: bool = False) -> Floats:
    """A convolution's weights (out, in, height, width) as mtcnn.cpp reads them."""
    kernel = weights[f"conv{number}.weight"]
    # A picture has a row for each channel; in maps the channels of a pixel lie together.
    taps = kernel.transpose((2, 1, 3, 0) if of_picture else (2, 3, 1, 0))
    return _layer(taps, weights[f"conv{number}.bias"], weights[f"prelu{number}.weight"])


def _dense(weights: Weights, number: int) -> Floats:
    """The dense layer behind the last map of 3 x 3 pixels.

    facenet-pytorch flattens that with columns first, here rows come first.
    """
    kernel = weights[f"dense{number}.weight"]
    taps = kernel.reshape(len(kernel), 3, 3, -1).transpose(2, 1, 3, 0)
    return _layer(taps, weights[f"dense{number}.bias"], weights[f"prelu{number}.weight"])


def _heads(weights: Weights, *names: str) -> Floats:
    """The answers of a network as one layer; without a PReLU, that is one with slopes of 1."""
    kernel, bias = (
        np.concatenate([weights[f"{name}.{part}"] for name in names]) for part in ("weight", "bias")
    )
    return _layer(kernel.reshape(len(kernel), -1).T, bias, np.ones(len(kernel), np.float32))


def _layer(taps: Floats, bias: Floats, slopes: Floats) -> Floats:
    """A layer of mtcnn.cpp: blocks of 32 channels, the last one of 16 if that is enough.

    Each has its weights (..., channels), its biases and its slopes, filled up with zeros.
    """
    rows = np.vstack([taps.reshape(-1, len(bias)), bias, slopes.reshape(-1)])
    filled = np.pad(rows, ((0, 0), (0, -len(bias) % _VECTOR)))
    blocks = range(0, filled.shape[1], _BLOCK)
    return np.concatenate([filled[:, at : at + _BLOCK].ravel() for at in blocks])
