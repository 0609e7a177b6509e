from knowledge.documents import load_bytes
from tests.knowledge.files import columns, heading, paragraph, pdf, plain_table, ruled_table

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


def test_numbered_headings_on_top_of_each_page_are_no_running_heads() -> None:
    data = pdf(*[[heading(f"第{n}节"), paragraph(RULES * 3)] for n in range(4)], footer="第 {} 页")
    entries = load_bytes("章.pdf", data).entries
    assert [entry.question for entry in entries] == [f"第{n}节" for n in range(4)]
    assert [entry.answer for entry in entries] == [RULES * 3] * 4


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


def test_two_columns_are_read_one_after_the_other() -> None:
    left = [f"左栏第{n}行讲的是安装的流程" for n in range(6)]
    right = [f"右栏第{n}行讲的是售后的规定" for n in range(6)]
    (entry,) = load_bytes("栏.pdf", columns([*left, "一句话。"], right)).entries
    assert entry.answer == "".join(left) + "一句话。\n" + "".join(right) + "。"
    (entry,) = load_bytes("栏.pdf", columns(left, right)).entries
    assert entry.answer == "".join((*left, *right)) + "。"


def test_cells_that_nearly_touch_are_kept_apart_by_the_rule_between_them() -> None:
    rows = [("型号甲乙", "价格含税"), ("七千瓦桩", "一千元整")]
    table = ruled_table(rows, (46, 46), padding=1)
    (entry,) = load_bytes("价.pdf", pdf([heading("价目"), table])).entries
    assert entry.answer == "| 型号甲乙 | 价格含税 |\n| 七千瓦桩 | 一千元整 |"
