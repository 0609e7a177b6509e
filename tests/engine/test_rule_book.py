"""The rules in use: versions as rows, a file that changes, several processes."""

import logging
import os
from pathlib import Path

import pytest

from domain.errors import ConfigurationError, InvalidInput
from domain.rules import RuleSet, fingerprint
from engine.metrics import Metrics
from engine.rules.book import RuleBook, open_book
from engine.rules.build import default_rules, default_templates
from engine.rules.checking import checked_rules
from storage import rules
from storage.database import Database
from tools.catalog import catalogue
from tools.registry import ToolRegistry

DEFAULT = default_rules()
OTHER = DEFAULT.replace("- 投诉\n", "- 投诉\n      - 我很生气\n")
THIRD = DEFAULT.replace("- 投诉\n", "- 投诉\n      - 我真生气\n")
BROKEN = DEFAULT.replace("action: flag", "action: shout")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(DEFAULT, "utf-8")
    return path


def check(text: str) -> RuleSet:
    return checked_rules(text, ToolRegistry(catalogue()), default_templates())


def opened(database: Database, file: Path | None, default: str = DEFAULT) -> RuleBook:
    return open_book(file, default, database, check, Metrics())


def swap(file: Path, text: str) -> None:
    stamp = file.stat().st_mtime_ns + 1_000_000_000
    file.write_text(text, "utf-8")
    os.utime(file, ns=(stamp, stamp))


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR]


def write(file: Path, text: str | None) -> None:
    file.unlink() if text is None else file.write_text(text, "utf-8")


def refused_version(book: RuleBook) -> int | None:
    """0: of the file; None: nothing is refused."""
    return None if book.refused is None else book.refused.version or 0


async def sources(database: Database) -> list[str]:
    found = await database.read(lambda c: rules.versions(c, before=10**6, limit=50))
    return [one.source for one in reversed(found)]


async def test_a_changed_file_is_a_version_and_in_use(database: Database, file: Path) -> None:
    book, told = opened(database, file), list[RuleSet]()
    book.on_change = told.append
    assert not await book.look()
    swap(file, OTHER)
    assert await book.look()
    assert (book.version.version, book.version.source) == (2, "file")
    assert told == [book.rules]
    assert book.rules.match("我很生气") is not None
    assert not await book.look()


async def test_a_broken_file_keeps_the_old_rules_and_is_said_once(
    database: Database, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    book = opened(database, file)
    before = book.rules
    swap(file, BROKEN)
    assert not await book.look()
    assert not await book.look()
    assert book.rules is before
    assert refused_version(book) == 0
    assert len(errors(caplog)) == 1
    swap(file, DEFAULT)
    await book.look()
    assert refused_version(book) is None
    assert await sources(database) == ["file"]


async def test_a_file_that_is_gone_keeps_the_old_rules(
    database: Database, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    book = opened(database, file)
    write(file, None)
    assert not await book.look()
    assert "cannot be read" in errors(caplog)[0]
    write(file, OTHER)
    assert await book.look()


async def test_nothing_begins_with_a_broken_file(database: Database, file: Path) -> None:
    write(file, BROKEN)
    with pytest.raises(ConfigurationError):
        opened(database, file)
    assert await sources(database) == []


async def test_an_edit_outlives_a_restart_until_the_file_changes(
    database: Database, file: Path
) -> None:
    await opened(database, file).put(OTHER, after=1, author="boss")
    restarted = opened(database, file)
    assert (restarted.version.source, restarted.rules.match("我很生气") is not None) == (
        "api",
        True,
    )
    swap(file, THIRD)
    again = opened(database, file)
    assert (again.version.version, again.version.source) == (3, "file")
    assert again.rules.match("我很生气") is None


async def test_the_products_own_rules_never_replace_an_edit(database: Database) -> None:
    await opened(database, None).put(OTHER, after=1, author="boss")
    released = opened(database, None, THIRD)
    assert released.version.source == "api"
    assert await sources(database) == ["default", "api"]


async def test_the_products_new_rules_replace_its_old_ones(database: Database) -> None:
    opened(database, None)
    assert opened(database, None, THIRD).version.fingerprint == fingerprint(THIRD)
    assert await sources(database) == ["default", "default"]


async def test_what_one_process_is_told_the_others_take(database: Database, file: Path) -> None:
    one, other = opened(database, file), opened(database, file)
    assert await sources(database) == ["file"]
    await one.put(OTHER, after=1, author="boss")
    assert await other.look()
    assert (other.version.version, other.rules.fingerprint) == (2, fingerprint(OTHER))
    swap(file, THIRD)
    assert await one.look()
    assert await other.look()
    assert await sources(database) == ["file", "api", "file"]


async def test_of_two_edits_of_one_version_the_second_is_refused(
    database: Database, file: Path
) -> None:
    one, other = opened(database, file), opened(database, file)
    await one.put(OTHER, after=1, author="boss")
    with pytest.raises(InvalidInput) as caught:
        await other.put(THIRD, after=1, author="chef")
    assert (caught.value.status, await sources(database)) == (409, ["file", "api"])


async def test_a_version_that_this_release_cannot_use_is_left_alone(
    database: Database, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    book = opened(database, file)
    newer = rules.RuleVersion(0, "api", "boss", "", "f", "2026-01-01T00:00:00Z", BROKEN)
    assert await database.write(lambda c: rules.add(c, 1, newer)) is not None
    assert not await book.look()
    assert (refused_version(book), book.version.version) == (2, 1)
    restarted = opened(database, file)
    assert (restarted.version.version, refused_version(restarted)) == (1, 2)
    assert not await restarted.look()
    assert len(errors(caplog)) == 2
    made = await restarted.put(OTHER, after=2, author="boss")
    assert (made.version, refused_version(restarted)) == (3, None)


async def test_old_firings_are_forgotten(database: Database) -> None:
    fired = [rules.Firing("gift", "trigger"), rules.Firing("angry", "words", "oops")]
    for turn, now in (("t1", 100.0), ("t2", 200.0), ("t2", 300.0)):
        await database.write(
            lambda c, turn=turn, now=now: rules.note_firings(  # type: ignore[misc]
                c, fired, turn_id=turn, channel="web", now=now
            )
        )
    counts = await database.read(lambda c: rules.firing_counts(c, since=0.0))
    assert {name: (one["fired"], one["failed"]) for name, one in counts.items()} == {
        "gift": (2, 0),
        "angry": (2, 2),
    }
    assert await database.write(lambda c: rules.forget_firings(c, before=150.0)) == 2
    left = await database.read(lambda c: rules.firing_counts(c, since=0.0))
    assert {one["fired"] for one in left.values()} == {1}


def test_the_documentations_example_can_be_used() -> None:
    text = (Path(__file__).parents[2] / "docs" / "rules.md").read_text("utf-8")
    example = text.split("```yaml\n")[1].split("```")[0]
    before, _, _ = DEFAULT.partition("\ntriggers:\n")
    (trigger,) = check(f"{before}\n{example}").file.triggers
    assert [step.kind for step in trigger.then] == ["tag", "tool"]
