"""Learning from what a user has: pairs of wordings that mean the same, or do not.

From the pairs come an encoder, and simulated bases on which the ranking and the confidence are
fitted, each with an encoder that has not seen their meanings. The new model is compared with the
one in use on meanings that neither its encoder nor its weights have seen, and replaces it only if
it is better there. Minutes on a CPU.
"""

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from domain.decisions import Evidence, Retrieval
from domain.errors import InvalidInput, KnowledgeError
from domain.text import letters
from knowledge.differences import with_differences
from knowledge.documents import Entry, Progress
from knowledge.doubts import judge_of
from knowledge.encoder import TermEncoder
from knowledge.evaluation import Judged, figures
from knowledge.fitting import Measured, fit_gate, fit_model, fit_rank, measure, profile_of_measured
from knowledge.model import RankingModel
from knowledge.simulation import (
    Field,
    fold_of,
    simulate_house,
    simulate_pairs,
    strangers_to,
    training_fields,
)
from knowledge.training import EPOCHS, Pair, blended, fit_encoder, groups_of, vocabulary_for

MAX_PAIRS = 200_000
MIN_MEANINGS = 60
"""Fewer meanings with several wordings say more about chance than about customers."""
MAX_CHARS = 200
FOLDS = 3
FIT_STEPS = 5
"""A fit of the ranking takes as long as about so many other steps."""
SIZES = (300, 300, 800)
FORGET = 0.2
"""Whose wordings are few learns less by heart: recall@1 + 1 to 3 points on meanings not seen."""
SEED = 0
GOOD_ENOUGH = 0.98
"""A model comes into use when it leaves at most this share of what the one in use lacks of a
perfect one (by the mean of MRR and AUROC on held-out meanings)."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Figures on meanings that were not trained on."""

    recall_at_1: float
    mrr_at_10: float
    auroc: float
    precision: float
    coverage: float
    coverage_90: float

    @property
    def worth(self) -> float:
        return (self.mrr_at_10 + self.auroc) / 2


@dataclass(frozen=True, slots=True)
class Adapted:
    """``version`` is None where the model in use was the better one."""

    pairs: int
    meanings: int
    before: HeldOut
    after: HeldOut
    seconds: float
    version: int | None = None


def read_pairs(paths: Iterable[Path]) -> list[Pair]:
    """JSON lines ``{"a": …, "b": …, "label": 0 | 1}``. Raises KnowledgeError with the line."""
    pairs: list[Pair] = []
    for path in paths:
        try:
            with path.open(encoding="utf-8") as lines:
                pairs += _parsed(lines, path)
        except (OSError, UnicodeDecodeError) as error:
            raise KnowledgeError(str(path), f"无法读取：{error}") from error
    return pairs


def _parsed(lines: Iterable[str], path: Path) -> Iterator[Pair]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if number > MAX_PAIRS:
            raise KnowledgeError(str(path), f"超过 {MAX_PAIRS} 行")
        try:
            row = json.loads(line)
            a, b, same = str(row["a"]), str(row["b"]), int(row["label"])
        except (ValueError, KeyError, TypeError) as error:
            reason = '应为 {"a": "…", "b": "…", "label": 0 或 1}'
            raise KnowledgeError(f"{path}:{number}", reason) from error
        if same not in (0, 1):
            raise KnowledgeError(f"{path}:{number}", "label 应为 0 或 1")
        if letters(a) and letters(b) and max(len(a), len(b)) <= MAX_CHARS:
            yield Pair(a, b, same == 1)


def pairs_of_entries(entries: Iterable[Entry]) -> list[Pair]:
    """What people have accepted as wordings of one entry."""
    return [
        Pair(entry.question, alias, same=True)
        for entry in entries
        for alias in entry.aliases
        if letters(entry.question) and letters(alias)
    ]


