"""What is known of a picture that a customer sent. Measured, never guessed from words."""

from dataclasses import dataclass
from enum import StrEnum

MAX_TEXT_KEPT = 2_000


class PictureKind(StrEnum):
    PHOTO = "photo"
    TEXT = "text"
    """Mostly writing: a poster, a menu, a page."""
    LOGO = "logo"
    """Few colours, hard edges, hardly any text."""
    SCREENSHOT = "screenshot"
    DOCUMENT = "document"
    """A card or certificate: writing in fields, a portrait, a seal."""
    BLANK = "blank"


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """``sha256`` names the picture in the store. Sizes in pixels, as it is to be looked at (turned
    as its EXIF says).

    ``sharpness`` 0 (a blur) to 1 (crisp); ``noise`` 0 to 1; ``dpi`` where the file says one.
    ``phash``: 16 hex digits, near for pictures that look alike. ``text``: what OCR read, cut;
    ``text_chars``: letters and digits in all of it; ``text_read`` False where nobody could look.
    ``marks``: seal, portrait, stamp-like things found in it. ``description``: a vision model's.
    """

    sha256: str
    size_bytes: int
    format: str
    width: int
    height: int
    frames: int = 1
    mode: str = "RGB"
    has_alpha: bool = False
    dpi: int | None = None
    sharpness: float = 1.0
    noise: float = 0.0
    kind: PictureKind = PictureKind.PHOTO
    phash: str = ""
    text: str = ""
    text_chars: int = 0
    text_read: bool = False
    marks: tuple[str, ...] = ()
    description: str = ""

    @property
    def pixels(self) -> int:
        return self.width * self.height
