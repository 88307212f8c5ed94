"""What the machine refuses, and libraries that do not work, as errors of ours."""

from typing import Final

from fer_client.errors import EngineError, FerWorkerError

INTENDED: Final = {"cv2": "opencv-python-headless"}
"""Of the packages that may own a module, the one that we ask for."""


def explain(error: Exception) -> FerWorkerError | None:
    """Make an error of ours of what comes from outside; None where it is a fault of the code."""
    match error:
        case FerWorkerError():
            return error
        case OSError():
            where = f"{error.filename}: " if error.filename is not None else ""
            return FerWorkerError(f"{where}{error.strerror or error}")
        case ImportError(name=str(module)) if not module.startswith("fer_"):
            return _broken(module.partition(".")[0], error)
        case AttributeError(obj=module) if getattr(module, "__name__", None) == "cv2":
            return _broken("cv2", error)  # another package of it has left, and taken files along
    return None


def _broken(module: str, error: Exception) -> EngineError:
    from importlib.metadata import packages_distributions  # takes a while

    owners = sorted(set(packages_distributions().get(module, [module])))
    several = f"{' and '.join(owners)} overwrite each other's files; " if len(owners) > 1 else ""
    return EngineError(
        f"{module} cannot be used: {error}; {several}install it anew: "
        f"`pip uninstall -y {' '.join(owners)}`, then "
        f"`pip install {INTENDED.get(module, owners[0])}`"
    )
