"""Texts to vectors, and what training makes of them."""

import subprocess
import sys

import numpy as np
import pytest

from knowledge.encoder import (
    DIMENSIONS,
    TermEncoder,
    Vocabulary,
    segment_sums,
    signs,
    terms_of,
)
from knowledge.training import Pair, blended, fit_encoder, groups_of, vocabulary_for

TEXTS = [
    "怎么申请退货",
    "退货怎么弄",
    "运费多少钱",
    "邮费要多少",
    "几点开门",
    "营业时间",
    "能开发票吗",
]
SAME = [
    Pair("怎么申请退货", "退货怎么弄", same=True),
    Pair("运费多少钱", "邮费要多少", same=True),
    Pair("几点开门", "营业时间", same=True),
]


def untrained(texts: list[str] = TEXTS) -> TermEncoder:
    return TermEncoder(vocabulary_for(texts, 1), np.zeros((0, DIMENSIONS), np.float32))


def nearness(encoder: TermEncoder, a: str, b: str) -> float:
    first, second = encoder.embed([a, b])
    return float(first @ second)


def test_a_vector_has_length_one_and_a_text_without_letters_none() -> None:
    vectors = untrained().embed([*TEXTS, "", "？！"])
    norms = np.linalg.norm(vectors, axis=1)
    assert vectors.shape == (len(TEXTS) + 2, DIMENSIONS)
    assert norms[:-2] == pytest.approx(1.0, abs=1e-5)
    assert norms[-2:] == pytest.approx(0.0)


def test_a_text_has_the_same_vector_in_any_company() -> None:
    encoder = untrained()
    together = encoder.embed(TEXTS)
    for text, vector in zip(TEXTS, together, strict=True):
        assert encoder.embed([text])[0] == pytest.approx(vector, abs=1e-6)


def test_shared_letters_are_near_before_any_training() -> None:
    encoder = untrained()
    assert nearness(encoder, "怎么申请退货", "退货怎么弄") > 0.3
    assert abs(nearness(encoder, "怎么申请退货", "几点开门")) < 0.25


def test_words_that_nobody_has_seen_have_vectors_of_their_own() -> None:
    encoder = fit_encoder(untrained(), SAME)
    assert nearness(encoder, "魑魅魍魉", "魑魅魍魉") == pytest.approx(1.0, abs=1e-5)
    assert abs(nearness(encoder, "魑魅魍魉", "饕餮貔貅")) < 0.3


def test_random_signs_are_the_same_in_every_process() -> None:
    told = (
        "from knowledge.encoder import signs; import numpy as np;"
        "print((signs(np.arange(5, dtype=np.uint64), 256) > 0).astype(int).tobytes().hex())"
    )
    other = subprocess.run(
        [sys.executable, "-c", told], capture_output=True, text=True, check=True, timeout=60
    )
    here = (signs(np.arange(5, dtype=np.uint64), 256) > 0).astype(int).tobytes().hex()
    assert other.stdout.strip() == here


def test_random_signs_are_balanced_and_independent() -> None:
    rows = signs(np.arange(400, dtype=np.uint64), DIMENSIONS)
    assert abs(float((rows > 0).mean()) - 0.5) < 0.01
    cosines = rows @ rows.T
    assert np.abs(cosines[~np.eye(len(rows), dtype=bool)]).max() < 0.4


def test_rare_terms_weigh_more_and_unseen_ones_most() -> None:
    vocabulary = Vocabulary.of(terms_of(["退货退", "退款", "退", "发票"]))
    keys = terms_of(["退货麟"]).keys
    rarity = dict(zip(keys.tolist(), vocabulary.rarity(keys).tolist(), strict=True))
    common, rare, unseen = (rarity[ord(char)] for char in "退货麟")
    assert common < rare < unseen == pytest.approx(vocabulary.unseen)


