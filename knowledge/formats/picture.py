"""A picture -> what is written on it."""

from collections.abc import Iterator
from dataclasses import replace

from knowledge.formats.blocks import Block, drafts_of
from knowledge.formats.draft import Draft, bad
from knowledge.formats.layout import blocks_of, lines_of, without_sizes
from knowledge.formats.ocr import Picture, open_picture, read_picture


def parse_picture(data: bytes) -> Iterator[Draft]:
    blocks = picture_blocks(open_picture(data))
    if not blocks:
        raise bad("图片里没有认出文字")
    yield from drafts_of(replace(block, place="图片") for block in blocks)


def picture_blocks(picture: Picture) -> list[Block]:
    return list(blocks_of(without_sizes(lines_of(read_picture(picture)))))
