"""How the service does: figures of now and of the last days, and the alerts."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.console.charts import Chart, bars, lines
from api.console.failures import PageRoute
from api.console.reader import TheUnscoped
from api.console.rendering import percent, words_for
from api.console.shell import shown
from api.console.words import Words
from api.dependencies import TheKefu
from domain.figures import Dimension

OVERVIEW_PATH = "/desk/overview"
router = APIRouter(route_class=PageRoute, include_in_schema=False, prefix=OVERVIEW_PATH)
Days = Literal["7", "14", "30"]
DAYS: tuple[Days, ...] = ("7", "14", "30")
PARTS: tuple[Dimension, ...] = ("channel", "tier", "intent")
EVENTS_SHOWN = 8
Items = Sequence[Mapping[str, Any]]


@router.get("")
async def overview(
    request: Request, kefu: TheKefu, reader: TheUnscoped, days: Annotated[Days, Query()] = "7"
) -> Response:
    stats, alerts = kefu.figures.stats, kefu.figures.alerts
    last = stats.today()
    first = last - timedelta(days=int(days) - 1)
    period = await stats.period(first, last, "day")
    parts = [(name, (await stats.period(first, last, name))["items"]) for name in PARTS]
    standing = await alerts.standing()
    words = words_for(request)
    return await shown(
        request,
        reader,
        "overview.html",
        now=await stats.now(),
        period=period,
        parts=[(name, items) for name, items in parts if items],
        charts=charts_of(period["items"], words),
        days=days,
        all_days=DAYS,
        raised=[one for one in standing if one["state"] != "ok"],
        watched=len(standing),
        events=await alerts.events(limit=EVENTS_SHOWN),
    )


def charts_of(items: Items, words: Words) -> dict[str, Chart]:
    """``items``: one a day."""

    def said(name: str) -> list[str]:
        return [f"{one['key']}：{_number(one[name])}" for one in items]

    rates = ("resolution_rate", "handoff_rate", "slow_rate")
    told = [
        "\n".join([one["key"], *(f"{words('overview.' + n)} {percent(one[n])}" for n in rates)])
        for one in items
    ]
    waits = [
        f"{one['key']}：{words.ms(one['avg_response_time_ms'])}"
        if one["avg_response_time_ms"] is not None
        else one["key"]
        for one in items
    ]
    return {
        "messages": bars([one["messages"] for one in items], said("messages")),
        "rates": lines([(n, [one[n] for one in items]) for n in rates], told, top=1.0),
        "response": lines(
            [("avg_response_time_ms", [one["avg_response_time_ms"] for one in items])], waits
        ),
        "tokens": bars([one["tokens_used"] for one in items], said("tokens_used")),
    }


def _number(value: float) -> str:
    return f"{value:,}"
