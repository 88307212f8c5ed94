"""What the compiled code computes, plainly in numpy: the oracle of its tests."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from fer_worker.inference.mtcnn.operations import STRIDE, Cells, Scores
from fer_worker.inference.mtcnn.pyramid import Level, Picture, Window
from fer_worker.inference.weights import Weights

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]
Network = Callable[[Floats], Sequence[Floats]]
"""Pictures (N, 3, H, W) to probabilities (N, 2), no face and face, and box regressions (N, 4).

From P-Net they are maps: (N, 2, h, w) and (N, 4, h, w). From O-Net also landmarks (N, 10)."""


# Resizing


def level_of(picture: Picture, scale: float, window: Window | None = None) -> Floats:
    """The picture at one scale, or a part of it: (1, 3, height, width)."""
    columns, rows = picture.level_size(scale)
    whole = _resized(picture, (0, 0, picture.width, picture.height), rows, columns)
    left, top, right, bottom = window or Window(0, 0, columns, rows)
    return np.ascontiguousarray(whole[None, :, top:bottom, left:right])


def crops_of(picture: Picture, corners: NDArray[np.int32], size: int) -> Floats:
    """Rectangles of the picture, (N, 4), each resized to a square: (N, 3, size, size)."""
    return np.stack([_resized(picture, corner, size, size) for corner in corners.tolist()])


def _resized(picture: Picture, corners: Sequence[int], rows: int, columns: int) -> Floats:
    """Means over integer bins, as torch's interpolate(mode="area"): (3, rows, columns)."""
    left, top, right, bottom = corners
    pixels = picture.pixels[top:bottom, left:right, :: -1 if picture.is_reversed else 1]
    sums = np.zeros((bottom - top + 1, right - left + 1, 3), np.int64)
    sums[1:, 1:] = pixels.cumsum(0).cumsum(1)
    (y1, y2), (x1, x2) = _bins(bottom - top, rows), _bins(right - left, columns)
    strips = sums[y2] - sums[y1]
    means = (strips[:, x2] - strips[:, x1]).transpose(2, 0, 1).astype(np.float32)
    means /= (y2 - y1).astype(np.float32)[:, None]
    means /= (x2 - x1).astype(np.float32)
    resized: Floats = (means - np.float32(127.5)) * np.float32(0.0078125)
    return resized


def _bins(pixels: int, count: int) -> tuple[Indices, Indices]:
    index = np.arange(count)
    return index * pixels // count, -(-(index + 1) * pixels // count)


# Suppression, as facenet-pytorch's sources say


def union_overlap(a: Floats, b: Floats) -> float:
    """Intersection over union."""
    shared = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return float(shared / (sum(areas) - shared))


def minimum_overlap(a: Floats, b: Floats) -> float:
    """Intersection over the smaller area; corners are pixels that belong to the box."""
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]) + 1)
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]) + 1)
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    return float(width * height / min(areas))


def suppress(
    boxes: Floats, order: Indices, threshold: float, overlap: Callable[[Floats, Floats], float]
) -> list[int]:
    """Which boxes stay, looked at one by one."""
    kept: list[int] = []
    for i in order.tolist():
        if all(overlap(boxes[i], boxes[j]) <= threshold for j in kept):
            kept.append(i)
    return kept


@dataclass(frozen=True)
class NumpyOps:
    """Implements `DetectorOps` around networks that are functions of arrays."""

    pnet: Network
    rnet: Network
    onet: Network

    def cells(self, picture: Picture, levels: Sequence[Level], threshold: float) -> Cells:
        found: list[list[NDArray[Any]]] = []
        for number, (scale, window) in enumerate(levels):
            probabilities, regressions = self.pnet(level_of(picture, scale, window))
            face = probabilities[0, 1]
            rows, columns = np.nonzero(face >= threshold)
            corners = np.stack([columns, rows], axis=1) * STRIDE + (window.left, window.top)
            found.append(
                [
                    np.full(len(rows), number),
                    corners.astype(np.float32),
                    face[rows, columns],
                    regressions[0, :, rows, columns],
                ]
            )
        return Cells(*map(np.concatenate, zip(*found, strict=True)))

    def refine(self, picture: Picture, corners: NDArray[np.int32], threshold: float) -> Scores:
        probabilities, regressions = self.rnet(crops_of(picture, corners, 24))
        return Scores(probabilities[:, 1], regressions, np.empty((len(corners), 0), np.float32))

    def output(self, picture: Picture, corners: NDArray[np.int32], threshold: float) -> Scores:
        probabilities, regressions, landmarks = self.onet(crops_of(picture, corners, 48))
        return Scores(probabilities[:, 1], regressions, landmarks)

    def suppress_by_union(self, boxes: Floats, scores: Floats, threshold: float) -> Indices:
        order = np.argsort(-scores, kind="stable")
        return np.array(suppress(boxes, order, threshold, union_overlap), np.int64)

    def suppress_by_minimum(self, boxes: Floats, scores: Floats, threshold: float) -> Indices:
        order = np.argsort(scores, kind="stable")[::-1]
        return np.array(suppress(boxes, order, threshold, minimum_overlap), np.int64)


