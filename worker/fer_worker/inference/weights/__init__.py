"""The networks' weights; NOTICE.md says where they come from."""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fer_client.errors import EngineError

FILE: Final = Path(__file__).parent / "networks.npz"

Weights: TypeAlias = Mapping[str, NDArray[np.float32]]
"""Of one network, by the names and in the layouts of the package that they come from."""


def read_weights(path: Path) -> Mapping[str, Weights]:
    """Read the weights of all networks, by the networks' names: pnet, rnet, onet, emotion.

    Raises:
        EngineError: the file is missing or damaged.
    """
    networks: dict[str, dict[str, NDArray[np.float32]]] = {}
    try:
        with np.load(path) as arrays:
            for name, array in arrays.items():
                network, _, part = name.partition("/")
                networks.setdefault(network, {})[part] = array
    except FileNotFoundError:
        raise EngineError(
            f"the weights {path} are missing: fer-worker export-models writes them"
        ) from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise EngineError(f"the weights {path} are damaged: {error}") from error
    return networks


def write_weights(networks: Mapping[str, Weights], path: Path) -> None:
    """Write what `read_weights` reads; the same weights always give the same bytes.

    Raises:
        OSError: it cannot be written.
    """
    arrays = {
        f"{network}/{part}": np.ascontiguousarray(array)
        for network, weights in networks.items()
        for part, array in weights.items()
    }
    with path.open("wb") as file:  # a name without the suffix would get it
        np.savez(file, allow_pickle=False, **arrays)
