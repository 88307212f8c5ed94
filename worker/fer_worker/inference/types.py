"""What an engine is, and its options.

Importing this module loads no model library and no OpenCV: supervisors and `--help` do.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Final, Literal, Protocol, Self, TypeAlias

from fer_schemas import Emotion, FaceSelection

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    BGRImage: TypeAlias = NDArray[np.uint8]
    """An upright picture: (height, width, 3), uint8, channels in the order blue, green, red."""

EngineName = Literal["native", "fer"]
Crop = Literal["aligned", "fer"]
Views = Literal[1, 2, 6]

LEAST_FACE_SIZE: Final = 12
"""Side in pixels of the smallest face that the detector can see."""

INPUT_SIDE: Final = 64
"""Side in pixels of what the emotion network is shown."""


class Percent(str):
    """Per cent of a frame's longer side: `3%`, or `2.5%`; more than 0, and at most 100.

    It stays the text that was typed, and results, metrics and command lines have it so.

    Raises:
        ValueError: the text is something else.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Take a text for what it says."""
        if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]+)?%", text) or not 0 < float(text[:-1]) <= 100:
            raise ValueError(f"{text!r} is not per cent from more than 0 to 100, such as 3%")
        return super().__new__(cls, text)

    def of(self, side: int) -> float:
        """Take so much of a side."""
        return float(self[:-1]) / 100 * side


@dataclass(frozen=True)
class EngineOptions:
    """Which engine, and how it looks for faces. Picklable; handed to worker processes.

    The defaults find more faces than FER and read them better (docs/decisions); `as_fer` gives
    FER's own answers.

    An option is declared here alone. Commands, results, metrics and reports take it from these
    fields and their metadata: `help` is the line for `--help`, `within` are the smallest and the
    largest number (None: any), `fer` is the value under which answers are FER's own.
    """

    name: EngineName = field(
        default="native",
        metadata={"help": "FER's networks as compiled code, or the fer library (extra [fer])."},
    )
    faces: FaceSelection = field(
        default="first",
        metadata={"help": "Faces to analyse in a frame whose request does not say."},
    )
    """`first` is the largest one."""
    detector_color: Literal["rgb", "bgr"] = field(
        default="rgb", metadata={"help": "What the detector is shown.", "fer": "bgr"}
    )
    """MTCNN was trained on RGB; FER hands it BGR."""
    min_face_probability: float = field(
        default=0.9,
        metadata={
            "help": "Drop faces that the detector is less sure of; large ones may be 0.2 below.",
            "within": (0, 1),
            "fer": 0.0,
        },
    )
    """They are dropped before the first one is chosen. A face is large that has 30 % of the frame's
    shorter side."""
    min_face_size: int | Percent = field(
        default=20,
        metadata={
            "help": "Side of the smallest face to look for: pixels, or 3% of the longer side.",
            "within": (LEAST_FACE_SIZE, None),
        },
    )
    """`min_face_pixels` says what that is on a frame."""
    crop: Crop = field(
        default="aligned",
        metadata={"help": "What the emotion network is shown of a face.", "fer": "fer"},
    )
    """`aligned`: turned and scaled so that eyes, nose and mouth lie where FER2013 has them. `fer`:
    FER's square, 10 px wider than the box on every side."""
    views: Views = field(
        default=2,
        metadata={
            "help": "Average over views of a face: 2 with its mirror image, 6 in three sizes, too.",
            "fer": 1,
        },
    )
    """6: the crop, one 5 % narrower and one 5 % wider, and their mirror images."""

    @classmethod
    def as_fer(cls, name: EngineName = "native", faces: FaceSelection = "first") -> "EngineOptions":
        """The options under which the answers are FER's own, box for box (`--compat fer`)."""
        as_fer = {each.name: each.metadata["fer"] for each in fields(cls) if "fer" in each.metadata}
        return cls(name, faces, **as_fer)

    def min_face_pixels(self, height: int, width: int) -> int:
        """Side in pixels of the smallest face to look for in a frame of this size."""
        if isinstance(self.min_face_size, Percent):
            return max(LEAST_FACE_SIZE, round(self.min_face_size.of(max(height, width))))
        return self.min_face_size


@dataclass(frozen=True)
class Box:
    """A face in pixels of the upright frame. It may reach over the frame's edge."""

    x: int
    y: int
    width: int
    height: int

    @property
    def area(self) -> int:
        """Width times height, in pixels."""
        return self.width * self.height


@dataclass(frozen=True)
class Face:
    """One face: where, how sure the detector is (0..1), and the seven scores (0..1, unrounded)."""

    box: Box
    probability: float
    emotions: Mapping[Emotion, float]


@dataclass(frozen=True)
class Analysis:
    """What an engine saw in one frame: faces, largest first, and the milliseconds it took."""

    faces: tuple[Face, ...]
    detect_ms: float
    classify_ms: float


class Engine(Protocol):
    """Finds faces and recognises their emotions. One object serves all threads of a process."""

    @property
    def options(self) -> EngineOptions:
        """What it was made with."""
        ...

    def analyze(self, image: "BGRImage", faces: FaceSelection) -> Analysis:
        """Analyse one frame. Safe to call from several threads at once.

        Args:
            image: (height, width, 3) uint8, BGR, upright; any size.
            faces: `first` to analyse only the largest face that passes the filters.

        Raises:
            FrameError: the frame cannot be analysed.
        """
        ...


EngineFactory: TypeAlias = Callable[[EngineOptions, str | None], Engine]
"""Makes an engine, as `create_engine` does. Picklable: it is handed to worker processes."""
