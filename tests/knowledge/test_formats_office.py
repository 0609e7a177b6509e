import io
import zipfile

from docx.document import Document as WordDocument
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls

from knowledge.documents import load_bytes
from tests.knowledge.files import PRICES, Row, old_workbook, word, word_table, workbook

TABLE = "| 项目 | 价格 |\n| 基础安装 | 800 元 |\n| 超出每米 | 45 元 |"


def manual(document: WordDocument) -> None:
    document.add_heading("充电桩手册", 0)
    document.add_heading("安装", 1)
    document.add_paragraph("安装前请先报装。")
    document.add_heading("费用", 2)
    document.add_paragraph("费用如下：")
    word_table(document, PRICES)
    document.add_heading("步骤", 2)
    document.add_paragraph("请按顺序来：")
    for step in ("报装", "勘测", "施工"):
        document.add_paragraph(step, style="List Bullet")
    document.add_heading("售后", 1)
    document.add_paragraph("问：保修多久？")
    document.add_paragraph("答：两年。")
    document.add_paragraph("人为损坏除外。")


def test_word_sections_become_entries_with_their_path_as_position() -> None:
    report = load_bytes("手册.docx", word(manual))
    assert report.failures == ()
    assert [(e.question, e.answer, e.source, e.position) for e in report.entries] == [
        ("安装", "安装前请先报装。", "手册.docx#安装", "安装"),
        ("费用", f"费用如下：\n{TABLE}", "手册.docx#安装", "安装 > 费用"),
        ("步骤", "请按顺序来：\n- 报装\n- 勘测\n- 施工", "手册.docx#安装", "安装 > 步骤"),
        ("保修多久？", "两年。\n人为损坏除外。", "手册.docx#售后", "售后"),
    ]


def test_a_word_table_of_questions_is_question_answer_entries() -> None:
    def write(document: WordDocument) -> None:
        document.add_heading("常见问题", 1)
        word_table(
            document,
            (
                ("问题", "答案", "相似问"),
                ("能退吗？", "七天内可退。", "可以退货么；退货"),
                ("", "", ""),
            ),
        )

    (entry,) = load_bytes("faq.docx", word(write)).entries
    assert (entry.question, entry.answer) == ("能退吗？", "七天内可退。")
    assert entry.aliases == ("可以退货么", "退货")
    assert entry.position == "常见问题，表格第 2 行"


def test_a_long_word_table_is_split_between_rows_with_its_header_on_each_part() -> None:
    rows = [("型号", "说明"), *((f"桩-{n:03}", "七千瓦" * 10) for n in range(60))]

    def write(document: WordDocument) -> None:
        document.add_heading("型号", 1)
        word_table(document, rows)

    entries = load_bytes("models.docx", word(write)).entries
    assert len(entries) > 1
    assert all(entry.answer.startswith("| 型号 | 说明 |\n") for entry in entries)
    lines = [line for entry in entries for line in entry.answer.splitlines()[1:]]
    assert lines == [f"| {name} | {text} |" for name, text in rows[1:]]
    assert "桩-059 型号" in entries[-1].aliases[-1]


def test_word_without_heading_styles_is_read_by_bold_and_numbered_lines() -> None:
    def write(document: WordDocument) -> None:
        document.add_paragraph().add_run("退货规则").bold = True
        document.add_paragraph("签收后七天内可以退货，运费由买家承担。")
        document.add_paragraph("一、发票")
        document.add_paragraph("付款后一个工作日内开出电子发票。")
        document.add_paragraph("联系人：")
        document.add_paragraph("一、张三")
        document.add_paragraph("二、李四")

    entries = load_bytes("rules.docx", word(write)).entries
    assert [(e.question, e.position) for e in entries] == [
        ("退货规则", "退货规则"),
        ("发票", "一、发票"),
    ]
    assert entries[1].answer.endswith("联系人：\n一、张三\n二、李四")