def adapt(
    pairs: Sequence[Pair],
    shelf: "ModelShelf",
    *,
    progress: Progress | None = None,
    say: Say = lambda _text: None,
    house: Sequence[Field] | None = None,
    folds: int = FOLDS,
    epochs: int = EPOCHS,
) -> Adapted:
    """``house``: fields that lend passages and strangers; default: all that may be learned from.

    Raises InvalidInput where there is too little to learn from.
    """
    began = time.monotonic()
    meanings = _several(pairs)
    if meanings < MIN_MEANINGS:
        raise InvalidInput(
            "pairs", f"至少需要 {MIN_MEANINGS} 个有多种说法的问题才能学习，现有 {meanings} 个"
        )
    plan = _Plan(progress, steps=folds * (1 + len(SIZES) + FIT_STEPS) + 2 + FIT_STEPS)
    shipped, current = RankingModel.load(), shelf.current()
    fields = training_fields() if house is None else house
    start = _start(shipped, pairs, fields)
    say("学习表达方式")
    full = _learned(start, pairs, epochs, plan)
    say("在未见过的问题上检验")
    apart, ours = _folds(pairs, start, full, current, fields, plan, folds, epochs)
    passages = _passages(full, fields, plan)
    judged = []
    for number in range(folds):
        judged.append(_judged_apart(apart, number, passages))
        plan.part(FIT_STEPS)(1, 1)
    after, before = held_out(judged), held_out(ours)
    say("确定排序与置信度")
    model = fit_model(full, [*chain.from_iterable(apart), *passages])
    plan.part(FIT_STEPS)(1, 1)
    result = Adapted(len(pairs), meanings, before, after, time.monotonic() - began)
    if 1.0 - after.worth > GOOD_ENOUGH * (1.0 - before.worth):
        return result
    version = shelf.add(model, asdict(result))
    return Adapted(**{**_fields(result), "version": version})


def _fields(result: Adapted) -> dict[str, Any]:
    return {name: getattr(result, name) for name in Adapted.__slots__}


def _several(pairs: Sequence[Pair]) -> int:
    groups = np.array(list(groups_of(pairs).values()), np.int64)
    return int((np.bincount(groups) > 1).sum()) if groups.size else 0


def _start(shipped: RankingModel, pairs: Sequence[Pair], fields: Sequence[Field]) -> TermEncoder:
    """The shipped encoder over all terms that the pairs and the house set have."""
    texts = list(groups_of(pairs)) + [text for field in fields for text in field.texts()]
    return blended(shipped.encoder, vocabulary_for(texts))


def _learned(start: TermEncoder, pairs: Sequence[Pair], epochs: int, plan: "_Plan") -> TermEncoder:
    encoder = fit_encoder(start, pairs, epochs=epochs, forget=FORGET, progress=plan.part())
    return with_differences(encoder, pairs)


def _folds(
    pairs: Sequence[Pair],
    start: TermEncoder,
    full: TermEncoder,
    current: RankingModel,
    fields: Sequence[Field],
    plan: "_Plan",
    count: int,
    epochs: int,
) -> tuple[list[list[Measured]], list[list[Judged]]]:
    """Per fold: bases of its meanings as an encoder sees them that was trained on the others, and
    how the model in use answers the same questions."""
    rng = np.random.default_rng(SEED)
    meaning = groups_of(pairs)
    strangers = strangers_to(pairs, fields, start)
    folds: list[list[Measured]] = []
    ours: list[list[Judged]] = []
    for fold in range(count):
        seen = [pair for pair in pairs if not _touches(pair, meaning, (fold, count))]
        encoder = _learned(start, seen, epochs, plan)
        judge = judge_of(
            [pair for pair in pairs if _touches(pair, meaning, (fold, count))], encoder
        )
        measured = []
        for size in SIZES:
            made = simulate_pairs(pairs, full, strangers, rng, size, (fold, count))
            measured.append(measure(made, encoder, judge=judge))
            ours.append(_judge(measure(made, current.encoder), current))
            plan.part()(1, 1)
        folds.append(measured)
    return folds, ours


def _touches(pair: Pair, meaning: dict[str, int], fold: tuple[int, int]) -> bool:
    return any(fold_of(meaning[text], fold[1]) == fold[0] for text in (pair.a, pair.b))


def _passages(full: TermEncoder, fields: Sequence[Field], plan: "_Plan") -> list[Measured]:
    """Passages are not among anybody's pairs; without some the models would forget them."""
    rng = np.random.default_rng(SEED)
    made = [
        item
        for item in simulate_house(fields, rng)
        if not all(entry.question for entry in item.entries)
    ]
    measured = [measure(item, full) for item in made]
    plan.part()(1, 1)
    return measured


