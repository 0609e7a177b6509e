"""The queue: who waits, who is with whom, and what was done."""

import functools
import time
from datetime import tzinfo
from typing import Annotated

from fastapi import APIRouter, Query
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from api.console.failures import PageRoute
from api.console.reader import TheReader
from api.console.rendering import part, words_for
from api.console.shell import shown
from api.console.words import Language, Words
from api.desk.session import TheDesk
from engine.desk.views import QueueItem, View

KEPT_LISTS = 64
router = APIRouter(route_class=PageRoute, include_in_schema=False)
VIEWS: tuple[View, ...] = ("waiting", "mine", "open", "all", "closed")
Search = Annotated[str, Query(max_length=100)]


@router.get("/desk")
async def queue(
    request: Request,
    desk: TheDesk,
    reader: TheReader,
    view: View = "waiting",
    q: Search = "",
    channel: Annotated[str, Query(max_length=64)] = "",
    before: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """The page keeps itself new by `/api/desk/events`."""
    after = await desk.newest_event()
    found = await desk.queue(
        reader.agent, view=view, search=q.strip(), channel=channel.strip(), before=before
    )
    words = words_for(request)
    return await shown(
        request,
        reader,
        "queue.html",
        waiting=found.counts["waiting"],
        found=found,
        rows=_rows(found.items, view, words.language, words.zone, int(words.now)),
        views=VIEWS,
        view=view,
        search=q,
        channel=channel,
        before=before,
        now=time.time(),
        after=after,
        here="",
    )


@functools.lru_cache(maxsize=KEPT_LISTS)
def _rows(
    items: tuple[QueueItem, ...], view: View, language: Language, zone: tzinfo, now: int
) -> Markup:
    """Made once for all consoles that show the same list in the same second."""
    words = Words(language, zone, float(now))
    found = {"items": items}
    return part("queue_list.html", words, found=found, view=view, here="", now=float(now))
