"""``python -m tests.bench.context``: tokens that prompts spend on the conversation, against sending
all of it, and whether what the questions need is still there. Data: ``KEFU_EVAL_DATA``.

Prints Markdown tables; docs/context.md has them with their method.
"""

import json
import os
import statistics
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphs.classifier.model import IntentClassifier
from graphs.focus import ContextPolicy
from graphs.prompts import RULES
from tests.bench.needs import Question, crosswoz, holds, order_under_discussion, rewritten
from tests.bench.talks import Talk, tokens, told_text
from tools.models.tokens import estimate_tokens

LONG = 10
"""Turns (a customer's message and its answer) of a long conversation."""


@dataclass
class Tally:
    talks: int = 0
    turns: int = 0
    ours: int = 0
    full: int = 0
    ours_whole: int = 0
    full_whole: int = 0
    most: int = 0
    needed: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    missed: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def saved(self) -> float:
        return 1 - self.ours / self.full if self.full else 0.0

    @property
    def saved_whole(self) -> float:
        return 1 - self.ours_whole / self.full_whole if self.full_whole else 0.0

    @property
    def recall(self) -> float:
        return self.kept.total() / self.needed.total() if self.needed else 1.0


def measure(
    conversations: Iterable[list[Question]], classifier: IntentClassifier, policy: ContextPolicy
) -> Tally:
    tally = Tally()
    for questions in conversations:
        tally.talks += 1
        talk = Talk(classifier, policy)
        for question in questions:
            _one(tally, talk, question)
            talk.is_answered(question.text, question.answer)
    return tally


def _one(tally: Tally, talk: Talk, question: Question) -> None:
    prompt = told_text(talk.asks(question.text))
    cost, asked = estimate_tokens(prompt), tokens(RULES) + tokens(question.text)
    tally.turns += 1
    tally.ours += cost
    tally.full += talk.history
    tally.ours_whole += cost + asked
    tally.full_whole += talk.history + asked
    tally.most = max(tally.most, cost)
    for value, why in question.needs.items():
        tally.needed[why] += 1
        if holds(prompt, value):
            tally.kept[why] += 1
        else:
            tally.missed.append((value, question.text, prompt))


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _jddc(rows: list[dict[str, Any]]) -> Iterator[list[Question]]:
    """Who said what is not annotated: turns are taken by twos, the last one as the question."""
    for row in rows:
        *before, question = row["context_turns"]
        needs = dict.fromkeys(order_under_discussion(before, question), "order")
        if len(before) % 2:
            before = ["", *before]
        pairs = zip(before[::2], before[1::2], strict=True)
        yield [*(Question(*pair) for pair in pairs), Question(question, "", needs)]


def _rewriter(rows: list[dict[str, Any]]) -> Iterator[list[Question]]:
    for row in rows:
        context, current = row["context"], row["current"]
        needs = dict.fromkeys(rewritten(context, current, row["rewritten"]), "rewritten")
        yield [Question(context[0], context[-1]), Question(current, "", needs)]


def _table(rows: Iterable[tuple[str, Tally]]) -> None:
    print(
        "| conversations | turns | full history, tokens a turn | sent | most | saved"
        " | saved of the whole request | needed values | still there |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name, one in rows:
        print(
            f"| {name}: {one.talks} | {one.turns} | {one.full / one.turns:.0f}"
            f" | {one.ours / one.turns:.0f} | {one.most} | **{one.saved:.1%}**"
            f" | {one.saved_whole:.1%} | {one.needed.total()} | **{one.recall:.2%}** |"
        )


def main() -> None:
    folder = Path(os.environ.get("KEFU_EVAL_DATA", ""))
    if not (folder / "crosswoz/dev/dialogues.jsonl").is_file():
        sys.exit("KEFU_EVAL_DATA: the folder that holds crosswoz/dev/dialogues.jsonl")
    classifier, policy = IntentClassifier.load(), ContextPolicy()
    dialogues = _lines(folder / "crosswoz/dev/dialogues.jsonl")
    long = [one for one in dialogues if len(one["turns"]) // 2 >= LONG]
    tuned, held = long[::2], long[1::2]

    def run(ones: list[dict[str, Any]], *, everything: bool = False) -> Tally:
        talks = (crosswoz(one, everything=everything) for one in ones)
        return measure(talks, classifier, policy)

    whole = run(long)
    print(f"\n### CrossWOZ, conversations of {LONG} turns and more\n")
    _table(
        [
            ("all", whole),
            ("weights were fitted on", run(tuned)),
            ("held out", run(held)),
            ("all, every value of reply and belief state", run(long, everything=True)),
            ("under 10 turns", run([one for one in dialogues if one not in long])),
        ]
    )
    print("\n| needed as | values | still there |\n|---|---|---|")
    for why, count in whole.needed.most_common():
        print(f"| {why} | {count} | {whole.kept[why] / count:.2%} |")
    missed = whole.missed + _others(folder, classifier, policy)
    if "--missed" in sys.argv:
        for value, question, prompt in missed:
            print(f"{value}\t{question}\t{prompt!r}")


def _others(
    folder: Path, classifier: IntentClassifier, policy: ContextPolicy
) -> list[tuple[str, str, str]]:
    samples = _lines(folder / "jddc/dev/samples.jsonl")
    turns = _lines(folder / "rewriter/dev/turns.jsonl")[:2_000]
    many = [row for row in samples if len(row["context_turns"]) > LONG]
    print("\n### JDDC (the order under discussion), rewriter (what people added)\n")
    shop = measure(_jddc(samples), classifier, policy)
    short = measure(_rewriter(turns), classifier, policy)
    _table(
        [
            ("JDDC, more than 10 messages before", measure(_jddc(many), classifier, policy)),
            ("JDDC, all", shop),
            ("rewriter", short),
        ]
    )
    lengths = [len(row["context_turns"]) for row in samples]
    print(f"\nJDDC: {statistics.median(lengths):.0f} messages in the median.")
    return shop.missed + short.missed


if __name__ == "__main__":
    main()
