"""`kefu kb`."""

import json
import os
from pathlib import Path

import pytest

from domain.errors import KnowledgeError
from knowledge.documents import load_paths
from tests.api.cli.conftest import Command
from tests.api.cli.processes import run_kefu
from tests.api.service import Service

OPENING = "几点开门？"
PARKING = "能停车吗？"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    write(folder / "hours.md", {OPENING: "早上九点。"})
    write(folder / "parking.md", {PARKING: "门口可停两小时。"})
    return folder


def write(path: Path, answers: dict[str, str]) -> None:
    entries = "".join(f"\n### {question}\n{answer}\n" for question, answer in answers.items())
    path.write_text(f"# 门店\n\n## 到店\n{entries}", "utf-8")


def questions(kefu: Command) -> set[str]:
    return {item["question"] for item in kefu.json("kb", "list")["items"]}


def counts(kefu: Command, *arguments: str) -> tuple[int, int, int, int]:
    """(added, updated, unchanged, removed)"""
    found = kefu.json("kb", "import", *arguments)["summary"]
    return found["added"], found["updated"], found["unchanged"], found["removed"]


def test_importing_twice_changes_nothing_the_second_time(kefu: Command, shop: Path) -> None:
    assert counts(kefu, str(shop)) == (2, 0, 0, 0)
    assert counts(kefu, str(shop)) == (0, 0, 2, 0)
    write(shop / "hours.md", {OPENING: "早上八点。"})
    assert counts(kefu, str(shop)) == (0, 1, 1, 0)


def test_what_cannot_be_used_is_listed_with_its_reason_and_the_rest_goes_in(
    kefu: Command, shop: Path
) -> None:
    (shop / "broken.jsonl").write_text("{not json", "utf-8")
    ended = kefu("kb", "import", str(shop), str(shop / "missing.md"))
    assert ended.exit_code == 1
    assert "新增 2" in ended.stdout
    assert "broken.jsonl:第 1 行不是有效的 JSON" in ended.stderr
    assert "missing.md:文件不存在" in ended.stderr
    assert questions(kefu) == {OPENING, PARKING}


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_file_whose_name_is_no_utf8_is_listed_like_any_other(
    kefu: Command, tmp_path: Path, form: tuple[str, ...]
) -> None:
    name = os.fsdecode(b"\xff\xfe.pdf")
    (tmp_path / name).write_bytes(b"%PDF")
    ended = kefu("kb", "import", str(tmp_path / name), *form)
    assert ended.exit_code == 1
    assert "??.pdf" in ended.output


def test_refresh_removes_what_left_the_imported_files_only(kefu: Command, shop: Path) -> None:
    kefu.done("kb", "import", str(shop))
    write(shop / "hours.md", {"周末营业吗？": "营业。"})
    kefu.done("kb", "import", str(shop / "hours.md"), "--refresh")
    assert questions(kefu) == {"周末营业吗？", PARKING}


def test_without_refresh_nothing_is_removed(kefu: Command, shop: Path) -> None:
    kefu.done("kb", "import", str(shop))
    write(shop / "hours.md", {"周末营业吗？": "营业。"})
    kefu.done("kb", "import", str(shop / "hours.md"))
    assert questions(kefu) == {"周末营业吗？", PARKING, OPENING}


def test_rebuild_leaves_exactly_the_given_files(kefu: Command, shop: Path) -> None:
    kefu.done("kb", "import", str(shop))
    kefu.done("kb", "import", str(shop / "parking.md"), "--rebuild")
    assert questions(kefu) == {PARKING}


def test_a_rebuild_from_nothing_usable_keeps_what_there_is(kefu: Command, shop: Path) -> None:
    kefu.done("kb", "import", str(shop))
    ended = kefu("kb", "import", str(shop / "missing.md"), "--rebuild")
    assert ended.exit_code == 1
    assert "知识库未改动" in ended.stdout
    assert questions(kefu) == {OPENING, PARKING}


def test_an_import_of_nothing_is_a_usage_error(kefu: Command) -> None:
    ended = kefu("kb", "import")
    assert ended.exit_code == 2
    assert "--samples" in ended.stderr


def test_the_samples_come_with_the_product(kefu: Command) -> None:
    added, *others = counts(kefu, "--samples")
    assert added > 100
    assert others == [0, 0, 0]
    assert kefu.json("kb", "search", "充电桩怎么安装？")["decision"] == "answer"


