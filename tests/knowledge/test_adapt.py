"""Learning from pairs: what is learned is better on what was not shown, and can be taken back."""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from domain.errors import InvalidInput, KnowledgeError
from knowledge.adapt import (
    Adapted,
    ModelShelf,
    adapt,
    pairs_of_entries,
    read_pairs,
)
from knowledge.documents import make_entry
from knowledge.model import RankingModel
from knowledge.training import Pair
from tests.knowledge.learning_from import few_pairs, small_house, write_pairs


class Learned:
    """One adaptation that all tests of it look at."""

    def __init__(self, folder: Path) -> None:
        self.shelf = ModelShelf(folder)
        self.heard: list[tuple[int, int]] = []
        self.said: list[str] = []
        self.pairs = [*few_pairs(), *_apart(few_pairs())]
        self.result = self.again()

    def again(self) -> Adapted:
        return adapt(
            self.pairs,
            self.shelf,
            progress=lambda done, total: self.heard.append((done, total)),
            say=self.said.append,
            house=small_house(),
            folds=2,
            epochs=3,
        )


def _apart(pairs: list[Pair]) -> list[Pair]:
    """Wordings of neighbouring meanings."""
    return [Pair(one.a, two.b, same=False) for one, two in zip(pairs, pairs[9:], strict=False)]


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    return Learned(tmp_path_factory.mktemp("learned"))


@pytest.fixture(scope="module")
def model() -> RankingModel:
    return RankingModel.load()


def test_a_model_comes_into_use_because_it_is_better_on_meanings_it_has_not_seen(
    learned: Learned,
) -> None:
    result = learned.result
    assert result.version == learned.shelf.version() == 1
    assert result.after.worth > result.before.worth
    assert (result.pairs, result.meanings) == (len(learned.pairs), 80)
    assert learned.shelf.current().encoder.version != RankingModel.load().encoder.version


def test_wordings_that_people_called_equal_come_nearer(learned: Learned) -> None:
    def nearness(model: RankingModel) -> float:
        first = model.encoder.embed([pair.a for pair in few_pairs()])
        second = model.encoder.embed([pair.b for pair in few_pairs()])
        return float((first * second).sum(axis=1).mean())

    assert nearness(learned.shelf.current()) > nearness(RankingModel.load()) + 0.1


def test_what_differing_terms_say_is_learned_too(learned: Learned) -> None:
    assert np.count_nonzero(learned.shelf.current().encoder.vocabulary.differing) > 50


def test_progress_only_grows_and_ends_at_the_end(learned: Learned) -> None:
    done = [done for done, _ in learned.heard]
    assert {total for _, total in learned.heard} == {1_000}
    assert done == sorted(done)
    assert done[-1] == 1_000
    assert len(set(done)) > 10
    assert learned.said


def test_a_version_keeps_the_figures_that_it_was_accepted_with(learned: Learned) -> None:
    (told,) = learned.shelf.versions()
    assert told["version"] == 1
    assert told["after"]["mrr_at_10"] == learned.result.after.mrr_at_10
    assert told["created_at"].endswith("Z")


def test_the_model_in_use_stays_where_the_new_one_is_not_better(tmp_path: Path) -> None:
    """Pairs whose wordings have nothing in common teach nothing that holds for others."""
    shelf = ModelShelf(tmp_path)
    questions = [pair.a for pair in few_pairs() if pair.same][::3]
    wordings = [pair.b for pair in few_pairs() if pair.same][::3]
    moved = wordings[7:] + wordings[:7]
    nonsense = [Pair(a, b, same=True) for a, b in zip(questions, moved, strict=True)]
    result = adapt(nonsense, shelf, house=small_house(), folds=2, epochs=3)
    assert result.version is None
    assert result.after.worth <= result.before.worth + 0.02
    assert (shelf.version(), shelf.versions()) == (0, [])


def test_too_few_meanings_are_refused_before_any_work(tmp_path: Path) -> None:
    pairs = [Pair(f"问题{n}", f"说法{n}", same=True) for n in range(20)]
    with pytest.raises(InvalidInput, match=r"至少需要 60 个.*现有 20 个"):
        adapt(pairs, ModelShelf(tmp_path))
    with pytest.raises(InvalidInput, match="现有 0 个"):
        adapt([], ModelShelf(tmp_path))


# Pairs


