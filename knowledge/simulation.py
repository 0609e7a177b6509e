"""Knowledge bases made for training and measuring, with questions whose right answer is known.

A *meaning* is what people said to be one question in several wordings. One wording becomes the
entry, others are asked; meanings that are left out of the base give questions that it cannot
answer, single ones (near misses) as well as whole topics (something else of the same field), and
other fields give strangers.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import TypeVar
from zlib import crc32

import numpy as np

from knowledge.documents import Entry
from knowledge.encoder import TermEncoder
from knowledge.training import Pair, groups_of

T = TypeVar("T")

HOUSE = "house"
EVALUATED = frozenset(("telecom", "travel"))
HIDDEN_TOPICS, HIDDEN_SINGLES = 0.25, 0.08
STRANGERS = 0.35
HIDDEN_MEANINGS, NEAR = 0.25, 0.4
"""Of the meanings of pairs, and of what is asked of those that are not hidden."""
ASKED_HIDDEN = 3
SAME_NEARNESS, EQUAL_NEARNESS = 0.6, 0.85
"""Cosines from which two entries, and a question and an entry, likely are one meaning."""
BRANDS = (
    *(
        "会员",
        "乐享卡",
        "蓝鲸",
        "优选",
        "云盘",
        "白条",
        "信用付",
        "花卡",
        "月付",
        "安心租",
        "校园卡",
    ),
    *("公交卡", "积分", "宠物店", "直播", "课程", "医保", "社保", "公积金", "车险", "滴答", "先享"),
    *("账本", "小店", "安心租", "校园卡"),
)
"""A shop's customers often name its product in every question: some bases are given a name."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """``question`` is empty for a passage."""

    question: str
    answer: str
    wordings: tuple[str, ...]
    topic: str


@dataclass(frozen=True, slots=True)
class Field:
    """``outside``: questions of the field that none of its meanings answers."""

    name: str
    meanings: tuple[Meaning, ...]
    outside: tuple[str, ...] = ()

    def texts(self) -> Iterator[str]:
        for meaning in self.meanings:
            yield from filter(None, (meaning.question, meaning.answer, *meaning.wordings))


@dataclass(frozen=True, slots=True)
class Asked:
    """``gold``: number of the entry that answers; -1 where none does."""

    text: str
    gold: int


@dataclass(frozen=True, slots=True)
class Simulation:
    field: str
    entries: tuple[Entry, ...]
    asked: tuple[Asked, ...]


def training_fields() -> list[Field]:
    """What may be learned from; the rest is for measuring and is never trained on."""
    return [field for field in house_fields() if field.name not in EVALUATED]


def house_fields() -> list[Field]:
    """The house set: written for this repository, see ``docs/retrieval.md``."""
    folder = files("knowledge").joinpath(HOUSE)
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith(".jsonl"))
    fields = []
    for name in names:
        if name.endswith(".outside.jsonl"):
            continue
        field = name.removesuffix(".jsonl")
        rows = map(json.loads, folder.joinpath(name).read_text("utf-8").splitlines())
        meanings = tuple(
            Meaning(row["question"], row["answer"], tuple(row["wordings"]), row["category"])
            for row in rows
        )
        outside = folder.joinpath(f"{field}.outside.jsonl").read_text("utf-8").splitlines()
        fields.append(Field(field, meanings, tuple(json.loads(row)["query"] for row in outside)))
    return fields


def pairs_of(fields: Sequence[Field]) -> list[Pair]:
    """A passage has no question; its wordings ask for different facts and are no pairs."""
    return [
        Pair(meaning.question, wording, same=True)
        for field in fields
        for meaning in field.meanings
        if meaning.question
        for wording in meaning.wordings
    ]