def test_word_without_any_heading_names_the_paragraph() -> None:
    def write(document: WordDocument) -> None:
        document.add_paragraph("本店九点开门，周末照常营业。" * 4)
        document.add_paragraph("邮费八元，满九十九元包邮，偏远地区除外，以页面所示为准。" * 2)

    entries = load_bytes("notes.docx", word(write)).entries
    assert [(e.question, e.position) for e in entries] == [
        ("本店九点开门，周末照常营业。", "第 1 段"),
        ("邮费八元，满九十九元包邮，偏远地区除外，以页面所示为准。", "第 2 段"),
    ]


def test_word_merged_cells_inserted_text_and_text_boxes_are_read_deleted_text_is_not() -> None:
    def write(document: WordDocument) -> None:
        document.add_heading("价目", 1)
        table = document.add_table(rows=3, cols=2)
        for number, row in enumerate((("类别", "价格"), ("彩印", "1 元"), ("", "2 元"))):
            for column, text in enumerate(row):
                table.cell(number, column).text = text
        table.cell(1, 0).merge(table.cell(2, 0))
        changed = document.add_paragraph("起印")
        for xml in (
            "<w:ins {}><w:r><w:t>十张</w:t></w:r></w:ins>",
            "<w:del {}><w:r><w:delText>五张</w:delText></w:r></w:del>",
            "<w:r {}><w:rPr><w:vanish/></w:rPr><w:t>成本三毛</w:t></w:r>",
            '<w:r {}><w:pict><v:textbox xmlns:v="urn:schemas-microsoft-com:vml"><w:txbxContent>'
            "<w:p><w:r><w:t>加急另议。</w:t></w:r></w:p></w:txbxContent></v:textbox></w:pict></w:r>",
        ):
            changed._p.append(parse_xml(xml.format(nsdecls("w"))))

    (entry,) = load_bytes("价目.docx", word(write)).entries
    assert entry.answer == "| 类别 | 价格 |\n| 彩印 | 1 元 |\n| 彩印 | 2 元 |\n起印十张\n加急另议。"


def test_an_excel_table_is_one_entry_that_names_sheet_and_rows() -> None:
    rows: list[Row] = [["2024 年价目"], [], *PRICES, ["上门勘测", 99.5]]
    (entry,) = load_bytes("价.xlsx", workbook({"价目表": rows})).entries
    assert entry.question == "价目表 2024 年价目"
    assert entry.answer == TABLE + "\n| 上门勘测 | 99.5 |"
    assert entry.source == "价.xlsx#价目表"
    assert entry.position == "工作表「价目表」第 3–6 行"
    assert "上门勘测 价目表 2024 年价目" in entry.aliases


def test_excel_question_columns_are_found_below_a_caption_and_rows_are_named() -> None:
    rows = [
        ["常见问题"],
        ["问题", "答案", "别名"],
        ["几点开门？", "九点", "营业时间|开门"],
        [],
        ["缺"],
    ]
    report = load_bytes("qa.xlsx", workbook({"问答": rows, "空": []}))
    (entry,) = report.entries
    assert (entry.question, entry.answer) == ("几点开门？", "九点")
    assert entry.aliases == ("营业时间", "开门")
    assert entry.position == "工作表「问答」第 3 行"
    assert [(f.source, f.reason) for f in report.failures] == [("qa.xlsx:5", "问题 '缺' 没有答案")]


def test_a_hidden_sheet_is_not_told_to_customers() -> None:
    data = workbook({"价目": PRICES, "成本": [("项目", "进价"), ("安装", 300)]}, hidden=["成本"])
    assert [e.source for e in load_bytes("p.xlsx", data).entries] == ["p.xlsx#价目"]


def test_a_legacy_workbook_is_read_like_a_new_one() -> None:
    data = old_workbook("价目表", [*PRICES, ("勘测", 99.5)])
    (entry,) = load_bytes("价.xls", data).entries
    assert entry.answer == TABLE + "\n| 勘测 | 99.5 |"
    assert entry.position == "工作表「价目表」第 1–4 行"


def test_a_sheet_with_styled_empty_cells_far_away_is_read() -> None:
    """Formatting a whole column leaves empty cells down to the last row."""
    data = workbook({"价目表": PRICES})
    far = b'<row r="1048576"><c r="XFD1048576" s="0"/></row></sheetData>'
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"</sheetData>", far))
    (entry,) = load_bytes("价.xlsx", changed.getvalue()).entries
    assert entry.answer == TABLE
