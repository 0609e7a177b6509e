"""Pictures on which nobody reads."""

from tools.pictures.ocr import TextReader
from tools.pictures.reading import TextFound


class NoReader(TextReader):
    """Sees no text: what is read is tested with the reader, and takes half a second a picture."""

    async def read(self, data: bytes) -> TextFound:
        return TextFound()
