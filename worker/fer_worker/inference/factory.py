"""How an engine is made and warmed up.

Importing this module loads no model library and no OpenCV: supervisors and `--help` do.
"""

from fer_worker.inference.types import Engine, EngineOptions


def create_engine(options: EngineOptions, kernel: str | None = None) -> Engine:
    """Load the models and return an engine that any number of threads can use side by side.

    Args:
        options: which engine, and how it looks for faces.
        kernel: of the engine `native`: which code computes; by default as `choose_kernel` says.

    Raises:
        EngineError: a library or a model file is missing or does not fit.
    """
    if options.name == "fer":
        from fer_worker.inference.fer_library import FerEngine

        return FerEngine(options)
    from fer_worker.inference.native_engine import NativeEngine

    return NativeEngine(options, kernel)


def warm_up(engine: Engine) -> None:
    """Analyse a blank frame, so that the first real one finds the detector loaded."""
    import numpy as np

    engine.analyze(np.zeros((360, 640, 3), np.uint8), "all")
