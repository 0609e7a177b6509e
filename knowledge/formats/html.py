"""HTML: what a reader sees of it, by its headings."""

from collections.abc import Iterator
from dataclasses import replace

from bs4 import BeautifulSoup, Comment, Tag
from bs4.dammit import EncodingDetector
from markdownify import MarkdownConverter

from knowledge.formats.blocks import Block, drafts_of
from knowledge.formats.draft import Draft, bad
from knowledge.formats.markdown import markdown_blocks
from knowledge.formats.text import decode

MAX_ELEMENTS = 200_000

_UNREAD = (
    *("script", "style", "noscript", "template", "head", "iframe", "object", "embed"),
    *("svg", "canvas", "nav", "form", "button", "select"),
)
_HIDDEN = ("[hidden]", "[aria-hidden=true]", "[style*='display:none']", "[style*='display: none']")
_QUESTION_TAGS = ("summary", "dt")


class _Markdown(MarkdownConverter):
    """Addresses of links and pictures are no text; a picture's description is."""

    def convert_a(self, el: Tag, text: str, parent_tags: set[str]) -> str:
        return text

    def convert_img(self, el: Tag, text: str, parent_tags: set[str]) -> str:
        return str(el.get("alt") or "")


def parse_html(data: bytes) -> Iterator[Draft]:
    declared = EncodingDetector.find_declared_encoding(
        data, is_html=True, search_entire_document=False
    )
    text = decode(data, declared)
    try:
        markdown = _converted(text)
    except RecursionError as error:
        raise bad("网页的标签嵌套过深") from error
    yield from drafts_of(_placed(markdown))


def _converted(text: str) -> str:
    soup = BeautifulSoup(text, "lxml")
    if sum(1 for _ in soup.descendants) > MAX_ELEMENTS:
        raise bad(f"网页的元素超过 {MAX_ELEMENTS} 个")
    for unread in (*soup.find_all(_UNREAD), *soup.select(", ".join(_HIDDEN))):
        unread.extract()
    for comment in soup.find_all(string=lambda string: isinstance(string, Comment)):
        comment.extract()
    for question in soup.find_all(_QUESTION_TAGS):
        question.name = "h6"
    for answer in soup.find_all("dd"):
        answer.name = "div"
    converter = _Markdown(
        heading_style="ATX", bullets="-", escape_asterisks=False, escape_underscores=False,
        escape_misc=False, strong_em_symbol="", table_infer_header=True,
    )  # fmt: skip
    return str(converter.convert_soup(soup))


def _placed(markdown: str) -> Iterator[Block]:
    blocks = markdown_blocks(markdown.splitlines(), headings=True)
    for number, block in enumerate(blocks, start=1):
        yield replace(block, place=f"第 {number} 段")