def simulate_house(fields: Sequence[Field], rng: np.random.Generator) -> list[Simulation]:
    """Each field twice (poor and rich entries), half of them also under a product's name."""
    plain = [_of_field(field, fields, rng, rich=rich) for field in fields for rich in (False, True)]
    names = [made for made in plain if all(entry.question for entry in made.entries)]
    chosen = rng.permutation(len(names))[: len(names) // 2]
    return plain + [_branded(names[number], rng) for number in chosen]


def _of_field(
    field: Field, fields: Sequence[Field], rng: np.random.Generator, *, rich: bool
) -> Simulation:
    """``rich``: entries have answers and two aliases."""
    hidden = _hidden(field, rng)
    entries: list[Entry] = []
    asked: list[Asked] = []
    for number, meaning in enumerate(field.meanings):
        wordings = _shuffled(meaning.wordings, rng)
        if number in hidden:
            asked += [Asked(wording, -1) for wording in wordings[:ASKED_HIDDEN]]
            continue
        aliases = wordings[:2] if rich and meaning.question else []
        answer = meaning.answer if rich or not meaning.question else ""
        asked += [Asked(wording, len(entries)) for wording in wordings[len(aliases) :]]
        entries.append(_entry(f"{field.name}-{number}", meaning.question, answer, aliases))
    asked += [Asked(text, -1) for text in field.outside]
    others = [text for other in fields if other is not field for text in _wordings(other)]
    asked += _strangers(others, len(asked), rng)
    return Simulation(field.name, tuple(entries), tuple(asked))


def _hidden(field: Field, rng: np.random.Generator) -> set[int]:
    topics = _shuffled(sorted({meaning.topic for meaning in field.meanings}), rng)
    hidden: set[int] = set()
    total = len(field.meanings)
    for topic in topics:
        if len(hidden) >= HIDDEN_TOPICS * total:
            break
        hidden |= {n for n, meaning in enumerate(field.meanings) if meaning.topic == topic}
    if len(hidden) > total // 2:
        hidden = set(rng.permutation(sorted(hidden))[: total * 2 // 5].tolist())
    return hidden | set(rng.permutation(total)[: int(HIDDEN_SINGLES * total)].tolist())


def _branded(made: Simulation, rng: np.random.Generator) -> Simulation:
    """The same base of a product that nearly every question names; what it cannot answer is
    mostly about another product."""
    own, other = rng.choice(BRANDS, 2, replace=False)
    strangers = len(made.asked) - round(len(made.asked) * STRANGERS / (1 + STRANGERS))

    def named(text: str, name: str) -> str:
        return text + name if len(text) < 6 and rng.random() < 0.3 else name + text

    entries = tuple(
        replace(
            entry,
            question=named(entry.question, own) if rng.random() < 0.93 else entry.question,
            aliases=tuple(named(alias, own) for alias in entry.aliases),
        )
        for entry in made.entries
    )
    asked = []
    for number, item in enumerate(made.asked):
        if item.gold >= 0:
            text = named(item.text, own) if rng.random() < 0.93 else item.text
        elif number >= strangers:
            text = item.text
        else:
            text = named(item.text, other if rng.random() < 0.7 else own)
        asked.append(Asked(text, item.gold))
    return Simulation(made.field, entries, tuple(asked))


def simulate_pairs(
    pairs: Sequence[Pair],
    encoder: TermEncoder,
    strangers: Sequence[str],
    rng: np.random.Generator,
    size: int,
    fold: tuple[int, int],
) -> Simulation:
    """A base of at most ``size`` entries from the meanings of ``fold`` (number, of how many).

    Meanings are left out of it at random and as whole topics: those that ``encoder`` finds near to
    one drawn at random.
    """
    by_meaning: dict[int, list[str]] = {}
    for text, meaning in groups_of(pairs).items():
        if fold_of(meaning, fold[1]) == fold[0]:
            by_meaning.setdefault(meaning, []).append(text)
    partners = _partners(pairs)
    several = _shuffled([texts for texts in by_meaning.values() if len(texts) > 1], rng)
    several = _apart([_centred(texts, partners) for texts in several], encoder)
    several = several[: round(size / (1.0 - HIDDEN_MEANINGS))]
    hidden = _hidden_meanings(several, encoder, rng)
    entries: list[Entry] = []
    asked: list[Asked] = []
    for number, (question, *others) in enumerate(several):
        if number not in hidden:
            chosen = _shuffled(others, rng)[:ASKED_HIDDEN]
            asked += [Asked(text, len(entries)) for text in chosen]
            entries.append(_entry(f"pair-{number}", question, "", ()))
    outside = [text for number in sorted(hidden) for text in several[number][:2]]
    outside = _shuffled(_unanswered(outside, entries, encoder), rng)
    near = [Asked(text, -1) for text in outside[: round(NEAR * len(asked))]]
    return Simulation(
        "pairs", tuple(entries), (*asked, *near, *_strangers(strangers, len(asked), rng))
    )


def _partners(pairs: Sequence[Pair]) -> dict[str, list[str]]:
    found: dict[str, dict[str, None]] = {}
    for pair in pairs:
        if pair.same and pair.a != pair.b:
            found.setdefault(pair.a, {})[pair.b] = None
            found.setdefault(pair.b, {})[pair.a] = None
    return {text: list(others) for text, others in found.items()}


def _centred(texts: Sequence[str], partners: Mapping[str, Sequence[str]]) -> list[str]:
    """The wording that most others were said to equal, and those: at the ends of a chain of
    equal pairs stand wordings that nobody compared."""
    centre = max(texts, key=lambda text: len(partners.get(text, ())))
    return [centre, *partners.get(centre, ())]


def _apart(several: list[list[str]], encoder: TermEncoder) -> list[list[str]]:
    """Without meanings that are too near to one before them: nobody said that they are the same,
    but nobody was asked, and a base has few entries that say the same."""
    vectors = encoder.embed([texts[0] for texts in several])
    kept: list[int] = []
    for number, vector in enumerate(vectors):
        if not kept or float((vectors[kept] @ vector).max()) < SAME_NEARNESS:
            kept.append(number)
    return [several[number] for number in kept]


def _unanswered(texts: Sequence[str], entries: Sequence[Entry], encoder: TermEncoder) -> list[str]:
    """Those that no entry answers in all but name."""
    if not texts or not entries:
        return list(texts)
    near = encoder.embed(texts) @ encoder.embed([entry.question for entry in entries]).T
    return [
        text for text, best in zip(texts, near.max(axis=1), strict=True) if best < SAME_NEARNESS
    ]


def fold_of(meaning: int, folds: int) -> int:
    return crc32(str(meaning).encode()) % folds


def _hidden_meanings(
    several: Sequence[Sequence[str]], encoder: TermEncoder, rng: np.random.Generator
) -> set[int]:
    wanted = int(HIDDEN_MEANINGS * len(several))
    hidden = set(rng.permutation(len(several))[: wanted // 2].tolist())
    if not several:
        return hidden
    vectors = encoder.embed([texts[0] for texts in several])
    while len(hidden) < wanted:
        centre = int(rng.integers(len(several)))
        near = np.argsort(-(vectors @ vectors[centre]))[: max(wanted // 8, 1)]
        hidden |= set(near[: wanted - len(hidden)].tolist())
    return hidden


def _strangers(texts: Sequence[str], asked: int, rng: np.random.Generator) -> list[Asked]:
    drawn = rng.permutation(len(texts))[: int(STRANGERS * asked)]
    return [Asked(texts[number], -1) for number in drawn]


def strangers_to(pairs: Sequence[Pair], fields: Sequence[Field], encoder: TermEncoder) -> list[str]:
    """Wordings of the half of ``fields`` that are least like what the pairs speak of."""
    centre = encoder.embed([pair.a for pair in pairs]).mean(axis=0)
    texts = {field.name: list(_wordings(field)) for field in fields}
    near = {name: float((encoder.embed(found) @ centre).mean()) for name, found in texts.items()}
    far = sorted(near, key=lambda name: near[name])[: max(len(near) // 2, 1)]
    return [text for name in far for text in texts[name]]


def _wordings(field: Field) -> Iterator[str]:
    for meaning in field.meanings:
        yield from meaning.wordings


def _entry(name: str, question: str, answer: str, aliases: Sequence[str]) -> Entry:
    return Entry(id=name, question=question, answer=answer, aliases=tuple(aliases), source=name)


def _shuffled(items: Sequence[T], rng: np.random.Generator) -> list[T]:
    return [items[number] for number in rng.permutation(len(items))]
