"""What cannot be imported says why, in words of the person who sent it, and harms nothing else."""

import io
import os
import struct
import time
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from docx.document import Document as WordDocument
from PIL import Image
from reportlab.lib.pdfencrypt import StandardEncryption  # type: ignore[import-untyped]

from knowledge.documents import load_bytes, load_paths
from knowledge.formats import package, pdf
from knowledge.formats import word as formats_word
from tests.knowledge import files
from tests.knowledge.files import PRICES, container, old_workbook, paragraph, word, workbook


def plain(document: WordDocument) -> None:
    document.add_heading("退货", 1)
    document.add_paragraph("七天内可退。")


WORD, EXCEL = word(plain), workbook({"价目": PRICES})
PDF = files.pdf([paragraph("七天内可以退货。")])
PNG = files.saved(Image.new("RGB", (64, 64)), "PNG")
LOCKED = container({"EncryptionInfo": b"x", "EncryptedPackage": b"x"})


def reason(name: str, data: bytes) -> str:
    report = load_bytes(name, data)
    assert report.entries == ()
    (failure,) = report.failures
    assert failure.source == name
    return failure.reason


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.docx", PDF, "内容其实是PDF"),
        ("a.docx", EXCEL, "内容其实是Excel（.xlsx）"),
        ("a.docx", b"\x89PNG\r\n\x1a\n" + PNG[8:], "内容其实是PNG 图片"),
        ("a.pdf", PNG, "内容其实是PNG 图片"),
        ("a.pdf", WORD, "内容其实是Word（.docx）"),
        ("a.xlsx", "名称,价格\n桩,1\n".encode(), "内容却不是"),
        ("a.xlsx", b"<html><body><table></table></body></html>", "内容其实是HTML 网页"),
        ("a.png", PDF, "内容其实是PDF"),
        ("a.md", PDF, "内容其实是PDF"),
        ("a.txt", WORD, "内容其实是Word（.docx）"),
        ("a.csv", EXCEL, "内容其实是Excel（.xlsx）"),
        ("a.jsonl", old_workbook("表", PRICES), "内容其实是Excel（.xls）"),
        ("a.html", PNG, "内容其实是PNG 图片"),
        ("a.docx", container({"WordDocument": b"x"}), "内容其实是旧版 Word（.doc）"),
        ("a.xls", container({"PowerPoint Document": b"x"}), "内容其实是旧版 PowerPoint"),
        ("a.docx", b"{\\rtf1 x}", "内容其实是RTF 文档"),
    ],
)
def test_a_mislabelled_file_is_told_what_it_is(name: str, data: bytes, words: str) -> None:
    assert words in reason(name, data)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.doc", container({"WordDocument": b"x"}), "请另存为 docx"),
        ("a.wps", container({"WordDocument": b"x"}), "请另存为 docx"),
        ("a.ppt", container({"PowerPoint Document": b"x"}), "请另存为 pdf"),
        ("a.doc", WORD, "内容其实是Word（.docx）"),
        ("a.exe", b"MZ\x00", "不支持的文件格式"),
        ("a", b"x", "不支持的文件格式"),
    ],
)
def test_a_format_that_is_not_read_is_told_what_to_save_as(
    name: str, data: bytes, words: str
) -> None:
    assert words in reason(name, data)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.pdf", files.pdf([paragraph("密")], encrypt=StandardEncryption("pw"))),
        ("a.docx", LOCKED),
        ("a.xlsx", LOCKED),
        ("a.xls", old_workbook("表", PRICES, password=True)),
    ],
)
def test_a_document_with_a_password_is_told_to_take_it_off(name: str, data: bytes) -> None:
    assert reason(name, data) == "文件已加密，请去掉密码后再导入"


@pytest.mark.parametrize("name", ["a.md", "a.docx", "a.xlsx", "a.xls", "a.pdf", "a.html", "a.png"])
@pytest.mark.parametrize("data", [b"", b" \n\n"])
def test_an_empty_file_is_told_so(name: str, data: bytes) -> None:
    assert reason(name, data) == "文件是空的"


def damaged(data: bytes) -> list[bytes]:
    middle = len(data) // 2
    return [
        data[:middle],
        data[:middle] + bytes(200) + data[middle + 200 :],
        data[:100] + bytes(len(data) - 100),
        data[:8] + os.urandom(500),
    ]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.docx", WORD),
        ("a.xlsx", EXCEL),
        ("a.xls", old_workbook("价目", PRICES)),
        ("a.pdf", PDF),
        ("a.png", files.saved(Image.effect_noise((300, 300), 50), "PNG")),
    ],
)
def test_a_damaged_file_never_raises_and_says_what_is_wrong(name: str, data: bytes) -> None:
    for broken in damaged(data):
        report = load_bytes(name, broken)
        assert report.entries or report.failures
        assert all(failure.reason for failure in report.failures)
    assert "损坏" in reason(name, data[:8] + b"\x00" * 300)


def test_a_file_of_200_mb_is_refused_without_being_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.pdf").open("wb") as file:
        file.truncate(200 * 1024 * 1024)
    (tmp_path / "good.md").write_text("# 退货\n\n可以。", "utf-8")
    tracemalloc.start()
    try:
        report = load_paths([tmp_path])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [(f.source, f.reason) for f in report.failures] == [("huge.pdf", "文件超过 20 MB")]
    assert [entry.question for entry in report.entries] == ["退货"]
    assert peak < 10 * 1024 * 1024


