import io

from docx.document import Document as WordDocument
from PIL import Image

from knowledge.documents import load_bytes
from knowledge.formats import ocr
from tests.knowledge.files import photo, saved, word

LINES = ("售后服务时间", "周一至周五九点到十八点。")
TABLE = (("项目", "价格"), ("打印", "1元"), ("扫描", "2元"))
RENDERED = "| 项目 | 价格 |\n| 打印 | 1元 |\n| 扫描 | 2元 |"


def test_a_picture_is_read_with_its_table() -> None:
    (entry,) = load_bytes("时间.jpg", saved(photo(*LINES, *TABLE), "JPEG")).entries
    assert entry.answer == "\n".join((*LINES, RENDERED))
    assert entry.question == LINES[0]
    assert entry.position == "图片"


def test_a_picture_in_word_joins_the_text_where_it_stands() -> None:
    def write(document: WordDocument) -> None:
        document.add_heading("售后", 1)
        document.add_paragraph("见下图。")
        document.add_picture(io.BytesIO(saved(photo("客服在线时间九点到十八点"), "PNG")))
        document.add_picture(io.BytesIO(saved(Image.new("RGB", (16, 16)), "PNG")))
        document.add_paragraph("节假日休息。")

    (entry,) = load_bytes("售后.docx", word(write)).entries
    assert entry.answer == "见下图。\n客服在线时间九点到十八点\n节假日休息。"


def test_a_scanned_pdf_page_is_read_and_named() -> None:
    data = io.BytesIO()
    blank = Image.new("RGB", (80, 40), "white")
    blank.save(data, "PDF", save_all=True, append_images=[photo("退货请在七天内提出。")])
    (entry,) = load_bytes("扫描.pdf", data.getvalue()).entries
    assert (entry.answer, entry.position) == ("退货请在七天内提出。", "第 2 页")


def test_transparent_turned_and_large_pictures_are_brought_into_bounds() -> None:
    image = photo("退货请在七天内提出。", scale=4)
    turned = Image.Exif()
    turned[0x0112] = 6
    data = io.BytesIO()
    image.rotate(90, expand=True).save(data, "JPEG", exif=turned)
    opened = ocr.open_picture(data.getvalue()).image
    assert opened.width > opened.height
    assert max(opened.size) == ocr.MAX_SIDE
    clear = ocr.open_picture(saved(Image.new("RGBA", (64, 64)), "PNG")).image
    assert clear.getpixel((0, 0)) == (255, 255, 255)


def test_a_picture_without_text_says_so() -> None:
    report = load_bytes("空.gif", saved(Image.new("RGB", (64, 64), "white"), "GIF"))
    assert [failure.reason for failure in report.failures] == ["图片里没有认出文字"]


def test_a_picture_of_more_pixels_than_sensible_is_refused_before_it_is_decoded() -> None:
    data = saved(Image.new("1", (20_000, 20_000)), "PNG")
    assert len(data) < 100_000
    report = load_bytes("bomb.png", data)
    assert "百万像素" in report.failures[0].reason
