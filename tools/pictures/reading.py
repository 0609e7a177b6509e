"""What OCR found on a picture."""

from dataclasses import dataclass

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class TextLine:
    """``box``: left, top, right, bottom as shares of the picture's width and height."""

    text: str
    box: Box
    score: float


@dataclass(frozen=True, slots=True)
class TextFound:
    """``lines`` top down; ``chars``: letters, digits and ideographs in all of them."""

    lines: tuple[TextLine, ...] = ()

    @property
    def text(self) -> str:
        return "\n".join(line.text for line in self.lines)

    @property
    def chars(self) -> int:
        return sum(letter.isalnum() for line in self.lines for letter in line.text)

    @property
    def share(self) -> float:
        """Of the picture's area, 0..1."""
        areas = ((box[2] - box[0]) * (box[3] - box[1]) for box in (x.box for x in self.lines))
        return min(1.0, sum(areas))