def _judged_apart(
    folds: Sequence[Sequence[Measured]], fold: int, passages: Sequence[Measured]
) -> list[Judged]:
    others = [item for number, part in enumerate(folds) if number != fold for item in part]
    rank = fit_rank([*others, *passages])
    # The encoder is not looked at: the features were measured with the fold's own.
    model = RankingModel(RankingModel.load().encoder, rank, *fit_gate([*others, *passages], rank))
    return [item for part in folds[fold] for item in _judge(part, model)]


def _judge(measured: Measured, model: RankingModel) -> list[Judged]:
    profile = profile_of_measured(measured, model.rank)
    judged = []
    for found, gold in zip(measured.found, measured.gold, strict=True):
        confidence, ids = 0.0, tuple[str, ...]()
        if found.rows.size:
            ranked = model.ranked(found, profile)
            confidence = ranked.confidence
            ids = tuple(str(row) for row in found.rows[ranked.order[:10]].tolist())
        evidence = tuple(Evidence(name, "", "", "") for name in ids)
        judged.append(Judged(str(gold) if gold >= 0 else None, Retrieval("", confidence, evidence)))
    return judged


def held_out(parts: Sequence[Sequence[Judged]]) -> HeldOut:
    found = figures([item for part in parts for item in part])
    return HeldOut(
        found.recall_at_1,
        found.mrr_at_10,
        found.auroc,
        found.precision,
        found.coverage,
        found.coverage_90,
    )


class _Plan:
    """One progress figure over parts of unlike size, in thousandths."""

    def __init__(self, progress: Progress | None, steps: int) -> None:
        self._progress, self._steps, self._begun = progress, steps, 0

    def part(self, size: int = 1) -> Progress:
        begun = self._begun
        self._begun += size

        def report(done: int, total: int) -> None:
            if self._progress is not None:
                share = (begun + size * done / max(total, 1)) / self._steps
                self._progress(min(int(share * 1_000), 1_000), 1_000)

        return report


class ModelShelf:
    """The adapted models of a data folder: every version is kept, one is in use.

    ``models/current.json`` says which (0: the one that is shipped); it is replaced at once, so a
    running service that looks at it sees the old or the new.
    """

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir.expanduser() / "models"

    def stamp(self) -> tuple[int, int]:
        """Changes whenever another model comes into use. Cheap."""
        try:
            found = (self._folder / "current.json").stat()
        except FileNotFoundError:
            return 0, 0
        return found.st_mtime_ns, found.st_ino

    def current(self) -> RankingModel:
        version = self.version()
        return RankingModel.load(self._path(version) if version else None)

    def version(self) -> int:
        return int(self._state().get("version", 0))

    def versions(self) -> list[dict[str, Any]]:
        """Oldest first: version, created_at and the figures that it was accepted with."""
        return list(self._state().get("versions", []))

    def add(self, model: RankingModel, told: dict[str, Any]) -> int:
        state = self._state()
        known = state.get("versions", [])
        version = max((item["version"] for item in known), default=0) + 1
        model.save(self._path(version))
        created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        known = [*known, {**told, "version": version, "created_at": created}]
        self._write({"version": version, "versions": known})
        return version

    def use(self, version: int) -> None:
        """0 is the shipped model. Raises InvalidInput for a version that there is not."""
        known = self._state().get("versions", [])
        if version and version not in {item["version"] for item in known}:
            raise InvalidInput("version", f"没有模型版本 {version}")
        self._write({"version": version, "versions": known})

    def undo(self) -> int:
        """Back to the version before the one in use; which that is."""
        current = self.version()
        if not current:
            raise InvalidInput("version", "正在使用出厂模型，没有可撤销的学习")
        earlier = [item["version"] for item in self.versions() if item["version"] < current]
        version = max(earlier, default=0)
        self.use(version)
        return version

    def _path(self, version: int) -> Path:
        return self._folder / f"{version:04d}.npz"

    def _state(self) -> dict[str, Any]:
        try:
            state = json.loads((self._folder / "current.json").read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise KnowledgeError(str(self._folder), f"models/current.json：{error}") from error
        return dict(state)

    def _write(self, state: dict[str, Any]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        scratch = self._folder / "current.json.new"
        with scratch.open("w", encoding="utf-8") as file:
            json.dump(state, file, ensure_ascii=False, indent=1)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(self._folder / "current.json")


def current_model(data_dir: Path) -> RankingModel:
    return ModelShelf(data_dir).current()
