"""Facts of the suite's pictures as they were measured once, for decisions that are made from them.

``python -m tests.domain.picture_facts`` looks at all pictures anew (OCR included, some minutes).
"""

import asyncio
import json
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from domain.pictures import PictureFacts, PictureKind
from tests.tools.pictures.making import PICTURES, REFUSED
from tools.pictures.decoding import Limits, PictureRefused
from tools.pictures.inspect import inspect, with_text
from tools.pictures.ocr import TextReader

FILE = Path(__file__).with_name("picture_facts.jsonl")


def recorded() -> tuple[dict[str, PictureFacts], dict[str, str]]:
    """Facts by picture, and by refused picture why it was refused."""
    facts: dict[str, PictureFacts] = {}
    refused: dict[str, str] = {}
    for line in FILE.read_text(encoding="utf-8").splitlines():
        row: dict[str, Any] = json.loads(line)
        name = row.pop("name")
        if "refused" in row:
            refused[name] = row["refused"]
        else:
            kind, marks = PictureKind(row.pop("kind")), tuple(row.pop("marks"))
            facts[name] = PictureFacts(**row, kind=kind, marks=marks)
    return facts, refused


def coarse(facts: PictureFacts) -> PictureFacts:
    """Without what differs between machines and library versions."""
    return replace(
        facts,
        sha256="",
        size_bytes=0,
        phash="",
        sharpness=round(facts.sharpness, 2),
        noise=round(facts.noise, 1),
    )


async def record() -> None:
    reader, rows = TextReader(), []
    try:
        for name, maker in PICTURES.items():
            data = maker()
            facts = inspect(data, sha256(data).hexdigest(), Limits())
            seen = coarse(with_text(facts, await reader.read(data)))
            rows.append({"name": name, **asdict(seen)})
    finally:
        await reader.aclose()
    refusals = {name: _refusal(maker()) for name, maker in REFUSED.items()}
    rows += [{"name": name, "refused": reason} for name, reason in refusals.items() if reason]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _refusal(data: bytes) -> str:
    try:
        inspect(data, "", Limits())
    except PictureRefused as refused:
        return refused.reason
    return ""


if __name__ == "__main__":
    asyncio.run(record())
