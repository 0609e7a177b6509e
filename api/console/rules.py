"""The rules: what they did, an edit that is tried on past conversations, versions."""

import time
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from api.console.failures import PageRoute
from api.console.reader import Reader, TheUnscopedRuler
from api.console.rendering import see
from api.console.shell import shown
from api.dependencies import TheKefu
from api.rules.endpoints import WEEK_S
from api.rules.schemas import DryRunIn, shown_book
from domain.errors import InvalidInput
from domain.rules import MAX_FILE_CHARS
from engine.bootstrap import Kefu
from storage import rules

RULES_PATH = "/desk/rules"
MAX_TRIED = 5_000
"""Messages of a trial, for which the reader waits some seconds."""
MAX_VERSIONS = 20
router = APIRouter(route_class=PageRoute, include_in_schema=False, prefix=RULES_PATH)
Content = Annotated[str, Form(max_length=MAX_FILE_CHARS)]
Version = Annotated[int, Form(ge=1, le=2**31 - 1)]


@router.get("")
async def rules_page(request: Request, kefu: TheKefu, reader: TheUnscopedRuler) -> Response:
    return await _shown(request, kefu, reader)


@router.post("")
async def save(
    kefu: TheKefu,
    reader: TheUnscopedRuler,
    content: Content,
    version: Version,
    note: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    await kefu.rules.put(_plain(content), after=version, author=reader.id, note=note.strip())
    return see(RULES_PATH, "rules_saved")


@router.post("/try")
async def try_out(
    request: Request,
    kefu: TheKefu,
    reader: TheUnscopedRuler,
    content: Content,
    days: Annotated[int, Form(ge=1, le=90)] = 7,
) -> Response:
    """Nothing is done and nothing is kept."""
    content = _plain(content)
    proposed = await kefu.rules.validate(content)
    until = datetime.now(UTC)
    asked = DryRunIn(since=until - timedelta(days=days), until=until, limit=MAX_TRIED, examples=3)
    tried: dict[str, Any] = {}
    async for event in kefu.dry_runs.run(proposed, kefu.rules.rules, asked.wanted()):
        tried = event
    return await _shown(request, kefu, reader, content=content, tried=tried, days=days)


@router.post("/revert")
async def revert(
    kefu: TheKefu, reader: TheUnscopedRuler, to: Version, version: Version
) -> Response:
    await kefu.rules.revert(to, after=version, author=reader.id)
    return see(RULES_PATH, "rules_reverted")


async def _shown(
    request: Request,
    kefu: Kefu,
    reader: Reader,
    *,
    content: str | None = None,
    tried: dict[str, Any] | None = None,
    days: int = 7,
) -> Response:
    since = time.time() - WEEK_S
    counts = await kefu.engine.database.read(lambda c: rules.firing_counts(c, since=since))
    book = shown_book(kefu.rules, counts)
    versions = await kefu.rules.versions(before=2**31 - 1, limit=MAX_VERSIONS)
    return await shown(
        request,
        reader,
        "rules.html",
        book=book,
        content=book["content"] if content is None else content,
        tried=tried,
        days=days,
        versions=versions,
    )


def _plain(content: str) -> str:
    """Forms come with the line ends of another age."""
    if "\0" in content:
        raise InvalidInput("content", "不能含有空字符")
    return content.replace("\r\n", "\n")