def test_a_category_given_beats_the_files_and_narrows_list_and_search(
    kefu: Command, shop: Path
) -> None:
    kefu.done("kb", "import", str(shop / "hours.md"), "--category", "时间")
    kefu.done("kb", "import", str(shop / "parking.md"))
    listed = kefu.json("kb", "list", "--category", "时间")
    assert [(item["question"], item["category"]) for item in listed["items"]] == [(OPENING, "时间")]
    found = kefu.json("kb", "search", PARKING, "--category", "时间")
    assert PARKING not in {item["question"] for item in found["evidence"]}


def test_search_says_how_sure_it_is_and_from_where(filled: Command) -> None:
    said = filled.done("kb", "search", "家里装充电桩要走哪些步骤", "--top-k", "2")
    assert said.startswith("置信度 0.")
    assert said.count("\n[") == 2
    assert "charging_pile.md#安装" in said


def test_a_question_that_nobody_wrote_down_is_for_a_person(filled: Command) -> None:
    found = filled.json("kb", "search", "怎么申请法国签证")
    assert found["decision"] == "handoff"
    assert found["confidence"] < 0.55


def test_the_decision_follows_the_configured_thresholds(
    filled: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEFU_ANSWER_THRESHOLD", "1")
    monkeypatch.setenv("KEFU_CLARIFY_THRESHOLD", "0.9")
    assert filled.json("kb", "search", "充电桩怎么安装？")["decision"] == "clarify"


def test_pages_of_the_list_are_the_whole_list(filled: Command) -> None:
    whole = filled.json("kb", "list", "--limit", "1000")
    pages = [
        filled.json("kb", "list", "--limit", "100", "--offset", str(offset))
        for offset in range(0, whole["total"], 100)
    ]
    assert [item for page in pages for item in page["items"]] == whole["items"]
    assert {page["total"] for page in pages} == {len(whole["items"])}


def test_an_export_is_the_knowledge_again(filled: Command, tmp_path: Path) -> None:
    file = tmp_path / "all.jsonl"
    filled.done("kb", "export", "--output", str(file))
    again = Command(tmp_path / "again")
    again.done("kb", "import", str(file))

    def contents(kefu: Command) -> set[tuple[str, ...]]:
        items = kefu.json("kb", "list", "--limit", "1000")["items"]
        return {(i["question"], i["answer"], i["category"], *i["aliases"]) for i in items}

    assert contents(again) == contents(filled)
    assert filled.done("kb", "export") == file.read_text("utf-8")


def test_an_export_stays_one_entry_a_line_whatever_an_answer_contains(
    kefu: Command, tmp_path: Path
) -> None:
    row = {"question": "怪吗？", "answer": "一\x85二\n三"}
    file = tmp_path / "odd.jsonl"
    file.write_text(json.dumps(row), "utf-8")
    kefu.done("kb", "import", str(file))
    exported = tmp_path / "exported.jsonl"
    exported.write_text(kefu.done("kb", "export"), "utf-8")
    assert [entry.answer for entry in load_paths([exported]).entries] == [row["answer"]]


def test_an_export_that_cannot_be_written_says_so(filled: Command, tmp_path: Path) -> None:
    ended = filled("kb", "export", "--output", str(tmp_path / "nowhere" / "all.jsonl"))
    assert isinstance(ended.exception, KnowledgeError)
    assert "无法写入" in str(ended.exception)


@pytest.mark.parametrize("command", [("search", "你好"), ("list",), ("export",)])
def test_reading_before_the_first_import_says_what_to_do(
    kefu: Command, command: tuple[str, ...]
) -> None:
    ended = kefu("kb", *command)
    assert isinstance(ended.exception, KnowledgeError)
    assert "import documents first" in str(ended.exception)


def test_beside_a_running_service_an_import_says_in_one_line_which_process_to_stop(
    shared_service: Service, shop: Path
) -> None:
    before = shared_service.kefu.knowledge.index.count()
    ended = Command(shared_service.kefu.settings.data_dir)("kb", "import", str(shop))
    assert isinstance(ended.exception, KnowledgeError)
    said = str(ended.exception)
    assert "\n" not in said
    assert f"正被进程 {os.getpid()} 使用" in said
    assert "请先停止该进程" in said
    assert shared_service.kefu.knowledge.index.count() == before


def test_beside_a_running_service_knowledge_can_be_read(shared_service: Service) -> None:
    folder = str(shared_service.kefu.settings.data_dir)
    found = run_kefu("kb", "search", "充电桩怎么安装？", "--json", "--data-dir", folder)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["evidence"][0]["source"] == "charging_pile.md#安装"
