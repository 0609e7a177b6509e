"""`kefu eval retrieval`, and `make eval` on a small folder of our own."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import knowledge.adapt
from api.cli.evaluate import LABELS
from knowledge.adapt import ModelShelf
from knowledge.evaluation import Question
from knowledge.model import RankingModel
from knowledge.trial import STEPS, try_model
from tests.api.cli.conftest import Command
from tests.api.cli.embeddings import embeddings_server
from tests.evaluation.__main__ import PART, Evaluation, evaluate, folders_of, note
from tests.evaluation.tables import Row, evaluation_markdown
from tests.knowledge.learning_from import few_pairs, small_house, write_pairs

FAQ: list[dict[str, Any]] = [
    {"id": "1", "question": "怎么申请退货", "answer": "在订单页申请。", "alts": ["退货怎么弄"]},
    {"id": "2", "question": "运费多少钱", "answer": "满 99 元包邮。"},
    {"id": "3", "question": "几点开门营业", "answer": None},
    {"id": "4", "question": None, "answer": "西湖位于杭州市西部,面积 6.39 平方公里。"},
]
QUERIES: list[dict[str, Any]] = [
    {"query": "退货怎么弄", "gold_id": "1"},
    {"query": "想申请退货", "gold_id": "1"},
    {"query": "运费要多少", "gold_id": "2"},
    {"query": "几点营业呀", "gold_id": "3"},
    {"query": "西湖的面积是多少平方公里", "gold_id": "4"},
    {"query": "今天股票涨了没", "gold_id": None},
    {"query": "帮我写一首诗", "gold_id": None},
]
RATES = tuple(key for key in LABELS if not key.endswith("_ms"))


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, "utf-8")
    return path


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """The options that name them."""
    faq = write_lines(tmp_path / "faq.jsonl", FAQ)
    queries = write_lines(tmp_path / "queries.jsonl", QUERIES)
    return ["--faq", str(faq), "--queries", str(queries)]


def test_every_figure_is_in_the_json(kefu: Command, files: list[str]) -> None:
    found = kefu.json("eval", "retrieval", *files)
    assert (found["entries"], found["questions"], found["in_scope"]) == (4, 7, 5)
    assert found["recall@1"] == 1.0
    assert found["mrr@10"] == 1.0
    assert found["auroc"] == 1.0
    assert all(0.0 <= found[key] <= 1.0 for key in RATES)
    assert 0.0 < found["p50_ms"] <= found["p99_ms"]
    assert sum(part["questions"] for part in found["bins"]) == 7
    assert len(found["curve"]) == STEPS
    assert (found["answer_at"], found["clarify_at"], found["embedding"]) == (0.75, 0.55, None)


def test_people_get_a_table_with_every_figure(kefu: Command, files: list[str]) -> None:
    said = kefu.done("eval", "retrieval", *files)
    assert "4 条知识,7 个问题(其中库内 5 个);出厂模型" in said
    assert all(label in said for label in LABELS.values())
    assert "可靠性" in said
    assert "1.000" in said


def test_thresholds_decide_who_is_answered(kefu: Command, files: list[str]) -> None:
    everybody = kefu.json("eval", "retrieval", *files, "--answer-at", "0", "--clarify-at", "0")
    assert (everybody["coverage"], everybody["false_answer_rate"]) == (1.0, 1.0)
    assert everybody["precision"] == pytest.approx(5 / 7)
    nobody = kefu.json("eval", "retrieval", *files, "--answer-at", "1", "--clarify-at", "1")
    assert (nobody["coverage"], nobody["precision"]) == (0.0, None)
    assert nobody["wrong_handoff_rate"] == 1.0
    refused = kefu("eval", "retrieval", *files, "--answer-at", "0.5", "--clarify-at", "0.6")
    assert "高于直接回答的阈值" in str(refused.exception)


def test_the_figures_are_those_of_the_model_that_was_chosen(
    kefu: Command, files: list[str], tmp_path: Path
) -> None:
    model = RankingModel.load()
    deaf = RankingModel(model.encoder, model.rank, model.gate, model.scope, -50.0)
    ModelShelf(kefu.data_dir).add(deaf, {})
    deaf.save(tmp_path / "other.npz")
    in_use = kefu.json("eval", "retrieval", *files)
    assert in_use["model"] == "学习版本 1"
    named = kefu.json("eval", "retrieval", *files, "--model", str(tmp_path / "other.npz"))
    assert named["model"] == "other.npz"
    cold = kefu.json("eval", "retrieval", *files, "--cold")
    assert cold["model"] == "出厂模型"
    in_bin = [found["bins"][0]["questions"] for found in (in_use, named, cold)]
    assert in_bin[0] == in_bin[1] > in_bin[2]
    both = kefu("eval", "retrieval", *files, "--cold", "--model", "x")
    assert both.exit_code == 2
    missing = kefu("eval", "retrieval", *files, "--model", str(tmp_path / "none.npz"))
    assert "没有这个模型文件" in str(missing.exception)


def test_a_configured_embedding_is_measured_beside_the_offline_one(
    kefu: Command, files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with embeddings_server() as server:
        monkeypatch.setenv("KEFU_EMBEDDING_URL", server.url)
        monkeypatch.setenv("KEFU_EMBEDDING_MODEL", "made-up")
        monkeypatch.setenv("KEFU_EMBEDDING_DIMENSIONS", "8")
        found = kefu.json("eval", "retrieval", *files)
        said = kefu.done("eval", "retrieval", *files)
    assert found["embedding"]["name"] == "made-up"
    assert found["embedding"]["questions"] == 7
    assert "想申请退货" in server.texts
    assert "made-up" in said


def test_a_wrong_line_is_named_and_nothing_is_measured(
    kefu: Command, files: list[str], tmp_path: Path
) -> None:
    with (tmp_path / "queries.jsonl").open("a", encoding="utf-8") as lines:
        lines.write('{"query": "x", "gold_id": "none"}\n')
    refused = kefu("eval", "retrieval", *files)
    assert refused.exit_code != 0
    assert f"queries.jsonl:{len(QUERIES) + 1}" in str(refused.exception)
    assert refused.stdout == ""


def test_nothing_is_left_in_the_data_folder(kefu: Command, files: list[str]) -> None:
    kefu.done("eval", "retrieval", *files)
    assert not kefu.data_dir.exists()


# make eval


def test_sets_of_a_folder_are_found_by_their_files(tmp_path: Path) -> None:
    write_lines(tmp_path / "one" / "dev" / "faq.jsonl", FAQ)
    write_lines(tmp_path / "one" / "dev" / "queries.jsonl", QUERIES)
    write_lines(tmp_path / "one" / "train" / "pairs.jsonl", [])
    write_lines(tmp_path / "two" / "dev" / "faq.jsonl", FAQ)
    write_lines(tmp_path / "two" / "dev" / "queries.jsonl", QUERIES)
    write_lines(tmp_path / "three" / "dev" / "faq.jsonl", FAQ)
    found = folders_of({"KEFU_EVAL_DATA": str(tmp_path)})
    assert [(item.evaluation.name, item.pairs is None) for item in found] == [
        ("one", False),
        ("two", True),
    ]
    assert folders_of({}) == []


def test_tables_have_a_row_for_each_set_and_mode(tmp_path: Path) -> None:
    write_lines(tmp_path / "made_up" / "dev" / "faq.jsonl", FAQ)
    write_lines(tmp_path / "made_up" / "dev" / "queries.jsonl", QUERIES)
    done = Evaluation()
    evaluate(folders_of({"KEFU_EVAL_DATA": str(tmp_path)}), done, house=[])
    tables = evaluation_markdown(done.rows, note(done))
    assert [(row.name, row.how) for row in done.rows] == [("made_up", "cold")]
    assert tables.count("| made_up | cold |") == 3
    assert "| made_up | cold | 4 | 7 | 1.000 | 1.000 | 1.000 | 1.000 |" in tables
    widths = {line.count("|") for line in tables.splitlines() if line.startswith("| made_up")}
    assert widths == {19, 13}


def test_a_set_with_pairs_is_adapted_to_and_others_are_asked_of_that_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(knowledge.adapt, "training_fields", small_house)
    monkeypatch.setattr(knowledge.adapt, "GOOD_ENOUGH", 100.0)
    for name in ("one", "two"):
        write_lines(tmp_path / name / "dev" / "faq.jsonl", FAQ)
        write_lines(tmp_path / name / "dev" / "queries.jsonl", QUERIES)
    (tmp_path / "one" / "train").mkdir()
    write_pairs(tmp_path / "one" / "train" / "pairs.jsonl", few_pairs(62, 2))
    done = Evaluation()
    evaluate(folders_of({"KEFU_EVAL_DATA": str(tmp_path)}), done, house=[])
    assert [(row.name, row.how) for row in done.rows] == [
        ("one", "cold"),
        ("two", "cold"),
        ("one", "adapted"),
        ("two", "adapted to one"),
    ]
    shipped = RankingModel.load().encoder.version
    assert done.models["one"].encoder.version != shipped
    assert "`one`: 124 pairs" in note(done)
    assert "came into use" in note(done)


def test_a_figure_that_nothing_was_asked_for_is_a_dash() -> None:
    trial = try_model(RankingModel.load(), [], [Question("能退吗", None)])
    tables = evaluation_markdown([Row("x", "cold", trial)], "note")
    assert "| x | cold | 0 | 1 | – | – | – | – |" in tables


def test_the_page_has_its_place_for_the_tables() -> None:
    page = (Path(__file__).parents[3] / "docs" / "retrieval.md").read_text("utf-8")
    assert page.count(f"<!-- {PART}:begin -->\n") == 1
    assert page.count(f"<!-- {PART}:end -->") == 1
