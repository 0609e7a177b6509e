"""`kefu kb adapt`, alone and beside a running service."""

import json
from pathlib import Path
from typing import Any

import pytest

import knowledge.adapt
from knowledge.adapt import ModelShelf
from knowledge.model import RankingModel
from knowledge.training import Pair
from tests.api.cli.conftest import Command
from tests.knowledge.learning_from import few_pairs, small_house, write_pairs

FIGURES = {"recall_at_1", "mrr_at_10", "auroc", "precision", "coverage", "coverage_90"}
TOLD = {
    "pairs": 1,
    "before": dict.fromkeys(FIGURES, 0.5),
    "after": dict.fromkeys(FIGURES, 0.6),
}


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the product adds from its house set is less, so that learning takes seconds."""
    monkeypatch.setattr(knowledge.adapt, "training_fields", small_house)


@pytest.fixture
def any_is_good_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knowledge.adapt, "GOOD_ENOUGH", 100.0)


@pytest.fixture
def none_is_good_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knowledge.adapt, "GOOD_ENOUGH", 0.0)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    return write_pairs(tmp_path / "pairs.jsonl", few_pairs(62, 2))


@pytest.fixture
def shelf(kefu: Command) -> ModelShelf:
    """With versions 1 and 2, which is in use."""
    shelf, model = ModelShelf(kefu.data_dir), RankingModel.load()
    shelf.add(model, TOLD)
    shelf.add(model, TOLD)
    return shelf


@pytest.mark.usefixtures("little", "any_is_good_enough")
def test_learning_tells_what_changed_and_what_was_decided(kefu: Command, pairs: Path) -> None:
    more = write_pairs(pairs.with_name("more.jsonl"), [Pair("能退吗", "几点开门", same=False)])
    result = kefu("kb", "adapt", "--pairs", str(pairs), str(more))
    assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
    assert "125 对说法,62 个有多种说法的问题" in result.stdout
    for name in ("recall@1", "MRR@10", "AUROC", "原来", "学习后", "变化"):
        assert name in result.stdout
    assert "已启用版本 1" in result.stdout
    assert "在未见过的问题上检验" in result.stderr
    assert ModelShelf(kefu.data_dir).version() == 1


@pytest.mark.usefixtures("little", "none_is_good_enough")
def test_a_model_that_is_not_better_is_no_failure_and_says_why(kefu: Command, pairs: Path) -> None:
    result = kefu("kb", "adapt", "--pairs", str(pairs), "--json")
    assert result.exit_code == 0
    found: dict[str, Any] = json.loads(result.stdout)
    assert (found["adopted"], found["version"], found["in_use"]) == (False, None, 0)
    assert "没有明显更好" in found["reason"]
    assert set(found["before"]) == set(found["after"]) == FIGURES
    assert result.stderr == ""


def test_accepted_wordings_of_the_base_are_learned_from_when_asked_for(
    kefu: Command, tmp_path: Path
) -> None:
    rows = [{"question": f"{c}怎么退", "answer": "可以", "aliases": [f"退{c}"]} for c in "甲乙丙丁"]
    faq = tmp_path / "faq.jsonl"
    faq.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    kefu.done("kb", "import", str(faq))
    few = write_pairs(tmp_path / "few.jsonl", [Pair("能退吗", "可以退吗", same=True)])
    assert "现有 1 个" in str(kefu("kb", "adapt", "--pairs", str(few)).exception)
    both = kefu("kb", "adapt", "--pairs", str(few), "--with-entries")
    assert "现有 5 个" in str(both.exception)


@pytest.mark.parametrize(
    "arguments",
    [(), ("--undo", "--list"), ("--use", "1", "--undo"), ("--with-entries", "--list")],
)
def test_one_thing_is_asked_at_a_time(kefu: Command, arguments: tuple[str, ...]) -> None:
    assert kefu("kb", "adapt", *arguments).exit_code == 2


def test_a_wrong_pair_is_named_by_its_line(kefu: Command, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"a": "x", "b": "y", "label": 1}\n{"a": "x"}\n', "utf-8")
    refused = kefu("kb", "adapt", "--pairs", str(path))
    assert refused.exit_code != 0
    assert "pairs.jsonl:2" in str(refused.exception)


def test_versions_are_listed_with_the_one_in_use(kefu: Command, shelf: ModelShelf) -> None:
    shelf.use(1)
    lines = kefu.done("kb", "adapt", "--list").splitlines()
    assert [line[:7].rstrip() for line in lines] == ["  出厂模型", "* 版本 1", "  版本 2"]
    assert "MRR@10 0.500 → 0.600" in lines[1]
    found = kefu.json("kb", "adapt", "--list")
    assert found["in_use"] == 1
    assert [item["version"] for item in found["versions"]] == [1, 2]


def test_undo_and_use_choose_the_version(kefu: Command, shelf: ModelShelf) -> None:
    assert "现在使用版本 1" in kefu.done("kb", "adapt", "--undo")
    assert "现在使用出厂模型" in kefu.done("kb", "adapt", "--undo")
    assert kefu.json("kb", "adapt", "--use", "2") == {"in_use": 2}
    assert shelf.version() == 2
    assert "没有模型版本 9" in str(kefu("kb", "adapt", "--use", "9").exception)
    assert shelf.version() == 2


def test_without_any_version_there_is_nothing_to_undo(kefu: Command) -> None:
    assert "没有可撤销的学习" in str(kefu("kb", "adapt", "--undo").exception)
    assert kefu.done("kb", "adapt", "--list").strip() == "* 出厂模型"