def test_a_vocabulary_keeps_terms_of_enough_texts() -> None:
    terms = terms_of(["退货", "退款"])
    assert ord("退") in Vocabulary.of(terms, 2).keys
    assert ord("款") not in Vocabulary.of(terms, 2).keys
    assert ord("款") in Vocabulary.of(terms, 1).keys


def test_terms_of_chosen_texts_are_as_if_taken_alone() -> None:
    taken = terms_of(TEXTS).take(np.array([4, 1]))
    alone = terms_of([TEXTS[4], TEXTS[1]])
    assert taken.keys.tolist() == alone.keys.tolist()
    assert taken.bounds.tolist() == alone.bounds.tolist()


def test_sums_between_bounds_are_zero_where_nothing_is() -> None:
    rows = np.arange(6, dtype=np.float32)[:, None]
    sums = segment_sums(rows, np.array([0, 0, 2, 2, 6, 6]))
    assert sums[:, 0].tolist() == [0.0, 1.0, 0.0, 14.0, 0.0]


def test_training_brings_equal_wordings_together_and_leaves_others_apart() -> None:
    before, after = untrained(), fit_encoder(untrained(), SAME * 20, epochs=10)
    for pair in SAME:
        assert nearness(after, pair.a, pair.b) > nearness(before, pair.a, pair.b) + 0.1
    assert nearness(after, "运费多少钱", "营业时间") < 0.3


def test_wordings_that_people_called_different_are_driven_apart() -> None:
    texts = ["怎么开通花卡", "怎么关闭花卡", "花卡开通方法", "花卡关闭方法"]
    same = [Pair(texts[0], texts[2], True), Pair(texts[1], texts[3], True)]
    apart = [*same, Pair(texts[0], texts[1], False), Pair(texts[2], texts[3], False)]
    encoder = fit_encoder(untrained(texts), apart * 20, epochs=10)
    assert nearness(encoder, texts[0], texts[1]) < nearness(untrained(texts), texts[0], texts[1])
    assert nearness(encoder, texts[0], texts[2]) > nearness(encoder, texts[0], texts[1])


def test_training_follows_its_seed_and_tells_how_far_it_is() -> None:
    heard: list[tuple[int, int]] = []
    first = fit_encoder(
        untrained(), SAME, seed=1, progress=lambda done, total: heard.append((done, total))
    )
    assert first.version == fit_encoder(untrained(), SAME, seed=1).version
    assert first.version != untrained().version
    assert heard[-1][0] == heard[-1][1] == len(heard)


def test_forgetting_terms_still_learns_and_follows_the_seed() -> None:
    encoder = fit_encoder(untrained(), SAME * 20, epochs=10, forget=0.3)
    assert encoder.version == fit_encoder(untrained(), SAME * 20, epochs=10, forget=0.3).version
    assert encoder.version != fit_encoder(untrained(), SAME * 20, epochs=10).version
    assert np.isfinite(encoder.learned).all()
    for pair in SAME:
        assert nearness(encoder, pair.a, pair.b) > nearness(untrained(), pair.a, pair.b) + 0.1


def test_without_pairs_there_is_nothing_to_learn() -> None:
    assert fit_encoder(untrained(), []) is not None
    assert fit_encoder(untrained(), []).version == untrained().version


def test_a_wider_vocabulary_keeps_what_was_learned() -> None:
    learned = fit_encoder(untrained(), SAME)
    wider = blended(learned, vocabulary_for([*TEXTS, "魑魅魍魉"], 1))
    keys = learned.vocabulary.keys
    assert wider.vectors(keys) == pytest.approx(learned.vectors(keys))
    assert len(wider.learned) > len(learned.learned)


def test_a_chain_of_equal_pairs_is_one_meaning() -> None:
    groups = groups_of(
        [Pair("a", "b", True), Pair("c", "b", True), Pair("d", "a", False), Pair("d", "e", True)]
    )
    assert groups["a"] == groups["b"] == groups["c"]
    assert groups["d"] == groups["e"] != groups["a"]