# Networks


def numpy_ops(weights: Mapping[str, Weights]) -> NumpyOps:
    """The networks of facenet-pytorch."""
    return NumpyOps(*(_mtcnn_network(weights[name]) for name in ("pnet", "rnet", "onet")))


def _mtcnn_network(weights: Weights) -> Network:
    """P-Net, R-Net or O-Net, as `facenet_pytorch/models/mtcnn.py` has it."""
    # Of each convolution: the pooling behind it. Then the dense layer, and the heads.
    pools: tuple[int, ...]
    dense: int | None
    heads: tuple[str, ...]
    if "conv4_1.weight" in weights:
        pools, dense, heads = (2, 0, 0), None, ("conv4_1", "conv4_2")
    elif "dense4.weight" in weights:
        pools, dense, heads = (3, 3, 0), 4, ("dense5_1", "dense5_2")
    else:
        pools, dense, heads = (3, 3, 2, 0), 5, ("dense6_1", "dense6_2", "dense6_3")

    def network(x: Floats) -> list[Floats]:
        for number, size in enumerate(pools, 1):
            x = _convolve(x, weights[f"conv{number}.weight"])
            x = _activate(x + _per_channel(weights[f"conv{number}.bias"]), weights, number)
            x = _pool(x, size, before=0) if size else x
        if dense is not None:
            x = x.transpose(0, 3, 2, 1).reshape(len(x), -1)
            x = x @ weights[f"dense{dense}.weight"].T + weights[f"dense{dense}.bias"]
            x = _activate(x[:, :, None, None], weights, dense)
        logits, *others = (
            np.einsum("nchw,oc->nohw", x, weights[f"{name}.weight"].reshape(-1, x.shape[1]))
            + _per_channel(weights[f"{name}.bias"])
            for name in heads
        )
        answers = [_softmax(logits), *others]
        return [answer if dense is None else answer[:, :, 0, 0] for answer in answers]

    return network


def emotion_scores(weights: Weights, pictures: Floats) -> Floats:
    """fer's emotion network, layer by layer: (N, 64, 64) to (N, 7)."""

    def norm(x: Floats, number: int) -> Floats:
        gamma, beta, mean, variance = (
            _per_channel(weights[f"batch_normalization_{number}/{part}"])
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        normalised: Floats = (x - mean) / np.sqrt(variance + np.float32(1e-3)) * gamma + beta
        return normalised

    def kernel(name: str) -> Floats:
        return weights[name].transpose(3, 2, 0, 1)

    def separable(x: Floats, number: int) -> Floats:
        depth = weights[f"separable_conv2d_{number}/depthwise_kernel"][..., 0]
        windows = sliding_window_view(_padded(x), (3, 3), axis=(2, 3))
        x = np.einsum("nchwyx,yxc->nchw", windows, depth)
        return _convolve(x, kernel(f"separable_conv2d_{number}/pointwise_kernel"))

    x = pictures[:, None]
    for number in (1, 2):
        x = np.maximum(norm(_convolve(x, kernel(f"conv2d_{number}/kernel")), number), 0)
    for block in range(4):
        first, number = 2 * block + 1, 3 * block + 3
        shortcut = _convolve(x[:, :, ::2, ::2], kernel(f"conv2d_{block + 3}/kernel"))
        y = np.maximum(norm(separable(x, first), number + 1), 0)
        y = norm(separable(y, first + 1), number + 2)
        x = _pool(y, 3, before=y.shape[2] % 2) + norm(shortcut, number)
    x = _convolve(_padded(x), kernel("conv2d_7/kernel")) + _per_channel(weights["conv2d_7/bias"])
    return _softmax(x.mean(axis=(2, 3)))


def _convolve(x: Floats, kernel: Floats) -> Floats:
    """(N, C, H, W) by (out, C, height, width), without padding."""
    windows = sliding_window_view(x, kernel.shape[2:], axis=(2, 3))
    convolved: Floats = np.tensordot(windows, kernel, axes=((1, 4, 5), (1, 2, 3)))
    return convolved.transpose(0, 3, 1, 2)


def _padded(x: Floats) -> Floats:
    return np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))


def _pool(x: Floats, size: int, before: int) -> Floats:
    """Maxima, 2 apart; the windows begin `before` pixels ahead and may end behind the map."""
    rows, columns = (math.ceil((side + 2 * before - size) / 2) + 1 for side in x.shape[2:])
    filled = np.pad(x, ((0, 0), (0, 0), (before, size), (before, size)), constant_values=-np.inf)
    windows = sliding_window_view(filled, (size, size), axis=(2, 3))[:, :, ::2, ::2]
    maxima: Floats = windows[:, :, :rows, :columns].max(axis=(4, 5))
    return maxima


def _activate(x: Floats, weights: Weights, number: int) -> Floats:
    return np.where(x < 0, x * _per_channel(weights[f"prelu{number}.weight"]), x)


def _per_channel(values: Floats) -> Floats:
    return values.reshape(-1, 1, 1)


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores: Floats = powers / powers.sum(axis=1, keepdims=True)
    return scores