def test_pairs_are_read_from_all_files_and_unusable_texts_are_passed_over(tmp_path: Path) -> None:
    first = write_pairs(tmp_path / "a.jsonl", [Pair("能退吗", "可以退货吗", same=True)])
    second = tmp_path / "b.jsonl"
    second.write_text(
        '{"a": "几点开门", "b": "几点关门", "label": 0}\n\n'
        '{"a": "？", "b": "几点关门", "label": 1}\n'
        f'{{"a": "{"长" * 201}", "b": "几点关门", "label": 1}}\n',
        "utf-8",
    )
    expected = [Pair("能退吗", "可以退货吗", True), Pair("几点开门", "几点关门", False)]
    assert read_pairs([first, second]) == expected


@pytest.mark.parametrize(
    "line", ["{", '{"a": "x", "b": "y"}', '{"a": "x", "b": "y", "label": 2}', "[]", '"x"']
)
def test_a_pair_that_cannot_be_used_is_named_by_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(f'{{"a": "x", "b": "y", "label": 1}}\n{line}\n', "utf-8")
    with pytest.raises(KnowledgeError) as refused:
        read_pairs([path])
    assert refused.value.source == f"{path}:2"


def test_a_file_of_pairs_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError, match="无法读取"):
        read_pairs([tmp_path / "none.jsonl"])


def test_accepted_wordings_of_the_base_are_pairs() -> None:
    entries = [
        make_entry("能退货吗", "能。", source="a", aliases=["可以退吗", "？"]),
        make_entry("", "一段话。", source="b", aliases=["别名"]),
    ]
    assert pairs_of_entries(entries) == [Pair("能退货吗", "可以退吗", same=True)]


# The shelf


@pytest.fixture
def shelf(tmp_path: Path, model: RankingModel) -> ModelShelf:
    """With versions 1 and 2, which is in use."""
    shelf = ModelShelf(tmp_path / "data")
    shelf.add(model, {"pairs": 1})
    shelf.add(model, {"pairs": 2})
    return shelf


def test_an_empty_shelf_gives_the_shipped_model(tmp_path: Path, model: RankingModel) -> None:
    shelf = ModelShelf(tmp_path / "none")
    assert (shelf.version(), shelf.versions(), shelf.stamp()) == (0, [], (0, 0))
    assert shelf.current().encoder.version == model.encoder.version


def test_undo_goes_back_one_version_at_a_time_to_the_shipped_one(shelf: ModelShelf) -> None:
    assert [shelf.undo(), shelf.undo()] == [1, 0]
    with pytest.raises(InvalidInput, match="出厂模型"):
        shelf.undo()
    assert [item["version"] for item in shelf.versions()] == [1, 2]


def test_any_version_can_be_used_again_and_none_that_there_is_not(shelf: ModelShelf) -> None:
    shelf.use(0)
    assert shelf.version() == 0
    shelf.use(2)
    assert shelf.version() == 2
    with pytest.raises(InvalidInput, match="没有模型版本 3"):
        shelf.use(3)
    assert shelf.version() == 2


def test_a_version_made_after_an_undo_does_not_take_anothers_number(
    shelf: ModelShelf, model: RankingModel
) -> None:
    shelf.undo()
    assert shelf.add(model, {}) == 3
    assert shelf.undo() == 2


@pytest.mark.parametrize("change", [lambda s: s.undo(), lambda s: s.use(0), lambda s: s.use(2)])
def test_the_stamp_changes_with_every_choice(
    shelf: ModelShelf, change: Callable[[ModelShelf], object]
) -> None:
    before = shelf.stamp()
    assert shelf.stamp() == before
    change(shelf)
    assert shelf.stamp() != before


def test_who_looks_while_versions_change_sees_whole_ones(shelf: ModelShelf) -> None:
    ends = threading.Event()
    seen: list[int] = []
    failed: list[Exception] = []

    def look() -> None:
        while not ends.is_set():
            try:
                seen.append(shelf.version())
            except Exception as error:
                failed.append(error)

    reader = threading.Thread(target=look)
    reader.start()
    for number in range(60):
        shelf.use(number % 3)
    ends.set()
    reader.join()
    assert not failed
    assert set(seen) <= {0, 1, 2}


def test_a_damaged_shelf_is_an_error_that_names_it(shelf: ModelShelf, tmp_path: Path) -> None:
    (tmp_path / "data" / "models" / "current.json").write_text("{", "utf-8")
    with pytest.raises(KnowledgeError, match=r"current\.json"):
        shelf.current()
