"""From a source to facts: kept, shared, and there by the deadline."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import httpx
import pytest

from domain.errors import InvalidInput, NotFound, PeerRejected, PeerUnavailable
from domain.pictures import PictureKind
from storage.database import Database
from tests.tools.pictures.making import PICTURES, REFUSED
from tests.tools.pictures.web import Web, running_web
from tools.pictures.fetch import PictureFetcher
from tools.pictures.intake import Describe, Pictures
from tools.pictures.ocr import TextReader
from tools.pictures.store import PictureRefused, PictureStore


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    async with running_web() as web:
        web.put("/menu.png", PICTURES["menu_short"]())
        web.put("/broken.jpg", REFUSED["truncated_jpeg"]())
        yield web


def _sha(name: str) -> str:
    return hashlib.sha256(PICTURES[name]()).hexdigest()


async def test_an_upload_becomes_facts_with_its_text(pictures: Pictures) -> None:
    facts = await pictures.look(PICTURES["menu_short"]())
    assert facts.sha256 == _sha("menu_short")
    assert (facts.kind, facts.text_chars, facts.text_read) == (PictureKind.TEXT, 42, True)
    assert "红烧牛肉面" in facts.text
    assert await pictures.look(f"picture:{facts.sha256}") == facts


async def test_an_address_is_fetched_once_and_then_known(pictures: Pictures, web: Web) -> None:
    found = await asyncio.gather(*(pictures.look(web.url("/menu.png")) for _ in range(6)))
    again = await pictures.look(web.url("/menu.png"))
    assert {facts.sha256 for facts in [*found, again]} == {_sha("menu_short")}
    assert len(web.asked) == 1


async def test_what_a_platform_knows_by_an_id_is_fetched_once_for_good(
    rows: Database, store: PictureStore, http: httpx.AsyncClient, reader: TextReader
) -> None:
    now, asked = [1_000_000.0], []
    fetcher = PictureFetcher(http, store)
    pictures = Pictures(rows, store, fetcher, reader, source_ttl_s=60, clock=lambda: now[0])

    async def fetch(media_id: str) -> bytes:
        asked.append(media_id)
        return PICTURES["logo_flat"]()

    pictures.from_platform("wecom", fetch)
    pictures.fetch_early("wecom:media:1")
    pictures.fetch_early("https://example.com/a.png")
    facts = await pictures.look("wecom:media:1", read_text=False)
    now[0] += 10 * 86_400
    assert await pictures.look("wecom:media:1", read_text=False) == facts
    assert facts.sha256 == _sha("logo_flat")
    assert asked == ["media:1"], "other addresses are nobody's business before somebody looks"
    await pictures.aclose()


async def test_what_is_gone_at_a_platform_is_said_and_what_is_away_is_tried_again(
    pictures: Pictures,
) -> None:
    failures: list[Exception] = [
        PeerUnavailable("wecom", "busy"),
        PeerRejected("wecom", "40007"),
    ]

    async def fetch(media_id: str) -> bytes:
        raise failures.pop(0)

    pictures.from_platform("wecom", fetch)
    with pytest.raises(PeerUnavailable):
        await pictures.look("wecom:1")
    with pytest.raises(PictureRefused, match="过期"):
        await pictures.look("wecom:1")


async def test_an_address_is_fetched_anew_when_its_time_is_over_or_its_file_gone(
    rows: Database, store: PictureStore, http: httpx.AsyncClient, reader: TextReader, web: Web
) -> None:
    now = [1_000_000.0]
    pictures = Pictures(
        rows,
        store,
        PictureFetcher(http, store, allow_private=True),
        reader,
        source_ttl_s=60,
        clock=lambda: now[0],
    )
    await pictures.look(web.url("/menu.png"), read_text=False)
    now[0] += 61
    web.put("/menu.png", PICTURES["logo_flat"]())
    changed = await pictures.look(web.url("/menu.png"), read_text=False)
    assert changed.sha256 == _sha("logo_flat")
    store.path(changed.sha256).unlink()
    await pictures.look(web.url("/menu.png"), read_text=False)
    assert len(web.asked) == 3
    assert await store.read(changed.sha256) == PICTURES["logo_flat"]()
    await pictures.aclose()


async def test_looks_at_one_picture_at_the_same_time_share_one_reading(
    pictures: Pictures, reader: TextReader
) -> None:
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, reader.waiting)
            await asyncio.sleep(0.001)

    watching = asyncio.create_task(watch())
    found = await asyncio.gather(*(pictures.look(PICTURES["menu_short"]()) for _ in range(8)))
    watching.cancel()
    assert len(set(found)) == 1
    assert most == 1


async def test_past_the_deadline_facts_come_without_text_and_the_next_look_has_it(
    pictures: Pictures,
) -> None:
    data = PICTURES["menu_short"]()
    first = await pictures.look(data, deadline_s=0.001)
    assert (first.text_read, first.text, first.width) == (False, "", 800)
    async with asyncio.timeout(60):
        second = await pictures.look(f"picture:{first.sha256}")
    assert (second.text_read, second.text_chars) == (True, 42)


async def test_a_caller_who_leaves_does_not_stop_the_reading(pictures: Pictures) -> None:
    looking = asyncio.create_task(pictures.look(PICTURES["menu_short"]()))
    await asyncio.sleep(0.05)
    looking.cancel()
    await asyncio.wait([looking])
    facts = await pictures.look(PICTURES["menu_short"]())
    assert facts.text_read


async def test_one_wants_the_text_while_another_only_measures(pictures: Pictures) -> None:
    data = PICTURES["wide_banner"]()
    plain, read = await asyncio.gather(pictures.look(data, read_text=False), pictures.look(data))
    assert plain.sha256 == read.sha256
    assert read.text_read


async def test_what_is_refused_is_refused_to_each_who_asks(pictures: Pictures, web: Web) -> None:
    url = web.url("/broken.jpg")
    found = await asyncio.gather(*(pictures.look(url) for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in found] == [PictureRefused] * 3
    with pytest.raises(PictureRefused):
        await pictures.look(REFUSED["bomb"]())


async def test_an_unknown_or_impossible_reference_is_not_found(pictures: Pictures) -> None:
    with pytest.raises(NotFound):
        await pictures.look("picture:" + "a" * 64)
    with pytest.raises(InvalidInput):
        await pictures.look("picture:../../etc/passwd")
    with pytest.raises(PictureRefused):
        await pictures.look("data:image/png;base64,AAAA")


def _with(
    describe: Describe,
    rows: Database,
    store: PictureStore,
    http: httpx.AsyncClient,
    reader: TextReader,
    timeout_s: float = 0.1,
) -> Pictures:
    fetcher = PictureFetcher(http, store)
    return Pictures(rows, store, fetcher, reader, describe=describe, describe_timeout_s=timeout_s)


async def test_a_vision_models_words_join_the_facts_once(
    rows: Database, store: PictureStore, http: httpx.AsyncClient, reader: TextReader
) -> None:
    asked: list[bytes] = []

    async def describe(data: bytes) -> str:
        asked.append(data)
        return " 一个绿色三角形标志 "

    pictures = _with(describe, rows, store, http, reader)
    await pictures.look(PICTURES["logo_flat"]())
    for _ in range(2):
        await pictures.settled()
        facts = await pictures.look(PICTURES["logo_flat"]())
        assert facts.description == "一个绿色三角形标志"
    assert asked == [PICTURES["logo_flat"]()]
    await pictures.aclose()


async def test_nobody_waits_for_a_description(
    rows: Database, store: PictureStore, http: httpx.AsyncClient, reader: TextReader
) -> None:
    let_go = asyncio.Event()

    async def describe(_data: bytes) -> str:
        await let_go.wait()
        return "一个标志"

    pictures = _with(describe, rows, store, http, reader, timeout_s=30)
    facts = await pictures.look(PICTURES["logo_flat"]())
    assert (facts.text_read, facts.description) == (True, "")
    let_go.set()
    await pictures.settled()
    assert (await pictures.look(PICTURES["logo_flat"]())).description == "一个标志"
    await pictures.aclose()


async def test_peoples_papers_are_shown_to_no_model(
    rows: Database, store: PictureStore, http: httpx.AsyncClient, reader: TextReader
) -> None:
    async def describe(_data: bytes) -> str:
        raise AssertionError("it was shown")

    pictures = _with(describe, rows, store, http, reader)
    facts = await pictures.look(PICTURES["id_card"]())
    await pictures.settled()
    assert facts.kind is PictureKind.DOCUMENT
    assert (await pictures.look(PICTURES["id_card"]())).description == ""
    await pictures.aclose()


@pytest.mark.parametrize("failure", [RuntimeError("no"), httpx.ConnectError("no"), None])
async def test_facts_stand_without_the_vision_model(
    rows: Database,
    store: PictureStore,
    http: httpx.AsyncClient,
    reader: TextReader,
    failure: Exception | None,
) -> None:
    async def describe(_data: bytes) -> str:
        if failure is None:
            await asyncio.Event().wait()
        assert failure is not None
        raise failure

    pictures = _with(describe, rows, store, http, reader)
    await pictures.look(PICTURES["logo_with_name"]())
    await pictures.settled()
    facts = await pictures.look(PICTURES["logo_with_name"]())
    assert (facts.text_read, facts.description) == (True, "")
    await pictures.aclose()


async def test_closing_ends_what_is_under_way(pictures: Pictures, reader: TextReader) -> None:
    for name in ("menu_short", "menu_long", "letter_page"):
        await pictures.look(PICTURES[name](), deadline_s=0.001)
    async with asyncio.timeout(60):
        await pictures.aclose()
    assert not reader.is_loaded
