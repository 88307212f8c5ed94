"""The weights of the networks, laid out as the compiled code reads them (layout.hpp)."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fer_worker.inference.mtcnn.boxes import Floats
from fer_worker.inference.weights import Weights

_BLOCK: Final = 32
_VECTOR: Final = 16
_LENGTHS: Final = {"pnet": 7152, "rnet": 101_600, "onet": 389_056, "emotion": 68_096}
"""Floats that the compiled code reads of each network."""
_KERAS_EPSILON: Final = 1e-3
"""What every BatchNormalization of the emotion network has in its `model_config`."""


def pack_pnet(weights: Weights) -> Floats:
    """P-Net's, by the names of facenet-pytorch's state dict: (N,) float32.

    Raises:
        KeyError: a weight is missing.
        ValueError: one is of another shape.
    """
    return _joined(
        "pnet",
        [
            _convolution(weights, 1, of_picture=True),
            *(_convolution(weights, number) for number in (2, 3)),
            _heads(weights, "conv4_1", "conv4_2"),
        ],
    )


def pack_rnet(weights: Weights) -> Floats:
    """R-Net's; see `pack_pnet`."""
    return _joined(
        "rnet",
        [
            _convolution(weights, 1, of_picture=True),
            *(_convolution(weights, number) for number in (2, 3)),
            _dense(weights, 4),
            _heads(weights, "dense5_1", "dense5_2"),
        ],
    )


def pack_onet(weights: Weights) -> Floats:
    """O-Net's; see `pack_pnet`."""
    return _joined(
        "onet",
        [
            _convolution(weights, 1, of_picture=True),
            *(_convolution(weights, number) for number in (2, 3, 4)),
            _dense(weights, 5),
            # The landmarks fill up a vector that was there anyway: they cost nothing.
            _heads(weights, "dense6_1", "dense6_2", "dense6_3"),
        ],
    )


def pack_emotion(weights: Weights) -> Floats:
    """The emotion network's, by the names of fer's Keras model."""
    layers = [_normalised(weights, f"conv2d_{number}", number, relu=True) for number in (1, 2)]
    for block in range(4):
        # Layers are numbered in the order in which Keras made them: the shortcut came first.
        first, norm = 2 * block + 1, 3 * block + 3
        layers += [
            _normalised(weights, f"conv2d_{block + 3}", norm, relu=False),
            _depthwise(weights[f"separable_conv2d_{first}/depthwise_kernel"]),
            _normalised(weights, f"separable_conv2d_{first}", norm + 1, relu=True),
            _depthwise(weights[f"separable_conv2d_{first + 1}/depthwise_kernel"]),
            _normalised(weights, f"separable_conv2d_{first + 1}", norm + 2, relu=False),
        ]
    last = weights["conv2d_7/kernel"]
    layers.append(_layer(last, weights["conv2d_7/bias"], np.ones(last.shape[-1], np.float32)))
    return _joined("emotion", layers)


def _joined(network: str, layers: Sequence[Floats]) -> Floats:
    """All layers of a network, for C++, which takes their length for granted."""
    packed = np.concatenate(layers)
    if len(packed) != _LENGTHS[network]:
        raise ValueError(f"{network} has {len(packed)} numbers, not {_LENGTHS[network]}")
    return packed


def _convolution(weights: Weights, number: int, of_picture: bool = False) -> Floats:
    """A convolution's weights (out, in, height, width)."""
    filters = weights[f"conv{number}.weight"]
    # A picture has a row for each channel; in maps the channels of a pixel lie together.
    taps = filters.transpose((2, 1, 3, 0) if of_picture else (2, 3, 1, 0))
    return _layer(taps, weights[f"conv{number}.bias"], weights[f"prelu{number}.weight"])


def _dense(weights: Weights, number: int) -> Floats:
    """The dense layer behind the last map of 3 x 3 pixels.

    facenet-pytorch flattens that with columns first, here rows come first.
    """
    filters = weights[f"dense{number}.weight"]
    taps = filters.reshape(len(filters), 3, 3, -1).transpose(2, 1, 3, 0)
    return _layer(taps, weights[f"dense{number}.bias"], weights[f"prelu{number}.weight"])


def _heads(weights: Weights, *names: str) -> Floats:
    """The answers of a network as one layer; without a PReLU, that is one with slopes of 1."""
    filters, bias = (
        np.concatenate([weights[f"{name}.{part}"] for name in names]) for part in ("weight", "bias")
    )
    return _layer(filters.reshape(len(filters), -1).T, bias, np.ones(len(filters), np.float32))


def _normalised(weights: Weights, name: str, number: int, *, relu: bool) -> Floats:
    """A convolution (height, width, in, out) with the batch normalisation behind it, folded in."""
    pointwise = f"{name}/pointwise_kernel"
    filters = weights[pointwise if pointwise in weights else f"{name}/kernel"]
    gamma, beta, mean, variance = (
        weights[f"batch_normalization_{number}/{part}"].astype(np.float64)
        for part in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    scale = gamma / np.sqrt(variance + _KERAS_EPSILON)
    slopes = np.full(len(scale), 0.0 if relu else 1.0)
    return _layer(filters * scale, beta - mean * scale, slopes)


def _depthwise(filters: Floats) -> Floats:
    """Filters (3, 3, channels, 1): their channels repeated until they fill a vector."""
    taps = filters.reshape(9, -1)
    return np.tile(taps, max(1, _VECTOR // taps.shape[1])).ravel()


def _layer(
    taps: NDArray[np.floating], bias: NDArray[np.floating], slopes: NDArray[np.floating]
) -> Floats:
    """A layer (..., channels): blocks of 32 channels, the last one of 16 if that is enough.

    Each has its weights, its biases and its slopes, filled up with zeros.
    """
    rows = np.vstack([taps.reshape(-1, len(bias)), bias, slopes.reshape(-1)]).astype(np.float32)
    filled = np.pad(rows, ((0, 0), (0, -len(bias) % _VECTOR)))
    blocks = range(0, filled.shape[1], _BLOCK)
    return np.concatenate([filled[:, at : at + _BLOCK].ravel() for at in blocks])
