"""Simulated bases: what they say about their questions is true."""

from dataclasses import replace

import numpy as np
import pytest

from knowledge.documents import Entry
from knowledge.encoder import TermEncoder
from knowledge.model import RankingModel
from knowledge.simulation import (
    EVALUATED,
    SAME_NEARNESS,
    Field,
    Simulation,
    fold_of,
    house_fields,
    pairs_of,
    simulate_house,
    simulate_pairs,
    strangers_to,
    training_fields,
)
from knowledge.training import Pair, groups_of

FOLDS = 2


@pytest.fixture(scope="module")
def fields() -> list[Field]:
    return house_fields()


@pytest.fixture(scope="module")
def encoder() -> TermEncoder:
    return RankingModel.load().encoder


@pytest.fixture(scope="module")
def bases(fields: list[Field]) -> list[Simulation]:
    return simulate_house(fields, np.random.default_rng(3))


@pytest.fixture(scope="module")
def pairs(fields: list[Field]) -> list[Pair]:
    return pairs_of([field for field in fields if field.name in EVALUATED])


def base_of_pairs(pairs: list[Pair], encoder: TermEncoder, fold: int, seed: int = 5) -> Simulation:
    rng = np.random.default_rng(seed)
    return simulate_pairs(pairs, encoder, ["今天天气怎么样"] * 9, rng, 40, (fold, FOLDS))


def wordings(entry: Entry) -> set[str]:
    return {entry.question, *entry.aliases}


def test_what_may_be_learned_from_is_never_what_is_measured_on(fields: list[Field]) -> None:
    learned = {field.name for field in training_fields()}
    assert learned
    assert not learned & EVALUATED
    assert learned | EVALUATED == {field.name for field in fields}


def test_every_meaning_of_the_house_set_has_wordings_of_its_own(fields: list[Field]) -> None:
    for field in fields:
        for meaning in field.meanings:
            assert meaning.question or meaning.answer
            assert len(meaning.wordings) >= 2
            assert meaning.question not in meaning.wordings


def test_the_right_entry_is_that_of_the_questions_meaning(
    fields: list[Field], bases: list[Simulation]
) -> None:
    plain = bases[: 2 * len(fields)]
    for base in plain:
        field = next(field for field in fields if field.name == base.field)
        for asked in base.asked:
            if asked.gold >= 0:
                entry = base.entries[asked.gold]
                meaning = field.meanings[int(entry.id.rpartition("-")[2])]
                assert asked.text in meaning.wordings
                assert entry.question == meaning.question


def test_a_hidden_meaning_has_nothing_in_the_base_and_its_questions_no_answer(
    fields: list[Field], bases: list[Simulation]
) -> None:
    for base in bases[: 2 * len(fields)]:
        field = next(field for field in fields if field.name == base.field)
        shown = {int(entry.id.rpartition("-")[2]) for entry in base.entries}
        hidden = [m for number, m in enumerate(field.meanings) if number not in shown]
        assert hidden
        stored = {text for entry in base.entries for text in wordings(entry)}
        for meaning in hidden:
            assert not stored & {meaning.question or "-", *meaning.wordings}


def test_no_question_is_a_wording_of_the_base(bases: list[Simulation]) -> None:
    for base in bases:
        stored = {text for entry in base.entries for text in wordings(entry)}
        inside = {asked.text for asked in base.asked if asked.gold >= 0}
        # Two meanings may share a wording by mistake of the set's authors; hardly any do.
        assert len(stored & inside) <= 0.01 * len(inside)


def test_each_base_asks_what_it_knows_and_what_it_does_not(bases: list[Simulation]) -> None:
    for base in bases:
        outside = sum(asked.gold < 0 for asked in base.asked) / len(base.asked)
        assert 0.2 < outside < 0.8
        assert all(asked.gold < len(base.entries) for asked in base.asked)


def test_the_same_seed_gives_the_same_bases(fields: list[Field], bases: list[Simulation]) -> None:
    assert simulate_house(fields, np.random.default_rng(3)) == bases
    assert simulate_house(fields, np.random.default_rng(4)) != bases


def test_a_base_of_pairs_holds_meanings_of_its_fold_only(
    pairs: list[Pair], encoder: TermEncoder
) -> None:
    meaning = groups_of(pairs)
    for fold in range(FOLDS):
        base = base_of_pairs(pairs, encoder, fold)
        known = [text for entry in base.entries for text in wordings(entry) if text]
        known += [asked.text for asked in base.asked if asked.text in meaning]
        assert known
        assert {fold_of(meaning[text], FOLDS) for text in known} == {fold}


def test_a_base_of_pairs_knows_the_right_answers(pairs: list[Pair], encoder: TermEncoder) -> None:
    meaning = groups_of(pairs)
    base = base_of_pairs(pairs, encoder, 0)
    by_meaning = {meaning[entry.question]: number for number, entry in enumerate(base.entries)}
    assert len(by_meaning) == len(base.entries) <= 40
    for asked in base.asked:
        if asked.gold >= 0:
            assert by_meaning[meaning[asked.text]] == asked.gold
            assert asked.text != base.entries[asked.gold].question
        elif asked.text in meaning:
            assert meaning[asked.text] not in by_meaning


def test_what_likely_is_answered_is_not_asked_as_unanswerable(
    pairs: list[Pair], encoder: TermEncoder
) -> None:
    meaning = groups_of(pairs)
    base = base_of_pairs(pairs, encoder, 0)
    outside = [item.text for item in base.asked if item.gold < 0 and item.text in meaning]
    entries = encoder.embed([entry.question for entry in base.entries])
    assert outside
    assert float((encoder.embed(outside) @ entries.T).max()) < SAME_NEARNESS + 1e-5


def test_a_base_of_pairs_follows_its_seed(pairs: list[Pair], encoder: TermEncoder) -> None:
    first = base_of_pairs(pairs, encoder, 1)
    assert base_of_pairs(pairs, encoder, 1) == first
    assert base_of_pairs(pairs, encoder, 1, seed=6) != first


def test_strangers_are_of_the_fields_least_like_the_pairs(
    fields: list[Field], encoder: TermEncoder
) -> None:
    telecom = next(field for field in fields if field.name == "telecom")
    found = set(strangers_to(pairs_of([telecom]), fields, encoder))
    own = {text for meaning in telecom.meanings for text in meaning.wordings}
    assert found
    assert not found >= own
    renamed = replace(telecom, name="other")
    assert strangers_to(pairs_of([telecom]), [renamed], encoder)
