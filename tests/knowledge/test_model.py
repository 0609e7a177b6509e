"""The ranking model as a file, and its parts."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from domain.errors import KnowledgeError
from knowledge.model import (
    GATE,
    NO_PROFILE,
    RANK,
    SHIPPED,
    Logistic,
    Profile,
    RankingModel,
    fit_logistic,
    sigmoid,
)
from tests.evaluation.house import house_sets


@pytest.fixture(scope="module")
def shipped() -> RankingModel:
    return RankingModel.load()


@pytest.fixture
def saved(shipped: RankingModel, tmp_path: Path) -> Path:
    path = tmp_path / "models" / "model.npz"
    shipped.save(path)
    return path


def test_what_is_saved_comes_back_equal_within_quantisation(
    shipped: RankingModel, saved: Path
) -> None:
    loaded = RankingModel.load(saved)
    learned, before = loaded.encoder.learned, shipped.encoder.learned
    step = np.abs(before).max(axis=1, keepdims=True) / 127.0
    assert (np.abs(learned - before) <= step * 0.5 + 1e-7).all()
    assert (loaded.encoder.vocabulary.keys == shipped.encoder.vocabulary.keys).all()
    assert loaded.encoder.vocabulary.idf == pytest.approx(shipped.encoder.vocabulary.idf, rel=1e-3)
    for name in ("rank", "gate", "scope"):
        ours, theirs = getattr(loaded, name), getattr(shipped, name)
        assert (ours.weights == theirs.weights).all()
        assert ours.bias == theirs.bias
    assert loaded.cap == shipped.cap
    assert [path.name for path in saved.parent.iterdir()] == ["model.npz"]


def test_what_was_learned_of_differing_terms_is_saved(
    shipped: RankingModel, tmp_path: Path
) -> None:
    vocabulary = shipped.encoder.vocabulary
    weights = np.linspace(-1.0, 1.0, vocabulary.keys.size, dtype=np.float32)
    told = replace(shipped.encoder, vocabulary=replace(vocabulary, differing=weights))
    replace(shipped, encoder=told).save(tmp_path / "told.npz")
    found = RankingModel.load(tmp_path / "told.npz").encoder.vocabulary.differing
    assert found == pytest.approx(weights, abs=1e-3)


def test_vectors_say_the_same_after_saving(shipped: RankingModel, saved: Path) -> None:
    texts = [question.text for question in house_sets()[3].questions[:100]]
    ours, theirs = RankingModel.load(saved).encoder.embed(texts), shipped.encoder.embed(texts)
    assert float((ours * theirs).sum(axis=1).min()) > 0.999


def test_what_was_loaded_and_saved_again_is_the_same_model(saved: Path, tmp_path: Path) -> None:
    once = RankingModel.load(saved)
    once.save(tmp_path / "again.npz")
    assert RankingModel.load(tmp_path / "again.npz").encoder.version == once.encoder.version


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_file_that_was_cut_off_is_an_error_that_names_it(saved: Path, share: float) -> None:
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(KnowledgeError) as refused:
        RankingModel.load(saved)
    assert refused.value.source == str(saved)


@pytest.mark.parametrize("place", [0.05, 0.3, 0.5, 0.7, 0.9])
def test_a_damaged_file_is_an_error_and_never_a_model(saved: Path, place: float) -> None:
    content = bytearray(saved.read_bytes())
    start = int(len(content) * place)
    content[start : start + 64] = bytes(byte ^ 0xFF for byte in content[start : start + 64])
    saved.write_bytes(content)
    with pytest.raises(KnowledgeError):
        RankingModel.load(saved)


def test_a_model_of_another_version_is_refused(saved: Path) -> None:
    with np.load(saved) as found:
        arrays = dict(found)
    arrays["gate_names"] = arrays["gate_names"][:-1]
    np.savez(saved, allow_pickle=False, **arrays)
    with pytest.raises(KnowledgeError, match="another version"):
        RankingModel.load(saved)


def test_a_model_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError, match="cannot be read"):
        RankingModel.load(tmp_path / "none.npz")


def test_a_file_with_code_in_it_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "evil.npz"
    np.savez(path, rank_names=np.array([print], dtype=object))
    with pytest.raises(KnowledgeError):
        RankingModel.load(path)


def test_the_shipped_model_is_small_enough_to_be_shipped() -> None:
    import knowledge

    path = Path(knowledge.__path__[0]) / SHIPPED
    assert path.stat().st_size < 5_000_000


def test_saving_replaces_a_model_that_is_in_use(shipped: RankingModel, saved: Path) -> None:
    shutil.copy(saved, saved.with_name("before.npz"))
    with saved.open("rb") as in_use:
        shipped.save(saved)
        assert in_use.read() == saved.with_name("before.npz").read_bytes()
    RankingModel.load(saved)


def test_logistic_regression_finds_the_weights_that_made_the_data() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(20_000, 3)) * (1.0, 5.0, 0.2) + (0.0, 2.0, 1.0)
    logits = rows @ (1.0, -0.3, 4.0) - 2.0
    right = rng.random(len(rows)) < 1.0 / (1.0 + np.exp(-logits))
    found = fit_logistic(rows, right, penalty=1e-3)
    assert found.weights == pytest.approx([1.0, -0.3, 4.0], rel=0.1)
    assert found.bias == pytest.approx(-2.0, rel=0.15)


def test_a_feature_that_never_changes_gets_no_weight() -> None:
    rows = np.array([[1.0, 7.0], [2.0, 7.0], [3.0, 7.0], [4.0, 7.0]])
    found = fit_logistic(rows, np.array([False, False, True, True]))
    assert found.weights[1] == 0.0
    assert found.weights[0] > 0.0


def test_weighted_rows_count_as_often_as_they_weigh() -> None:
    rows, right = np.array([[0.0], [0.0], [1.0]]), np.array([True, False, True])
    weighted = fit_logistic(rows, right, np.array([3.0, 1.0, 2.0]))
    repeated = fit_logistic(rows[[0, 0, 0, 1, 2, 2]], right[[0, 0, 0, 1, 2, 2]])
    assert weighted.weights == pytest.approx(repeated.weights, abs=1e-6)
    assert weighted.bias == pytest.approx(repeated.bias, abs=1e-6)


def test_a_profile_places_a_score_among_those_reached_without_an_answer() -> None:
    profile = Profile(np.arange(10, dtype=np.float64))
    standard, share = profile.place(9.5)
    assert share == 1.0
    assert standard == pytest.approx((9.5 - 4.5) / np.arange(10).std())
    assert profile.place(4.5)[0] == pytest.approx(0.0)
    assert NO_PROFILE.place(3.0) == (0.0, 0.5)


def test_a_sigmoid_of_anything_is_a_share() -> None:
    assert sigmoid(0.0) == 0.5
    assert 0.0 <= sigmoid(-1e9) < 1e-9
    assert 1.0 - 1e-9 < sigmoid(1e9) <= 1.0


def test_a_logistic_model_gives_a_logit_a_row() -> None:
    model = Logistic(np.array([1.0, -1.0]), 0.5)
    assert model.logits(np.array([[2.0, 1.0], [0.0, 0.0]])).tolist() == [1.5, 0.5]


def test_the_shipped_models_have_a_weight_for_each_feature(shipped: RankingModel) -> None:
    assert shipped.rank.weights.shape == (len(RANK),)
    assert shipped.gate.weights.shape == shipped.scope.weights.shape == (len(GATE),)
