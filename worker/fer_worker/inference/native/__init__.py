"""The cascade's networks as compiled code (mtcnn.cpp), each with the resizing that feeds it.

It computes what `NumpyKernels` does with OpenVINO and numpy, in about half the time, lets go of
the interpreter lock while it does, and keeps no memory for the shapes that it meets. It is compiled
when fer-worker is installed or its wheel is built; `find_library` returns None where it is missing.
"""

from fer_worker.inference.native.library import Library, find_library
from fer_worker.inference.native.operations import NativeOps

__all__ = ["Library", "NativeOps", "find_library"]
