"""The sample frames: in a wheel beside the code, in a checkout among the examples."""

from pathlib import Path

import fer_worker


def sample_frames() -> Path:
    """Return the folder of the sample frames."""
    package = Path(fer_worker.__file__).parent
    installed = package / "sample_frames"
    return installed if installed.is_dir() else package.parents[1] / "examples" / "frames"
