"""Faces and their emotions drawn on a frame: boxes, labels, and bars of the seven scores.

Sizes follow the picture's, so that a label is read as easily at 240p as at 8 megapixels. Labels and
bars stand only where they cover no other face and no other label; bars keep off its hair as well.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import cv2

from fer_schemas import Emotion, EmotionScores, FaceResult, FrameResult
from fer_worker.leading import in_words, leading
from fer_worker.palette import COLORS, Color

if TYPE_CHECKING:
    from fer_worker.inference.types import BGRImage

UNDECIDED: Final[Color] = (200, 200, 200)
"""Of a face whose two leading scores are close."""

BLACK: Final[Color] = (0, 0, 0)
WHITE: Final[Color] = (255, 255, 255)
GREY: Final[Color] = (96, 96, 96)

EDGE: Final = 2
"""Pixels of black around a box's line: seen on a background of its own colour, too."""

HEAD: Final = 0.3
"""How far a head reaches beyond the box of its face, as a share of the box."""

FONT: Final = cv2.FONT_HERSHEY_SIMPLEX


class _Area(NamedTuple):
    """A rectangle in pixels of the picture."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        return self.x + self.width

    @property
    def bottom(self) -> int:
        return self.y + self.height

    def grown(self, by: int) -> "_Area":
        return _Area(self.x - by, self.y - by, self.width + 2 * by, self.height + 2 * by)

    def overlap(self, other: "_Area") -> int:
        """Pixels that both have."""
        width = min(self.right, other.right) - max(self.x, other.x)
        height = min(self.bottom, other.bottom) - max(self.y, other.y)
        return max(width, 0) * max(height, 0)

    def touches(self, others: Iterable["_Area"]) -> bool:
        """Whether it shares a pixel with any of them."""
        return any(self.overlap(other) for other in others)

    def moved_into(self, frame: "_Area") -> "_Area":
        """Return the same rectangle, as far inside the frame as it fits."""
        x = max(frame.x, min(self.x, frame.right - self.width))
        y = max(frame.y, min(self.y, frame.bottom - self.height))
        return self._replace(x=x, y=y)


@dataclass(frozen=True)
class _Text:
    """How text of one height is written."""

    height: int
    """Of a capital letter, in pixels."""
    stroke: int
    scale: float

    @classmethod
    def of_height(cls, height: int) -> "_Text":
        stroke = max(1, round(height / 12))
        return cls(height, stroke, cv2.getFontScaleFromHeight(FONT, height, stroke))

    @property
    def margin(self) -> int:
        """Between the text and the edge of what it stands on."""
        return max(2, round(self.height * 0.5))

    def width_of(self, text: str) -> int:
        (width, _), _ = cv2.getTextSize(text, FONT, self.scale, self.stroke)
        return width

    def write(self, image: "BGRImage", text: str, x: int, bottom: int, color: Color) -> None:
        cv2.putText(image, text, (x, bottom), FONT, self.scale, color, self.stroke, cv2.LINE_AA)


def annotate(image: "BGRImage", result: FrameResult, *, with_bars: bool = True) -> "BGRImage":
    """Draw what was found in a frame.

    Args:
        image: (height, width, 3) uint8, BGR, upright, as the worker analysed it; left unchanged.
        result: what a worker answered for it.
        with_bars: whether to draw all scores, too. Not where the result leaves faces out: they
            might lie on one of those.

    Returns:
        A picture of the same size: each face in a box of its emotion's colour, with the emotion
        and its score, or with both where the two highest are close; bars of all scores beside faces
        that have room for them, or in a corner for a face that is alone; `no face` in the corner
        where there is none.
    """
    drawn: BGRImage = image.copy()
    height, width = image.shape[:2]
    frame = _Area(0, 0, width, height)
    text = _text_for(image)
    if not result.faces:
        _draw_caption(drawn, frame, text, "no face")
        return drawn

    line = max(2, round(min(height, width) / 350))
    boxes = [_Area(*face.box) for face in result.faces]
    for face, box in reversed(list(zip(result.faces, boxes, strict=True))):  # the first on top
        _draw_box(drawn, box, _color_of(face), line)
    # What OpenCV draws for a line of n pixels reaches (n + 1) // 2 of them to either side.
    boxes = [box.grown((line + EDGE + 1) // 2) for box in boxes]
    taken = list(boxes)
    for number, face in enumerate(result.faces):
        others = [area for i, area in enumerate(taken) if i != number]
        if label := _draw_label(drawn, frame, text, face, boxes[number], others):
            taken.append(label)
    if not with_bars:
        return drawn
    small = _Text.of_height(max(7, round(text.height * 0.75)))
    for number, (face, box) in enumerate(zip(result.faces, boxes, strict=True)):
        heads = [
            other.grown(round(HEAD * max(other.width, other.height)))
            for i, other in enumerate(boxes)
            if i != number
        ]
        room = _room_for_bars(frame, small, box.grown(line), [*taken, *heads], is_alone=not heads)
        if room is not None:
            _draw_bars(drawn, room, small, face.emotions)
            taken.append(room)
    return drawn


def with_caption(image: "BGRImage", caption: str) -> "BGRImage":
    """Write a line into the corner of a frame that has no result: (height, width, 3) uint8, BGR.

    Returns:
        A picture of the same size; the given one is left unchanged. A line that is wider is cut.
    """
    drawn: BGRImage = image.copy()
    height, width = image.shape[:2]
    text = _text_for(drawn)
    kept, written = caption, caption
    while kept and text.width_of(written) > width - 2 * text.margin:
        kept = kept[:-1].rstrip()
        written = f"{kept}..."
    _draw_caption(drawn, _Area(0, 0, width, height), text, written)
    return drawn


def _text_for(image: "BGRImage") -> _Text:
    return _Text.of_height(max(9, round(min(image.shape[:2]) * 0.024)))


def _by_emotion(scores: EmotionScores) -> dict[Emotion, float]:
    return {Emotion(name): score for name, score in scores}


def _color_of(face: FaceResult) -> Color:
    first, *second = leading(face.emotions)
    return UNDECIDED if second else COLORS[first]


def _readable_on(color: Color) -> Color:
    blue, green, red = color
    return BLACK if 0.114 * blue + 0.587 * green + 0.299 * red > 100 else WHITE  # ITU-R BT.601


def _draw_box(image: "BGRImage", box: _Area, color: Color, line: int) -> None:
    corners = ((box.x, box.y), (box.right - 1, box.bottom - 1))
    cv2.rectangle(image, *corners, BLACK, line + EDGE)
    cv2.rectangle(image, *corners, color, line)


def _draw_caption(image: "BGRImage", frame: _Area, text: _Text, caption: str) -> None:
    width, height = text.width_of(caption) + 2 * text.margin, text.height + 2 * text.margin
    if width > frame.width or height > frame.height:
        return
    area = _Area(0, frame.bottom - height, width, height)
    _darken(image, area)
    text.write(image, caption, area.x + text.margin, area.bottom - text.margin, WHITE)


def _draw_label(
    image: "BGRImage",
    frame: _Area,
    text: _Text,
    face: FaceResult,
    box: _Area,
    others: Iterable[_Area],
) -> _Area | None:
    """Draw emotion and score above the box, or wherever else there is room; say where.

    In a crowd it gets smaller, then loses its score, and is left out where even that would cover
    another face or label: the box has the emotion's colour.
    """
    found = leading(face.emotions)
    small = _Text.of_height(max(9, round(text.height * 0.6)))
    label = in_words(found)
    short = next(iter(found)).value if len(found) == 1 else "undecided"
    for how, written in ((text, label), (small, label), (small, short)):
        width, height = how.width_of(written) + 2 * how.margin, how.height + 2 * how.margin
        if width > frame.width or height > frame.height:
            continue  # a picture smaller than its label
        above, below, left, right = box.y - height, box.bottom, box.x, box.right
        corners = (
            *((left, above), (right - width, above), (left, below), (right - width, below)),
            *((right, box.y), (left - width, box.y)),
        )
        spots = [_Area(x, y, width, height).moved_into(frame) for x, y in corners]
        hidden = box.width * box.height / 3  # of the face itself, at most
        free = [spot for spot in spots if spot.overlap(box) <= hidden and not spot.touches(others)]
        if free:
            area = min(free, key=lambda spot: spot.overlap(box))  # the first of equal ones
            color = _color_of(face)
            cv2.rectangle(image, area[:2], (area.right - 1, area.bottom - 1), color, cv2.FILLED)
            x, bottom = area.x + how.margin, area.bottom - how.margin
            how.write(image, written, x, bottom, _readable_on(color))
            return area
    return None


def _room_for_bars(
    frame: _Area, text: _Text, box: _Area, taken: Collection[_Area], *, is_alone: bool
) -> _Area | None:
    """Find a place for the bars beside a face that is large enough to have them.

    Those of a face that is alone may also be in a corner: they can only be its own.
    """
    name_width = max(text.width_of(emotion) for emotion in Emotion)
    width = 2 * name_width + 3 * text.margin
    height = len(Emotion) * 2 * text.height + text.margin
    places = []
    if height <= 1.5 * box.height:
        beside = (_Area(x, box.y, width, height) for x in (box.right, box.x - width))
        places += [area._replace(y=area.moved_into(frame).y) for area in beside]
    if is_alone:
        across, down = (frame.width - width, 0), (frame.height - height, 0)
        places += [_Area(x, y, width, height) for y in down for x in across]
    for area in places:
        if area.overlap(frame) == width * height and not area.touches(taken):
            return area
    return None


def _draw_bars(image: "BGRImage", area: _Area, text: _Text, scores: EmotionScores) -> None:
    _darken(image, area)
    longest = (area.width - 3 * text.margin) // 2
    left = area.right - text.margin - longest
    for row, (emotion, score) in enumerate(_by_emotion(scores).items(), start=1):
        bottom = area.y + row * 2 * text.height
        text.write(image, emotion, area.x + text.margin, bottom, WHITE)
        for length, color in ((longest, GREY), (round(longest * score), COLORS[emotion])):
            if length:
                corner = (left + length - 1, bottom)
                cv2.rectangle(image, (left, bottom - text.height), corner, color, cv2.FILLED)


def _darken(image: "BGRImage", area: _Area) -> None:
    part = image[area.y : area.bottom, area.x : area.right]
    part[:] = cv2.convertScaleAbs(part, alpha=0.3)
