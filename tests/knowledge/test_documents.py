import os
from pathlib import Path

import pytest

from domain.errors import KnowledgeError
from knowledge import documents
from knowledge.documents import LoadReport, load_paths, make_entry

MARKDOWN = """# 充电桩

关于本文件。

## 安装

### 安装要多少钱？
> 别名: 安装费 | 装一台多少钱

30 米内免费。

- 超出每米 45 元

### 需要物业同意吗？

需要。

#### 物业不同意怎么办

可以找居委会。
"""


def write(folder: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def load(folder: Path, name: str, text: str, encoding: str = "utf-8") -> LoadReport:
    return load_paths([write(folder, name, text, encoding)])


def reasons(report: LoadReport) -> list[str]:
    return [failure.reason for failure in report.failures]


def test_markdown_questions_carry_topic_aliases_and_answer(tmp_path: Path) -> None:
    fee, consent = load(tmp_path, "pile.md", MARKDOWN).entries
    assert fee.question == "安装要多少钱？"
    assert fee.aliases == ("安装费", "装一台多少钱")
    assert fee.answer == "30 米内免费。\n\n- 超出每米 45 元"
    assert fee.source == "pile.md#安装"
    assert fee.document == "pile.md"
    assert fee.category == "pile"
    assert consent.answer.endswith("可以找居委会。")


def test_plain_markdown_turns_headings_with_text_into_entries(tmp_path: Path) -> None:
    text = "# 手册\n\n欢迎。\n\n## 退货\n\n七天内可退。\n\n## 空\n\n```\n# 不是标题\n```\n"
    report = load(tmp_path, "manual.md", text)
    assert [(e.question, e.answer) for e in report.entries] == [
        ("手册", "欢迎。"),
        ("退货", "七天内可退。"),
        ("空", "```\n# 不是标题\n```"),
    ]


def test_long_passages_are_cut_between_sentences(tmp_path: Path) -> None:
    text = "# 规则\n\n" + "这是一句话。" * 200
    entries = load(tmp_path, "long.md", text).entries
    assert len(entries) > 1
    assert all(entry.answer.endswith("。") for entry in entries)
    assert "".join(entry.answer for entry in entries) == "这是一句话。" * 200


def test_text_with_question_and_answer_marks_becomes_pairs(tmp_path: Path) -> None:
    text = "问：几点开门？\n答：九点。\n周末十点。\n\nQ: 能退吗\nA: 能\n"
    entries = load(tmp_path, "faq.txt", text).entries
    assert [(e.question, e.answer) for e in entries] == [
        ("几点开门？", "九点。\n周末十点。"),
        ("能退吗", "能"),
    ]


def test_text_without_marks_becomes_paragraphs(tmp_path: Path) -> None:
    entries = load(tmp_path, "notes.txt", "本店九点开门。周末照常。\n\n邮费八元。").entries
    assert [entry.answer for entry in entries] == ["本店九点开门。周末照常。", "邮费八元。"]
    assert entries[0].question == "本店九点开门。"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_csv_is_read_in_the_encodings_that_spreadsheets_write(
    tmp_path: Path, encoding: str
) -> None:
    text = '问题,答案,别名,分类\n怎么退款？,"原路退回,\n三天到账",退钱|钱怎么退,售后\n'
    (entry,) = load(tmp_path, "faq.csv", text, encoding).entries
    assert entry.question == "怎么退款？"
    assert entry.answer == "原路退回,\n三天到账"
    assert entry.aliases == ("退钱", "钱怎么退")
    assert entry.category == "售后"


def test_jsonl_takes_lists_and_reports_a_row_without_answer(tmp_path: Path) -> None:
    text = (
        '{"question": "能开票吗", "answer": "能", "aliases": ["发票"], "tags": ["财务"]}\n'
        '{"question": "没有答案"}\n'
    )
    report = load(tmp_path, "faq.jsonl", text)
    assert [(e.question, e.aliases, e.tags) for e in report.entries] == [
        ("能开票吗", ("发票",), ("财务",))
    ]
    assert [(f.source, f.reason) for f in report.failures] == [
        ("faq.jsonl:2", "问题 '没有答案' 没有答案")
    ]


def test_a_bad_file_skips_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_FILE_BYTES", 1_000)
    write(tmp_path, "good.md", "# 退货\n\n可以。")
    write(tmp_path, "broken.jsonl", '{"question": "a", "answer": "b"}\n{"question"')
    write(tmp_path, "columns.csv", "名称,备注\n1,2\n")
    write(tmp_path, "huge.txt", "长" * 1_000)
    (tmp_path / "binary.txt").write_bytes(b"\x89PNG\x00\x01")
    (tmp_path / "neither.txt").write_bytes(b"\xff\xff\xff\xff")
    write(tmp_path, "empty.md", "")
    report = load_paths([tmp_path])
    assert [entry.question for entry in report.entries] == ["退货"]
    assert {failure.source for failure in report.failures} == {
        "broken.jsonl", "columns.csv", "huge.txt", "binary.txt", "neither.txt", "empty.md",
    }  # fmt: skip
    assert all(isinstance(failure, KnowledgeError) for failure in report.failures)


def test_unknown_formats_and_missing_files_are_reported(tmp_path: Path) -> None:
    report = load_paths([write(tmp_path, "a.exe", "x"), tmp_path / "none.md"])
    assert [f.source for f in report.failures] == [str(tmp_path / "none.md"), "a.exe"]


def test_two_files_of_one_name_cannot_overwrite_each_other(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = write(tmp_path / "a", "faq.md", "# 一\n\n甲")
    second = write(tmp_path / "b", "faq.md", "# 二\n\n乙")
    report = load_paths([first, second])
    assert [entry.question for entry in report.entries] == ["一"]
    assert len(report.failures) == 1
    both = load_paths([tmp_path])
    assert {entry.document for entry in both.entries} == {"a/faq.md", "b/faq.md"}


def test_the_same_question_twice_under_a_topic_is_one_entry_with_both_answers(
    tmp_path: Path,
) -> None:
    text = "## 退货\n### 能退吗\n能。\n### 能退吗\n> 别名: 可以退么\n七天内。\n"
    (entry,) = load(tmp_path, "faq.md", text).entries
    assert entry.answer == "能。\n\n七天内。"
    assert entry.aliases == ("可以退么",)


def test_an_id_survives_an_edited_answer_and_the_hash_does_not() -> None:
    before = make_entry("能退吗", "能", source="faq.md")
    after = make_entry("能退吗", "不能", source="faq.md")
    other = make_entry("能退吗", "能", source="other.md")
    assert before.id == after.id != other.id
    assert before.content_hash != after.content_hash


def test_progress_counts_files_and_category_overrides(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "# 一\n\n甲")
    write(tmp_path, "b.md", "# 二\n\n乙")
    seen: list[tuple[int, int]] = []
    report = load_paths([tmp_path], "店铺", progress=lambda *step: seen.append(step))
    assert seen == [(1, 2), (2, 2)]
    assert {entry.category for entry in report.entries} == {"店铺"}


def test_a_file_with_a_gbk_name_is_imported_under_its_readable_name(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path)
    with open(folder + b"/" + "常见问题.txt".encode("gb18030"), "w", encoding="utf-8") as file:
        file.write("问：几点开门\n答：九点。\n")
    report = load_paths([tmp_path])
    assert [entry.source.partition("#")[0] for entry in report.entries] == ["常见问题.txt"]
    assert report.failures == ()
