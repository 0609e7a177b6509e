"""`kefu eval conversations`."""

import json
from pathlib import Path

import pytest

from engine.regressions.files import FOLDER
from engine.regressions.lines import ScriptError
from tests.api.cli.conftest import Command
from tests.api.service import running_service

RIGHT = """\
name: 安装
turns:
  - say: 充电桩怎么安装？
    expect: {decision: answer, contains: 固定车位证明}
"""
WRONG = RIGHT.replace("固定车位证明", "随便装").replace("name: 安装", "name: 错的")


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    folder = tmp_path / "scripts"
    folder.mkdir()
    (folder / "a.yaml").write_text(RIGHT, "utf-8")
    return folder


def test_conversations_that_pass_end_with_0(filled: Command, scripts: Path) -> None:
    said = filled.done("eval", "conversations", str(scripts))
    assert f"通过  安装  {scripts}/a.yaml:1" in said
    assert "1 段对话，1 轮：1 段通过，0 段失败" in said


def test_one_that_fails_is_told_with_file_and_line_and_ends_with_1(
    filled: Command, scripts: Path
) -> None:
    (scripts / "b.yaml").write_text(WRONG, "utf-8")
    result = filled("eval", "conversations", str(scripts))
    assert result.exit_code == 1
    assert f"失败  错的  {scripts}/b.yaml:1" in result.stdout
    assert "第 3 行「充电桩怎么安装？」" in result.stdout
    assert "contains 应为 含「随便装」，实际是 「1. 准备固定车位证明" in result.stdout
    assert "2 段对话，2 轮：1 段通过，1 段失败" in result.stdout


def test_the_report_is_json_and_fails_the_same(filled: Command, scripts: Path) -> None:
    (scripts / "b.yaml").write_text(WRONG, "utf-8")
    result = filled("eval", "conversations", str(scripts), "--json")
    report = json.loads(result.stdout)
    assert result.exit_code == 1
    assert [one["passed"] for one in report["results"]] == [True, False]
    assert (report["conversations"], report["failed"]) == (2, 1)


def test_without_a_path_those_of_the_data_folder_are_played(filled: Command) -> None:
    folder = filled.data_dir / FOLDER
    folder.mkdir()
    (folder / "安装.yaml").write_text(RIGHT, "utf-8")
    assert "1 段通过" in filled.done("eval", "conversations")


def test_the_sample_knowledge_needs_no_data_folder(kefu: Command, scripts: Path) -> None:
    assert "1 段通过" in kefu.done("eval", "conversations", str(scripts), "--samples")
    assert not kefu.data_dir.exists()


def test_a_faulty_script_is_told_before_anything_is_played(kefu: Command, scripts: Path) -> None:
    (scripts / "b.yaml").write_text("turns:\n  - sya: a\n", "utf-8")
    result = kefu("eval", "conversations", str(scripts))
    assert isinstance(result.exception, ScriptError)
    assert str(result.exception).startswith(f"{scripts}/b.yaml:2: turns[0].sya：没有这个字段")


def test_it_runs_beside_a_service_on_the_same_data_folder(filled: Command, scripts: Path) -> None:
    with running_service(filled.data_dir) as service:
        assert "1 段通过" in filled.done("eval", "conversations", str(scripts))
        assert service.rows("messages") == 0
