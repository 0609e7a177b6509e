"""The shipped model holds what it reached on questions that it was not trained on."""

from collections.abc import Sequence

import pytest

from knowledge.evaluation import Figures, Judged, Question, figures
from knowledge.evaluation_files import EvaluationSet
from knowledge.model import RankingModel
from knowledge.trial import ask_warm
from tests.evaluation.house import house_sets
from tests.evaluation.noise import FIGURES, floors

# Lower ends of the 95 % intervals of what was measured: the 2.5 % quantile of each figure over 400
# bootstrap samples of the questions of all five bases together (`tests.evaluation.noise`). After
# training anew: python -m tests.evaluation --floors
FLOORS = {
    "recall_at_1": 0.650,
    "mrr_at_10": 0.763,
    "auroc": 0.715,
    "precision": 0.884,
    "coverage": 0.059,
}


@pytest.fixture(scope="module")
def sets() -> list[EvaluationSet]:
    return house_sets()


@pytest.fixture(scope="module")
def judged(sets: Sequence[EvaluationSet]) -> list[Judged]:
    model = RankingModel.load()
    return [found for item in sets for found in ask_warm(model, item.entries, item.questions)]


@pytest.fixture(scope="module")
def reached(judged: list[Judged]) -> Figures:
    return figures(judged)


@pytest.mark.parametrize("name", FLOORS)
def test_no_figure_of_the_house_set_drops_by_more_than_its_noise(
    name: str, reached: Figures
) -> None:
    assert FIGURES[name](reached) >= FLOORS[name]


def test_the_house_set_is_large_and_asks_within_and_beyond_its_bases(
    sets: Sequence[EvaluationSet],
) -> None:
    questions = [question for item in sets for question in item.questions]
    outside = sum(question.gold is None for question in questions)
    assert sum(len(item.entries) for item in sets) >= 300
    assert len(questions) >= 1_500
    assert 0.1 <= outside / len(questions) <= 0.4


def test_every_right_answer_of_the_house_set_is_in_its_base_and_asked_in_other_words(
    sets: Sequence[EvaluationSet],
) -> None:
    for item in sets:
        entries = {entry.id: entry for entry in item.entries}
        assert len(entries) == len(item.entries)
        assert all(question.gold in entries for question in item.questions if question.gold)
        assert not _asked_as_written(item)


def _asked_as_written(item: EvaluationSet) -> list[Question]:
    written = {text for entry in item.entries for text in (entry.question, *entry.aliases)}
    return [question for question in item.questions if question.text in written]


def test_floors_lie_below_what_they_are_floors_of(judged: list[Judged], reached: Figures) -> None:
    low = floors(judged[::4], rounds=50)
    quarter = figures(judged[::4])
    for name, read in FIGURES.items():
        assert read(quarter) - 0.2 < low[name] < read(quarter)
