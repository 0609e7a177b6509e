from knowledge.documents import load_bytes
from tests.knowledge.files import heading, paragraph, pdf, plain_table, ruled_table

RULES = "安装之前需要先向供电公司报装，报装时请准备身份证、车位证明与物业同意书，三样缺一不可。"


def test_pdf_headings_paragraphs_pairs_and_pages_are_told_apart() -> None:
    data = pdf(
        [heading("安装说明"), paragraph(RULES * 3), paragraph("由我们代办收一百元。")],
        [
            heading("退货规则"),
            *map(paragraph, ("七天内可以退货。", "问：保修多久？", "答：两年。")),
        ],
        [heading("发票"), paragraph("支持电子发票。")],
        footer="某某公司 第 {} 页",
    )
    report = load_bytes("说明.pdf", data)
    assert report.failures == ()
    assert [(e.question, e.answer, e.position) for e in report.entries] == [
        ("安装说明", f"{RULES * 3}\n由我们代办收一百元。", "第 1 页 · 安装说明"),
        ("退货规则", "七天内可以退货。", "第 2 页 · 退货规则"),
        ("保修多久？", "两年。", "第 2 页 · 退货规则"),
        ("发票", "支持电子发票。", "第 3 页 · 发票"),
    ]


def test_a_ruled_pdf_table_keeps_cells_of_several_lines_together() -> None:
    long = "含三十米以内线缆以及漏电保护开关一只，支架另计，超出部分按米计费"
    rows = [("项目", "价格", "说明"), ("基础安装", "800 元", long), ("超出每米", "45 元", "实测")]
    data = pdf([heading("价目"), paragraph("价格如下："), ruled_table(rows, (100, 80, 200))])
    (entry,) = load_bytes("价.pdf", data).entries
    assert entry.answer.splitlines() == [
        "价格如下：",
        "| 项目 | 价格 | 说明 |",
        f"| 基础安装 | 800 元 | {long} |",
        "| 超出每米 | 45 元 | 实测 |",
    ]
    assert entry.position == "第 1 页 · 价目"


def test_a_pdf_table_without_rules_is_found_by_its_columns() -> None:
    rows = [("项目", "价格"), ("基础安装", "800 元"), ("超出每米", "45 元")]
    data = pdf([heading("价目"), paragraph("以下价格含税。"), plain_table(rows, (150, 100))])
    (entry,) = load_bytes("价.pdf", data).entries
    assert entry.answer == (
        "以下价格含税。\n| 项目 | 价格 |\n| 基础安装 | 800 元 |\n| 超出每米 | 45 元 |"
    )


def test_a_sentence_that_runs_over_the_page_stays_whole() -> None:
    data = pdf([heading("规则"), *[paragraph(RULES)] * 18, paragraph(RULES * 12)])
    entries = load_bytes("长.pdf", data).entries
    assert all(entry.answer.endswith("。") for entry in entries)
    assert "".join(e.answer for e in entries).replace("\n", "") == RULES * 30
    assert entries[0].position == "第 1 页 · 规则"
    assert entries[-1].position.startswith("第 2 页")
