"""How much is hidden that need not be, and what hiding costs.

    python -m tests.privacy.measure [FILE.jsonl …]

Without files: the sample knowledge. Files hold JSON lines; every Chinese text in them counts, once.
"""

import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from domain.personal_spans import find
from domain.placeholders import Placeholders
from tests.privacy.messages import personal_messages

SAMPLES = Path(__file__).resolve().parents[2] / "knowledge" / "samples"
MAX_CHARS = 200
SHOWN = 10
_CHINESE = re.compile("[\u4e00-\u9fff]")


def texts_of(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from texts_of(one)
    elif isinstance(value, dict):
        for one in value.values():
            yield from texts_of(one)


def read(file: Path) -> Iterator[str]:
    for line in file.read_text("utf-8").splitlines():
        found = texts_of(json.loads(line)) if file.suffix == ".jsonl" else [line]
        yield from (one for one in found if _CHINESE.search(one) and len(one) <= MAX_CHARS)


def over_masked(name: str, texts: Iterable[str]) -> None:
    distinct = list(dict.fromkeys(texts))
    hits = [(text, found) for text in distinct if (found := find(text))]
    kinds = Counter(span.kind for _, found in hits for span in found)
    share = 100 * len(hits) / max(1, len(distinct))
    print(
        f"{name}: {len(hits)} of {len(distinct)} texts hold something ({share:.2f} %) {dict(kinds)}"
    )
    for text, found in hits[:SHOWN]:
        print("   ", [text[span.start : span.end] for span in found], "in", text[:60])


def main() -> None:
    files = [Path(one) for one in sys.argv[1:]] or sorted(SAMPLES.glob("*.md"))
    for file in files:
        over_masked(str(file.relative_to(file.parents[2])), read(file))
    messages = personal_messages()
    values = [(one, value) for one in messages for value in one.values]
    found = sum(value not in Placeholders().hide(one.text) for one, value in values)
    print(f"300 messages: {found} of {len(values)} marked values are hidden")
    started = time.perf_counter()
    for one in messages:
        Placeholders().hide(one.text)
    print(f"{1_000 * (time.perf_counter() - started) / len(messages):.2f} ms a message")


if __name__ == "__main__":
    main()
