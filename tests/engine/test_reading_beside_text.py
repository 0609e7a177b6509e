"""While pictures are read, everybody else is answered."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil

from domain.messages import Attachment
from storage.database import Database
from tests.engine.processes import QUICK, a_message, answer_to, running_process
from tests.tools.pictures.making import PICTURES
from tools.pictures.fetch import PictureFetcher
from tools.pictures.intake import Pictures
from tools.pictures.ocr import Measurer, TextReader
from tools.pictures.store import PictureStore

Answer = dict[str, Any]
PATIENT = replace(QUICK, sync_deadline_s=100.0)
NAMES = ("wide_banner", "business_card", "brand_logo")


async def _all_wait(reader: TextReader) -> psutil.Process:
    """Until every picture is in the queue and the first one at work."""
    async with asyncio.timeout(60):
        while reader.waiting < len(NAMES) or reader.pid is None:  # noqa: ASYNC110 - tells nobody
            await asyncio.sleep(0.001)
    return psutil.Process(reader.pid)


async def test_text_is_answered_while_pictures_of_other_conversations_are_read(
    tmp_path: Path, sqlite_url: str
) -> None:
    """The reading is stopped dead meanwhile, so nothing here depends on how fast anything is."""
    reader, measurer = TextReader(), Measurer()
    store = PictureStore(tmp_path / "pictures", check=measurer.check)
    sources = [f"picture:{(await store.put(PICTURES[name]())).sha256}" for name in NAMES]
    kept: list[Pictures] = []

    def looks(database: Database) -> Pictures:
        fetcher = PictureFetcher(http, store)
        kept.append(Pictures(database, store, fetcher, reader, measurer=measurer))
        return kept[0]

    async with (
        httpx.AsyncClient(trust_env=False) as http,
        running_process(sqlite_url, policy=PATIENT, pictures=looks) as process,
    ):

        async def sends(number: int, source: str) -> Answer:
            message = a_message("", whole="这个能做吗", chat=f"sender{number}")
            picture = Attachment("image", source)
            return await process.engine.ask(replace(message, attachments=(picture,)))

        sending = [asyncio.create_task(sends(*each)) for each in enumerate(sources)]
        reading = await _all_wait(reader)
        reading.suspend()
        for number in range(10):
            message = a_message(f"{number}号", chat=f"writer{number}")
            answer = await process.engine.ask(message)
            assert answer["content"] == answer_to(message)
        assert reader.waiting == len(NAMES)
        reading.resume()
        answers = await asyncio.gather(*sending)
        assert "wait" not in [answer["action"] for answer in answers]
        found = [await kept[0].look(source) for source in sources]
        assert [facts.text_chars for facts in found] == [16, 33, 6]
        await kept[0].aclose()
