"""Questions of equal meaning, gathered offline. The figures are those of the offline similarity on
36 meanings in ten wordings each, near neighbours among them, which it was not fitted on."""

import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from knowledge.clusters import (
    CANDIDATES,
    MAX_WORDINGS,
    Cluster,
    ClusterIndex,
    Floats,
    Thresholds,
    most_central,
    same_meaning,
)

MEANINGS = Path(__file__).parent / "data" / "same_questions.jsonl"
Labelled = list[tuple[str, str]]


@pytest.fixture(scope="module")
def labelled() -> Labelled:
    """(meaning, wording) in a mixed order, as customers come."""
    rows = [json.loads(line) for line in MEANINGS.read_text("utf-8").splitlines()]
    pairs = [(row["meaning"], wording) for row in rows for wording in row["wordings"]]
    random.Random(0).shuffle(pairs)
    return pairs


def clustered(texts: Sequence[str], index: ClusterIndex) -> list[int]:
    labels: list[int] = []
    for text in texts:
        placed = index.place(text)
        labels = [placed.cluster_id if label in placed.merged else label for label in labels]
        labels.append(placed.cluster_id)
    return labels


def purity(meanings: Sequence[str], labels: Sequence[int]) -> float:
    groups: dict[int, Counter[str]] = {}
    for meaning, label in zip(meanings, labels, strict=True):
        groups.setdefault(label, Counter())[meaning] += 1
    return sum(max(group.values()) for group in groups.values()) / len(labels)


def pairwise_f1(meanings: Sequence[str], labels: Sequence[int]) -> float:
    both = same = together = 0
    for (one, a), (other, b) in combinations(zip(meanings, labels, strict=True), 2):
        same += one == other
        together += a == b
        both += one == other and a == b
    return 2 * both / (same + together)


def test_the_set_has_twenty_meanings_in_ten_wordings_at_least(labelled: Labelled) -> None:
    sizes = Counter(meaning for meaning, _ in labelled)
    assert len(sizes) >= 20
    assert set(sizes.values()) == {10}
    assert len({wording for _, wording in labelled}) == len(labelled)


def test_offline_clusters_are_pure_and_find_most_wordings(labelled: Labelled) -> None:
    meanings = [meaning for meaning, _ in labelled]
    labels = clustered([wording for _, wording in labelled], ClusterIndex())
    assert purity(meanings, labels) >= 0.85
    assert pairwise_f1(meanings, labels) >= 0.60


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("退款多久到账", "怎么申请退款"),
        ("屏幕显示E03怎么办", "屏幕显示E05怎么办"),
        ("门店在哪", "几点开门"),
        ("什么时候发货", "发什么快递"),
        ("怎么连wifi", "蓝牙连不上"),
    ],
)
def test_near_neighbours_stay_apart(one: str, other: str) -> None:
    index = ClusterIndex()
    assert index.place(one).cluster_id != index.place(other).cluster_id


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("退款多久到账", "退款要多久才能到账呀"),
        ("请问怎么开发票？", "怎么开发票"),
        ("可以开专票吗", "能不能开专票"),
        ("屏幕显示E03怎么办", "显示e03"),
    ],
)
def test_other_words_for_one_question_meet(one: str, other: str) -> None:
    index = ClusterIndex()
    assert index.place(one).cluster_id == index.place(other).cluster_id


def test_similarity_is_symmetric_and_within_bounds(labelled: Labelled) -> None:
    texts = [wording for _, wording in labelled[:40]]
    matrix = np.array([same_meaning(text, texts) for text in texts])
    assert matrix == pytest.approx(matrix.T)
    assert matrix.min() >= 0.0
    assert matrix.max() <= 1.0
    assert np.diag(matrix) == pytest.approx(1.0)


def by_letter(text: str, others: Sequence[str]) -> Floats:
    """Texts are as near as their last numbers, over ten."""
    return np.array([1.0 - abs(float(text[1:]) - float(other[1:])) / 10 for other in others])


def test_a_chain_of_small_steps_does_not_swallow_what_is_far() -> None:
    index = ClusterIndex(by_letter, Thresholds(link=0.85, guard=0.6, merge=2.0))
    labels = clustered([f"问{number}" for number in range(14)], index)
    assert labels[0] == labels[1]
    assert labels[0] != labels[-1]


def test_a_question_between_two_near_clusters_makes_them_one() -> None:
    index = ClusterIndex(by_letter, Thresholds(link=0.9, guard=0.5, merge=0.7))
    first, second = index.place("问1"), index.place("问3")
    assert first.created
    assert second.created
    between = index.place("问2")
    assert {between.cluster_id, *between.merged} == {first.cluster_id, second.cluster_id}
    assert len(index) == 1


def test_a_decided_cluster_takes_questions_but_never_merges() -> None:
    index = ClusterIndex(by_letter, Thresholds(link=0.9, guard=0.5, merge=0.7))
    index.add(Cluster(1, ["问1"], open=False))
    index.add(Cluster(2, ["问3"]))
    placed = index.place("问2")
    assert placed.cluster_id in (1, 2)
    assert placed.merged == ()
    assert len(index) == 2


def test_what_a_question_is_compared_with_does_not_grow_with_history() -> None:
    compared: list[int] = []

    def counting(text: str, others: Sequence[str]) -> Floats:
        compared.append(len(others))
        return np.zeros(len(others))

    index = ClusterIndex(counting)
    for number in range(400):
        index.add(Cluster(number + 1, [f"第{number}件商品什么时候发货"] * MAX_WORDINGS))
    index.place("商品什么时候发货")
    assert max(compared) <= CANDIDATES * MAX_WORDINGS


def test_a_question_among_two_thousand_clusters_takes_milliseconds(labelled: Labelled) -> None:
    index = ClusterIndex()
    for number in range(2_000):
        _, wording = labelled[number % len(labelled)]
        index.add(Cluster(number + 1, [f"{wording}{number}号", f"{number}型{wording}"]))
    started = time.thread_time()
    for _, wording in labelled[:50]:
        index.place(f"{wording}呢亲")
    assert (time.thread_time() - started) / 50 < 0.05


def test_a_discarded_cluster_takes_no_more_questions() -> None:
    index = ClusterIndex()
    first = index.place("怎么开发票")
    index.discard(first.cluster_id)
    assert index.place("怎么开发票").created


def test_the_most_central_wording_stands_for_its_cluster() -> None:
    wordings = ["退款到账要等多少个工作日才行呢", "退款多久到账", "退款多久能到账", "钱呢"]
    assert most_central(wordings) in wordings[1:3]