def rezipped(data: bytes, changes: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as old,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            if name not in changes:
                new.writestr(name, old.read(name))
        for name, content in changes.items():
            new.writestr(name, content)
    return target.getvalue()


@pytest.mark.parametrize(("name", "data"), [("a.docx", WORD), ("a.xlsx", EXCEL)])
def test_a_zip_bomb_is_refused_soon(name: str, data: bytes) -> None:
    bomb = rezipped(data, {"docProps/a.bin": bytes(package.MAX_UNPACKED_BYTES)})
    assert len(bomb) < 1_000_000
    started = time.perf_counter()
    assert "压缩炸弹" in reason(name, bomb)
    assert time.perf_counter() - started < 5


def test_a_zip_bomb_that_lies_about_its_size_is_refused() -> None:
    size = package.MAX_UNPACKED_BYTES * 2
    bomb = rezipped(WORD, {"docProps/a.bin": bytes(size)})
    lying = bomb.replace(struct.pack("<I", size), struct.pack("<I", 10))
    assert lying != bomb
    assert "损坏" in reason("a.docx", lying)


ENTITY = b'<!DOCTYPE w [<!ENTITY x SYSTEM "file:///etc/hostname">]>'


@pytest.mark.parametrize(
    ("name", "data", "part"),
    [("a.docx", WORD, "word/document.xml"), ("a.xlsx", EXCEL, "xl/worksheets/sheet1.xml")],
)
def test_xml_with_entities_is_refused(name: str, data: bytes, part: str) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as old:
        xml = old.read(part)
    head, mark, rest = xml.partition(b"?>")
    changed = head + mark + ENTITY + rest if mark else ENTITY + xml
    assert "DOCTYPE" in reason(name, rezipped(data, {part: changed}))


def test_a_cell_in_the_last_corner_of_a_sheet_does_not_end_the_process() -> None:
    rows = [[None] * 16_383 + ["x"]]
    far = workbook({"表": [["项目", "价格"], *rows]})
    with zipfile.ZipFile(io.BytesIO(far)) as old:
        xml = old.read("xl/worksheets/sheet1.xml").replace(b'"XFD2"', b'"XFD1048576"')
    assert b"XFD1048576" in xml
    changed = rezipped(far, {"xl/worksheets/sheet1.xml": xml})
    assert "500 万个单元格" in reason("a.xlsx", changed)


def test_a_legacy_cell_far_away_does_not_end_the_process() -> None:
    data = old_workbook("表", PRICES)
    far = data.replace(
        files.cell_record(2, 1, "45 元")[:8],
        struct.pack("<HHHH", 0x0204, 6 + 3 + 8, 65_535, 65_535),
    )
    assert far != data
    assert "500 万个单元格" in reason("a.xls", far)


def test_a_pdf_of_more_pages_than_sensible_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "MAX_PAGES", 2)
    data = files.pdf(*[[paragraph(f"第 {n} 页的内容。")] for n in range(3)])
    assert reason("a.pdf", data) == "PDF 有 3 页，超过 2 页，请拆分后再导入"


def test_a_scan_of_more_pages_than_sensible_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "MAX_SCANNED_PAGES", 0)
    scan = files.saved(Image.new("RGB", (64, 64), "white"), "PDF")
    assert reason("a.pdf", scan) == "扫描的页面超过 0 页，请拆分后再导入"


def test_pictures_beyond_the_bound_are_told_and_the_text_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def write(document: WordDocument) -> None:
        plain(document)
        document.add_picture(io.BytesIO(PNG))

    monkeypatch.setattr(formats_word, "MAX_PICTURES", 0)
    report = load_bytes("a.docx", word(write))
    assert [entry.answer for entry in report.entries] == ["七天内可退。"]
    assert [f.reason for f in report.failures] == ["图片超过 0 张，其余 1 张没有识别文字"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "问" + " " * 300_000 + "\n答：x\n问：y"),
        ("a.txt", "x" + "\n " * 300_000 + "\ny"),
        ("a.txt", "x" + " " * 300_000),
        ("a.md", "# " + "# " * 300_000 + "\nx"),
        ("a.md", "a | b\n|" + " " * 300_000 + "x\n"),
        ("a.md", "| a " * 100_000 + "\n" + "| b |\n" * 30_000),
        ("a.html", "<html><body>" + "<div>" * 20_000 + "x"),
    ],
)
def test_text_made_to_keep_a_parser_busy_does_not(name: str, text: str) -> None:
    started = time.perf_counter()
    load_bytes(name, text.encode())
    assert time.perf_counter() - started < 10


def test_each_bad_file_of_a_folder_skips_only_itself(tmp_path: Path) -> None:
    bad = {
        "空.docx": b"",
        "坏.xlsx": EXCEL[:2_000],
        "锁.docx": LOCKED,
        "假.pdf": PNG,
        "旧.doc": container({"WordDocument": b"x"}),
    }
    for name, data in {**bad, "好.docx": WORD, "好.xlsx": EXCEL, "好.pdf": PDF}.items():
        (tmp_path / name).write_bytes(data)
    report = load_paths([tmp_path], tags=("一次",))
    assert {failure.source for failure in report.failures} == set(bad)
    assert report.documents == {"好.docx", "好.xlsx", "好.pdf"}
    assert {entry.document for entry in report.entries} == report.documents
    assert {entry.tags for entry in report.entries} == {("一次",)}


def test_a_number_sign_in_a_name_does_not_cut_the_documents_name() -> None:
    report = load_bytes("价目#2.md", "# 退货\n\n可以。".encode())
    assert {entry.document for entry in report.entries} == report.documents == {"价目＃2.md"}
