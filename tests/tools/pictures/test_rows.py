"""Rows of pictures, on both databases."""

import json
from dataclasses import asdict, replace
from functools import partial

from sqlalchemy import Connection, text

from domain.pictures import PictureFacts, PictureKind
from storage import pictures
from storage.database import Database

FACTS = PictureFacts(
    sha256="a" * 64,
    size_bytes=10,
    format="PNG",
    width=20,
    height=30,
    kind=PictureKind.LOGO,
    marks=("seal",),
    dpi=300,
)
READ = replace(FACTS, text="今日菜单", text_chars=4, text_read=True, kind=PictureKind.TEXT)


async def test_facts_come_back_whole(database: Database) -> None:
    await database.write(lambda c: pictures.put_facts(c, READ, now=1.0))
    assert await database.read(lambda c: pictures.get_facts(c, READ.sha256)) == READ
    assert await database.read(lambda c: pictures.get_facts(c, "b" * 64)) is None


async def test_what_was_read_is_not_lost_to_a_look_that_read_nothing(database: Database) -> None:
    await database.write(lambda c: pictures.put_facts(c, READ, now=1.0))
    kept = await database.write(lambda c: pictures.put_facts(c, FACTS, now=2.0))
    assert kept == READ
    assert await database.read(lambda c: pictures.get_facts(c, READ.sha256)) == READ


async def test_rows_of_another_version_are_understood(database: Database) -> None:
    def older(connection: Connection) -> None:
        found = asdict(FACTS) | {"colour_depth": 8}
        del found["noise"], found["marks"]
        connection.execute(text("UPDATE pictures SET facts = :f"), {"f": json.dumps(found)})

    await database.write(lambda c: pictures.put_facts(c, FACTS, now=1.0))
    await database.write(older)
    found = await database.read(lambda c: pictures.get_facts(c, FACTS.sha256))
    assert found == replace(FACTS, marks=())


async def test_a_source_is_known_for_a_while_and_follows_its_last_picture(
    database: Database,
) -> None:
    url = "https://shop.example/a.png"
    await database.write(lambda c: pictures.keep_source(c, url, "a" * 64, now=100.0))
    assert await database.read(lambda c: pictures.find_source(c, url, since=100.0)) == "a" * 64
    assert await database.read(lambda c: pictures.find_source(c, url, since=100.5)) is None
    await database.write(lambda c: pictures.keep_source(c, url, "b" * 64, now=200.0))
    assert await database.read(lambda c: pictures.find_source(c, url, since=150.0)) == "b" * 64


async def test_only_what_nobody_looked_at_is_forgotten(database: Database) -> None:
    other = replace(FACTS, sha256="b" * 64)

    def keep(connection: Connection) -> None:
        for facts in (FACTS, other):
            pictures.put_facts(connection, facts, now=100.0)
            pictures.keep_source(connection, facts.sha256[:3], facts.sha256, now=100.0)

    await database.write(keep)
    await database.write(lambda c: pictures.touch(c, other.sha256, now=300.0))
    gone = await database.write(lambda c: pictures.forget_unused(c, before=200.0))
    assert gone == ([FACTS.sha256], None)
    assert await database.read(lambda c: pictures.find_source(c, "aaa", since=0.0)) is None
    assert await database.read(lambda c: pictures.find_source(c, "bbb", since=0.0)) == other.sha256


async def test_what_is_to_be_kept_is_passed_over_page_by_page(database: Database) -> None:
    names = [char * 64 for char in "abcde"]

    def keep(connection: Connection) -> None:
        for sha256 in names:
            pictures.put_facts(connection, replace(FACTS, sha256=sha256), now=100.0)

    await database.write(keep)
    gone: list[str] = []
    place: pictures.Place | None = ("", "")
    while place is not None:
        unit = partial(
            pictures.forget_unused, before=200.0, keep={names[0], names[3]}, after=place, limit=2
        )
        some, place = await database.write(unit)
        gone += some
    assert gone == [names[1], names[2], names[4]]
    left = await database.read(lambda c: pictures.known(c, names))
    assert left == {names[0], names[3]}


async def test_addresses_longer_than_an_index_takes_are_known_too(database: Database) -> None:
    urls = [f"https://shop.example/a.png?sign={'图' * 4_000}{end}" for end in "ab"]
    for url, sha256 in zip(urls, ("a" * 64, "b" * 64), strict=True):

        def keep(connection: Connection, url: str = url, sha256: str = sha256) -> None:
            pictures.keep_source(connection, url, sha256, now=100.0)

        await database.write(keep)
    found = [await database.read(lambda c: pictures.find_source(c, urls[0], since=0.0))]
    found.append(await database.read(lambda c: pictures.find_source(c, urls[1], since=0.0)))
    assert found == ["a" * 64, "b" * 64]
