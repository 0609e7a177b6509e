"""What a header says is known without decoding a pixel."""

import io
import struct
import zlib

import pytest
from PIL import Image

from tools.pictures.decoding import Limits, PictureRefused, decode, read_header

_TURNED_BY_90 = 6


def _exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = _TURNED_BY_90
    return exif.tobytes()


def _png(*, exif: bytes | None = None) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (30, 20), "red").save(out, "PNG", **({"exif": exif} if exif else {}))
    return out.getvalue()


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _pixels_broken(png: bytes) -> bytes:
    start = png.index(b"IDAT") - 4
    (length,) = struct.unpack_from(">I", png, start)
    return png[:start] + _chunk(b"IDAT", b"\0" * length) + png[start + 12 + length :]


@pytest.mark.parametrize(("exif", "size"), [(None, (30, 20)), (_exif(), (20, 30))])
def test_a_png_with_broken_pixels_has_a_header_all_the_same(
    exif: bytes | None, size: tuple[int, int]
) -> None:
    broken = _pixels_broken(_png(exif=exif))
    header = read_header(broken, Limits())
    assert (header.width, header.height) == size
    with pytest.raises(PictureRefused):
        decode(broken, Limits(), max_side=64)


def test_a_png_that_says_behind_its_pixels_how_it_is_turned_is_believed() -> None:
    plain = _png()
    end = plain.index(b"IEND") - 4
    late = plain[:end] + _chunk(b"eXIf", _exif().removeprefix(b"Exif\0\0")) + plain[end:]
    header = read_header(late, Limits())
    assert (header.width, header.height) == (20, 30)
    assert decode(late, Limits(), max_side=64).size == (20, 30)
