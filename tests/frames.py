"""The repository's own sample frames."""

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "examples" / "frames"

PICTURES = sorted(FOLDER.glob("*.jpg"))
"""All of them, the broken one too."""


def sample(name: str) -> bytes:
    """One of them, by its name without suffix."""
    return (FOLDER / f"{name}.jpg").read_bytes()
